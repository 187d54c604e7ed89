"""Turns and parts, written as `messages` and content blocks.

A conversation that came from Messages goes back as it was, turn by turn. One that came from elsewhere is made
into what Anthropic accepts: user and assistant in turn, user first, and for newer models last; tool calls answered
at the very start of the next user turn; no empty text; no thinking without its provider's proof; instructions in
mid-conversation as marked user text, because moving them to the start would change their meaning and break every
prompt cache. What cannot cross and matters is refused; what may be left out is noted in the draft.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from translate import repair
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
from translate.encode_context import Draft
from translate.failures.errors import BadRequest
from translate.fields.leftovers import BREAKPOINT, CACHE_CONTROL
from translate.messages import citations, thinking
from translate.messages.decode_messages import Block
from translate.parts import pictures, readable, readable_parts
from translate.reasoning import sealed_reasoning
from translate.tools.pairing import paired

_MEDIA_TYPES = {"image/jpg": "image/jpeg", "": "image/png"}
_TEXTUAL = ("application/json", "application/xml", "application/x-yaml")
_NOT_LAST = ("thinking", "redacted_thinking")
_SAID = frozenset(("text", *_NOT_LAST))


def messages(turns: list[Turn], draft: Draft) -> list[Block]:
    """Writes the turns as `messages`, never empty. Raises BadRequest."""
    out = _as_they_were(turns, draft) if draft.home else _made_acceptable(turns, draft)
    if not out:
        raise BadRequest(f"{draft.words.history}: at least one message with content is required")
    return out


def _as_they_were(turns: list[Turn], draft: Draft) -> list[Block]:
    out = []
    for turn in turns:
        written, left = blocks(turn.parts, draft), turn.ext.get("messages", {})
        if written or "output_config" in left:  # output_config may stand alone
            out.append({"role": turn.role} | ({"content": written} if written else {}) | left)
    return out


def _made_acceptable(turns: list[Turn], draft: Draft) -> list[Block]:
    out: list[Block] = []
    for turn in paired(readable_parts.turns(turns, draft.drop), draft.shown):
        said = draft.of(turn, _said)
        if not said:
            continue
        role = "assistant" if turn.role == "assistant" else "user"
        if out and out[-1]["role"] == role:
            out[-1]["content"] += said
        else:
            out.append({"role": role, "content": [*said]})
    for message in out:
        if message["role"] == "user":  # a stable sort: tool results first, all else in its order
            message["content"].sort(key=lambda block: block["type"] != "tool_result")
    _end(out, draft)
    if out and out[0]["role"] == "assistant":
        out.insert(0, {"role": "user", "content": [{"type": "text", "text": readable.OPENING}]})
    return out


def _said(turn: Turn, draft: Draft) -> list[Block]:
    draft.leave(turn.ext)
    said = blocks(turn.parts, draft)
    if turn.role == "system":
        said = [_reminder(block) for block in said]
    if turn.role == "assistant":
        while said and said[-1]["type"] in _NOT_LAST:  # Anthropic refuses thinking as the final block
            said.pop()
    if said:
        _mark(said, turn.ext)
    return said


def _reminder(block: Block) -> Block:
    return block | {"text": readable.REMINDER.format(block["text"])} if block["type"] == "text" else block


def _mark(blocks: list[Block], ext: Ext) -> None:
    """Puts a cache mark of a whole message, as some Chat clients have it, on its last block."""
    if mark := ext.get("cache", {}).get(CACHE_CONTROL):
        blocks[-1].setdefault(CACHE_CONTROL, mark)


def _end(out: list[Block], draft: Draft) -> None:
    """Ends a history whose last word is the model's. Where models take such a beginning of their answer, Anthropic
    refuses white space at its end; the others are asked for the rest of it. A turn that the provider itself has paused
    goes back as it is."""
    if not out or out[-1]["role"] != "assistant":
        return
    said = out[-1]["content"]
    if not thinking.takes_beginning(draft.target.model) and all(block["type"] in _SAID for block in said):
        out.append({"role": "user", "content": [{"type": "text", "text": readable.GO_ON}]})
    elif said[-1]["type"] == "text":
        said[-1] = said[-1] | {"text": said[-1]["text"].rstrip()}


# ---------------------------------------------------------------------------------------------- parts


def blocks(parts: list[Part], draft: Draft) -> list[Block]:
    """Returns the parts as content blocks, without those of which nothing may cross. Raises BadRequest."""
    written = (_block(part, draft) for part in parts)
    return [block for block in written if block is not None]


def _block(part: Part, draft: Draft) -> Block | None:
    draft.leave_part(part)
    return _WRITERS[type(part)](part, draft)


def _leftovers(part: Part) -> Block:
    """Returns what Messages itself said of a part, and the mark for the cache of any client."""
    left, marks = part.ext.get("messages", {}), part.ext.get("cache", {})
    if mark := marks.get(CACHE_CONTROL):
        return left | {CACHE_CONTROL: mark}
    if BREAKPOINT in marks:
        return left | {CACHE_CONTROL: {"type": "ephemeral"} | ({"ttl": "1h"} if "ttl" in marks[BREAKPOINT] else {})}
    return left


def _text(part: Text, draft: Draft) -> Block | None:
    if not part.text or (not draft.home and not part.text.strip()):
        return None
    cited = citations.own(part.citations)
    return {"type": "text", "text": part.text} | ({"citations": cited} if cited else {}) | _leftovers(part)


def _refusal(part: Refusal, draft: Draft) -> Block | None:
    return _text(Text(part.text, part.ext), draft)


def _image(part: Image, draft: Draft) -> Block | None:
    if part.data:
        told = "" if draft.home else pictures.media_type(part.data)  # Anthropic refuses another type than the bytes'
        media_type = told or _MEDIA_TYPES.get(part.media_type, part.media_type)
        source = {"type": "base64", "media_type": media_type, "data": part.data}
    elif part.url:
        source = {"type": "url", "url": part.url}
    else:
        source = _file(part.file_id, "image", draft)
    if part.detail not in ("", "auto"):
        draft.drop("image_url.detail")
    return {"type": "image", "source": source} | _leftovers(part)


def _file(file_id: str, what: str, draft: Draft) -> Block:
    if not draft.home:
        raise BadRequest(f"{what}: file id {file_id!r} belongs to another provider; send the content itself or a URL")
    return {"type": "file", "file_id": file_id}


def _document(part: Document, draft: Draft) -> Block | None:
    if part.data and part.media_type.startswith("image/") and not draft.home:
        return _image(Image(data=part.data, media_type=part.media_type, ext=part.ext), draft)
    if not draft.home:
        readable.check_readable(part)
    block: Block = {"type": "document", "source": _document_source(part, draft)}
    if part.title:
        block["title"] = part.title
    if part.context:
        block["context"] = part.context
    return block | _leftovers(part)


def _document_source(part: Document, draft: Draft) -> Block:
    if part.data and (part.media_type == "application/pdf" or draft.home):
        return {"type": "base64", "media_type": part.media_type, "data": part.data}
    if part.data:
        return {"type": "text", "media_type": "text/plain", "data": _plain(part)}
    if part.url:
        return {"type": "url", "url": part.url}
    if part.text:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if part.file_id:
        return _file(part.file_id, "file", draft)
    return {"type": "content", "content": blocks(part.parts, draft)}


def _plain(part: Document) -> str:
    """Returns text that came in base64: Anthropic takes PDF in base64 and plain text as text, nothing else."""
    if not part.media_type.startswith("text/") and part.media_type not in _TEXTUAL:
        raise BadRequest(f"file: media type {part.media_type or 'unknown'!r} cannot be sent to this upstream")
    try:
        return base64.b64decode(part.data, validate=True).decode()
    except ValueError:  # no base64, or no UTF-8 within
        raise BadRequest("file: the data is not base64 of UTF-8 text") from None


def _audio(part: Audio, draft: Draft) -> Block | None:
    raise BadRequest("input_audio: audio cannot be sent to this upstream: its protocol has no audio")


def _thinking(part: Thinking, draft: Draft) -> Block | None:
    """Writes thinking with its provider's proof only: without one, or with another provider's, Anthropic answers
    400."""
    is_foreign = part.provider != "" and "anthropic" not in part.provider and not draft.home
    own = None if is_foreign else sealed_reasoning.to_upstream(part, "messages")
    if own is None:
        draft.drop(draft.words.thoughts)
        return None
    if own.encrypted:
        return {"type": "redacted_thinking", "data": own.encrypted} | _leftovers(part)
    if not own.signature and not draft.home:
        draft.drop(draft.words.thoughts)
        return None
    return {"type": "thinking", "thinking": part.text, "signature": own.signature} | _leftovers(part)


def _tool_call(part: ToolCall, draft: Draft) -> Block | None:
    block: Block = {
        "type": "tool_use",
        "id": draft.call_id(part.id),
        "name": draft.name(part.name),
        "input": repair.as_object(part.arguments),
    }
    return block | ({"toolset_name": part.toolset} if part.toolset else {}) | _leftovers(part)


def _tool_result(part: ToolResult, draft: Draft) -> Block | None:
    block: Block = {"type": "tool_result", "tool_use_id": draft.call_id(part.id)}
    content = blocks(part.parts, draft)
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        block["content"] = content[0]["text"]
    elif content:
        block["content"] = content
    if part.is_error:
        block["is_error"] = True
    return block | _leftovers(part)


def _unknown(part: Unknown, draft: Draft) -> Block | None:
    """Writes a block of Messages' own as it stands, and one of another protocol in words, where there are any."""
    if part.protocol == "messages":
        return dict(part.raw)
    text = draft.in_words(part)
    return {"type": "text", "text": text} if text else None


_WRITERS: dict[type, Callable[[Any, Draft], Block | None]] = {
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
