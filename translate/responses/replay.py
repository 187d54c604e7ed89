"""A response that is there whole, as the stream that it might have been.

For who asks for a stream and comes too late for one: a response that is kept, or one of an upstream that does not
stream. Every item is announced, grows by one delta for each of its texts, and ends as what it is; the terminal event
holds the response as it stands. The same response always gives the same events with the same numbers, so that a client
may go on where it broke off.
"""

from __future__ import annotations

from collections.abc import Iterator

from translate.failures.errors import BadReply
from translate.json import wire
from translate.json.json_fields import Body
from translate.responses.stop import failure_of
from translate.streams import sse

_ENDED_WELL = ("response.completed", "response.incomplete", "response.done")
_WHOLE = [kind.encode() for kind in _ENDED_WELL]
_TERMINAL = {"failed": "failed", "incomplete": "incomplete", "cancelled": "failed"}
_CALLS = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}
# (type of item, list of its parts) -> how events about them are called
_PARTS = {
    ("message", "content"): ("content_index", "response.content_part"),
    ("reasoning", "summary"): ("summary_index", "response.reasoning_summary_part"),
    ("reasoning", "content"): ("content_index", "response.content_part"),
}
# type of a part -> (its text, stem of the events that it grows by, what else they hold)
_TEXTS: dict[str, tuple[str, str, Body]] = {
    "output_text": ("text", "response.output_text", {"logprobs": []}),
    "refusal": ("refusal", "response.refusal", {}),
    "summary_text": ("text", "response.reasoning_summary_text", {}),
    "reasoning_text": ("text", "response.reasoning_text", {}),
}


def events(response: Body) -> list[bytes]:
    """Returns each event's data, numbered from 0."""
    return [wire.dumps({"type": event["type"], "sequence_number": i} | event) for i, event in enumerate(_all(response))]


def stream(response: Body) -> bytes:
    """Returns the events as a stream. Raises BadReply for what is no response."""
    if not isinstance(response.get("output"), list):
        known = ", ".join(sorted(response)[:12]) or "none"
        raise BadReply(f"the upstream's reply is not a response: it has no output; its fields are: {known}")
    return b"".join(b"event: %b\ndata: %b\n\n" % (wire.loads(data)["type"].encode(), data) for data in events(response))


def whole_in(stream: bytes) -> bytes | None:
    """Returns the response that a stream's terminal event holds; None where it has not ended well, or its reader will
    refuse it."""
    splitter = sse.Splitter()
    try:
        events = [*splitter.feed(stream), splitter.rest()]
    except sse.EventTooLarge:
        return None
    for event in reversed(events):
        data = sse.fields(event)[1]
        if any(mark in data for mark in _WHOLE):
            said = wire.loads(data)
            response = said.get("response") if isinstance(said, dict) and said.get("type") in _ENDED_WELL else None
            return wire.dumps(response) if isinstance(response, dict) and failure_of(response) is None else None
    return None


def _all(response: Body) -> Iterator[Body]:
    begun = response | {"status": "in_progress", "output": [], "error": None, "incomplete_details": None}
    begun["usage"] = None
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    output = response.get("output")
    for place, item in enumerate(output if isinstance(output, list) else []):
        if isinstance(item, dict):
            yield from _item(item, place)
    yield {"type": f"response.{_TERMINAL.get(str(response.get('status')), 'completed')}", "response": response}


def _item(item: Body, place: int) -> Iterator[Body]:
    kind = str(item.get("type"))
    growing = [key for of, key in _PARTS if of == kind and isinstance(item.get(key), list)]
    text, stem = _CALLS.get(kind, ("", ""))
    begun = item | {key: [] for key in growing} | ({text: ""} if text else {})
    if "status" in item:
        begun["status"] = "in_progress"
    yield {"type": "response.output_item.added", "output_index": place, "item": begun}
    where: Body = {"item_id": item.get("id", ""), "output_index": place}
    for key in growing:
        index, of_part = _PARTS[kind, key]
        for number, part in enumerate(item[key]):
            if isinstance(part, dict):
                yield from _part(part, of_part, where | {index: number})
    if text and isinstance(said := item.get(text), str):
        if said:
            yield {"type": f"{stem}.delta", **where, "delta": said}
        name = {"name": item["name"]} if kind == "function_call" and "name" in item else {}
        yield {"type": f"{stem}.done", **where, **name, text: said}
    yield {"type": "response.output_item.done", "output_index": place, "item": item}


def _part(part: Body, of_part: str, where: Body) -> Iterator[Body]:
    text, stem, more = _TEXTS.get(str(part.get("type")), ("", "", {}))
    begun = part | ({text: ""} if text else {}) | ({"annotations": []} if "annotations" in part else {})
    yield {"type": f"{of_part}.added", **where, "part": begun}
    if text and isinstance(said := part.get(text), str):
        if said:
            yield {"type": f"{stem}.delta", **where, "delta": said, **more}
        for number, note in enumerate(part.get("annotations") or []):
            about = {"annotation_index": number, "annotation": note}
            yield {"type": "response.output_text.annotation.added", **where, **about}
        yield {"type": f"{stem}.done", **where, text: said, **more}
    yield {"type": f"{of_part}.done", **where, "part": part}
