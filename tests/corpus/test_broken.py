"""Streams that break end in one legal error, with what had been said before it, and never look finished.

Cut at any byte, with an error object of any known shape at any event, empty, or no stream at all: the client
gets the words that came, then its protocol's terminal error.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance import grammar
from tests.corpus.test_variants import CHAT_ALL, CHAT_BASES, COUNTED, MESSAGES_ALL, MESSAGES_BASES
from tests.support import corpus, crossing, meaning
from translate.target import Protocol


def broken(client: Protocol, upstream: Protocol, raw: bytes, seed: int) -> None:
    want = crossing.read(upstream, raw, streamed=True)
    pieces = corpus.cuts(raw, seed, 7) if raw else []
    out = crossing.stream(client, upstream, pieces)
    check = grammar.check_messages if client == "messages" else grammar.check_chat
    assert check(out) == [], out.decode()
    got = crossing.read(client, out, streamed=True)
    if want.failed:
        assert got.failed and got.error
    if want.failed or got.failed:
        assert (got.text, got.thinking) == (want.text, want.thinking)


@settings(max_examples=200)
@given(st.sampled_from(sorted(CHAT_ALL)), st.floats(0, 1), st.integers(0, 100))
def test_a_chat_stream_breaks_off(base: str, place: float, seed: int) -> None:
    raw = CHAT_ALL[base]
    broken("messages", "chat", raw[: int(len(raw) * place)], seed)


@settings(max_examples=200)
@given(st.sampled_from(sorted(MESSAGES_ALL)), st.floats(0, 1), st.integers(0, 100))
def test_a_messages_stream_breaks_off(base: str, place: float, seed: int) -> None:
    raw = MESSAGES_ALL[base]
    broken("chat", "messages", raw[: int(len(raw) * place)], seed)


CHAT_ERRORS = [
    b'data: {"error": {"message": "it broke", "code": 502}}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],'
    b'"error":{"message":"it broke","code":502}}\n\n',
    b'event: error\ndata: {"error":{"message":"it broke","type":"server_error"}}\n\n',
    b'data: {"error": "it broke"}\n\n',
    b'error: {"code":500,"message":"it broke","type":"server_error"}\n\n',
    b'data: {"object":"error","message":"it broke","type":"BadRequestError","code":400}\n\n',
]
MESSAGES_ERRORS = [
    b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"it broke"}}\n\n',
    b'data: {"type":"error","error":{"type":"api_error","message":"it broke"}}\n\n',
    b'event: error\ndata: {"type":"error","request_id":"r",'
    b'"error":{"type":"new_error","message":"it broke","details":null}}\n\n',
]


@pytest.mark.parametrize("error", CHAT_ERRORS, ids=range(len(CHAT_ERRORS)))
@pytest.mark.parametrize("base", CHAT_BASES.values(), ids=CHAT_BASES.keys())
def test_an_error_in_a_chat_stream(base: bytes, error: bytes) -> None:
    before_end = base.split(b'"finish_reason": "')[0].rsplit(b"data: ", 1)[0]
    events = before_end.split(b"\n\n")[:-1]
    for at in range(len(events) + 1):
        said = b"".join(event + b"\n\n" for event in events[:at])
        out = crossing.stream("messages", "chat", [said + error])
        _failed_legally("messages", out, meaning.of_chat(said))


@pytest.mark.parametrize("error", MESSAGES_ERRORS, ids=range(len(MESSAGES_ERRORS)))
@pytest.mark.parametrize("base", MESSAGES_BASES.values(), ids=MESSAGES_BASES.keys())
def test_an_error_in_a_messages_stream(base: bytes, error: bytes) -> None:
    events = base.split(b"event: message_delta")[0].split(b"\n\n")[:-1]
    for at in range(len(events) + 1):
        said = b"".join(event + b"\n\n" for event in events[:at])
        out = crossing.stream("chat", "messages", [said + error])
        _failed_legally("chat", out, meaning.of_messages(said))


def _failed_legally(client: Protocol, out: bytes, said: meaning.Meaning) -> None:
    got = crossing.read(client, out, streamed=True)
    assert (grammar.check_messages if client == "messages" else grammar.check_chat)(out) == []
    assert got.failed and "it broke" in got.error
    assert (got.text, got.thinking) == (said.text, said.thinking)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n\n",
        b": comment\n\n",
        b"<html><title>502</title></html>",
        b"data: \n\n",
        b"data: {\n\n",
        b"\xff\xfe",
        b"null",
        b"[]",
    ],
)
@pytest.mark.parametrize(("client", "upstream"), [("chat", "messages"), ("messages", "chat")])
def test_what_is_no_stream_is_an_error(client: Protocol, upstream: Protocol, raw: bytes) -> None:
    out = crossing.stream(client, upstream, [raw])
    assert crossing.read(client, out, streamed=True).failed
    assert (grammar.check_messages if client == "messages" else grammar.check_chat)(out) == []
    body = json.loads(crossing.whole(client, upstream, raw))
    assert body["error"]["message"]


def test_a_whole_body_instead_of_a_stream() -> None:
    """Some servers answer a request for a stream with one JSON body."""
    body = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m", "usage": COUNTED["usage"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    }  # fmt: skip
    out = crossing.stream("messages", "chat", corpus.cuts(json.dumps(body).encode(), 5))
    assert crossing.judge("messages", out, True, meaning.of_chat(body)) == []
