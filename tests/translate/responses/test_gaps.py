"""Responses streams that leave things out: indexes, ids, announcements, deltas, last words.

Whatever is missing, each item's words are told once and as its own. A table of streams and what they say.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.responses.material import CREATED, call, done, event, message, read, short
from translate.conversation import Citation, Close, Open, Start, Text
from translate.json.json_fields import text_of
from translate.responses import assembly

DELTA = "response.output_text.delta"


def said(kind: str, text: str, **where: Any) -> bytes:
    return event(f"response.{kind}.delta", delta=text, **where)


def whole(kind: str, **fields: Any) -> bytes:
    return event(f"response.{kind}.done", **fields)


def added(item: dict[str, Any], **where: Any) -> bytes:
    return event("response.output_item.added", item=item, **where)


def over(item: dict[str, Any], **where: Any) -> bytes:
    return event("response.output_item.done", item=item, **where)


TEXT, ARGUMENTS, SUMMARY = "output_text", "function_call_arguments", "reasoning_summary_text"
TWO = [call("", id="fc_1", call_id="c1", name="f"), call("", id="fc_2", call_id="c2", name="g")]
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}

STREAMS: dict[str, tuple[list[bytes], list[str]]] = {
    "nothing but texts": ([said(TEXT, "a"), said(TEXT, "b"), done()], ["text: ab", "stop end"]),
    "ids without indexes": (
        [added(TWO[0]), added(TWO[1]), said(ARGUMENTS, '{"b":2}', item_id="fc_2"),
         said(ARGUMENTS, "{}", item_id="fc_1"), done()],
        ["call f#c1: {}", 'call g#c2: {"b":2}', "stop tool_calls"],
    ),
    "indexes without ids": (
        [added(TWO[0] | {"id": None}, output_index=0), added(TWO[1] | {"id": None}, output_index=1),
         said(ARGUMENTS, "{}", output_index=1), said(ARGUMENTS, '{"a":1}', output_index=0), done()],
        ['call f#c1: {"a":1}', "call g#c2: {}", "stop tool_calls"],
    ),
    "neither: the last one is meant": (
        [added(TWO[0] | {"id": None}), said(ARGUMENTS, "{}"), over(TWO[0] | {"id": None, "arguments": "{}"}),
         added(TWO[1] | {"id": None}), said(ARGUMENTS, '{"b":2}'), done()],
        ["call f#c1: {}", 'call g#c2: {"b":2}', "stop tool_calls"],
    ),
    "an item that only its end tells": (
        [over(message("hi"), output_index=0), done()], ["text: hi", "stop end"],
    ),
    "items that only the end tells": (
        [done(output=[THOUGHT | {"summary": [{"text": "so"}, {"text": "on"}]}, message("hi"), call('{"a":1}')])],
        ["thinking: so\n\non", "text: hi", 'call f#call_1: {"a":1}', "stop tool_calls"],
    ),
    "the end says once more what was told": (
        [added(message("", content=[]), output_index=0), said(TEXT, "hi", output_index=0, content_index=0),
         over(message("hi"), output_index=0), done(output=[message("hi")])],
        ["text: hi", "stop end"],
    ),
    "the end knows the item under another id": (
        [added(message("", content=[], id="a"), output_index=0), said(TEXT, "hi", output_index=0),
         done(output=[message("hi", id="b")])],
        ["text: hi", "stop end"],
    ),
    "the last event has a call under ids made anew (vLLM)": (
        [added(TWO[0], output_index=0), said(ARGUMENTS, '{"a":1}', output_index=0, item_id="fc_1"),
         over(TWO[0] | {"arguments": '{"a":1}', "id": None}, output_index=0),
         done(output=[call('{"a":1}', id="fc_9", call_id="c9")])],
        ['call f#c1: {"a":1}', "stop tool_calls"],
    ),
    "so has a call's own last event": (
        [added(TWO[0], output_index=0), said(ARGUMENTS, '{"a":1}', output_index=0, item_id="fc_1"),
         over(call('{"a":1}', id=None, call_id="c9"), output_index=0), done(output=[])],
        ['call f#c1: {"a":1}', "stop tool_calls"],
    ),
    "two calls alike, both under ids made anew": (
        [added(TWO[0], output_index=0), said(ARGUMENTS, "{}", output_index=0), over(TWO[0], output_index=0),
         added(TWO[1] | {"name": "f"}, output_index=1), said(ARGUMENTS, "{}", output_index=1),
         done(output=[call(call_id="c8"), call(call_id="c9")])],
        ["call f#c1: {}", "call f#c2: {}", "stop tool_calls"],
    ),
    "a call like one that was told, and which the end tells too": (
        [added(TWO[0], output_index=0), said(ARGUMENTS, "{}", output_index=0), over(TWO[0], output_index=0),
         done(output=[call(call_id="c9"), TWO[0] | {"arguments": "{}"}])],
        ["call f#c1: {}", "call f#c9: {}", "stop tool_calls"],
    ),
    "an item whose id is none": (
        [added(TWO[0], output_index=0), said(ARGUMENTS, "{}", output_index=0), over(TWO[0], output_index=0),
         done(output=[call(call_id="c9"), call(call_id={"a": 1}, name="g")])],
        ["call f#c1: {}", "call g#fc_1: {}", "stop tool_calls"],
    ),
    "the end fills what was cut": (
        [added(TWO[0], output_index=0), said(ARGUMENTS, '{"a"', output_index=0),
         done(output=[TWO[0] | {"arguments": '{"a":1}'}])],
        ['call f#c1: {"a":1}', "stop tool_calls"],
    ),
    "texts come whole": (
        [added(message("", content=[]), output_index=0), whole(TEXT, text="hi", output_index=0, content_index=0),
         done()],
        ["text: hi", "stop end"],
    ),
    "arguments come whole, for a call that was never announced": (
        [whole(ARGUMENTS, arguments='{"a":1}', name="f", call_id="c1", output_index=0), done()],
        ['call f#c1: {"a":1}', "stop tool_calls"],
    ),
    "a name that comes last": (
        [said(ARGUMENTS, "{}", item_id="fc_1"), over(TWO[0] | {"arguments": "{}"}), done()],
        ["call f#c1: {}", "stop tool_calls"],
    ),
    "arguments as an object": (
        [over(TWO[0] | {"arguments": {"a": 1}}, output_index=0), done()], ['call f#c1: {"a":1}', "stop tool_calls"],
    ),
    "two parts of one message": (
        [added(message("", content=[]), output_index=0), said(TEXT, "a", output_index=0, content_index=0),
         said("refusal", "no", output_index=0, content_index=1), done()],
        ["text: a", "refusal: no", "stop refusal"],
    ),
    "a part without an index goes on with the last": (
        [added(message("", content=[]), output_index=0), said(TEXT, "a", output_index=0, content_index=1),
         said(TEXT, "b", output_index=0), done()],
        ["text: ab", "stop end"],
    ),
    "two parts of a summary": (
        [added(THOUGHT, output_index=0), said(SUMMARY, "a", output_index=0, summary_index=0),
         said(SUMMARY, "b", output_index=0, summary_index=1), said(SUMMARY, "c", output_index=0, summary_index=1),
         done()],
        ["thinking: a\n\nbc", "stop end"],
    ),
    "of words and their summary the first counts": (
        [added(THOUGHT, output_index=0), said("reasoning_text", "a", output_index=0, content_index=0),
         said(SUMMARY, "b", output_index=0, summary_index=0),
         said("reasoning_text", "c", output_index=0, content_index=0), done()],
        ["thinking: ac", "stop end"],
    ),
    "after its end an item says nothing": (
        [over(message("hi"), output_index=0), said(TEXT, "!", output_index=0, content_index=0),
         whole(TEXT, text="hi!", output_index=0, content_index=0), over(message("hi!"), output_index=0), done()],
        ["text: hi", "stop end"],
    ),
    "a search of xAI's own": (
        [over({"type": "custom_tool_call", "call_id": "xs_call_1", "name": "x_search", "input": "q"}), done()],
        ["unknown custom_tool_call", "stop end"],
    ),
    "a cut call, whatever the server calls it": (
        [added(TWO[0], output_index=0), said(ARGUMENTS, '{"a', output_index=0), done()],
        ['open call f#c1: {"a',
         "fault the upstream's call of the tool 'f' ends with arguments that are no JSON object"],
    ),
    "parts of no shape": (
        [over(message("hi", content=[5, None, {"type": "output_text", "text": "hi"}]), output_index=0),
         done(output=["odd", None])],
        ["text: hi", "stop end"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_missing_is_made_up_for(name: str) -> None:
    pieces, want = STREAMS[name]
    assert short(read(*pieces)) == want
    assert short(read(CREATED, *pieces)) == want
    whole = b"".join(pieces)
    assert short(read(*(whole[i : i + 7] for i in range(0, len(whole), 7)))) == want


def test_a_message_keeps_its_phase_and_its_notes() -> None:
    note = {"type": "url_citation", "url": "u"}
    part = {"type": "output_text", "text": "hi", "annotations": [note]}
    events = read(over(message("", id="msg_7", phase="commentary", content=[part]), output_index=0), done())
    (opened,) = [e for e in events if isinstance(e, Open)]
    (closed,) = [e for e in events if isinstance(e, Close)]
    assert isinstance(opened.part, Text)
    assert opened.part.ext == {"responses": {"id": "msg_7", "phase": "commentary"}}
    assert closed.citations == [Citation("responses", note, "u")]


@pytest.mark.parametrize("kind", ["created", "queued", "in_progress"])
def test_who_answers_is_told_by_the_first_that_knows(kind: str) -> None:
    about = event(f"response.{kind}", response={"id": "resp_7", "model": "up"})
    later = event("response.in_progress", response={"id": "other", "model": "other"})
    (start,) = [e for e in read(about, later, said(TEXT, "a"), done()) if isinstance(e, Start)]
    assert (start.id, start.model) == ("resp_7", "up")


def test_ever_so_many_calls_at_the_end_take_no_longer_each(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def counted(raw: dict[str, Any], key: str) -> str:
        nonlocal looks
        looks += 1
        return text_of(raw, key)

    monkeypatch.setattr(assembly, "text_of", counted)
    before = []
    for count in (200, 400):
        looks = 0
        others = [call(id=f"o{i}", call_id=f"o{i}") for i in range(count)]
        read(over(call(), output_index=0), done(output=[*others, call()]))
        before.append(looks)
    assert before[1] < 2.2 * before[0]
