"""What messages change in mid-conversation, for upstreams that know nothing of it: the tools, and the effort.

Blocks of system messages add tools (with their definitions, or by name) and take them away; the reply may use the tools
that are left at the end. An output_config of a system message says how hard to think from there on, and the last one
counts. The original form of the request is kept in ext["messages.form"], for an upstream that speaks Messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from translate.conversation import Conversation, Tool
from translate.failures.errors import BadRequest
from translate.json.json_fields import list_of

CHANGES = ("tool_addition", "tool_removal")
ReadTool = Callable[[Any, str], Tool]


def apply(conversation: Conversation, messages: list[Any], read_tool: ReadTool) -> None:
    """Applies the changes to the conversation. Raises BadRequest naming the block."""
    form: dict[str, Any] = {}
    if changes := list(_changes(messages)):
        form["tools"] = conversation.tools
        conversation.tools = _changed(conversation.tools, changes, read_tool)
    if effort := _effort(messages):
        form["effort"] = conversation.reasoning.effort
        conversation.reasoning.effort = effort
    if form:
        conversation.ext["messages.form"] = conversation.ext.get("messages.form", {}) | form


def _changes(messages: list[Any]) -> Iterator[tuple[bool, Any, str]]:
    """Yields (whether it is added, which tool, where that stands) for each change, in their order."""
    for i, message in enumerate(messages):
        content = message.get("content")
        for k, block in enumerate(content if isinstance(content, list) else ()):
            if block["type"] in CHANGES:
                yield block["type"] == "tool_addition", block.get("tool"), f"messages.{i}.content.{k}.tool"
            elif block["type"] == "compaction":  # it stands for turns, and lists the changes that they made
                where = f"messages.{i}.content.{k}.tool_changes"
                for change in filter(_is_object, list_of(block, "tool_changes")):
                    yield change.get("type") == "tool_addition", change.get("tool"), where


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _changed(tools: list[Tool], changes: list[tuple[bool, Any, str]], read_tool: ReadTool) -> list[Tool]:
    """Returns the tools after the changes, which go by name. A tool that was taken away may come back by its name
    alone."""
    known = {tool.name: tool for tool in tools}
    offered = dict(known)
    for added, tool, where in changes:
        if not isinstance(tool, dict):
            raise BadRequest(f"{where}: Field required")
        if added and tool.get("type") == "tool_definition":
            new = read_tool(tool.get("definition"), f"{where}.definition")
            known[new.name] = offered[new.name] = new
        elif (found := known.get(str(tool.get("name")))) and tool.get("type") == "tool_reference":
            if added:
                offered[found.name] = known[found.name] = replace(found, deferred=False) if found.deferred else found
            else:
                offered.pop(found.name, None)
    return list(offered.values())


def _effort(messages: list[Any]) -> str:
    for message in reversed(messages):
        config = message.get("output_config") if message.get("role") == "system" else None
        if isinstance(config, dict) and isinstance(effort := config.get("effort"), str) and effort:
            return effort
    return ""
