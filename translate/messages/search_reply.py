"""A search for deferred tools that the proxy has made, as Messages tells one: the call and its result."""

from __future__ import annotations

from typing import Any

from translate.conversation import Part, Unknown
from translate.target import ToolSearch
from translate.tool_search import Found

Raw = dict[str, Any]


def parts(search: ToolSearch, found: Found, name: str, key: str, n: int) -> list[Part]:
    return [Unknown("messages", raw) for raw in _blocks(found, name, f"srvtoolu_{key}_{n}")]


def _blocks(found: Found, name: str, id: str) -> list[Raw]:
    content: Raw
    if found.problem:
        content = {"type": "tool_search_tool_result_error", "error_code": "invalid_tool_input",
                   "error_message": found.problem}  # fmt: skip
    else:
        references = [{"type": "tool_reference", "tool_name": tool.name} for tool in found.tools]
        content = {"type": "tool_search_tool_search_result", "tool_references": references}
    return [
        {"type": "server_tool_use", "id": id, "name": name, "input": found.given, "caller": {"type": "direct"}},
        {"type": "tool_search_tool_result", "tool_use_id": id, "content": content},
    ]
