"""Calls of deferred tools, as OpenAI writes them: after a search that shows the tool, and in a namespace.

OpenAI's Agents SDK refuses a call of a deferred tool that no search has shown before, and looks for a tool that is in
no namespace under one of its own name. Where the proxy offers deferred tools at once, since they are few, there is no
search: it is told before the first call of each.
"""

from __future__ import annotations

from msgspec.structs import replace

from translate.conversation import Close, Event, Open, ToolCall, Turn, Unknown
from translate.target import ToolSearch
from translate.tools import tool_search
from translate.tools.tool_search import SearchReply

FIRST = 1_000  # the searches that the proxy has made are numbered from 0


class DeferredCalls:
    """Takes the events of a reply, with calls as the client names them."""

    __slots__ = ("_key", "_n", "_search", "_search_reply", "_shown", "_tools")

    def __init__(self, search: ToolSearch, search_reply: SearchReply, key: str) -> None:
        self._search = search
        self._search_reply = search_reply
        self._tools = {(tool.namespace, tool.name): tool for tool in search.tools}
        self._shown = set(search.shown)
        self._key = key  # by which an item is found again that a later request refers to
        self._n = FIRST

    def __repr__(self) -> str:
        return f"<DeferredCalls {len(self._shown)} of {len(self._tools)} shown>"

    def passed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if isinstance(event, Open):
                part = event.part
                if isinstance(part, Unknown) and tool_search.is_result(part):
                    self._shown |= tool_search.names_in(part.raw)
                elif isinstance(part, ToolCall) and (part.namespace, part.name) in self._tools:
                    event = self._called(part, out)
            out.append(event)
        return out

    def _called(self, call: ToolCall, out: list[Event]) -> Open:
        key = call.namespace, call.name
        if key not in self._shown:
            self._shown.add(key)
            path = f"{call.namespace}.{call.name}" if call.namespace else call.name
            found = tool_search.Found({"paths": [path]}, [self._tools[key]])
            for told in self._search_reply(self._search, found, "", self._key, self._n):
                out += [Open(told), Close()]
            self._n += 1
        return Open(call if call.namespace else replace(call, namespace=call.name))


def plain(turns: list[Turn], search: ToolSearch) -> list[Turn]:
    """Returns the turns with calls of deferred tools named as the tools are."""
    alone = {tool.name for tool in search.tools if not tool.namespace}
    return [_plain(turn, alone) for turn in turns]


def _plain(turn: Turn, alone: set[str]) -> Turn:
    if not any(isinstance(part, ToolCall) and part.namespace == part.name in alone for part in turn.parts):
        return turn
    parts = [
        replace(part, namespace="")
        if isinstance(part, ToolCall) and part.namespace == part.name in alone else part
        for part in turn.parts
    ]  # fmt: skip
    return replace(turn, parts=parts)
