"""Chat streams that are cut anywhere, are nonsense, or have no end."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.translate.chat.material import DONE, STOP, chunk, cuts, decode, short, sse
from translate.chat.decode_stream import Decoder
from translate.conversation import Fault, Stop
from translate.json import wire
from translate.streams import sse as framing
from translate.target import Policy


def test_an_endless_event_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing.Most, "event_bytes", 100)
    decoder = Decoder()
    assert decoder.feed(b"data: ") == []
    [fault] = decoder.feed(b"x" * 200)
    assert isinstance(fault, Fault)
    assert "larger than 100" in str(fault.error)


def test_an_endless_body_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.streams.sse.Most.event_bytes", 100)
    decoder = Decoder()
    [fault] = decoder.feed(b"{" + b"x" * 200)
    assert isinstance(fault, Fault)
    assert decoder.end() == []


def test_reprs_show_the_state() -> None:
    decoder = Decoder(Policy(reasoning="think_tags"))
    assert "sniff" in repr(decoder)
    decoder.feed(sse(chunk({"content": "a"})))
    assert "events" in repr(decoder)
    assert "Text open" in repr(decoder)
    assert repr(decoder._parts._tags) == "<ThinkTags after, 0 held>"


TEXTS = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6)


@given(TEXTS, TEXTS, st.integers(0, 2**32), st.booleans())
def test_any_text_survives_any_split(thoughts: list[str], texts: list[str], seed: int, escaped: bool) -> None:
    def write(delta: dict[str, str]) -> bytes:
        return b"data: " + (json.dumps(chunk(delta)).encode() if escaped else wire.dumps(chunk(delta))) + b"\n\n"

    raw = b"".join([*(write({"reasoning": t}) for t in thoughts), *(write({"content": t}) for t in texts)])
    told = short(decode(cuts(raw + sse(STOP, DONE), seed)))
    assert told == [f"thinking: {''.join(thoughts)}", f"text: {''.join(texts)}", "stop end"]


@given(st.binary(max_size=60), st.integers(0, 2**32))
def test_garbage_never_raises(garbage: bytes, seed: int) -> None:
    raw = sse(chunk({"content": "a"})) + garbage + sse(chunk({"content": "b"}), STOP, DONE)
    assert isinstance(decode(cuts(raw, seed))[-1], Stop | Fault)
    assert isinstance(decode(cuts(garbage, seed))[-1], Stop | Fault)
