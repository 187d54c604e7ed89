"""The chunk that opens a Chat stream: it names the role, and says nothing yet."""

from __future__ import annotations

from typing import Any

from translate import wire

LARGEST = 4096  # bytes; Azure's has what its filter thinks of the prompt


def opens(name: bytes, data: bytes) -> bool:
    """Tells whether a chunk says nothing yet."""
    if len(data) > LARGEST or data.lstrip()[:1] != b"{":
        return False
    try:
        chunk = wire.loads(data)
    except ValueError:
        return False
    choices = chunk.get("choices")
    return isinstance(choices, list) and not chunk.get("error") and all(map(_is_empty, choices))


def _is_empty(choice: Any) -> bool:
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if not isinstance(delta, dict) or choice.get("finish_reason"):
        return False
    return not any(value for name, value in delta.items() if name != "role")
