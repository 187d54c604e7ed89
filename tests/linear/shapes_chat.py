"""Requests in Chat Completions with n of something: what a client may send, honest or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Body = dict[str, Any]
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def user(content: Any) -> Body:
    return {"role": "user", "content": content}


def text(said: str) -> Body:
    return {"type": "text", "text": said}


def body(messages: list[Any], **more: Any) -> Body:
    return {"model": "m", "messages": messages} | more


def call(id: str, name: str = "f") -> Body:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}


SHAPES: dict[str, Callable[[int], Body]] = {
    "calls one turn": lambda n: body(
        [user("x"), {"role": "assistant", "content": None, "tool_calls": [call(f"t{i}") for i in range(n)]}, user("y")]
    ),
    "calls many turns": lambda n: body(
        [
            m
            for i in range(n)
            for m in (user("x"), {"role": "assistant", "content": None, "tool_calls": [call(f"t{i}")]})
        ]
    ),
    "calls run": lambda n: body(
        [user("x")] + [{"role": "assistant", "content": None, "tool_calls": [call(f"t{i}")]} for i in range(n)]
    ),
    "calls run ext": lambda n: body(
        [user("x")]
        + [{"role": "assistant", "content": None, "tool_calls": [call(f"t{i}")], f"k{i}": 1} for i in range(n)]
    ),
    "calls named": lambda n: body(
        [user("x")]
        + [{"role": "assistant", "content": None, "tool_calls": [call("", f"f{i}")]} for i in range(n)]
        + [{"role": "tool", "name": f"f{i}", "content": "x"} for i in range(n)]
    ),
    "calls noid": lambda n: body(
        [user("x"), {"role": "assistant", "content": None, "tool_calls": [call("") for i in range(n)]}]
        + [{"role": "tool", "content": "x"} for i in range(n)]
    ),
    "function calls": lambda n: body(
        [
            m
            for i in range(n)
            for m in ({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},)
        ]
    ),
    "function results": lambda n: body(
        [m for i in range(n) for m in ({"role": "function", "name": "f", "content": "x"},)]
    ),
    "tools res": lambda n: body([{"role": "tool", "tool_call_id": f"t{i}", "content": "x"} for i in range(n)]),
    "calls late": lambda n: body(
        [user("x")]
        + [
            m
            for i in range(n)
            for m in ({"role": "assistant", "content": None, "tool_calls": [call(f"t{i}")]}, user("x"))
        ]
        + [{"role": "tool", "tool_call_id": f"t{i}", "content": "x"} for i in range(n)]
    ),
    "developers": lambda n: body([{"role": "developer", "content": "x"} for i in range(n)] + [user("x")]),
    "names": lambda n: body([user("x") | {"name": f"n{i}"} for i in range(n)]),
    "texts": lambda n: body([user([text("x") for _ in range(n)])]),
    "tools": lambda n: body(
        [user("x")], tools=[{"type": "function", "function": {"name": f"f{i}", "parameters": SCHEMA}} for i in range(n)]
    ),
    "tools long": lambda n: body(
        [user("x")],
        tools=[{"type": "function", "function": {"name": "f" * 100 + str(i), "parameters": SCHEMA}} for i in range(n)],
    ),
    "tools custom": lambda n: body(
        [user("x")], tools=[{"type": "custom", "custom": {"name": f"f{i}"}} for i in range(n)]
    ),
    "tools allowed": lambda n: body(
        [user("x")],
        tools=[{"type": "function", "function": {"name": f"f{i}", "parameters": SCHEMA}} for i in range(n)],
        tool_choice={
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "auto",
                "tools": [{"type": "function", "function": {"name": f"f{i}"}} for i in range(n)],
            },
        },
    ),
    "args long": lambda n: body(
        [
            user("x"),
            {"role": "assistant", "tool_calls": [call("t") | {"function": {"name": "f", "arguments": "{" * n}}]},
        ]
    ),
    "args many keys": lambda n: body(
        [
            user("x"),
            {
                "role": "assistant",
                "tool_calls": [
                    call("t") | {"function": {"name": "f", "arguments": json.dumps({f"k{i}": 1 for i in range(n)})}}
                ],
            },
        ]
    ),
    "reasoning details": lambda n: body(
        [
            user("x"),
            {
                "role": "assistant",
                "content": "x",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "hm", "signature": "s", "index": i} for i in range(n)
                ],
            },
        ]
    ),
    "rf": lambda n: body(
        [user("x")],
        response_format={
            "type": "json_schema",
            "json_schema": {
                "name": "n",
                "strict": True,
                "schema": {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(n)}},
            },
        },
    ),
    "annotations": lambda n: body(
        [
            user("x"),
            {
                "role": "assistant",
                "content": "x" * n,
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {"url": "u", "title": "t", "start_index": i, "end_index": i + 1},
                    }
                    for i in range(n)
                ],
            },
        ]
    ),
    "stops": lambda n: body([user("x")], stop=[f"s{i}" for i in range(n)]),
    "images": lambda n: body(
        [user([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}} for _ in range(n)])]
    ),
    "image long": lambda n: body(
        [user([{"type": "image_url", "image_url": {"url": "data:" + ";a" * n * 20 + ";base64,AA"}}])]
    ),
    "image long2": lambda n: body(
        [user([{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * n * 100}}])]
    ),
}
