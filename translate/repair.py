"""Histories that upstreams reject, made acceptable. Used only when a request crosses protocols.

Clients compact, cut and merge histories; what is left may hold a tool call without its result, a result
without its call, or ids and names in another provider's alphabet. Repairs are deterministic (the same id
becomes the same id in every turn and every retry) and never drop what was said: a result that has lost its
call becomes text.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from translate.conversation import Part, Text, ToolCall, ToolResult, Turn

_ODD = re.compile(r"[^a-zA-Z0-9_-]")
MAX_NAME = 64

LOST_RESULT = "[no result: the tool call was interrupted]"


def tool_id(given: str, limit: int = 64) -> str:
    """An id that matches ^[a-zA-Z0-9_-]+$; a changed one carries a hash, so that two never meet."""
    if given and len(given) <= limit and not _ODD.search(given):
        return given
    return _shortened(given, limit)


def tool_name(given: str) -> str:
    """A name that matches ^[a-zA-Z0-9_-]{1,64}$."""
    if given and len(given) <= MAX_NAME and not _ODD.search(given):
        return given
    return _shortened(given, MAX_NAME)


def _shortened(given: str, limit: int) -> str:
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return _ODD.sub("_", given)[: limit - 9] + "_" + digest


def paired(turns: list[Turn]) -> list[Turn]:
    """The same turns with every tool call answered in the user turn right after it, and every result asked
    for in the assistant turn right before it. Turns that need no change are the same objects."""
    out: list[Turn] = []
    open_calls: dict[str, ToolCall] = {}
    for turn in turns:
        if turn.role == "assistant":
            _answer(out, open_calls)
            out.append(turn)
            open_calls = {part.id: part for part in turn.parts if isinstance(part, ToolCall)}
        elif turn.role == "user":
            parts = _known_results(turn.parts, open_calls)
            out.append(turn if parts == turn.parts else replace(turn, parts=parts))
        else:
            out.append(turn)
    _answer(out, open_calls)
    return out


def _known_results(parts: list[Part], open_calls: dict[str, ToolCall]) -> list[Part]:
    kept: list[Part] = []
    for part in parts:
        if not isinstance(part, ToolResult):
            kept.append(part)
        elif part.id in open_calls:
            del open_calls[part.id]
            kept.append(part)
        else:
            kept += [Text(f"[result of an earlier tool call {part.id}]"), *part.parts]
    return kept


def _answer(out: list[Turn], open_calls: dict[str, ToolCall]) -> None:
    """Gives each call still open a result: in the user turn that follows its assistant turn."""
    if not open_calls:
        return
    results: list[Part] = [ToolResult(id, [Text(LOST_RESULT)], is_error=True) for id in open_calls]
    open_calls.clear()
    asked = max(i for i, turn in enumerate(out) if turn.role == "assistant")
    for i in range(asked + 1, len(out)):
        if out[i].role == "user":
            out[i] = replace(out[i], parts=results + out[i].parts)
            return
    out.insert(asked + 1, Turn("user", results))
