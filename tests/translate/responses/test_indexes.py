"""Servers whose events and last words disagree about indexes and ids: what is said comes once."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.translate.responses.material import (
    CREATED,
    Json,
    added,
    call,
    done,
    event,
    message,
    over,
    part,
    read,
    short,
    text,
)
from translate.conversation import Close

REASON: Json = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
URL: Json = {"type": "url_citation", "url": "http://x", "title": "x", "start_index": 0, "end_index": 2}


def arguments(said: str, **more: Any) -> bytes:
    return event(
        "response.function_call_arguments.delta", **({"item_id": "fc_1", "output_index": 0} | more), delta=said
    )


SAID = ["text: Hello you", "stop end"]
CALLED = ['call f#call_1: {"a":1}', "stop tool_calls"]
TEXT = text(0, "Hello") + text(0, " you")
ARGUMENTS = arguments('{"a"') + arguments(":1}")
FINAL = message("Hello you")

TWO = message("", content=[part("ab"), part("12")])
TWO_SAID = ["text: ab", "text: 12", "stop end"]


def begins(index: int) -> bytes:
    return event("response.content_part.added", item_id="msg_1", output_index=0, content_index=index, part=part(""))


def ends(index: int, said: Json) -> bytes:
    return event("response.content_part.done", item_id="msg_1", output_index=0, content_index=index, part=said)


CASES: dict[str, tuple[bytes, list[str]]] = {
    "another content index in the item": (
        text(0, "Hello", content_index=1) + text(0, " you", content_index=1) + over(0, **FINAL) + done(output=[FINAL]),
        SAID,
    ),
    "a content index for each delta": (
        text(0, "Hello", content_index=0) + text(0, " you", content_index=1) + over(0, **FINAL) + done(output=[FINAL]),
        ["text: Hello", "text:  you", "stop end"],
    ),
    "parts in turns": (
        text(0, "a")
        + text(0, "1", content_index=1)
        + text(0, "b")
        + text(0, "2", content_index=1)
        + over(0, **TWO)
        + done(output=[TWO]),
        ["text: a", "text: 1", "text: b", "text: 2", "stop end"],
    ),
    "parts in turns, announced": (
        begins(0)
        + begins(1)
        + text(0, "a")
        + text(0, "1", content_index=1)
        + text(0, "b")
        + text(0, "2", content_index=1)
        + over(0, **TWO)
        + done(output=[TWO]),
        TWO_SAID,
    ),
    "parts in turns, announced and ended": (
        begins(0)
        + text(0, "a")
        + begins(1)
        + text(0, "1", content_index=1)
        + text(0, "b")
        + ends(0, part("ab"))
        + text(0, "2", content_index=1)
        + ends(1, part("12"))
        + over(0, **TWO)
        + done(output=[TWO]),
        TWO_SAID,
    ),
    "a part's last word, behind the beginning of the next one, says more": (
        text(0, "a") + text(0, "1", content_index=1) + ends(0, part("ab")) + ends(1, part("12")) + done(output=[]),
        ["text: a", "text: 1", "text: b", "text: 2", "stop end"],
    ),
    "an item's last word says more of an earlier kind": (
        text(0, "a")
        + event("response.refusal.delta", item_id="msg_1", output_index=0, content_index=1, delta="no")
        + over(0, **message("", content=[part("ab"), {"type": "refusal", "refusal": "no"}])),
        ["text: a", "refusal: no", "text: b", "stop refusal"],
    ),
    "messages in turns": (
        text(0, "a")
        + text(1, "1", item_id="msg_2")
        + text(0, "b")
        + text(1, "2", item_id="msg_2")
        + over(0, **message("ab"))
        + over(1, **(message("12") | {"id": "msg_2"})),
        TWO_SAID,
    ),
    "messages in turns that nothing ends": (
        text(0, "a") + text(1, "1", item_id="msg_2") + text(0, "b") + text(1, "2", item_id="msg_2"),
        TWO_SAID,
    ),
    "no content index": (
        text(0, "Hello", content_index=None) + text(0, " you", content_index=None) + over(0, **FINAL),
        SAID,
    ),
    "another output index in the item": (TEXT + over(1, **FINAL) + done(output=[FINAL]), SAID),
    "another output index and id in the item": (
        TEXT + over(1, **(FINAL | {"id": "msg_other"})) + done(output=[FINAL | {"id": "msg_third"}]),
        SAID,
    ),
    "no output index, and another id": (
        text(None, "Hello") + text(None, " you") + over(None, **(FINAL | {"id": "msg_other"})) + done(output=[FINAL]),
        SAID,
    ),
    "another id with each delta": (
        text(0, "Hello", item_id="a") + text(0, " you", item_id="b") + over(0, **FINAL) + done(output=[FINAL]),
        SAID,
    ),
    "the response numbers them anew": (
        TEXT + done(output=[REASON, FINAL]),
        ["text: Hello you", "thinking: hm", "stop end"],
    ),
    "the response numbers and names them anew": (
        TEXT + done(output=[REASON, FINAL | {"id": "msg_other"}]),
        ["text: Hello you", "thinking: hm", "stop end"],
    ),
    "the item goes on where the deltas end": (
        text(0, "Hello", content_index=3) + over(0, **FINAL) + done(output=[FINAL]),
        SAID,
    ),
    "the item is done twice": (TEXT + over(0, **FINAL) + over(1, **(FINAL | {"id": "x"})) + done(output=[FINAL]), SAID),
    "two texts, counted from one": (
        text(0, "Hello", content_index=1)
        + text(0, " you", content_index=2)
        + over(0, **message("", content=[part("Hello"), part(" you")]))
        + done(output=[]),
        ["text: Hello", "text:  you", "stop end"],
    ),
    "two texts that are alike": (
        over(0, **message("", content=[part("same"), part("same")])) + done(output=[]),
        ["text: same", "text: same", "stop end"],
    ),
    "two messages that are alike": (
        done(output=[message("same"), message("same") | {"id": "msg_2"}]),
        ["text: same", "text: same", "stop end"],
    ),
    "a refusal under the index of a text": (
        text(0, "Hello you")
        + event("response.refusal.delta", item_id="msg_1", output_index=0, content_index=0, delta="no")
        + done(output=[message("", content=[part("Hello you"), {"type": "refusal", "refusal": "no"}])]),
        ["text: Hello you", "refusal: no", "stop refusal"],
    ),
    "only the part's last word": (
        event("response.content_part.done", item_id="msg_1", output_index=0, content_index=0, part=part("Hello you"))
        + done(output=[]),
        SAID,
    ),
    "the part's last word under another index": (
        TEXT
        + event("response.content_part.done", item_id="msg_1", output_index=0, content_index=1, part=part("Hello you"))
        + done(output=[]),
        SAID,
    ),
    "the text's last word under another index": (
        TEXT
        + event("response.output_text.done", item_id="msg_1", output_index=0, content_index=4, text="Hello you")
        + done(output=[FINAL]),
        SAID,
    ),
    "a call under another index and id": (
        added(0, **call(""))
        + ARGUMENTS
        + over(1, **(call('{"a":1}') | {"id": "fc_other"}))
        + done(output=[call('{"a":1}')]),
        CALLED,
    ),
    "a call in a response that numbers anew": (
        added(0, **call("")) + ARGUMENTS + done(output=[REASON, call('{"a":1}') | {"id": "fc_2"}]),
        [CALLED[0], "thinking: hm", CALLED[1]],
    ),
    "calls that are alike but for their call_id": (
        over(0, **call("{}")) + over(1, **(call("{}") | {"id": "fc_2", "call_id": "call_2"})) + done(output=[]),
        ["call f#call_1: {}", "call f#call_2: {}", "stop tool_calls"],
    ),
    "all arguments again in the last delta": (
        added(0, **call("")) + ARGUMENTS + arguments('{"a":1}') + over(0, **call('{"a":1}')) + done(output=[]),
        CALLED,
    ),
    "only the last word of a search, twice": (
        over(0, type="web_search_call", id="ws_1", status="completed", action={"type": "search", "query": "q"})
        + over(3, type="web_search_call", id="ws_2", status="completed", action={"type": "search", "query": "q"})
        + done(output=[]),
        ["unknown web_search_call", "stop end"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_comes_once(name: str) -> None:
    raw, told = CASES[name]
    raw = CREATED + raw + (b"" if b"response.completed" in raw else done(output=[]))
    assert short(read(raw)) == told
    assert short(read(*(raw[i : i + 1] for i in range(len(raw))))) == told
    rng = random.Random(name)
    for _ in range(5):
        at = sorted(rng.choices(range(len(raw) + 1), k=6))
        assert short(read(*(raw[a:b] for a, b in zip([0, *at], [*at, len(raw)], strict=True)))) == told


@pytest.mark.parametrize("index", [0, 5, None])
def test_annotations_come_by_their_own_events(index: Any) -> None:
    note = event(
        "response.output_text.annotation.added",
        item_id="msg_1",
        output_index=0,
        content_index=index,
        annotation_index=0,
        annotation=URL,
    )
    events = read(CREATED + TEXT + note + note + done(output=[]))
    assert [cited.raw for e in events if isinstance(e, Close) for cited in e.citations] == [URL]


def test_what_an_announced_part_cites_stays_with_it() -> None:
    words = text(0, "a") + text(0, "1", content_index=1) + text(0, "b") + ends(0, part("ab", annotations=[URL]))
    events = read(CREATED + begins(0) + begins(1) + words + ends(1, part("1")) + done(output=[]))
    assert [[cited.raw for cited in e.citations] for e in events if isinstance(e, Close)] == [[URL], []]


def test_what_is_no_annotation_is_left_out() -> None:
    note = event("response.output_text.annotation.added", item_id="msg_1", output_index=0, annotation="x")
    assert short(read(CREATED + TEXT + note + done(output=[]))) == SAID
    odd = event("response.content_part.done", item_id="msg_1", output_index=0, part={"type": "reasoning_text"})
    assert short(read(CREATED + TEXT + odd + done(output=[]))) == SAID
