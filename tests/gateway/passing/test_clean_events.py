"""A translated stream is rid of the upstream's own secrets where it speaks of an error, however it is cut."""

from __future__ import annotations

import json

import pytest

from gateway.passing.clean_lines import CleanEvents
from operate.logs.spellings import Spellings
from tests.support import streams
from tests.support.crossing import asked
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream
from translate import dialects
from translate.pair import Crossing
from translate.target import Protocol

KEY = "sk-ant-api03-Q7dKx92LmNp4RtVw8ZsB"
MASKED = "[secret]"
WORDS = ["one ", "two ", "three ", "four ", "five "]
TELLING = [*WORDS, "it failed: ", f"Error: the key {KEY} is bad ", "so ", "it is "]
UPSTREAMS: list[Protocol] = ["chat", "messages", "responses", "gemini"]
SIZES = [1, 7, 300, 100_000]


def sse(*events: object) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


def stream(upstream: Protocol, *texts: str) -> bytes:
    if upstream == "chat":
        return streams.chat(streams.ROLE, *(streams.chunk({"content": text}) for text in texts), streams.END)
    if upstream == "messages":
        deltas = [streams.delta(0, type="text_delta", text=text) for text in texts]
        block = [streams.opened(0, type="text", text=""), *deltas, streams.closed(0)]
        return streams.messages(streams.START, *block, streams.ending(), streams.STOP)
    if upstream == "gemini":
        said = [{"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]} for text in texts]
        said[-1]["candidates"][0]["finishReason"] = "STOP"  # type: ignore[assignment]
        return sse(*said)
    message = {"id": "m", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    whole = {"type": "output_text", "text": "".join(texts), "annotations": []}
    reply = {"id": "r", "object": "response", "status": "completed", "output": [message | {"content": [whole]}]}
    return sse(
        {"type": "response.created", "response": reply | {"status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": message},
        {"type": "response.content_part.added", **place, "part": whole | {"text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": text} for text in texts),
        {"type": "response.completed", "response": reply},
    )


ERRORS: dict[Protocol, bytes] = {
    "chat": sse({"error": {"message": f"bad key {KEY}", "type": "server_error"}}),
    "messages": b"event: error\n" + sse({"type": "error", "error": {"type": "api_error", "message": f"bad key {KEY}"}}),
    "responses": sse({"type": "error", "code": "server_error", "message": f"bad key {KEY}"}),
    "gemini": sse({"error": {"code": 500, "status": "INTERNAL", "message": f"bad key {KEY}"}}),
}


def crossed(upstream: Protocol, raw: bytes, size: int) -> tuple[bytes, bool, Crossing]:
    """What the client gets, and whether an error was told of."""
    look = CleanEvents(Spellings([KEY]))
    client: Protocol = "chat" if upstream != "chat" else "messages"
    crossing = Crossing(client, upstream, asked(client), look)
    out = b"".join(crossing.feed(raw[at : at + size]) for at in range(0, len(raw), size))
    return out + crossing.end(), look.tells_error, crossing


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_what_speaks_of_no_error_is_the_models(upstream: Protocol, size: int) -> None:
    texts = [*WORDS, f"a sample: {KEY} ", "end"]
    out, told, crossing = crossed(upstream, stream(upstream, *texts), size)
    assert not told and KEY.encode() in out and crossing.fault is None


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_text_that_speaks_of_one_is_less_the_secret(upstream: Protocol, size: int) -> None:
    out, told, crossing = crossed(upstream, stream(upstream, *TELLING), size)
    plain, _, _ = crossed(upstream, stream(upstream, *(text.replace(KEY, MASKED) for text in TELLING)), size)
    assert told and KEY.encode() not in out and MASKED.encode() in out and crossing.fault is None
    joined = [b"".join(piece for piece in said.split(b'"') if piece.endswith(b" ")) for said in (out, plain)]
    assert joined[0] == joined[1] and b"four five it failed" in joined[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_an_error_is_less_the_secret(upstream: Protocol, size: int) -> None:
    raw = stream(upstream, *WORDS)
    for before in (b"", raw[: raw.index(b"five")].rpartition(b"\n\n")[0] + b"\n\n"):
        out, told, crossing = crossed(upstream, before + ERRORS[upstream], size)
        assert told and crossing.fault is not None
        assert KEY not in crossing.fault.message and MASKED in crossing.fault.message and KEY.encode() not in out


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_so_is_one_that_comes_whole(upstream: Protocol) -> None:
    """In place of a stream, after a byte order mark that keeps it from being seen for what it is."""
    raw = b"\xef\xbb\xbf" + ERRORS[upstream].partition(b"data: ")[2].strip()
    out, _, crossing = crossed(upstream, raw, 9)
    assert crossing.fault is not None and KEY not in crossing.fault.message and KEY.encode() not in out


@pytest.mark.parametrize("client", ["messages", "responses"])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("said", [b'{"message":"denied for %b"}', b"denied for %b"])
def test_what_goes_wrong_without_the_word_is_less_the_secret(said: bytes, begun: bool, client: Protocol) -> None:
    """Half of the key, also where neither the event nor its neighbours call it an error."""
    before = stream("chat", *WORDS).partition(b"data: [DONE]")[0].rpartition(b"data: ")[0] if begun else b""
    broken = before + b"data: %b\n\n" % (said % KEY[:-4].encode())
    asking = {"model": "m", "max_tokens": 9, "stream": True}
    turn = [{"role": "user", "content": "x"}]
    path, body = {
        "messages": ("/v1/messages", asking | {"messages": turn}),
        "responses": ("/v1/responses", {"model": "m", "stream": True, "input": "x"}),
    }[client]
    with Upstream([Answer.sse(broken)] * 4) as up, House(one_upstream(up.url, "chat", f"api_key = {KEY}")) as house:
        _, _, reply = house.post(path, body)
    assert KEY[:-4].encode() not in reply and MASKED.encode() in reply and (b"one " in reply) is begun


def test_each_protocol_with_a_decoder_is_here() -> None:
    assert set(UPSTREAMS) == {place.dialect.name for place in dialects.SERVED.values()} | {"gemini"}
