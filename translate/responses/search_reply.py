"""A search for deferred tools that the proxy has made, as Responses tells one: the call and its output."""

from __future__ import annotations

from typing import Any

from translate.conversation import Part, Tool, Unknown
from translate.target import ToolSearch
from translate.tools.tool_search import Found

Raw = dict[str, Any]


def parts(search: ToolSearch, found: Found, name: str, key: str, n: int) -> list[Part]:
    return [Unknown("responses", raw) for raw in _items(search, found, key, n)]


def _items(search: ToolSearch, found: Found, key: str, n: int) -> list[Raw]:
    about: Raw = {"execution": "server", "call_id": None, "status": "completed"}
    return [
        {"id": f"tsc_{key}_{n}", "type": "tool_search_call", "arguments": found.given} | about,
        {"id": f"tso_{key}_{n}", "type": "tool_search_output", "tools": _definitions(search, found.tools)} | about,
    ]


def _definitions(search: ToolSearch, tools: list[Tool]) -> list[Raw]:
    """As the client declared them: those of one namespace stand in it together."""
    out: list[Raw] = []
    spaces: dict[str, Raw] = {}
    for tool in tools:
        raw = _definition(tool)
        if not tool.namespace:
            out.append(raw)
            continue
        if tool.namespace not in spaces:
            about = search.abouts.get(tool.namespace, "")
            spaces[tool.namespace] = {"type": "namespace", "name": tool.namespace, "description": about, "tools": []}
            out.append(spaces[tool.namespace])
        spaces[tool.namespace]["tools"].append(raw)
    return out


def _definition(tool: Tool) -> Raw:
    raw: Raw = {"type": tool.kind, "name": tool.name, "description": tool.description, "defer_loading": True}
    if tool.kind == "custom":
        raw |= {"format": tool.raw} if tool.raw else {}
    else:
        raw |= {"parameters": tool.schema or {"type": "object", "properties": {}}, "strict": bool(tool.strict)}
    return raw | tool.ext.get("responses", {})
