"""Tools and reply formats through the whole crossing: reports, descriptions, histories, strictness, the way back."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from translate import pair
from translate.schemas import offer
from translate.target import Asked, Encoded, Policy, Protocol, Target

Json = dict[str, Any]
S: Json = {"type": "string"}
ASK: dict[str, Json] = {
    "messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
    "chat": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    "responses": {"model": "m", "input": "x"},
}
CROSSINGS: list[tuple[Protocol, Protocol]] = [
    ("messages", "chat"), ("messages", "responses"), ("chat", "messages"), ("chat", "responses"),
    ("responses", "messages"), ("responses", "chat"),
]  # fmt: skip


def closed(**properties: Any) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def tool(client: Protocol, schema: Json, strict: bool | None = None) -> Json:
    said = {} if strict is None else {"strict": strict}
    if client == "messages":
        return {"name": "f", "description": "d", "input_schema": schema} | said
    function = {"name": "f", "description": "d", "parameters": schema} | said
    return {"type": "function", "function": function} if client == "chat" else {"type": "function"} | function


def format(client: Protocol, schema: Json, strict: bool | None = None) -> Json:
    said = {} if strict is None else {"strict": strict}
    if client == "messages":
        return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    if client == "chat":
        return {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema} | said}}
    return {"text": {"format": {"type": "json_schema", "name": "n", "schema": schema} | said}}


def crossed(client: Protocol, upstream: Protocol, more: Json, model: str = "m", **policy: Any) -> Encoded:
    body = ASK[client] | more
    before = copy.deepcopy(body)
    encoded = pair.request(client, upstream, body, Target(model, Policy(**policy)))
    assert body == before
    return encoded


def sent(encoded: Encoded) -> Json:
    written: Json = encoded.body["tools"][0]  # type: ignore[index]
    function = written.get("function", written)
    return {"schema": function.get("parameters", function.get("input_schema"))} | function


@pytest.mark.parametrize(("client", "upstream"), CROSSINGS)
def test_what_is_left_out_of_tools_is_told_and_described(client: Protocol, upstream: Protocol) -> None:
    schema = {"type": "object", "properties": {"a": S | {"pattern": r"^\p{L}+$"}, "b": {"type": "foo"}}}
    encoded = crossed(client, upstream, {"tools": [tool(client, schema)]})
    word = "tools.input_schema" if client == "messages" else "tools.parameters"
    properties = sent(encoded)["schema"]["properties"]
    assert properties["b"] == {"description": '{type: "foo"}'}
    if upstream == "messages":
        assert encoded.dropped == [f"{word}.type"] and properties["a"] == schema["properties"]["a"]  # type: ignore[index]
    else:
        assert encoded.dropped == [f"{word}.pattern", f"{word}.type"]
        assert properties["a"] == {"type": "string", "description": r'{pattern: "^\\p{L}+$"}'}


@pytest.mark.parametrize(("client", "upstream"), CROSSINGS)
def test_a_choice_at_the_root_is_described(client: Protocol, upstream: Protocol) -> None:
    options = [{"type": "object", "properties": {n: S}, "required": [n]} for n in ("path", "url")]
    encoded = crossed(client, upstream, {"tools": [tool(client, {"anyOf": options})]})
    written = sent(encoded)
    assert written["schema"] == {"type": "object", "properties": {"path": S, "url": S}}
    assert written["description"].startswith("d\n\n{anyOf: ") and '"required":["url"]' in written["description"]
    assert encoded.dropped[0].endswith(".anyOf")


@pytest.mark.parametrize(("client", "upstream"), CROSSINGS)
def test_strict_where_it_can_be(client: Protocol, upstream: Protocol) -> None:
    good = crossed(client, upstream, {"tools": [tool(client, closed(a=S), True)]})
    assert sent(good)["strict"] is True and good.dropped == []
    optional = closed(a=S) | {"required": []}
    part = crossed(client, upstream, {"tools": [tool(client, optional, True)]})
    assert sent(part).get("strict") is (True if upstream == "messages" else False if upstream == "responses" else None)
    assert part.dropped == ([] if upstream == "messages" else ["tools.strict"])
    open_map = closed(a={"type": "object", "additionalProperties": S})
    never = crossed(client, upstream, {"tools": [tool(client, open_map, True)]})
    assert not sent(never).get("strict") and never.dropped == ["tools.strict"] and sent(never)["schema"] == open_map


def several(schema: Json, many: int) -> list[Json]:
    return [
        {"type": "function", "function": tool("chat", schema, True)["function"] | {"name": f"f{i}"}}
        for i in range(many)
    ]


def test_anthropic_counts_strict_schemas() -> None:
    many = several(closed(a=S), 25)
    encoded = crossed("chat", "messages", {"tools": many})
    assert [each.get("strict") for each in encoded.body["tools"]] == [True] * 20 + [None] * 5  # type: ignore[attr-defined]
    assert encoded.dropped == ["tools.strict"]
    optional = closed(**{f"a{i}": S for i in range(15)}) | {"required": []}
    encoded = crossed("chat", "messages", {"tools": several(optional, 2)})
    assert [each.get("strict") for each in encoded.body["tools"]] == [True, None]  # type: ignore[attr-defined]


BOUNDS = closed(age={"type": "integer", "minimum": 0}, tags={"type": "array", "items": S, "maxItems": 5})


@pytest.mark.parametrize("client", ["chat", "responses"])
@pytest.mark.parametrize("strict", [True, False, None])
def test_formats_for_anthropic(client: Protocol, strict: bool | None) -> None:
    encoded = crossed(client, "messages", format(client, BOUNDS, strict))
    schema = encoded.body["output_config"]["format"]["schema"]  # type: ignore[index]
    assert schema["properties"]["age"] == {"type": "integer", "description": "{minimum: 0}"}
    word = "response_format" if client == "chat" else "text.format"
    assert encoded.dropped == [f"{word}.maxItems", f"{word}.minimum"]
    loose = {"type": "object", "properties": {"a": S}}
    encoded = crossed(client, "messages", format(client, loose, strict))
    assert encoded.body["output_config"]["format"]["schema"] == loose | {"additionalProperties": False}  # type: ignore[index]


@pytest.mark.parametrize("client", ["chat", "responses"])
@pytest.mark.parametrize(
    "schema",
    [closed(m={"type": "object", "additionalProperties": S}), {"type": "object"}, closed(a={}), closed(n={"$ref": "#"}),
     {"type": "array", "items": {}}],
)  # fmt: skip
def test_formats_that_anthropic_cannot_say_go_as_a_tool(client: Protocol, schema: Json) -> None:
    encoded = crossed(client, "messages", format(client, schema))
    assert "output_config" not in encoded.body and encoded.answer_tool == "final_answer"
    assert encoded.body["tool_choice"] == {"type": "any"} and encoded.dropped == []
    reply = {"id": "1", "type": "message", "role": "assistant", "model": "x", "stop_reason": "tool_use", "content": [
        {"type": "tool_use", "id": "t", "name": "final_answer", "input": {"value": [1]}}], "usage": {}}  # fmt: skip
    asked = Asked("m", answer_tool=encoded.answer_tool, reshaped=encoded.reshaped)
    said = pair.Crossing(client, "messages", asked).whole(json.dumps(reply).encode()).decode()
    assert ('{\\"value\\":[1]}' in said) is (schema.get("type") == "object")  # else it is unwrapped


OLD = [
    "claude-3-5-haiku-20241022", "claude-3-7-sonnet-latest", "claude-sonnet-4-20250514", "claude-opus-4-0",
    "claude-sonnet-4", "claude-opus-4@20250514", "us.anthropic.claude-sonnet-4-20250514-v1:0",
    "anthropic/claude-3-opus",
]  # fmt: skip
NEW = [
    "claude-opus-4-1-20250805", "claude-sonnet-4-5", "claude-haiku-4-5@20251001", "claude-opus-4-7", "claude-opus-5-5",
    "claude-opus-4.1", "anthropic.claude-sonnet-4-6", "claude-sonnet-10", "glm-4.6", "m",
]  # fmt: skip


@pytest.mark.parametrize("client", ["chat", "responses"])
@pytest.mark.parametrize(("models", "as_tool"), [(OLD, True), (NEW, False)])
def test_models_that_have_no_formats_get_a_tool(client: Protocol, models: list[str], as_tool: bool) -> None:
    for model in models:
        encoded = crossed(client, "messages", format(client, closed(a=S)), model)
        assert ("output_config" in encoded.body) is not as_tool, model
        assert encoded.answer_tool == ("final_answer" if as_tool else "") and encoded.dropped == [], model


def test_a_format_beside_a_tool_that_must_be_called() -> None:
    more = format("chat", {"type": "object"}) | {"tools": [tool("chat", closed())], "tool_choice": "required"}
    encoded = crossed("chat", "messages", more)
    assert encoded.answer_tool == "" and encoded.dropped == ["response_format"]


STRICT: list[tuple[Json, bool | None, bool]] = [
    (closed(a=S), None, True), (closed(a=S), True, True), (closed(a=S), False, False),
    (closed(a=S) | {"required": []}, None, False), (closed(a=S) | {"required": []}, True, False),
    (closed(a=S | {"format": "uri"}), None, False), (closed(a=S | {"format": "uri"}), True, True),
    (closed(a=S | {"minLength": 1}), None, True),
    ({"type": "object", "properties": {}}, None, False), (closed(a={}), None, False),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "strict", "wanted"), STRICT)
@pytest.mark.parametrize(("client", "upstream"), [("chat", "responses"), ("responses", "chat")])
def test_formats_are_strict_where_they_can_be(
    client: Protocol, upstream: Protocol, schema: Json, strict: bool | None, wanted: bool
) -> None:
    encoded = crossed(client, upstream, format(client, schema, strict))
    text = encoded.body.get("text") or {"format": encoded.body["response_format"]["json_schema"]}  # type: ignore[index]
    assert text["format"]["strict"] is wanted  # type: ignore[index]
    word = "response_format" if client == "chat" else "text.format"
    assert (f"{word}.strict" in encoded.dropped) is (strict is True and not wanted)


@pytest.mark.parametrize("upstream", ["chat", "responses"])
def test_a_format_that_is_no_object_is_wrapped(upstream: Protocol) -> None:
    encoded = crossed("messages", upstream, format("messages", {"type": "array", "items": S}))
    text = encoded.body.get("text") or {"format": encoded.body["response_format"]["json_schema"]}  # type: ignore[index]
    assert text["format"]["schema"] == closed(value={"type": "array", "items": S})  # type: ignore[index]
    assert text["format"]["strict"] is True and encoded.dropped == []  # type: ignore[index]
    asked = Asked("m", reshaped=encoded.reshaped)
    if upstream == "chat":
        reply = {"choices": [{"index": 0, "message": {"content": '{"value":["a"]}'}, "finish_reason": "stop"}]}
        body = json.loads(pair.Crossing("messages", "chat", asked).whole(json.dumps(reply).encode()))
        assert body["content"] == [{"type": "text", "text": '["a"]'}]


def test_the_dialect_goes_by_protocol_model_and_setting() -> None:
    properties = {"$a": S | {"pattern": r"^\d$", "default": "1"}}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    tools = {"tools": [tool("messages", schema)]}

    def names(model: str, **policy: Any) -> Json:
        return dict(sent(crossed("messages", "chat", tools, model, **policy))["schema"]["properties"])

    assert names("gpt-5") == schema["properties"]
    assert "$a" not in names("anthropic/claude-opus-5")
    assert "default" not in names("google/gemini-3-pro")["$a"]
    assert names("google/gemini-3-pro", tool_schema="openai") == schema["properties"]
    assert "pattern" not in names("qwen", tool_schema="grammar")["$a"]
    home = ASK["chat"] | {"tools": [tool("chat", schema)]}
    kept = pair.request("chat", "chat", home, Target("gemini-3"))
    assert kept.body["tools"] == home["tools"] and kept.dropped == []
    fit = pair.request("chat", "chat", home, Target("m", Policy(tool_schema="grammar")))
    assert fit.dropped == ["tools.parameters.pattern"]


def test_names_cross_in_histories_and_come_back() -> None:
    items = {"type": "array", "items": {"properties": {"@id": S}}}
    schema = {"type": "object", "properties": {"$filter": S, "list": items}}
    args = {"$filter": "x", "list": [{"@id": "1"}], "free": {"$filter": 1}}
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps(args)}},
             {"id": "d", "type": "function", "function": {"name": "f", "arguments": ""}},
             {"id": "e", "type": "function", "function": {"name": "f", "arguments": '{"$fil'}},
             {"id": "g", "type": "function", "function": {"name": "other", "arguments": '{"$filter": 1}'}}]  # fmt: skip
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "r"} for call in calls]
    history = [*ASK["chat"]["messages"], {"role": "assistant", "content": None, "tool_calls": calls}, *results]
    encoded = crossed("chat", "messages", {"messages": history, "tools": [tool("chat", schema)]})
    shape = encoded.reshaped["", "f"]
    new = {given: name for name, given in shape.names.items()}
    inputs = [block["input"] for block in encoded.body["messages"][1]["content"]]  # type: ignore[index]
    assert inputs[0] == {new["$filter"]: "x", "list": [{new["@id"]: "1"}], "free": {new["$filter"]: 1}}
    assert inputs[1:] == [{}, {"_raw": '{"$fil'}, {"$filter": 1}]
    block = {"type": "tool_use", "id": "t", "name": "f", "input": inputs[0]}
    reply = {"type": "message", "content": [block], "stop_reason": "tool_use", "usage": {"input_tokens": 1}}
    asked = Asked("m", reshaped=encoded.reshaped)
    whole = json.loads(pair.Crossing("chat", "messages", asked).whole(json.dumps(reply).encode()))
    assert json.loads(whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]) == args


def test_a_wrapped_tool_in_a_history() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "[1]"}}
    history = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    history += [{"role": "tool", "tool_call_id": "c", "content": "r"}]
    more = {"messages": ASK["chat"]["messages"] + history, "tools": [tool("chat", {"type": "array", "items": {}})]}
    encoded = crossed("chat", "messages", more)
    assert encoded.body["messages"][1]["content"][0]["input"] == {"value": [1]}  # type: ignore[index]


def test_memory_is_bounded_and_tells_apart_what_python_does_not() -> None:
    for value in (1, True, 1.0):
        odd = {"properties": {"a": {"enum": [value, "x"]}}}
        encoded = crossed("messages", "chat", {"tools": [tool("messages", odd)]})
        assert str(sent(encoded)["schema"]["properties"]["a"]["enum"][0]) == str(value)
    memory = offer._MEMORY
    for i in range(40):
        long = {"type": "object", "properties": {"a": S | {"description": f"{i}" * 100_000}}}
        crossed("messages", "chat", {"tools": [tool("messages", long)]})
    assert memory.size <= offer.MAX_REMEMBERED and memory.known
    assert memory.size == sum(len(key[0]) for key in memory.known) and "schemas" in repr(memory)
    count = len(memory.known)
    huge = {"type": "object", "properties": {"a": S | {"description": "x" * offer.MAX_EACH}}}
    crossed("messages", "chat", {"tools": [tool("messages", huge)]})
    assert len(memory.known) == count
