"""The files that a model's code has written, as a reply names them.

Only the results of Anthropic's own tool count: what else a reply says may be in the words of a client.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from translate import wire
from translate.json_fields import list_of, object_of, text_of

TOOL = b"code_execution"  # in each request that has the tool
_FILE, _DATA = b'"file_id"', b"data:"
_RESULT = "code_execution_tool_result"  # how the types of its results end


def in_events(lines: bytes) -> Iterator[str]:
    """Yields the ids in whole lines of a stream."""
    for line in lines.splitlines() if _FILE in lines else ():
        if line.startswith(_DATA) and _FILE in line:
            yield from _of_block(object_of(_read(line[len(_DATA) :]), "content_block"))


def in_reply(raw: bytes) -> Iterator[str]:
    """Yields the ids in a whole reply."""
    for block in list_of(_read(raw), "content") if _FILE in raw else ():
        yield from _of_block(block)


def _read(raw: bytes) -> dict[str, Any]:
    try:
        said = wire.loads(raw)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _of_block(block: Any) -> Iterator[str]:
    if not isinstance(block, dict) or not text_of(block, "type").endswith(_RESULT):
        return
    for made in list_of(object_of(block, "content"), "content"):
        if isinstance(made, dict) and (id := text_of(made, "file_id")):
            yield id
