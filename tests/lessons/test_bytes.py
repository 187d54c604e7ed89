"""Lessons 12 and 13: how a stream is framed and cut, and what is no reply at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lessons.street import ASK, ASKS, LANES, Reply, Street
from tests.support.script import Answer
from tests.support.streams import END, HI, PING, ROLE, START, STOP, chat, chunk, ending, messages, text
from translate.target import Protocol

STREAM = ASK | {"stream": True}


def claude(street: Street, answer: Any) -> Reply:
    """A Messages client on a Chat upstream."""
    return street.ask("messages", "chat", STREAM, answer)


def gpt(street: Street, answer: Any) -> Reply:
    """A Chat client on a Messages upstream."""
    return street.ask("chat", "messages", STREAM, answer)


# --------------------------------------------------------------------------------- 12 and 13: the bytes

WORDS = 'naïve 東京 🚀 "q" \\ \n end'
CHAT_WORDS = chat(ROLE, chunk({"content": WORDS}), END)
RAW_WORDS = CHAT_WORDS.replace(json.dumps(WORDS).encode(), json.dumps(WORDS, ensure_ascii=False).encode())
MESSAGES_WORDS = messages(START, *text(0, WORDS), ending(), STOP).replace(
    json.dumps(WORDS).encode(), json.dumps(WORDS, ensure_ascii=False).encode()
)


def folded(raw: bytes) -> bytes:
    """Each event's JSON over several data lines."""
    return raw.replace(b', "', b',\ndata: "')


@pytest.mark.parametrize(
    "form",
    [
        lambda raw: raw,
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: raw.replace(b"\n", b"\r"),
        lambda raw: raw.replace(b"data: ", b"data:").replace(b"event: ", b"event:"),
        lambda raw: raw.replace(b"data: {", b": a comment\n\n: another\nid: 7\nretry: 10\ndata: {"),
        lambda raw: raw.removesuffix(b"\n\n"),
        lambda raw: raw.removesuffix(b"\n"),
        folded,
        lambda raw: folded(raw).replace(b"\n", b"\r\n"),
        lambda raw: b"\xef\xbb\xbf" + raw,
    ],
    ids=[
        "lf",
        "crlf",
        "cr",
        "no space",
        "comments",
        "no blank line",
        "one break",
        "data lines",
        "data lines, crlf",
        "mark",
    ],
)
@pytest.mark.parametrize("size", [0, 1, 7])
def test_12_framing_and_cuts(street: Street, form: Any, size: int) -> None:
    """size: bytes in one write; 1 cuts within characters, lines and line ends. Pauses keep the writes apart."""
    for ask, raw in ((claude, RAW_WORDS), (gpt, MESSAGES_WORDS)):
        raw = form(raw)
        pieces: list[Any] = [raw[i : i + size] for i in range(0, len(raw), size)] if size else [raw]
        if size:
            middle = raw.index("東".encode()) // size
            pieces[middle + 1 : middle + 1] = [0.01]
        said = ask(street, Answer.sse(pieces)).said()
        assert said["text"] == WORDS and said["stop"] in ("end_turn", "stop")


BROKEN = {
    "html": Answer(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>Hi</title>"),
    "html as json": Answer(200, {"Content-Type": "application/json"}, b"<html><body>no</body></html>"),
    "html as stream": Answer(200, {"Content-Type": "text/event-stream"}, b"<html><body>no</body></html>"),
    "nothing": Answer(200, {"Content-Type": "application/json"}, b""),
    "no stream": Answer.sse(b""),
    "only comments": Answer.sse(b": hello\n\n: hello\n\n"),
    "cut": Answer(200, {"Content-Type": "application/json"}, b'{"id": "c1", "choices": [{"index": 0, "mess'),
    "text": Answer(200, {"Content-Type": "text/plain"}, b"upstream says no"),
    "another object": Answer.json({"hello": "world"}),
    "a list": Answer.json([1, 2]),
    "null": Answer.json(None),
    "short": Answer.json({"id": "c1"}, short=40, end="close"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("stream", [True, False])
def test_13_what_is_no_reply_is_a_502_in_plain_words(street: Street, name: str, stream: bool) -> None:
    for lane in LANES:
        if lane[0] == lane[1] and name == "another object":
            continue  # same protocol: an object is passed on as it is
        refused(street, lane, name, stream)


def refused(street: Street, lane: tuple[Protocol, Protocol], name: str, stream: bool) -> None:
    reply = street.ask(*lane, ASKS[lane[0]] | {"stream": stream}, BROKEN[name])
    assert reply.status == 502, reply.raw
    message = reply.error["message"]
    assert "upstream" in message and "Traceback" not in message and "Expecting" not in message
    assert reply.headers["content-type"] == "application/json"


def test_13_keepalive_comments_and_pings_are_no_content(street: Street) -> None:
    body = claude(street, b": OPENROUTER PROCESSING\n\n" * 3 + chat(ROLE, HI, END)).said()
    assert body["text"] == "hi"
    assert gpt(street, messages(PING, START, PING, *text(0), PING, ending(), STOP)).said()["text"] == "hello"
