"""Marks for Anthropic's prompt cache, for clients that know of none.

Anthropic keeps a prompt only as far as a request marks it; OpenAI's clients never do, since their own provider needs no
word, and would pay for their whole history in every turn. Marked are the ends of what stays: the tools, the system
text, the last user turn and the one before it, so that each request reads what the previous one wrote. Marks of the
client's own stand alone: it knows better, but for those beyond what Anthropic takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from translate.json.json_fields import Body

LEAST_CHARACTERS = 3_600  # a shorter prompt is not worth it: Anthropic caches none below 1,024 tokens
MOST_TURNS = 2
MOST_MARKS = 4  # Anthropic answers 400 to more
MARK = {"type": "ephemeral"}

_MARKED = ("text", "image", "document", "tool_use", "tool_result")  # thinking is never marked
_NAME = "cache_control"


def mark(body: Body) -> int:
    """Marks a body that was made for Messages and belongs to nobody else. Returns how many marks that took."""
    if _NAME in body or _marks(body)[1] or not _is_long(body):
        return 0
    count = _mark_last(body.get("tools", ()), lambda tool: not tool.get("defer_loading"), body, "tools")
    if isinstance(system := body.get("system"), str):
        body["system"] = [{"type": "text", "text": system}]
    count += _mark_last(body.get("system", ()), _can_be_marked, body, "system")
    turns = [message for message in body["messages"] if message["role"] == "user"]
    for message in turns[-MOST_TURNS:]:
        count += _mark_last(message["content"], _can_be_marked, message, "content")
    return count


def cap(body: Body) -> bool:
    """Takes marks beyond the most that may be out of such a body; tells whether there were any. The last of what comes
    before the conversation stays, and the last ones of all: what they hold holds the rest."""
    head, count = _marks(body)
    if count <= MOST_MARKS:
        return False
    first = head - 1 if 0 < head < count else -1
    stays = iter([at == first or at >= count - MOST_MARKS + (first >= 0) for at in range(count)])
    for owner, key in ((body, "tools"), (body, "system"), *((message, "content") for message in body["messages"])):
        if _count(owner.get(key, ())):
            owner[key] = _less(owner[key], stays)
    return True


def _marks(body: Body) -> tuple[int, int]:
    """Returns how many marks there are: before the conversation, and in all."""
    head = 0
    for name in ("tools", "system"):
        if name in body:
            head += _count(body[name])
    count = head
    for message in body["messages"]:
        count += _count(message["content"])
    return head, count


def _count(blocks: Any) -> int:
    """Returns how many marks there are, of blocks and within them: a tool's result may have marked blocks."""
    count = 0
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, dict):
            count += _NAME in block
            if "content" in block:
                count += _count(block["content"])
    return count


def _less(blocks: list[Body], stays: Iterator[bool]) -> list[Body]:
    """Returns the blocks with those of their marks that stay, in the order in which they are counted."""
    out = []
    for block in blocks:
        if _count(block.get("content")):
            block = block | {"content": _less(block["content"], stays)}
        if _NAME in block and not next(stays):
            block = {key: value for key, value in block.items() if key != _NAME}
        out.append(block)
    return out


def _mark_last(blocks: Any, can: Any, owner: Body, key: str) -> int:
    """Marks the last block that can have a mark. Blocks may be shared with the client's body, so they are not changed
    but replaced."""
    for at in range(len(blocks) - 1, -1, -1):
        if can(blocks[at]):
            owner[key] = [*blocks[:at], blocks[at] | {_NAME: MARK}, *blocks[at + 1 :]]
            return 1
    return 0


def _can_be_marked(block: Body) -> bool:
    kind = block.get("type")
    return kind in _MARKED and (kind != "text" or bool(block["text"].strip()))


def _is_long(body: Body) -> bool:
    """Tells whether the prompt is worth a mark. It looks no farther than it must."""
    found = 0
    for size in _sizes([body.get("tools"), body.get("system"), body["messages"]]):
        found += size
        if found >= LEAST_CHARACTERS:
            return True
    return False


def _sizes(value: Any) -> Iterator[int]:
    """Yields the sizes of all strings below."""
    if isinstance(value, str):
        yield len(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield len(key)
            yield from _sizes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _sizes(item)
