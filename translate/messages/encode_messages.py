"""Turns and parts, written as `messages` and content blocks.

A conversation that came from Messages goes back as it was, turn by turn. One that came from elsewhere is made
into what Anthropic accepts: user and assistant in turn, user first; tool calls answered at the very start of
the next user turn; no empty text; no thinking without its provider's proof; instructions in mid-conversation
as marked user text, because moving them to the start would change their meaning and break every prompt cache.
What cannot cross and matters is refused; what may be left out is noted in `Writer.dropped`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from translate import leftovers, readable, readable_parts, repair, sealed_reasoning
from translate.conversation import (
    Audio,
    Document,
    Ext,
    Image,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Unknown,
)
from translate.errors import BadRequest
from translate.json_fields import BREAKPOINT
from translate.messages.decode_messages import Block, input_of
from translate.pairing import paired
from translate.words import NOBODY, Words

OPENING = "(conversation continues)"  # stands in for the user turn that a cut history has lost

_MEDIA_TYPES = {"image/jpg": "image/jpeg", "": "image/png"}
_TEXTUAL = ("application/json", "application/xml", "application/x-yaml")
_NOT_LAST = ("thinking", "redacted_thinking")


class Writer:
    """Writes one request's parts. `own`: the conversation came from Messages, so write what was read.
    Gathers what did not cross (dropped) and the tool names that had to change (tool_names: sent -> given)."""

    __slots__ = ("own", "dropped", "tool_names", "words")

    def __init__(self, own: bool, words: Words = NOBODY) -> None:
        """words: the client's."""
        self.own = own
        self.words = words
        self.dropped: list[str] = []
        self.tool_names: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Writer own={self.own} dropped={self.dropped}>"

    def drop(self, field: str) -> None:
        if field not in self.dropped:
            self.dropped.append(field)

    def tool_name(self, given: str) -> str:
        sent = repair.tool_name(given)
        if sent != given:
            self.tool_names[sent] = given
        return sent

    def leave(self, ext: Ext) -> None:
        """Reports what of another protocol's leftovers stays behind."""
        if not self.own:
            for field in leftovers.of_part(ext, "messages"):
                self.drop(field)

    def call_id(self, given: str) -> str:
        return given if self.own else repair.tool_id(given)

    def block(self, part: Part) -> Block | None:
        """The part as a content block, None where nothing of it may cross. Raises BadRequest."""
        self.leave(part.ext)
        return _WRITERS[type(part)](self, part)

    def blocks(self, parts: list[Part]) -> list[Block]:
        return [block for part in parts if (block := self.block(part)) is not None]


def messages(writer: Writer, turns: list[Turn]) -> list[Block]:
    """The turns as `messages`, never empty. Raises BadRequest."""
    out = _as_they_were(writer, turns) if writer.own else _made_acceptable(writer, turns)
    if not out:
        raise BadRequest("messages: at least one message with content is required")
    return out


def _as_they_were(writer: Writer, turns: list[Turn]) -> list[Block]:
    out = []
    for turn in turns:
        blocks, left = writer.blocks(turn.parts), turn.ext.get("messages", {})
        if blocks or "output_config" in left:  # which may stand alone
            out.append({"role": turn.role} | ({"content": blocks} if blocks else {}) | left)
    return out


def _made_acceptable(writer: Writer, turns: list[Turn]) -> list[Block]:
    out: list[Block] = []
    for turn in paired(readable_parts.turns(turns, writer.drop)):
        writer.leave(turn.ext)
        blocks = writer.blocks(turn.parts)
        if turn.role == "system":
            blocks = [_reminder(block) for block in blocks]
        if turn.role == "assistant":
            while blocks and blocks[-1]["type"] in _NOT_LAST:  # Anthropic: the final block cannot be thinking
                blocks.pop()
        if not blocks:
            continue
        _mark(blocks, turn.ext)
        role = "assistant" if turn.role == "assistant" else "user"
        if out and out[-1]["role"] == role:
            out[-1]["content"] += blocks
        else:
            out.append({"role": role, "content": blocks})
    for message in out:
        if message["role"] == "user":  # a stable sort: tool results first, all else in its order
            message["content"].sort(key=lambda block: block["type"] != "tool_result")
    _strip_prefill(out)
    if out and out[0]["role"] == "assistant":
        out.insert(0, {"role": "user", "content": [{"type": "text", "text": OPENING}]})
    return out


def _reminder(block: Block) -> Block:
    return block | {"text": readable.REMINDER.format(block["text"])} if block["type"] == "text" else block


def _mark(blocks: list[Block], ext: Ext) -> None:
    """A cache mark on a whole message, as some dialects have it, belongs on its last block here."""
    if (mark := ext.get("messages", {}).get("cache_control")) is not None:
        blocks[-1].setdefault("cache_control", mark)


def _strip_prefill(out: list[Block]) -> None:
    """Anthropic refuses a final assistant text that ends in white space."""
    if not out or out[-1]["role"] != "assistant" or out[-1]["content"][-1]["type"] != "text":
        return
    last = out[-1]["content"][-1]
    last["text"] = last["text"].rstrip()


# ---------------------------------------------------------------------------------------------- parts


def _leftovers(part: Part) -> Block:
    """What Messages itself said of a part; a mark of OpenAI's for the cache is one of Anthropic's."""
    left = part.ext.get("messages", {})
    if "cache_control" not in left and (mark := part.ext.get("openai", {}).get(BREAKPOINT)):
        return left | {"cache_control": {"type": "ephemeral"} | ({"ttl": "1h"} if "ttl" in mark else {})}
    return left


def _text(writer: Writer, part: Text) -> Block | None:
    if not part.text or (not writer.own and not part.text.strip()):
        return None
    return {"type": "text", "text": part.text} | _leftovers(part)


def _refusal(writer: Writer, part: Refusal) -> Block | None:
    return _text(writer, Text(part.text, part.ext))


def _image(writer: Writer, part: Image) -> Block | None:
    if part.data:
        media_type = _MEDIA_TYPES.get(part.media_type, part.media_type)
        source = {"type": "base64", "media_type": media_type, "data": part.data}
    elif part.url:
        source = {"type": "url", "url": part.url}
    else:
        source = _file(writer, part.file_id, "image")
    if part.detail not in ("", "auto"):
        writer.drop("image_url.detail")
    return {"type": "image", "source": source} | _leftovers(part)


def _file(writer: Writer, file_id: str, what: str) -> Block:
    if not writer.own:
        raise BadRequest(f"{what}: file id {file_id!r} belongs to another provider; send the content itself or a URL")
    return {"type": "file", "file_id": file_id}


def _document(writer: Writer, part: Document) -> Block | None:
    block: Block = {"type": "document", "source": _document_source(writer, part)}
    if part.title:
        block["title"] = part.title
    if part.context:
        block["context"] = part.context
    return block | _leftovers(part)


def _document_source(writer: Writer, part: Document) -> Block:
    if part.data and (part.media_type == "application/pdf" or writer.own):
        return {"type": "base64", "media_type": part.media_type, "data": part.data}
    if part.data:
        return {"type": "text", "media_type": "text/plain", "data": _plain(part)}
    if part.url:
        return {"type": "url", "url": part.url}
    if part.text:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if part.file_id:
        return _file(writer, part.file_id, "file")
    return {"type": "content", "content": writer.blocks(part.parts)}


def _plain(part: Document) -> str:
    """Text that came in base64: Anthropic takes PDF in base64 and plain text as text, nothing else."""
    if not part.media_type.startswith("text/") and part.media_type not in _TEXTUAL:
        raise BadRequest(f"file: media type {part.media_type or 'unknown'!r} cannot be sent to this upstream")
    try:
        return base64.b64decode(part.data, validate=True).decode()
    except ValueError:  # no base64, or no UTF-8 within
        raise BadRequest("file: the data is not base64 of UTF-8 text") from None


def _audio(writer: Writer, part: Audio) -> Block | None:
    raise BadRequest("input_audio: audio cannot be sent to this upstream: its protocol has no audio")


def _thinking(writer: Writer, part: Thinking) -> Block | None:
    """Only with its provider's proof, and never another provider's proof: both are a 400 at Anthropic."""
    if (_is_foreign(part.ext) and not writer.own) or sealed_reasoning.is_for_others(part):
        writer.drop(writer.words.thoughts)
        return None
    if part.encrypted:
        return {"type": "redacted_thinking", "data": part.encrypted} | _leftovers(part)
    if not part.signature and not writer.own:
        writer.drop(writer.words.thoughts)
        return None
    return {"type": "thinking", "thinking": part.text, "signature": part.signature} | _leftovers(part)


def _is_foreign(ext: Ext) -> bool:
    """OpenRouter's reasoning_details say whose they are ("format": "openai-responses-v1")."""
    detail = ext.get("chat", {}).get("detail")
    told = detail.get("format") if isinstance(detail, dict) else None
    return isinstance(told, str) and told not in ("", "unknown") and "anthropic" not in told


def _tool_call(writer: Writer, part: ToolCall) -> Block | None:
    block: Block = {
        "type": "tool_use",
        "id": writer.call_id(part.id),
        "name": writer.tool_name(part.name),
        "input": input_of(part.arguments),
    }
    return block | ({"toolset_name": part.toolset} if part.toolset else {}) | _leftovers(part)


def _tool_result(writer: Writer, part: ToolResult) -> Block | None:
    block: Block = {"type": "tool_result", "tool_use_id": writer.call_id(part.id)}
    content = writer.blocks(part.parts)
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        block["content"] = content[0]["text"]
    elif content:
        block["content"] = content
    if part.is_error:
        block["is_error"] = True
    return block | _leftovers(part)


def _unknown(writer: Writer, part: Unknown) -> Block | None:
    """A block of Messages' own goes as it stands, one of another protocol in words, where there are any."""
    if part.protocol == "messages":
        return dict(part.raw)
    writer.leave({part.protocol: part.raw | {"citations": None}})  # they are asked for, not said
    if text := readable.unknown(part, "messages", writer.words.ledger):
        return {"type": "text", "text": text}
    writer.drop(part.kind)
    return None


_WRITERS: dict[type, Callable[[Writer, Any], Block | None]] = {
    Text: _text,
    Refusal: _refusal,
    Image: _image,
    Document: _document,
    Audio: _audio,
    Thinking: _thinking,
    ToolCall: _tool_call,
    ToolResult: _tool_result,
    Unknown: _unknown,
}
