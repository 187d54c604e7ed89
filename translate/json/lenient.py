"""Reading what an upstream sent, whatever it is: a value, or an error that says what was there instead."""

from __future__ import annotations

import re
from typing import Any

from translate.failures import errors
from translate.failures.errors import BadReply
from translate.json import wire
from translate.streams import sse

NO_JSON = object()
_BEGINS = re.compile(rb"\s*+(\S.{0,199})", re.DOTALL)
NOTHING = "the upstream answered 200 with an empty object"
EMPTY = "the upstream answered 200 with an empty body"


def body_of(raw: bytes) -> dict[str, Any]:
    """Returns a reply's bytes as an object; BadReply says what else they are."""
    if raw[:1] == b"{":
        try:
            said: dict[str, Any] = wire.loads(raw)
            if said:
                return said
            raise BadReply(NOTHING, is_empty=True)
        except ValueError:
            pass  # it is said below where it ends
    begins = _BEGINS.match(raw)  # DeepSeek and OpenRouter write blanks as long as there is nothing else to write
    text = begins[1].decode("utf-8", "replace") if begins else ""
    if not text:
        raise BadReply(EMPTY, is_empty=True)
    if text[:1] == "<":
        message = "the upstream answered 200 with an HTML page where JSON is due; is base_url right?"
        raise BadReply(message, is_page=True)
    try:
        body = wire.loads(raw)
    except ValueError:
        raise BadReply(f"the upstream's reply is not valid JSON (cut off?), it begins: {text[:120]}") from None
    if isinstance(body, list) and (error := errors.of_object(body)):
        raise BadReply(error.message)
    if not isinstance(body, dict):
        raise BadReply(f"the upstream answered a JSON {type(body).__name__} where an object is due")
    return body


def loads(data: bytes) -> Any:
    """Returns the JSON value, NO_JSON where it is none. A character cut in two by the upstream becomes U+FFFD."""
    try:
        return wire.loads(data)
    except ValueError:
        pass
    try:
        return wire.loads(data.decode("utf-8", "replace"))
    except ValueError:
        return NO_JSON


def apart(event: bytes) -> list[bytes]:
    """Returns the events that stand in this one, each with its own data line and the name before it: servers have left
    out the blank line between them. Nothing where these lines are no JSON either."""
    events: list[bytes] = []
    name = b""
    for line in sse.LINE.split(event):
        if line.startswith(b"event:"):
            name = line + b"\n"
        elif line.startswith((b"data:", b"error:")):
            value = line.partition(b":")[2].strip()
            if value != b"[DONE]" and loads(value) is NO_JSON:
                return []
            events.append(name + line)
            name = b""
    return events if len(events) > 1 else []


def is_whole(event: bytes) -> bool:
    """Tells whether a stream's last event is all there but for its blank line, or was cut."""
    data = sse.fields(event.lstrip())[1].strip()
    return data in (b"", b"[DONE]") or loads(data) is not NO_JSON or bool(apart(event))


def no_json(data: bytes) -> errors.ApiError:
    text = data[:120].decode("utf-8", "replace")
    return errors.BadReply(f"an event of the upstream's stream is not valid JSON, it begins: {text}")


def error_event(data: bytes, chunk: Any) -> errors.ApiError:
    """Reads an event named error, or llama-box's field of that name: an error object, or only words."""
    if isinstance(chunk, dict):
        return errors.of_object(chunk) or errors.parse(500, data)
    return errors.parse(500, data)
