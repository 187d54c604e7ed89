"""Events out of bytes, however they are cut; the table of efforts."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.reasoning import effort
from translate.streams import sse
from translate.streams.pieces import all_sound

LINES = st.sampled_from([b"data: a", b"data:b", b"event: x", b": note", b"id: 1", b"data", "data: ä".encode(), b""])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def events_of(pieces: list[bytes]) -> list[tuple[bytes, bytes]]:
    splitter = sse.Splitter()
    found = [event for piece in pieces for event in splitter.feed(piece)]
    found.append(splitter.rest())
    return [fields for fields in map(sse.fields, found) if fields != (b"", b"")]


@given(st.lists(LINES, max_size=12), ENDS, st.lists(st.integers(0, 120), max_size=6))
def test_cutting_anywhere_changes_nothing(lines: list[bytes], end: bytes, cuts: list[int]) -> None:
    stream = b"".join(line + end for line in lines)
    at = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[a:b] for a, b in zip(at, at[1:], strict=False)]
    assert events_of(pieces) == events_of([stream]) == events_of([stream[i : i + 1] for i in range(len(stream))])


@given(st.lists(st.sampled_from([b"a", b"b:\n", b"\n", b"\n\n", b"c\n\n"]), max_size=12).map(b"".join))
def test_lines_that_stand_alone_are_split_as_events_are(data: bytes) -> None:
    data = b"x" * sse.FEW + data
    *events, rest = data.split(b"\n\n")
    splitter = sse.Splitter()
    assert splitter.feed(data) == events
    assert b"".join(splitter._pending) == rest


@given(st.lists(st.sampled_from([b"text", b'"', b"\\n", b"\\", b"\x7f", b"\x1f", "ä".encode(), b"\xc3", b"\\ud83d"])))
def test_pieces_are_sound_where_json_takes_them(pieces: list[bytes]) -> None:
    def fine(piece: bytes) -> bool:
        try:
            text = json.loads(b'"%b"' % piece)
        except ValueError:  # also of its bytes
            return False
        return not re.search("[\ud800-\udfff]", text)

    assert all_sound(pieces) == all(map(fine, pieces))


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (b"data: x", (b"", b"x")),
        (b"data:x", (b"", b"x")),
        (b"data:  x", (b"", b" x")),
        (b"data", (b"", b"")),
        (b"event: e\ndata: 1\ndata: 2", (b"e", b"1\n2")),
        (b": c\r\nevent:e\r\ndata: 1", (b"e", b"1")),
        (b"error: broken", (b"error", b"broken")),
    ],
)
def test_fields_of_an_event_are_found(event: bytes, fields: tuple[bytes, bytes]) -> None:
    assert sse.fields(event) == fields


def test_an_event_without_an_end_is_not_hoarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse.Most, "event_bytes", 1000)
    splitter = sse.Splitter()
    assert repr(splitter) == "<Splitter 0 bytes held>"
    with pytest.raises(sse.EventTooLarge, match="1000 bytes"):
        for _ in range(11):
            splitter.feed(b"x" * 100)


def test_words_and_budgets_go_there_and_back() -> None:
    for word, budget in effort.BUDGETS.items():
        assert effort.budget_of(word) == budget
        assert effort.effort_of(budget) == ("low" if word == "minimal" else word)
    assert effort.budget_of("none") == 0 and effort.budget_of("unheard-of") == effort.BUDGETS["medium"]
    assert effort.effort_of(10**9) == "max"


@pytest.mark.parametrize(
    ("word", "model", "may", "sent"),
    [
        ("high", "gpt-5", "auto", "high"),
        ("high", "gpt-4o", "auto", ""),
        ("high", "gpt-4o", "true", "high"),
        ("high", "gpt-5", "false", ""),
        ("", "gpt-5", "auto", ""),
        ("max", "gpt-5.1", "auto", "high"),
        ("max", "gpt-5.2", "auto", "xhigh"),
        ("max", "gpt-5.6-sol", "auto", "max"),
        ("ultra", "openai/gpt-5-6-luna", "auto", "max"),
        ("max", "gpt-6-astra", "auto", "max"),
        ("none", "gpt-6-astra", "auto", ""),
        ("none", "gpt-6.1-sol", "auto", ""),
        ("none", "gpt-6-luna", "auto", "none"),
        ("max", "openai/gpt-6-sol", "auto", "max"),
        ("high", "gpt-35-turbo", "auto", ""),
        ("minimal", "gpt-6-astra", "auto", "low"),
        ("minimal", "gpt-5.4-mini", "auto", "low"),
        ("minimal", "gpt-5-mini-2025-08-07", "auto", "minimal"),
        ("none", "gpt-5-2025-08-07", "auto", ""),
        ("low", "gpt-5-pro", "auto", "high"),
        ("low", "gpt-5.4-pro", "auto", "medium"),
        ("none", "gpt-5.3-codex", "auto", ""),
        ("xhigh", "gpt-5.1-codex-max", "auto", "xhigh"),
        ("xhigh", "gpt-5.1-codex", "auto", "high"),
        ("high", "gpt-5.2-chat-latest", "auto", "medium"),
        ("high", "gpt-5-chat-latest", "auto", ""),
        ("xhigh", "o3", "auto", "high"),
        ("minimal", "gpt-oss-120b", "auto", "low"),
        ("max", "gpt-5.6", "low, high", "high"),
        ("max", "gpt-5.6", "known", "max"),
        ("xhigh", "qwen3", "auto", "high"),
        ("minimal", "gpt-5", "auto", "minimal"),
        ("minimal", "qwen3", "auto", "low"),
        ("none", "gpt-5.1", "auto", "none"),
        ("none", "qwen3", "auto", ""),
    ],
)
def test_the_word_that_is_sent(word: str, model: str, may: str, sent: str) -> None:
    assert effort.chat_effort(word, model, may) == sent


@pytest.mark.parametrize(("model", "has"), [("gpt-5-mini", True), ("gpt-6-sol", True), ("gpt-35-turbo", False)])
def test_a_model_that_knows_how_much_to_write(model: str, has: bool) -> None:
    assert effort.has_verbosity(model) == has
