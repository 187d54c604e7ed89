"""Lessons 24 to 26: tools that the provider runs, tools that take free text, and schemas that a server can read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lessons.street import (
    ASKS,
    CROSSINGS,
    PATHS,
    Json,
    Reply,
    Street,
    completion,
    function,
    message,
    okay,
    response,
    responses,
    said,
)
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream
from tests.support.streams import ROLE, START, STOP, chat, chunk, ending, first_call, messages, tool

STREAM = [True, False]
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "integer"}}}
USER: Json = {"role": "user", "content": "go"}


def ask(street: Street, lane: Any, body: Json, answer: Any = None, more: str = "", **options: Any) -> Reply:
    client, upstream = lane
    stream = options.pop("stream", False)
    given = okay(upstream, stream) if answer is None else answer
    return street.ask(client, upstream, ASKS[client] | {"stream": stream} | body, given, more, **options)


def plain_tool(client: str, name: str = "look", schema: Json = SCHEMA) -> Json:
    if client == "messages":
        return {"name": name, "input_schema": schema}
    if client == "chat":
        return {"type": "function", "function": {"name": name, "parameters": schema}}
    return {"type": "function", "name": name, "parameters": schema, "strict": False}


def kinds(sent: Json) -> list[str]:
    return [tool.get("type", "custom") for tool in sent.get("tools", [])]


# --------------------------------------------------------------------------------------- 24: server tools

SERVER_TOOLS: dict[str, list[Json]] = {
    "messages": [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        {"type": "web_fetch_20250910", "name": "web_fetch"},
        {"type": "code_execution_20250825", "name": "code_execution"},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
        {"type": "memory_20250818", "name": "memory"},
        {"type": "unheard_of_20300101", "name": "unheard_of"},
    ],
    "chat": [{"type": "web_search"}, {"type": "unheard_of", "unheard_of": {}}],
    "responses": [
        {"type": "web_search"},
        {"type": "web_search_preview"},
        {"type": "file_search", "vector_store_ids": ["vs_1"]},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "mcp", "server_label": "x", "server_url": "https://x.example"},
        {"type": "image_generation"},
        {"type": "local_shell"},
        {"type": "shell"},
        {"type": "apply_patch"},
        {"type": "computer_use_preview", "display_width": 8, "display_height": 8, "environment": "linux"},
        {"type": "unheard_of"},
    ],
}
RUN_BY_CLIENTS = {
    "bash_20250124", "text_editor_20250728", "memory_20250818", "local_shell", "shell", "apply_patch",
    "computer_use_preview",
}  # fmt: skip
TOOL_LANES = [(*lane, tool) for lane in CROSSINGS for tool in SERVER_TOOLS[lane[0]]]


def searches(kind: str) -> bool:
    return kind.startswith("web_search")


@pytest.mark.parametrize(("client", "upstream", "tool"), TOOL_LANES)
@pytest.mark.parametrize("stream", STREAM)
def test_24_a_server_tool_is_mapped_or_told(
    street: Street, client: Any, upstream: Any, tool: Json, stream: bool
) -> None:
    """And the tools that the client runs are there all the same; so are those of its provider, as functions."""
    body = {"tools": [tool, plain_tool(client)]}
    reply = ask(street, (client, upstream), body, stream=stream)
    assert reply.said()["text"] == "ok"
    others = [kind for kind in kinds(reply.sent) if kind not in ("function", "custom")]
    told = f"tools.{tool['type']}" in reply.dropped
    own = tool["type"] in RUN_BY_CLIENTS
    assert told != (bool(others) or own), (reply.sent["tools"], reply.dropped)
    if others:
        assert searches(tool["type"]) and [searches(kind) for kind in others] == [True] and upstream != "chat"
    assert "look" in json.dumps(reply.sent["tools"]) and len(reply.sent["tools"]) == (2 if others or own else 1)


@pytest.mark.parametrize(("client", "upstream", "tool"), TOOL_LANES)
def test_24_alone_and_forced_it_leaves_no_empty_list_behind(
    street: Street, client: Any, upstream: Any, tool: Json
) -> None:
    choice = {"messages": {"type": "any"}, "chat": "required", "responses": "required"}[client]
    reply = ask(street, (client, upstream), {"tools": [tool], "tool_choice": choice})
    if f"tools.{tool['type']}" in reply.dropped:
        assert "tools" not in reply.sent and "tool_choice" not in reply.sent and "tool_choice" in reply.dropped
    else:
        assert len(reply.sent["tools"]) == 1


def test_24_strict_refuses_by_name() -> None:
    with Upstream([Answer.json({})]) as up:
        for client, upstream in CROSSINGS:
            if client == "chat":
                continue
            with House(one_upstream(up.url, upstream) + "[translate]\nstrict = true\n") as house:
                tool = {"messages": SERVER_TOOLS["messages"][2], "responses": SERVER_TOOLS["responses"][2]}[client]
                status, _, raw = house.post(PATHS[client], ASKS[client] | {"tools": [tool]})
                assert status == 400 and tool["type"] in json.loads(raw)["error"]["message"]
        assert up.requests == []


FOUND = {"type": "web_search_result", "url": "https://a.example", "title": "A title", "encrypted_content": "x"}
SEARCHED: list[Json] = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "a query"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [FOUND]},
]


@pytest.mark.parametrize("upstream", ["chat", "responses"])
def test_24_what_a_search_found_is_not_lost_from_the_history(street: Street, upstream: Any) -> None:
    assistant = {"role": "assistant", "content": [*SEARCHED, {"type": "text", "text": "so it is"}]}
    reply = ask(street, ("messages", upstream), {"messages": [USER, assistant, USER]})
    said_ = json.dumps(reply.sent)
    assert "so it is" in said_ and ("a.example" in said_ or "a query" in said_ or "server_tool_use" in reply.dropped)


@pytest.mark.parametrize("client", ["chat", "responses"])
@pytest.mark.parametrize("stream", STREAM)
def test_24_a_reply_with_server_tools_says_what_it_says(street: Street, client: Any, stream: bool) -> None:
    whole = message(*SEARCHED, {"type": "text", "text": "so it is"})
    events = [START]
    for index, block in enumerate(SEARCHED):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}})
    delta = {"type": "text_delta", "text": "so it is"}
    events.append({"type": "content_block_delta", "index": 2, "delta": delta})
    streamed = messages(*events, {"type": "content_block_stop", "index": 2}, ending(), STOP)
    reply = ask(street, (client, "messages"), {}, streamed if stream else whole, stream=stream)
    assert "so it is" in reply.said()["text"] and reply.said()["calls"] == []


SEARCH_CALL: Json = {
    "type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "a query"},
}  # fmt: skip


@pytest.mark.parametrize("client", ["messages", "chat"])
@pytest.mark.parametrize("stream", STREAM)
def test_24_the_same_of_a_responses_upstream(street: Street, client: Any, stream: bool) -> None:
    items = SEARCH_CALL, said("so it is")
    answer: Any = responses(*items) if stream else response(*items)
    reply = ask(street, (client, "responses"), {}, answer, stream=stream)
    assert "so it is" in reply.said()["text"] and reply.said()["calls"] == []


def test_24_searches_of_a_codex_history(street: Street) -> None:
    for upstream in ("messages", "chat"):
        items = [{"role": "user", "content": "go"}, SEARCH_CALL, said("so it is"), {"role": "user", "content": "on"}]
        reply = ask(street, ("responses", upstream), {"input": items})
        assert "so it is" in json.dumps(reply.sent)
        assert "a query" in json.dumps(reply.sent) or [n for n in reply.dropped if "web_search_call" in n]


def test_24_web_search_options_are_told(street: Street) -> None:
    for upstream in ("messages", "responses"):
        reply = ask(street, ("chat", upstream), {"web_search_options": {}})
        assert "web_search_options" in reply.dropped or searches("".join(kinds(reply.sent)))


# ------------------------------------------------------------------------------- 25: custom, free-form tools

GRAMMAR = 'start: "*** Begin Patch" LF'
PATCH = '*** Begin Patch\n*** Update File: "a\\b".py\n-é\n+\t🚀\n*** End Patch\n'
APPLY_PATCH: dict[str, Json] = {
    "responses": {
        "type": "custom",
        "name": "apply_patch",
        "description": "Edits files.",
        "format": {"type": "grammar", "syntax": "lark", "definition": GRAMMAR},
    },
    "chat": {
        "type": "custom",
        "custom": {
            "name": "apply_patch",
            "description": "Edits files.",
            "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": GRAMMAR}},
        },
    },
}
BRIDGED = [("responses", "messages"), ("responses", "chat"), ("chat", "messages")]


def call_of(upstream: str, arguments: str, stream: bool, cuts: int = 1) -> Any:
    """A reply that calls apply_patch, its arguments in pieces of `cuts` characters."""
    pieces = [arguments[i : i + cuts] for i in range(0, len(arguments), cuts)]
    if upstream == "messages":
        if not stream:
            use = {"type": "tool_use", "id": "t1", "name": "apply_patch", "input": json.loads(arguments)}
            return message(use, stop="tool_use")
        first, _, last = tool(0, "", "t1", "apply_patch")
        inner = {"type": "input_json_delta"}
        deltas = [{"type": "content_block_delta", "index": 0, "delta": inner | {"partial_json": p}} for p in pieces]
        return messages(START, first, *deltas, last, ending("tool_use"), STOP)
    if not stream:
        return completion({"tool_calls": [function("apply_patch", arguments, "t1")]}, "tool_calls")
    rest = [chunk({"tool_calls": [{"index": 0, "function": {"arguments": p}}]}) for p in pieces]
    return chat(ROLE, chunk(first_call(0, "", "t1", "apply_patch")), *rest, chunk(finish="tool_calls"))


@pytest.mark.parametrize("lane", BRIDGED)
@pytest.mark.parametrize("stream", STREAM)
@pytest.mark.parametrize("cuts", [1, 7, 10_000])
def test_25_free_text_goes_as_a_function_and_comes_back_as_text(
    street: Street, lane: Any, stream: bool, cuts: int
) -> None:
    client, upstream = lane
    arguments = json.dumps({"input": PATCH})
    body = {"tools": [APPLY_PATCH[client], plain_tool(client)]}
    reply = ask(street, lane, body, call_of(upstream, arguments, stream, cuts), stream=stream)
    declared = reply.sent["tools"][0]
    declared = declared if upstream == "messages" else declared["function"]
    schema = declared["input_schema" if upstream == "messages" else "parameters"]
    assert declared["name"] == "apply_patch" and GRAMMAR in declared["description"]
    assert schema["required"] == ["input"] and schema["properties"] == {"input": {"type": "string"}}
    if client == "responses":
        assert reply.said()["calls"] == [("t1", "apply_patch", PATCH)]
        assert [item["type"] for item in reply.read()["output"]] == ["custom_tool_call"]
    else:
        (call,) = json.loads(reply.raw)["choices"][0]["message"]["tool_calls"] if not stream else [_streamed(reply)]
        assert call["type"] == "custom" and call["custom"] == {"name": "apply_patch", "input": PATCH}


def _streamed(reply: Reply) -> Json:
    """The custom call that a Chat stream adds up to; the SDK's helper knows functions alone."""
    call: Json = {"custom": {"name": "", "input": ""}}
    for line in reply.raw.split(b"\n"):
        if line.startswith(b"data: {"):
            for delta in json.loads(line[6:])["choices"][0]["delta"].get("tool_calls", []):
                call["type"] = delta.get("type", call.get("type"))
                for key in ("name", "input"):
                    call["custom"][key] += (delta.get("custom") or {}).get(key) or ""
    return call


@pytest.mark.parametrize("lane", BRIDGED)
def test_25_the_history_and_the_choice_say_the_same(street: Street, lane: Any) -> None:
    client, upstream = lane
    if client == "responses":
        history: Any = [
            {"role": "user", "content": "go"},
            {"type": "custom_tool_call", "call_id": "t1", "name": "apply_patch", "input": PATCH},
            {"type": "custom_tool_call_output", "call_id": "t1", "output": "done"},
        ]
        body = {"input": history, "tool_choice": {"type": "custom", "name": "apply_patch"}}
    else:
        call = {"id": "t1", "type": "custom", "custom": {"name": "apply_patch", "input": PATCH}}
        history = [USER, {"role": "assistant", "content": None, "tool_calls": [call]}]
        history.append({"role": "tool", "tool_call_id": "t1", "content": "done"})
        body = {"messages": history, "tool_choice": {"type": "custom", "custom": {"name": "apply_patch"}}}
    sent = ask(street, lane, body | {"tools": [APPLY_PATCH[client]]}).sent
    if upstream == "messages":
        use = next(block for m in sent["messages"] for block in m["content"] if block["type"] == "tool_use")
        assert use["input"] == {"input": PATCH} and sent["tool_choice"]["name"] == "apply_patch"
    else:
        made = sent["messages"][1]["tool_calls"][0]["function"]
        assert json.loads(made["arguments"]) == {"input": PATCH} and made["name"] == "apply_patch"
        assert sent["tool_choice"]["function"]["name"] == "apply_patch"
    assert "done" in json.dumps(sent["messages"][-1])


@pytest.mark.parametrize("stream", STREAM)
def test_25_a_chat_clients_stays_free_towards_responses(street: Street, stream: bool) -> None:
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "t1", "name": "apply_patch", "input": PATCH,
            "status": "completed"}  # fmt: skip
    answer: Any = responses(item) if stream else response(item)
    reply = ask(street, ("chat", "responses"), {"tools": [APPLY_PATCH["chat"]]}, answer, stream=stream)
    assert reply.sent["tools"][0] == APPLY_PATCH["responses"]
    call = _streamed(reply) if stream else reply.json["choices"][0]["message"]["tool_calls"][0]
    assert call["type"] == "custom" and call["custom"] == {"name": "apply_patch", "input": PATCH}


@pytest.mark.parametrize("stream", STREAM)
def test_25_a_messages_client_gets_an_object(street: Street, stream: bool) -> None:
    """It cannot have declared a custom tool; should a model call one, the text is kept."""
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "t1", "name": "apply_patch", "input": PATCH,
            "status": "completed"}  # fmt: skip
    answer: Any = responses(item) if stream else response(item)
    said_ = ask(street, ("messages", "responses"), {}, answer, stream=stream).said()
    assert said_["calls"] == [("t1", "apply_patch", {"input": PATCH})] and said_["stop"] == "tool_use"


@pytest.mark.parametrize("upstream", ["messages", "chat"])
@pytest.mark.parametrize("stream", STREAM)
def test_25_namespaces_come_back_apart(street: Street, upstream: Any, stream: bool) -> None:
    space = {"type": "namespace", "name": "multi_agent_v1", "description": "Agents."}
    spawn = {"type": "function", "name": "spawn", "parameters": SCHEMA, "strict": False}
    body = {"tools": [space | {"tools": [spawn]}, plain_tool("responses")]}
    sent = ask(street, ("responses", upstream), body).sent["tools"]
    names = [t["name"] if upstream == "messages" else t["function"]["name"] for t in sent]
    assert names == ["multi_agent_v1__spawn", "look"]
    answer = call_of(upstream, '{"a": 1}', stream)
    raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    raw = raw.replace(b"apply_patch", b"multi_agent_v1__spawn")
    back: Any = raw if stream else json.loads(raw)
    said_ = ask(street, ("responses", upstream), body, back, stream=stream).said()
    assert said_["calls"] == [("t1", "multi_agent_v1/spawn", {"a": 1})]


# ----------------------------------------------------------------------------------------- 26: Gemini schemas

KEYWORDS = ("default", "$ref", "additionalProperties", "type", "const", "oneOf", "properties", "enum", "$schema")
FULL: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **{name: {"type": "string", "default": "x", "examples": ["y"]} for name in KEYWORDS},
        "inner": {
            "type": "object",
            "properties": {"not": {"$ref": "#/$defs/Count"}, "allOf": {"type": ["string", "null"]}},
            "required": ["not"],
            "patternProperties": {"^x": {}},
        },
        "list": {"type": "array", "items": {"type": "object", "properties": {"if": {"const": "a"}}}},
    },
    "required": ["default", "$ref"],
    "$defs": {"Count": {"type": "integer", "exclusiveMinimum": 0}},
}
GEMINI = "tool_schema = gemini\n"


def keywords(schema: Any) -> set[str]:
    """All keywords of a schema; names of properties are none."""
    if not isinstance(schema, dict):
        return set()
    out = set(schema)
    for inner in schema.get("properties", {}).values():
        out |= keywords(inner)
    for key in ("items", *schema):
        value = schema.get(key)
        if key != "properties":
            for inner in value if isinstance(value, list) else [value]:
                out |= keywords(inner)
    return out


@pytest.mark.parametrize("lane", [lane for lane in CROSSINGS if lane[1] != "messages"])
@pytest.mark.parametrize("stream", STREAM)
def test_26_schemas_are_cut_and_names_stay(street: Street, lane: Any, stream: bool) -> None:
    client, upstream = lane
    body = {"tools": [plain_tool(client, schema=FULL)]}
    sent = ask(street, lane, body, more=GEMINI, stream=stream, valid=False).sent["tools"][0]
    schema = (sent["function"] if upstream == "chat" else sent)["parameters"]
    assert set(schema["properties"]) == set(FULL["properties"])
    assert set(schema["properties"]["inner"]["properties"]) == {"not", "allOf"}
    assert schema["properties"]["inner"]["required"] == ["not"] and set(schema["required"]) == {"default", "$ref"}
    assert schema["properties"]["inner"]["properties"]["not"]["type"] == "integer"
    assert schema["properties"]["list"]["items"]["properties"]["if"]["enum"] == ["a"]
    bad = {"default", "$ref", "additionalProperties", "const", "oneOf", "$schema", "$defs", "examples",
           "patternProperties", "exclusiveMinimum", "allOf", "not", "if"}  # fmt: skip
    assert not keywords(schema) & bad
    whole = ask(street, lane, body, stream=stream, valid=False).sent["tools"][0]
    assert (whole["function"] if upstream == "chat" else whole)["parameters"] == FULL  # others get it as it is


@pytest.mark.parametrize("client", ["messages", "responses"])
def test_26_the_schema_of_an_answer_too(street: Street, client: Any) -> None:
    if client == "messages":
        body: Json = {"output_config": {"format": {"type": "json_schema", "schema": FULL}}}
    else:
        body = {"text": {"format": {"type": "json_schema", "name": "x", "schema": FULL}}}
    sent = ask(street, (client, "chat"), body, more=GEMINI, valid=False).sent["response_format"]["json_schema"]
    assert "$defs" not in sent["schema"] and set(sent["schema"]["properties"]) == set(FULL["properties"])


def test_26_calls_of_other_tools_still_come_back(street: Street) -> None:
    body = {"tools": [plain_tool("responses", schema=FULL)]}
    answer = completion({"tool_calls": [function("look")]}, "tool_calls")
    assert ask(street, ("responses", "chat"), body, answer, GEMINI).said()["calls"] == [("call_1", "look", {})]
