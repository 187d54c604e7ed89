"""Half a character at the end of a delta waits for its other half, in every crossing and wherever text comes from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import streams
from tests.support.crossing import asked
from tests.translate.responses import material as responses
from translate import pair
from translate.conversation import Text
from translate.json import wire
from translate.streams.sequence import Item, Sequence
from translate.target import Protocol

HIGH, LOW = "\ud83d", "\ude00"
SMILE = HIGH + LOW
WANT = "\U0001f600"
LOST = "�"


def chat_stream(key: str, *texts: str) -> bytes:
    chunks = [streams.chunk({key: text}) for text in texts]
    return streams.chat(streams.ROLE, *chunks, streams.END)


def chat_call(*texts: str) -> bytes:
    first = streams.chunk(streams.first_call(0, '{"a":"'))
    more = [streams.chunk(streams.call(0, text)) for text in (*texts, '"}')]
    return streams.chat(streams.ROLE, first, *more, streams.chunk(finish="tool_calls"))


def messages_stream(kind: str, delta: str, key: str, *texts: str) -> bytes:
    block: dict[str, Any] = {"type": kind, "thinking": "", "text": "", "id": "t", "name": "f", "input": {}}
    texts = ('{"a":"', *texts, '"}') if kind == "tool_use" else texts
    deltas = [streams.delta(0, **{"type": delta, key: text}) for text in texts]
    return streams.messages(
        streams.START, streams.opened(0, **block), *deltas, streams.closed(0), streams.ending(), streams.STOP
    )


def responses_stream(kind: str, *texts: str) -> bytes:
    item = {"message": responses.message(""), "refusal": responses.message(""), "reasoning": {"type": "reasoning",
            "id": "rs_1", "summary": []}, "call": responses.call("")}[kind]  # fmt: skip
    event = {"message": "output_text", "refusal": "refusal", "reasoning": "reasoning_summary_text",
             "call": "function_call_arguments"}[kind]  # fmt: skip
    texts = ('{"a":"', *texts, '"}') if kind == "call" else texts
    index = {"summary_index": 0} if kind == "reasoning" else {"content_index": 0}
    deltas = [responses.event(f"response.{event}.delta", item_id=item["id"], output_index=0, delta=text, **index)
              for text in texts]  # fmt: skip
    return responses.CREATED + responses.added(0, **item) + b"".join(deltas) + responses.done(output=[])


SOURCES: dict[str, tuple[Protocol, Any]] = {
    "chat text": ("chat", lambda *t: chat_stream("content", *t)),
    "chat reasoning": ("chat", lambda *t: chat_stream("reasoning_content", *t)),
    "chat refusal": ("chat", lambda *t: chat_stream("refusal", *t)),
    "chat arguments": ("chat", chat_call),
    "messages text": ("messages", lambda *t: messages_stream("text", "text_delta", "text", *t)),
    "messages thinking": ("messages", lambda *t: messages_stream("thinking", "thinking_delta", "thinking", *t)),
    "messages arguments": ("messages", lambda *t: messages_stream("tool_use", "input_json_delta", "partial_json", *t)),
    "responses text": ("responses", lambda *t: responses_stream("message", *t)),
    "responses refusal": ("responses", lambda *t: responses_stream("refusal", *t)),
    "responses reasoning": ("responses", lambda *t: responses_stream("reasoning", *t)),
    "responses arguments": ("responses", lambda *t: responses_stream("call", *t)),
}
CLIENTS: tuple[Protocol, ...] = ("messages", "chat", "responses")
CUTS: dict[str, tuple[tuple[str, ...], str]] = {
    "between two deltas": (("good " + HIGH, LOW + " day"), f"good {WANT} day"),
    "each half alone": (("a", HIGH, LOW, "b"), f"a{WANT}b"),
    "after a lane was learnt": (("one", "two", "three" + HIGH, LOW, "four"), f"onetwothree{WANT}four"),
    "two in a row": ((HIGH, LOW + HIGH, LOW), WANT * 2),
    "the other never comes": (("a" + HIGH, "b"), f"a{LOST}b"),
    "nor anything else": (("a" + HIGH,), f"a{LOST}"),
    "a second half alone": (("a", LOW + "b"), f"a{LOST}b"),
    "the halves in the wrong order": (("a" + LOW + HIGH, "b"), f"a{LOST}{LOST}b"),
}


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in strings(each)]


def is_sound(value: Any) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for text in strings(value) for letter in text)


def deltas(out: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in out.split(b"\n") if line.startswith(b"data: {")]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stepwise", [True, False])
def test_every_delta_is_well_formed(client: Protocol, source: str, cut: str, stepwise: bool) -> None:
    upstream, made = SOURCES[source]
    texts, want = CUTS[cut]
    raw: bytes = made(*texts)
    crossing = pair.Crossing(client, upstream, asked(client))
    steps = [event + b"\n\n" for event in raw.split(b"\n\n")[:-1]] if stepwise else [raw]
    out = b"".join([*map(crossing.feed, steps), crossing.end()])
    said = deltas(out)
    assert is_sound(said)
    assert want in _joined(said)


def _joined(events: list[Any]) -> str:
    """All deltas, one after the other."""
    out = []
    for event in events:
        delta = event.get("delta")
        if isinstance(delta, str):
            out.append(delta)
        elif isinstance(delta, dict):
            out += [delta[key] for key in ("text", "thinking", "partial_json") if key in delta]
        for choice in event.get("choices", ()):
            out += [text for key, text in choice["delta"].items() if isinstance(text, str) and key != "role"]
            out += [call["function"]["arguments"] for call in choice["delta"].get("tool_calls", ())]
    return "".join(out)


@pytest.mark.parametrize("client", CLIENTS)
def test_titles_and_citations_are_well_formed(client: Protocol) -> None:
    note = {"type": "url_citation", "url": "http://x/" + HIGH, "title": "a" + HIGH, "start_index": 0, "end_index": 1}
    response = responses.RESPONSE | {"status": "completed", "usage": responses.USAGE}
    response["output"] = [responses.message("", content=[responses.part("hi" + HIGH, annotations=[note])])]
    out = pair.Crossing(client, "responses", asked(client)).whole(json.dumps(response).encode())
    assert is_sound(json.loads(out)) and LOST in out.decode()


@pytest.mark.parametrize("text", ["a" + HIGH, LOW + "b", HIGH + "x" + LOW])
def test_no_json_that_is_written_has_half_a_character(text: str) -> None:
    """Tool results and all that a request says among it."""
    assert json.loads(wire.dumps({"content": [text], text: 1})) == {"content": [mended(text)], mended(text): 1}
    assert json.loads(wire.dumps(SMILE)) == WANT


def mended(text: str) -> str:
    return "".join(LOST if "\ud800" <= letter <= "\udfff" else letter for letter in text)


def test_an_item_says_what_it_is() -> None:
    sequence = Sequence()
    item = sequence.push(Text(""))
    assert isinstance(item, Item) and sequence.say(item, HIGH) == b"" and sequence.say(item, LOW) == WANT.encode()
