"""The hashes of the parts of a prompt that a provider's cache compares.

Parts are the model, each tool, each piece of system text, the settings that change the prompt, and each message, in the
order of the prompt. Cache marks are left out (Claude Code moves them with every turn), and so is Claude Code's billing
line, which upstreams ignore. A text is the same as a list with that one text. Hashes are different in each process, and
never leave it.
"""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from translate import recurring

MAX_PARTS = 1_000  # the most parts of a kind that are hashed

SYSTEM = ("system", "instructions")
TURNS = ("messages", "input")
SETTINGS = ("tool_choice", "thinking", "output_config", "output_format", "response_format", "text", "reasoning",
            "reasoning_effort")  # fmt: skip
_BILLING = "x-anthropic-billing-header:"
_MARK = "cache_control"

# marshal is several times as fast as JSON. With version 2, the bytes depend only on the value.
_BY_VALUE = 2


class Prefix(NamedTuple):
    """The hashes of a prompt. settings: in the order of SETTINGS."""

    model: int
    tools: array[int]
    system: array[int]
    settings: array[int]
    turns: array[int]


def of(data: Mapping[str, Any], model: str) -> Prefix:
    """The hashes of a request. data: its body, in any protocol."""
    return Prefix(
        hash(model),
        _hashes(_listed(data, ("tools",))),
        _hashes(map(_text, _listed(data, SYSTEM))),
        array("q", [hash(marshal.dumps(data.get(name), _BY_VALUE)) for name in SETTINGS]),
        _hashes(_listed(data, TURNS)),
    )


def shared(one: Prefix, other: Prefix) -> int:
    """How many turns are the same at the same place in both."""
    return sum(a == b for a, b in zip(one.turns, other.turns, strict=False))


def difference(before: Prefix, after: Prefix, data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first part that was changed or removed, as {"where", "what"}; None if the prompt has only become longer.
    data: the body that belongs to `after`."""
    if before.model != after.model:
        return {"where": "model", "what": "changed"}
    for name, old, new in (("tools", before.tools, after.tools), ("system", before.system, after.system)):
        at = _differs(old, new)
        if at is not None:
            return _told(data, name, at, old, new)
    at = _differs(before.settings, after.settings)
    if at is not None:
        return {"where": SETTINGS[at], "what": "changed"}
    old, new = before.turns, after.turns
    for at, (a, b) in enumerate(zip(old, new, strict=False)):
        if a != b:
            return _told(data, "turns", at, old, new)
    return None  # the beginning of a longer prompt is in the cache, too


def _differs(old: array[int], new: array[int]) -> int | None:
    if old == new:
        return None
    return next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _told(data: Mapping[str, Any], kind: str, at: int, old: array[int], new: array[int]) -> dict[str, Any]:
    names = {"tools": ("tools",), "system": SYSTEM, "turns": TURNS}[kind]
    field = next((name for name in names if name in data), names[0])
    what = "changed" if at < min(len(old), len(new)) else "added" if at < len(new) else "removed"
    told: dict[str, Any] = {"where": f"{field}[{at}]", "what": what, "of": max(len(old), len(new))}
    parts = data.get(field)
    part = parts[at] if what != "removed" and isinstance(parts, list) else None
    if isinstance(part, dict):
        if kind == "tools":
            told["tool"] = _tool_name(part)
        elif kind == "turns":
            told["role"] = str(part.get("role") or part.get("type"))[:40]
    return told


def _tool_name(tool: Mapping[str, Any]) -> str:
    function = tool.get("function")
    return str((function if isinstance(function, dict) else tool).get("name"))[:100]


def _listed(data: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Any]:
    for name in names:
        value = data.get(name)
        if isinstance(value, list):
            yield from value[:MAX_PARTS]
        elif value is not None:
            yield value


def _text(piece: Any) -> Any:
    """A piece of system text; None for the billing line, which keeps its place."""
    text = piece.get("text") if isinstance(piece, dict) else piece
    if isinstance(text, str) and text.startswith(_BILLING):
        return None
    return {"type": "text", "text": piece} if isinstance(piece, str) else piece


def _hashes(parts: Iterable[Any]) -> array[int]:
    return array("q", [recurring.of(part, _hash) for part in parts])


def _hash(part: Any) -> int:
    plain = dict(part) if type(part) is recurring.Recurring else part  # marshal takes no other classes
    return hash(marshal.dumps(_unmarked(plain), _BY_VALUE))


def _unmarked(part: Any) -> Any:
    """A turn, a tool or a piece of text, without its marks. Nearly all have none, and are not copied."""
    if not isinstance(part, dict):
        return part
    if _MARK in part:
        part = {key: value for key, value in part.items() if key != _MARK}
    content = part.get("content")
    if isinstance(content, list):
        for block in content:
            if isinstance(block, dict) and (_MARK in block or "content" in block):
                return part | {"content": [_unmarked(block) for block in content]}
    elif isinstance(content, str) and "role" in part:
        return part | {"content": [{"type": "text", "text": content}]}
    return part
