"""Blocks of Messages within Chat's messages, and its tools among Chat's: so Cursor asks models whose names say Claude.

A call and its result stand in the content there, and a tool has an `input_schema`. Read as Chat has them, they reach
whatever answers.
"""

from __future__ import annotations

from typing import Any

from translate.fields.leftovers import CACHE_CONTROL
from translate.json import wire
from translate.json.json_fields import Body, list_of, object_of, text_of

BLOCKS = ("tool_use", "tool_result")


def expanded(message: Body) -> list[Body]:
    """Returns the messages that one with such blocks stands for, in Chat's form."""
    content = [part_of(part) for part in list_of(message, "content")]
    calls = [part for part in content if _kind(part) == "tool_use"]
    results = [part for part in content if _kind(part) == "tool_result"]
    rest = [part for part in content if _kind(part) not in BLOCKS]
    out = [_result(part) for part in results]
    if calls:
        said = [*list_of(message, "tool_calls"), *map(_call, calls)]
        out.append({**message, "content": rest or None, "tool_calls": said})
    elif rest:
        out.append({**message, "content": rest})
    return out


def tool(raw: Body) -> Body:
    """Returns a tool with an `input_schema` as Chat's."""
    function = {name: raw[name] for name in ("name", "description", "strict") if name in raw}
    rest = {name: raw[name] for name in raw if name not in ("type", "input_schema", *function)}
    return {"type": "function", "function": {**function, "parameters": raw["input_schema"]}, **rest}


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, dict) else None


def _call(part: Body) -> Body:
    arguments = wire.dumps_text(object_of(part, "input"))
    return {"id": text_of(part, "id"), "type": "function",
            "function": {"name": text_of(part, "name"), "arguments": arguments}, **_marks(part)}  # fmt: skip


def _result(part: Body) -> Body:
    content = part.get("content") or ""
    if isinstance(content, list):
        content = [part_of(each) for each in content]
    marks = _marks(part) | ({"is_error": True} if part.get("is_error") is True else {})
    return {"role": "tool", "tool_call_id": text_of(part, "tool_use_id"), "content": content, **marks}


def part_of(part: Any) -> Any:
    """Returns an image as Chat has it, and anything else as it is."""
    source = object_of(part, "source") if _kind(part) == "image" else {}
    if data := text_of(source, "data"):
        return _image(f"data:{text_of(source, 'media_type') or 'image/png'};base64,{data}", part)
    return _image(text_of(source, "url"), part) if text_of(source, "url") else part


def _image(url: str, part: Body) -> Body:
    return {"type": "image_url", "image_url": {"url": url}, **_marks(part)}


def _marks(part: Body) -> Body:
    """Returns the mark for the cache, which Chat's clients may set in the same way."""
    return {CACHE_CONTROL: part[CACHE_CONTROL]} if CACHE_CONTROL in part else {}
