"""Requests in Responses with n of something: what a client may send, honest or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Body = dict[str, Any]
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def user(content: Any) -> Body:
    return {"role": "user", "content": content}


def body(given: Any, **more: Any) -> Body:
    return {"model": "m", "input": given} | more


def call(id: str, name: str = "f", **more: Any) -> Body:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": "{}"} | more


def output(id: str) -> Body:
    return {"type": "function_call_output", "call_id": id, "output": "r"}


SHAPES: dict[str, Callable[[int], Body]] = {
    "calls run": lambda n: body([user("x")] + [call(f"t{i}") for i in range(n)]),
    "calls alt": lambda n: body([m for i in range(n) for m in (user("x"), call(f"t{i}"))]),
    "calls late": lambda n: body(
        [m for i in range(n) for m in (user("x"), call(f"t{i}"))] + [output(f"t{i}") for i in range(n)]
    ),
    "calls answered": lambda n: body([m for i in range(n) for m in (call(f"t{i}"), output(f"t{i}"))]),
    "outputs": lambda n: body([output(f"t{i}") for i in range(n)]),
    "outputs noid": lambda n: body(
        [call(f"t{i}") for i in range(n)]
        + [{"type": "function_call_output", "output": "x", "name": "f"} for i in range(n)]
    ),
    "outputs parts": lambda n: body(
        [
            call("t"),
            {"type": "function_call_output", "call_id": "t", "output": [{"type": "input_text", "text": "1"}] * n},
        ]
    ),
    "customs": lambda n: body(
        [m for i in range(n) for m in ({"type": "custom_tool_call", "call_id": f"t{i}", "name": "g", "input": "x"},)],
        tools=[{"type": "custom", "name": "g"}],
    ),
    "namespaces": lambda n: body(
        "x",
        tools=[
            {
                "type": "namespace",
                "name": f"n{i}",
                "description": "d",
                "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
            }
            for i in range(n)
        ],
    ),
    "namespace one": lambda n: body(
        "x",
        tools=[
            {
                "type": "namespace",
                "name": "n",
                "description": "d",
                "tools": [{"type": "function", "name": f"f{i}", "parameters": SCHEMA} for i in range(n)],
            }
        ],
    ),
    "namespace calls": lambda n: body(
        [call(f"t{i}", f"f{i}", namespace="n") for i in range(n)],
        tools=[
            {
                "type": "namespace",
                "name": "n",
                "description": "d",
                "tools": [{"type": "function", "name": f"f{i}", "parameters": SCHEMA} for i in range(n)],
            }
        ],
    ),
    "reasoning": lambda n: body(
        [
            m
            for i in range(n)
            for m in (
                {
                    "type": "reasoning",
                    "id": f"r{i}",
                    "summary": [{"type": "summary_text", "text": "hm"}],
                    "encrypted_content": "e",
                },
            )
        ]
    ),
    "reasoning sum": lambda n: body(
        [{"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}] * n}]
    ),
    "item refs": lambda n: body([{"type": "item_reference", "id": f"r{i}"} for i in range(n)]),
    "web": lambda n: body(
        [
            {
                "type": "web_search_call",
                "id": f"w{i}",
                "action": {"type": "search", "query": "q", "sources": [{"url": "u"}]},
            }
            for i in range(n)
        ]
    ),
    "annots": lambda n: body(
        [
            {
                "type": "message",
                "role": "assistant",
                "content": [
                    {
                        "type": "output_text",
                        "text": "x" * n,
                        "annotations": [
                            {"type": "url_citation", "url": "u", "start_index": i, "end_index": i + 1} for i in range(n)
                        ],
                    }
                ],
            }
        ]
    ),
    "tool search out": lambda n: body(
        [
            m
            for i in range(n)
            for m in (
                {"type": "tool_search_call", "call_id": f"c{i}", "arguments": {}},
                {
                    "type": "tool_search_output",
                    "call_id": f"c{i}",
                    "tools": [{"type": "function", "name": f"h{i}", "parameters": {}}],
                },
            )
        ]
    ),
    "additional tools": lambda n: body(
        [
            {
                "type": "additional_tools",
                "role": "developer",
                "tools": [{"type": "function", "name": f"h{i}", "parameters": {}}],
            }
            for i in range(n)
        ]
    ),
    "deferred": lambda n: body(
        "x",
        tools=[{"type": "tool_search"}]
        + [{"type": "function", "name": f"f{i}", "parameters": SCHEMA, "defer_loading": True} for i in range(n)],
    ),
    "deferred, shown and called": lambda n: body(
        [
            m
            for i in range(n)
            for m in (
                {"type": "tool_search_call", "execution": "server", "arguments": {}},
                {"type": "tool_search_output", "execution": "server", "tools": [{"type": "function", "name": f"f{i}"}]},
                call(f"t{i}", f"f{i}", namespace=f"f{i}"),
                output(f"t{i}"),
            )
        ],
        tools=[{"type": "tool_search"}]
        + [{"type": "function", "name": f"f{i}", "parameters": SCHEMA, "defer_loading": True} for i in range(n)],
    ),
    "shell": lambda n: body(
        [
            {
                "type": "local_shell_call",
                "call_id": f"c{i}",
                "id": f"l{i}",
                "action": {"type": "exec", "command": ["ls"], "env": {}},
                "status": "completed",
            }
            for i in range(n)
        ]
    ),
    "mcp": lambda n: body(
        [
            {"type": "mcp_call", "id": f"c{i}", "server_label": "l", "name": "n", "arguments": "{}", "output": "x"}
            for i in range(n)
        ]
    ),
    "mcp list": lambda n: body(
        [
            {
                "type": "mcp_list_tools",
                "id": "c",
                "server_label": "l",
                "tools": [{"name": f"n{i}", "input_schema": SCHEMA} for i in range(n)],
            }
        ]
    ),
    "compaction": lambda n: body([{"type": "compaction", "id": f"c{i}", "encrypted_content": "x"} for i in range(n)]),
    "agent messages": lambda n: body(
        [
            {"type": "agent_message", "author": "a", "recipient": "b", "content": [{"type": "input_text", "text": "x"}]}
            for i in range(n)
        ]
    ),
    "unknown": lambda n: body([{"type": f"zz{i}"} for i in range(n)]),
    "msgs": lambda n: body([user([{"type": "input_text", "text": "x"}] * 1) for _ in range(n)]),
    "include": lambda n: body("x", include=[f"i{i}" for i in range(n)]),
    "files": lambda n: body([user([{"type": "input_file", "filename": "a.txt", "file_data": "QQ=="}] * n)]),
}
