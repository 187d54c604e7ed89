"""Tools that a client declares twice, which is one tool too many for most providers.

Clients put together the tools of several servers, which may have some in common. OpenAI takes that; Anthropic, Google,
DeepSeek and others answer 400 to all of the request. The first of a name counts: the model could not have told them
apart.
"""

from __future__ import annotations

from dataclasses import replace

from translate.conversation import Conversation, Tool


def of(given: Conversation) -> tuple[Conversation, list[str]]:
    """Returns the conversation with each tool once, and the names of those that were another tool than the first."""
    tools = given.tools
    if len({(tool.namespace, tool.name, tool.kind == "server") for tool in tools}) == len(tools):
        return given, []
    first: dict[tuple[str, str], Tool] = {}
    kept: list[Tool] = []
    others: list[str] = []
    for tool in tools:
        known = tool if tool.kind == "server" else first.setdefault((tool.namespace, tool.name), tool)
        if known is tool:
            kept.append(tool)
        elif known != tool:
            others.append(f"tools.{tool.name}")
    return replace(given, tools=kept), list(dict.fromkeys(others))
