"""Tools that a client declares twice, which most providers refuse.

Clients put together the tools of several servers, which may have some in common. OpenAI accepts that; Anthropic,
Google, DeepSeek and others answer the whole request with 400. The first tool of a name counts, because the model could
not have told them apart. But a tool that is offered at once counts more than one that is still deferred. A mark for the
cache keeps its place among the tools.
"""

from __future__ import annotations

from msgspec.structs import replace

from translate.conversation import Conversation, Tool
from translate.fields import leftovers
from translate.fields.leftovers import CACHE_CONTROL


def of(given: Conversation) -> tuple[Conversation, list[str]]:
    """Returns the conversation with each tool once, and the names of those that were another tool than the first."""
    tools = given.tools
    if len({(tool.namespace, tool.name, tool.kind == "server") for tool in tools}) == len(tools):
        return given, []
    first: dict[tuple[str, str], int] = {}
    kept: list[Tool] = []
    others: list[str] = []
    last = -1  # the index of the last one that is offered by its name, and may have a mark
    for tool in tools:
        if tool.kind == "server":
            kept.append(tool)
            continue
        at = first.setdefault((tool.namespace, tool.name), len(kept))
        if at == len(kept):
            kept.append(tool)
            last = last if tool.deferred else at
            continue
        known = kept[at]
        others += _lost(known, tool)
        if known.deferred and not tool.deferred:
            kept[at] = _marked(_unmarked(tool), known)
            last = max(last, at)
        if last >= 0:
            kept[last] = _marked(kept[last], tool)
    return replace(given, tools=kept), list(dict.fromkeys(others))


def _lost(first: Tool, second: Tool) -> list[str]:
    """Returns the names of what does not cross: the tool's name, if the two differ for the model; else the names of the
    fields that only one of them has."""
    if _plain(first) != _plain(second):
        return [f"tools.{second.name}"]
    fields = set(leftovers.of_part(first.ext, ())) ^ set(leftovers.of_part(second.ext, ()))
    return sorted(fields - {CACHE_CONTROL})


def _plain(tool: Tool) -> Tool:
    return replace(tool, deferred=False, ext={})


def _unmarked(tool: Tool) -> Tool:
    ext = {group: {field: left[field] for field in left if field != CACHE_CONTROL} for group, left in tool.ext.items()}
    return replace(tool, ext=ext)


def _marked(tool: Tool, other: Tool) -> Tool:
    """Returns the tool with the mark for the cache that another has."""
    ext = dict(tool.ext)
    for group, left in other.ext.items():
        if CACHE_CONTROL in left:
            ext[group] = {CACHE_CONTROL: left[CACHE_CONTROL]} | ext.get(group, {})
    return tool if ext == tool.ext else replace(tool, ext=ext)
