"""Requests in Messages with n of something: what a client may send, honest or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Body = dict[str, Any]
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def user(content: Any) -> Body:
    return {"role": "user", "content": content}


def text(said: str) -> Body:
    return {"type": "text", "text": said}


def body(messages: list[Any], **more: Any) -> Body:
    return {"model": "m", "max_tokens": 9, "messages": messages} | more


def model(content: Any) -> Body:
    return {"role": "assistant", "content": content}


def call(id: str, name: str = "f") -> Body:
    return {"type": "tool_use", "id": id, "name": name, "input": {"a": "1"}}


def result(id: str, **more: Any) -> Body:
    return {"type": "tool_result", "tool_use_id": id, "content": "r"} | more


def nested(levels: int) -> Body:
    schema: Body = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


SHAPES: dict[str, Callable[[int], Body]] = {
    "calls one turn": lambda n: body([user("x"), model([call(f"t{i}") for i in range(n)]), user("y")]),
    "calls many turns": lambda n: body([m for i in range(n) for m in (user("x"), model([call(f"t{i}")]))]),
    "calls run": lambda n: body([user("x")] + [model([call(f"t{i}")]) for i in range(n)]),
    "calls same id": lambda n: body([m for i in range(n) for m in (user("x"), model([call("t")]))]),
    "calls same id one": lambda n: body([user("x"), model([call("t") for i in range(n)])]),
    "calls late": lambda n: body(
        [user("x")]
        + [m for i in range(n) for m in (model([call(f"t{i}")]), user("x"))]
        + [user([result(f"t{i}")]) for i in range(n)]
    ),
    "calls late one": lambda n: body(
        [user("x")]
        + [m for i in range(n) for m in (model([call(f"t{i}")]), user("x"))]
        + [user([result(f"t{i}") for i in range(n)])]
    ),
    "results orphan": lambda n: body([user([result(f"t{i}") for i in range(n)])]),
    "results orphan turns": lambda n: body([user([result(f"t{i}")]) for i in range(n)]),
    "results reversed": lambda n: body(
        [user("x"), model([call(f"t{i}") for i in range(n)]), user([result(f"t{i}") for i in reversed(range(n))])]
    ),
    "taken ids": lambda n: body([user("x"), model([call(f"t_{i}") for i in range(n)] + [call("t") for i in range(n)])]),
    "bad ids": lambda n: body(
        [user("x"), model([call(f"t.{i}") for i in range(n)]), user([result(f"t.{i}") for i in range(n)])]
    ),
    "bad ids2": lambda n: body([user("x"), model([call("t" + "." * i) for i in range(min(n, 500))])]),
    "texts": lambda n: body([user([text("x") for _ in range(n)])]),
    "texts a": lambda n: body([user("x"), model([text("x") for _ in range(n)])]),
    "turns user": lambda n: body([user("x") for _ in range(n)]),
    "turns assistant": lambda n: body([model("x") for _ in range(n)]),
    "turns alt": lambda n: body([m for i in range(n) for m in (user("x"), model("y"))]),
    "turns sys": lambda n: body([user("x")] + [{"role": "system", "content": "s"} for _ in range(n)]),
    "turns sys alt": lambda n: body(
        [m for i in range(n) for m in (user("x"), {"role": "system", "content": [text("s")]}, model("y"))]
    ),
    "turns ext": lambda n: body([model([call(f"t{i}")]) | {f"k{i}": 1} for i in range(n)]),
    "system": lambda n: body(
        [user("x")], system=[text("s") | {"cache_control": {"type": "ephemeral"}} for _ in range(n)]
    ),
    "tools": lambda n: body([user("x")], tools=[{"name": f"f{i}", "input_schema": SCHEMA} for i in range(n)]),
    "tools long": lambda n: body(
        [user("x")], tools=[{"name": "f" * 100 + str(i), "input_schema": SCHEMA} for i in range(n)]
    ),
    "tools same": lambda n: body([user("x")], tools=[{"name": "f", "input_schema": SCHEMA} for i in range(n)]),
    "tools used": lambda n: body(
        [m for i in range(n) for m in (user("x"), model([call(f"t{i}", f"f{i}" * 20)]), user([result(f"t{i}")]))],
        tools=[{"name": f"f{i}" * 20, "input_schema": SCHEMA} for i in range(n)],
    ),
    "tools deferred": lambda n: body(
        [user("x")],
        tools=[{"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}]
        + [{"name": f"f{i}", "input_schema": SCHEMA, "defer_loading": True} for i in range(n)],
    ),
    "tools deferred refs": lambda n: body(
        [
            user("x"),
            model(
                [
                    {"type": "server_tool_use", "id": "s", "name": "tool_search_tool_regex", "input": {"query": "f"}},
                    {
                        "type": "tool_search_tool_result",
                        "tool_use_id": "s",
                        "content": {
                            "type": "tool_search_tool_search_result",
                            "tool_references": [{"type": "tool_reference", "tool_name": f"f{i}"} for i in range(n)],
                        },
                    },
                ]
            ),
            user("x"),
        ],
        tools=[{"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}]
        + [{"name": f"f{i}", "input_schema": SCHEMA, "defer_loading": True} for i in range(n)],
    ),
    "tools refs results": lambda n: body(
        [
            m
            for i in range(n)
            for m in (
                user("x"),
                model([call(f"t{i}")]),
                user([result(f"t{i}", content=[{"type": "tool_reference", "tool_name": f"f{i}"}])]),
            )
        ],
        tools=[{"name": f"f{i}", "input_schema": SCHEMA, "defer_loading": True} for i in range(n)],
    ),
    "schema wide": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {
                    "type": "object",
                    "properties": {f"p{i}": {"type": "string"} for i in range(n)},
                    "required": [f"p{i}" for i in range(n)],
                },
                "strict": True,
            }
        ],
    ),
    "schema anyof": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {
                    "anyOf": [{"type": "object", "properties": {f"p{i}": {"type": "string"}}} for i in range(n)]
                },
            }
        ],
    ),
    "schema allof": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {
                    "allOf": [
                        {"type": "object", "properties": {f"p{i}": {"type": "string"}}, "required": [f"p{i}"]}
                        for i in range(n)
                    ]
                },
            }
        ],
    ),
    "schema anyof same": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {"anyOf": [{"type": "object", "properties": {"p": {"const": i}}} for i in range(n)]},
            }
        ],
    ),
    "schema refs": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {
                    "type": "object",
                    "properties": {f"p{i}": {"$ref": "#/$defs/x"} for i in range(n)},
                    "$defs": {"x": SCHEMA},
                },
            }
        ],
    ),
    "schema refs big": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {
                    "type": "object",
                    "properties": {f"p{i}": {"$ref": "#/$defs/x"} for i in range(n)},
                    "$defs": {"x": {"type": "object", "properties": {f"q{i}": {"type": "string"} for i in range(n)}}},
                },
            }
        ],
    ),
    "schema refs chain": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {
                    "type": "object",
                    "properties": {"a": {"$ref": "#/$defs/x0"}},
                    "$defs": {f"x{i}": {"$ref": f"#/$defs/x{i + 1}"} for i in range(n)} | {f"x{n}": SCHEMA},
                },
            }
        ],
    ),
    "schema refs double": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {
                    "type": "object",
                    "properties": {"a": {"$ref": "#/$defs/x0"}},
                    "$defs": {
                        f"x{i}": {
                            "type": "object",
                            "properties": {"l": {"$ref": f"#/$defs/x{i + 1}"}, "r": {"$ref": f"#/$defs/x{i + 1}"}},
                        }
                        for i in range(min(n, 25))
                    }
                    | {f"x{min(n, 25)}": SCHEMA},
                },
            }
        ],
    ),
    "schema enum": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {"type": "object", "properties": {"a": {"enum": [f"v{i}" for i in range(n)]}}},
            }
        ],
    ),
    "schema types": lambda n: body(
        [user("x")],
        tools=[
            {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": ["string", "null"] * n}}}}
        ],
    ),
    "schema deep": lambda n: body([user("x")], tools=[{"name": "f", "input_schema": nested(min(n, 200))}]),
    "schema pattern": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?<x>a)" * n}}},
            }
        ],
    ),
    "schema pattern2": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {"type": "object", "properties": {"a": {"type": "string", "pattern": "(" * n}}},
            }
        ],
    ),
    "schema pattern3": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {"type": "object", "properties": {"a": {"type": "string", "pattern": "[" * n}}},
            }
        ],
    ),
    "schema pattern4": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=" * n}}},
            }
        ],
    ),
    "schema pattern5": lambda n: body(
        [user("x")],
        tools=[
            {
                "name": "f",
                "input_schema": {"type": "object", "properties": {"a": {"type": "string", "pattern": "a{1" * n}}},
            }
        ],
    ),
    "output schema": lambda n: body(
        [user("x")],
        output_config={
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {f"p{i}": {"type": "string", "minLength": 3} for i in range(n)},
                },
            }
        },
    ),
    "stops": lambda n: body([user("x")], stop_sequences=[f"s{i}" for i in range(n)]),
    "meta": lambda n: body([user("x")], metadata={f"s{i}": 1 for i in range(n)}),
    "fields": lambda n: body([user("x")], **{f"s{i}": 1 for i in range(n)}),
    "thinking": lambda n: body(
        [user("x"), model([{"type": "thinking", "thinking": "t", "signature": "s"} for _ in range(n)])]
    ),
    "redacted": lambda n: body([user("x"), model([{"type": "redacted_thinking", "data": "s"} for _ in range(n)])]),
    "unknown parts": lambda n: body([user([{"type": f"zz{i}"} for i in range(n)])]),
    "images": lambda n: body(
        [
            user(
                [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
                    for i in range(n)
                ]
            )
        ]
    ),
    "docs": lambda n: body(
        [
            user(
                [
                    {
                        "type": "document",
                        "title": "t",
                        "source": {"type": "text", "media_type": "text/plain", "data": "d"},
                    }
                    for i in range(n)
                ]
            )
        ]
    ),
    "docs content": lambda n: body(
        [user([{"type": "document", "source": {"type": "content", "content": [text("x")] * n}}])]
    ),
    "search results": lambda n: body(
        [user([{"type": "search_result", "source": "s", "title": "t", "content": [text("x")]} for _ in range(n)])]
    ),
    "websearch": lambda n: body(
        [
            user("x"),
            model(
                [
                    x
                    for i in range(n)
                    for x in (
                        {"type": "server_tool_use", "id": f"b{i}", "name": "web_search", "input": {"query": "q"}},
                        {
                            "type": "web_search_tool_result",
                            "tool_use_id": f"b{i}",
                            "content": [
                                {"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "e"}
                            ],
                        },
                    )
                ]
            ),
        ]
    ),
    "servertool only": lambda n: body(
        [
            user("x"),
            model(
                [
                    {"type": "server_tool_use", "id": f"b{i}", "name": "web_search", "input": {"query": "q"}}
                    for i in range(n)
                ]
            ),
        ]
    ),
    "servertool other": lambda n: body(
        [
            user("x"),
            model(
                [
                    {"type": "server_tool_use", "id": f"b{i}", "name": "code_execution", "input": {"query": "q"}}
                    for i in range(n)
                ]
                + [{"type": "code_execution_tool_result", "tool_use_id": f"b{i}", "content": {}} for i in range(n)]
            ),
        ]
    ),
    "citations": lambda n: body(
        [
            user("x"),
            model(
                [
                    text("x")
                    | {
                        "citations": [
                            {
                                "type": "char_location",
                                "cited_text": "x",
                                "document_index": i,
                                "start_char_index": 0,
                                "end_char_index": 1,
                            }
                            for i in range(n)
                        ]
                    }
                ]
            ),
        ]
    ),
    "long text": lambda n: body([user('a"\\\n' * n * 20)]),
    "think tags": lambda n: body([user("x"), model("<think>" * n)]),
    "billing": lambda n: body([user("x")], system="x-anthropic-billing-header: " * n),
    "reminders": lambda n: body([user("<system-reminder>" * n)]),
    "edits": lambda n: body(
        [user("x")], context_management={"edits": [{"type": "clear_tool_uses_20250919"} for _ in range(n)]}
    ),
    "compactions": lambda n: body(
        [m for _ in range(n) for m in (user("x"), model([{"type": "compaction", "content": "c"}]))]
    ),
    "tool changes": lambda n: body(
        [
            m
            for i in range(n)
            for m in (
                user("x"),
                {
                    "role": "system",
                    "content": [{"type": "tool_addition", "tool": {"type": "tool_reference", "name": f"f{i}"}}],
                },
                model("y"),
            )
        ],
        tools=[{"name": f"f{i}", "input_schema": SCHEMA, "defer_loading": True} for i in range(n)],
    ),
    "mcp": lambda n: body(
        [user("x")],
        mcp_servers=[{"type": "url", "url": "http://x", "name": f"n{i}"} for i in range(n)],
        tools=[{"type": "mcp_toolset", "mcp_server_name": f"n{i}"} for i in range(n)],
    ),
}
