"""A Responses stream's last event holds the whole reply: however long it is, it is the stream's end."""

from __future__ import annotations

import json

import pytest

from gateway.passing.passthrough import TAIL_BYTES, Passthrough

CREATED = b'data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1"}}\n\n'
DELTA = b'data: {"type":"response.output_text.delta","sequence_number":1,"delta":"hello"}\n\n'
FAILED = {"code": "rate_limit_exceeded", "message": 'slow {down} "please"'}


def ending(kind: str, size: int) -> bytes:
    failed = kind.endswith("failed")
    response = {"id": "resp_1", "error": FAILED if failed else None, "usage": None,
                "output": [{"type": "message", "text": 'x"' * (size // 3)}]}  # fmt: skip
    return b"data: %b\n\n" % json.dumps({"type": kind, "sequence_number": 2, "response": response}).encode()


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.failed"])
@pytest.mark.parametrize("size", [10, TAIL_BYTES, 3 * TAIL_BYTES, 20 * TAIL_BYTES])
@pytest.mark.parametrize("piece", [97, 4_000, TAIL_BYTES, 1 << 20])
def test_nothing_is_added_behind_it(kind: str, size: int, piece: int) -> None:
    stream = CREATED + DELTA * 300 + ending(kind, size)
    verbatim = Passthrough("responses")
    pieces = [stream[i : i + piece] for i in range(0, len(stream), piece)]
    assert b"".join([*map(verbatim.feed, pieces), verbatim.end()]) == stream
    fault = verbatim.fault
    told = (fault.kind, fault.message) if fault is not None else None
    assert told == (("rate_limit", FAILED["message"]) if kind == "response.failed" else None)


@pytest.mark.parametrize("shift", range(0, 200, 7))
def test_wherever_what_is_remembered_begins(shift: int) -> None:
    """The word that tells the end may stand right where the older bytes are forgotten."""
    head, last = CREATED + DELTA * 300 + b": %b\n\n" % (b"p" * shift), ending("response.completed", 2 * TAIL_BYTES)
    stream = head + last
    verbatim = Passthrough("responses")
    cut = len(head) + TAIL_BYTES + 60
    assert b"".join([verbatim.feed(stream[:cut]), verbatim.feed(stream[cut:]), verbatim.end()]) == stream


@pytest.mark.parametrize("blank", ["\n\n", "\r\n\r\n"])
@pytest.mark.parametrize("size", [TAIL_BYTES - 500, TAIL_BYTES + 100, 2 * TAIL_BYTES, 9 * TAIL_BYTES])
@pytest.mark.parametrize("piece", [97, 1_400, 1 << 20])
def test_an_end_that_much_follows_within_its_event(blank: str, size: int, piece: int) -> None:
    """Google tells where an answer comes from behind the word that it is complete."""
    said = {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "index": 0}]}
    last = {"candidates": [{"finishReason": "STOP", "groundingMetadata": {"page": "y" * size}}]}
    events = [*[said] * 200, last]
    whole = "".join(f"data: {json.dumps(event)}{blank}" for event in events).encode()
    for stream, is_whole in ((whole, True), (whole + (whole[: whole.index(b"{")] + b"{}\n\n") * 4_000, False)):
        verbatim = Passthrough("gemini")
        out = b"".join(verbatim.feed(stream[i : i + piece]) for i in range(0, len(stream), piece)) + verbatim.end()
        assert (out == stream) is is_whole and (verbatim.fault is None) is is_whole


def test_a_long_stream_without_its_end_is_still_told() -> None:
    verbatim = Passthrough("responses")
    quoted = b'data: {"type":"response.output_text.delta","delta":"say \\"type\\":\\"response.completed\\""}\n\n'
    stream = CREATED + (DELTA + quoted) * 2_000
    out = b"".join(verbatim.feed(stream[i : i + 5_000]) for i in range(0, len(stream), 5_000)) + verbatim.end()
    assert out.startswith(stream) and b"response.failed" in out[len(stream) :]
