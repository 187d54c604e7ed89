"""How many things one request may hold: JSON values, levels of nesting, messages, parts and tools.

Values are counted before anything reads a body; the others are counted where the body is read anyway. A body that
passes through is not read here: its upstream refuses what it does not take, and its size is limited in any case.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from translate.failures.errors import BadRequest

_LISTS = ("messages", "input")
PARSED = 1000
"""The levels that the JSON parser reads."""


class Shape(Struct, frozen=True):
    """The most that a request may have of each."""

    values: int = 250_000
    messages: int = 20_000
    parts: int = 100_000
    tools: int = 5_000
    depth: int = PARSED

    def check(self, data: dict[str, Any], size: int) -> None:
        """Raises BadRequest if the request has more. size: of the body, in bytes."""
        if size < 2 * min(self.messages, self.parts, self.tools) and self.depth >= PARSED:
            return  # so small a body cannot have more: each value takes two bytes, with its comma
        for name in _LISTS:
            items = data.get(name)
            if isinstance(items, list):
                _bound(len(items), self.messages, name, "messages")
                contents = [item["content"] for item in items if isinstance(item, dict) and "content" in item]
                parts = sum(len(content) for content in contents if isinstance(content, list))
                _bound(parts, self.parts, f"{name}: content", "parts")
        tools = data.get("tools")
        if isinstance(tools, list):
            _bound(len(tools), self.tools, "tools", "tools")
        if self.depth < PARSED:
            self._check_depth(data)

    def _check_depth(self, data: Any) -> None:
        level, below = 1, [data]
        while below := [item for each in below for item in _items(each)]:
            level += 1
            if level > self.depth:
                raise BadRequest(f"the request is nested too deeply; at most {self.depth} levels ([limits] depth)")


SHAPE = Shape()


def _bound(number: int, most: int, what: str, setting: str) -> None:
    if number > most:
        raise BadRequest(f"{what}: {number} are too many; at most {most} ([limits] {setting})", what.partition(":")[0])


def _items(value: Any) -> list[Any]:
    """The lists and objects among its values."""
    inner = value.values() if isinstance(value, dict) else value
    return [item for item in inner if isinstance(item, dict | list)]
