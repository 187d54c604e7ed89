"""Content blocks of a request, read into parts.

What a block says in the neutral form's words becomes a part. What else it says (cache_control, caller, ...) stays in
the part's ext under "messages". A block that the neutral form has no word for is kept whole as Unknown: new block types
come every few months and are no reason to refuse a request. Values are shared with the client's body, which nobody
changes. Writing goes the other way, in encode_messages.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from translate.conversation import (
    Document,
    Ext,
    Image,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
)
from translate.failures.errors import BadRequest
from translate.fields.leftovers import note_within
from translate.json import wire
from translate.messages import citations
from translate.reasoning import sealed_reasoning

Block = dict[str, Any]

_SOURCE = frozenset(("type", "media_type", "data", "url", "file_id", "content"))


def read_content(content: Any, where: str) -> list[Part]:
    """Reads a string or a list of blocks into parts. Empty text is dropped: it says nothing, and some clients save it
    from a reply and send it for ever, which upstreams refuse.

    Raises BadRequest naming the block (`where` is the path of the content, such as "messages.3.content").
    """
    if isinstance(content, str):
        return [Text(content)] if content else []
    if not isinstance(content, list):
        raise BadRequest(f"{where}: Input should be a valid string or list of content blocks")
    parts: list[Part] = []
    for i, block in enumerate(content):
        part = _read_block(block, f"{where}.{i}")
        if not (isinstance(part, Text) and not part.text):
            parts.append(part)
    return parts


def referenced_tools(blocks: Any) -> Iterator[str]:
    """Yields the names in tool_reference blocks at any depth: the deferred tools that the model has been shown."""
    if isinstance(blocks, list):
        for block in blocks:
            yield from referenced_tools(block)
    elif isinstance(blocks, dict):
        if blocks.get("type") == "tool_reference":
            yield str(blocks.get("tool_name") or blocks.get("name"))
        for key in ("content", "tool_references"):
            yield from referenced_tools(blocks.get(key))


def rest(raw: Block, *known: str) -> Ext:
    """Returns the leftovers of a block as ext."""
    left = {key: value for key, value in raw.items() if key not in known}
    return {"messages": left} if left else {}


def _read_block(block: Any, where: str) -> Part:
    if not isinstance(block, dict):
        raise BadRequest(f"{where}: Input should be a valid dictionary")
    kind = block.get("type")
    if not isinstance(kind, str):
        raise BadRequest(f"{where}.type: Field required")
    read = _READERS.get(kind)
    return read(block, where) if read else Unknown("messages", block)


def _text(block: Block, where: str) -> Part:
    given = block.get("citations")
    if not isinstance(given, list) or not given:
        return Text(_string(block, "text", where), rest(block, "type", "text"))
    ext = rest(block, "type", "text", "citations")
    return Text(_string(block, "text", where), ext, list(map(citations.read, given)))


def _image(block: Block, where: str) -> Part:
    source = _source(block, where)
    ext = rest(block, "type", "source")
    note_within(source, "source", _SOURCE, ext)
    match source.get("type"):
        case "base64":
            media_type = _string(source, "media_type", f"{where}.source")
            return Image(data=_string(source, "data", f"{where}.source"), media_type=media_type, ext=ext)
        case "url":
            return Image(url=_string(source, "url", f"{where}.source"), ext=ext)
        case "file":
            return Image(file_id=_string(source, "file_id", f"{where}.source"), ext=ext)
    return Unknown("messages", block)


def _document(block: Block, where: str) -> Part:
    source = _source(block, where)
    part = Document(
        title=_optional(block, "title", where),
        context=_optional(block, "context", where),
        ext=rest(block, "type", "source", "title", "context"),
    )
    note_within(source, "source", _SOURCE, part.ext)
    inside = f"{where}.source"
    match source.get("type"):
        case "base64":
            part.data = _string(source, "data", inside)
            part.media_type = _string(source, "media_type", inside)
        case "text":
            part.text = _string(source, "data", inside)
        case "url":
            part.url = _string(source, "url", inside)
        case "file":
            part.file_id = _string(source, "file_id", inside)
        case "content":
            part.parts = read_content(source.get("content"), f"{inside}.content")
        case _:
            return Unknown("messages", block)
    return part


def _thinking(block: Block, where: str) -> Part:
    ext = rest(block, "type", "thinking", "signature")
    return Thinking(
        _string(block, "thinking", where), sealed_reasoning.less_empty(_optional(block, "signature", where)), ext=ext
    )


def _redacted_thinking(block: Block, where: str) -> Part:
    return Thinking(encrypted=_string(block, "data", where), ext=rest(block, "type", "data"))


def _tool_use(block: Block, where: str) -> Part:
    arguments = wire.dumps_text(block["input"]) if block.get("input") is not None else ""
    ext = rest(block, "type", "id", "name", "input")
    toolset = block.get("toolset_name")
    if not isinstance(toolset, str):
        toolset = ""
    elif len(ext["messages"]) > 1:
        ext = {"messages": {key: value for key, value in ext["messages"].items() if key != "toolset_name"}}
    else:
        ext = {}
    return ToolCall(_string(block, "id", where), _string(block, "name", where), arguments, ext, toolset=toolset)


def _tool_result(block: Block, where: str) -> Part:
    content = block.get("content")
    return ToolResult(
        _string(block, "tool_use_id", where),
        read_content(content, f"{where}.content") if content is not None else [],
        is_error=block.get("is_error") is True,
        ext=rest(block, "type", "tool_use_id", "content", "is_error"),
    )


_READERS: dict[str, Callable[[Block, str], Part]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}


def _source(block: Block, where: str) -> Block:
    source = block.get("source")
    if not isinstance(source, dict):
        raise BadRequest(f"{where}.source: Field required")
    return source


def _string(block: Block, key: str, where: str) -> str:
    value = block.get(key)
    if not isinstance(value, str):
        problem = "Field required" if value is None else "Input should be a valid string"
        raise BadRequest(f"{where}.{key}: {problem}")
    return value


def _optional(block: Block, key: str, where: str) -> str:
    return "" if block.get(key) is None else _string(block, key, where)
