"""Field policies on the translation alone: nested fields, images at any depth, and the client's body left as it is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from msgspec import structs

from translate import pair
from translate.fields import fit
from translate.messages.ledger import LEDGER
from translate.target import Encoded, Policy, Protocol, Target

IMAGE = {"type": "image", "source": {"type": "url", "url": "http://x/a.png"}}
URL = {"type": "image_url", "image_url": {"url": "http://x/a.png"}}
INPUT = {"type": "input_image", "image_url": "http://x/a.png", "detail": "auto"}
SCHEMA = {"type": "object", "additionalProperties": False, "properties": {"a": {"const": "x"}}}


def crossed(client: Protocol, upstream: Protocol, body: dict[str, Any], **policy: Any) -> Encoded:
    before = copy.deepcopy(body)
    encoded = pair.request(client, upstream, body, Target("m", Policy(**policy)))
    assert body == before
    return encoded


def test_a_nested_field_is_left_out_alone() -> None:
    ask = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
           "thinking": {"type": "enabled", "budget_tokens": 2048}}  # fmt: skip
    out = crossed("messages", "responses", ask, drop=("reasoning.summary",))
    assert out.body["reasoning"] == {"effort": "low"} and out.dropped == []
    out = crossed("messages", "responses", ask, drop=("reasoning.summary", "reasoning.effort"))
    assert "reasoning" not in out.body and out.dropped == ["thinking"]
    out = crossed("messages", "responses", ask, drop=("reasoning.gone", "gone.effort", "input.x"))
    assert out.body["reasoning"] == {"effort": "low", "summary": "auto"} and out.dropped == []


def test_a_section_of_the_clients_own_is_not_changed_in_its_body() -> None:
    ask = {"model": "m", "input": "x", "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}}
    out = crossed("responses", "chat", ask, drop=("response_format.json_schema",))
    assert out.body["response_format"] == {"type": "json_schema"} and out.dropped == []
    ask = {"model": "m", "messages": [{"role": "user", "content": "x"}], "metadata": {"a": "b", "c": "d"}}
    out = crossed("chat", "responses", ask, drop=("metadata.a",))
    assert out.body["metadata"] == {"c": "d"}


@pytest.mark.parametrize(
    ("client", "upstream", "content", "word"),
    [("messages", "responses", IMAGE, "image"), ("chat", "messages", URL, "image_url"),
     ("responses", "chat", INPUT, "input_image")],
)  # fmt: skip
def test_images_become_a_note_at_any_depth(client: Protocol, upstream: Protocol, content: Any, word: str) -> None:
    message = {"role": "user", "content": [content]}
    ask: dict[str, Any] = {"model": "m", "max_tokens": 9} if client == "messages" else {"model": "m"}
    ask["input" if client == "responses" else "messages"] = [message]
    out = crossed(client, upstream, ask, images=False)
    assert fit.NO_IMAGES in str(out.body) and "a.png" not in str(out.body) and out.dropped == [word]
    assert "a.png" in str(crossed(client, upstream, ask, images=True).body)


def test_an_image_within_a_document() -> None:
    document = {"type": "document", "source": {"type": "content", "content": [IMAGE, {"type": "text", "text": "t"}]}}
    ask = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [document]}]}
    out = crossed("messages", "chat", ask, images=False)
    assert fit.NO_IMAGES in str(out.body) and out.dropped == ["image"]


def test_schemas_are_cleaned_for_any_protocol() -> None:
    ask = {"model": "m", "input": "x", "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]}
    schema = crossed("responses", "chat", ask, tool_schema="gemini").body["tools"]
    assert "additionalProperties" not in str(schema) and "'enum': ['x']" in str(schema)


CUT: list[tuple[dict[str, Any], list[str]]] = [
    ({"additionalProperties": False, "properties": {"additionalProperties": {"const": "x"}}}, ["additionalProperties"]),
    ({"properties": {"a": {"type": "number", "exclusiveMinimum": 0}}, "minProperties": 1},
     ["exclusiveMinimum", "minProperties"]),
    ({"properties": {"a": {"type": "string", "format": "uri"}, "b": {"enum": [1, 2]}}}, ["enum", "format"]),
    ({"properties": {"a": {"const": 1}}}, ["const"]),
    ({"$schema": "x", "$defs": {"d": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/d"}}}, []),
    ({"properties": {"a": {"oneOf": [{"type": "string"}, {"type": "null"}], "default": None, "examples": ["x"]}}}, []),
    ({"properties": {"a": {"type": "string", "encrypted": True}}}, []),
    ({"properties": {"a": {"type": "string", "format": "date-time", "minLength": 1, "pattern": "x"}}}, []),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "cut"), CUT)
@pytest.mark.parametrize("client", ["messages", "chat", "responses"])
def test_what_is_cut_of_schemas_is_told(client: Protocol, schema: dict[str, Any], cut: list[str]) -> None:
    schema = {"type": "object"} | schema
    said = {"role": "user", "content": "x"}
    asks: dict[str, tuple[dict[str, Any], str]] = {
        "messages": ({"max_tokens": 9, "messages": [said], "tools": [{"name": "f", "input_schema": schema}]},
                     "tools.input_schema"),
        "chat": ({"messages": [said], "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]},
                 "tools.parameters"),
        "responses": ({"input": "x", "tools": [{"type": "function", "name": "f", "parameters": schema}]},
                      "tools.parameters"),
    }  # fmt: skip
    ask, word = asks[client]
    upstream: Protocol = "messages" if client == "chat" else "chat"
    out = crossed(client, upstream, {"model": "m"} | ask, tool_schema="gemini")
    assert out.dropped == [f"{word}.{keyword}" for keyword in cut]


def test_what_is_cut_of_an_answers_schema_is_told() -> None:
    ask = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
           "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}  # fmt: skip
    told = crossed("messages", "chat", ask, tool_schema="gemini").dropped
    assert told == ["output_config.format.additionalProperties"]


GEMINIS = {
    "contents": [{"role": "user", "parts": [{"text": "x"}]}],
    "generation_config": {"temperature": 0.5, "topP": 0.5, "stopSequences": ["x"],
                          "responseMimeType": "application/json", "thinkingConfig": {"thinkingBudget": 2000}},
}  # fmt: skip
FORCED = {
    "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "metadata": {"user_id": "u"},
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}},
}  # fmt: skip
TEXT = {"input": "x", "text": {"verbosity": "low"}}
LEFT_OUT: list[tuple[Protocol, Protocol, dict[str, Any], str, list[str]]] = [
    ("gemini", "chat", GEMINIS, "temperature", ["generationConfig.temperature"]),
    ("gemini", "chat", GEMINIS, "top_p", ["generationConfig.topP"]),
    ("gemini", "chat", GEMINIS, "stop", ["generationConfig.stopSequences"]),
    ("gemini", "chat", GEMINIS, "response_format", ["generationConfig.responseMimeType"]),
    ("gemini", "responses", GEMINIS, "reasoning.effort", ["generationConfig.thinkingConfig"]),
    ("messages", "chat", FORCED, "parallel_tool_calls", ["tool_choice"]),
    ("messages", "chat", FORCED, "response_format", ["output_config"]),
    ("messages", "responses", FORCED, "text.format", ["output_config"]),
    ("messages", "chat", FORCED, "user", ["metadata"]),
    ("messages", "responses", FORCED, "store", []),  # it is the proxy's own
    ("messages", "chat", FORCED | {"thinking": {"type": "disabled"}}, "chat_template_kwargs", ["thinking"]),
    ("chat", "responses", {"messages": FORCED["messages"], "safety_identifier": "s", "user": "u"}, "safety_identifier",
     ["safety_identifier"]),
    ("messages", "chat", FORCED | {"stream": True}, "stream_options", []),
]  # fmt: skip


@pytest.mark.parametrize(("client", "upstream", "said", "field", "told"), LEFT_OUT)
def test_what_an_upstream_does_not_take_is_told(
    client: Protocol, upstream: Protocol, said: dict[str, Any], field: str, told: list[str]
) -> None:
    body = said if client == "gemini" else said | {"model": "m"}
    habits = Policy(thinking_switch="chat_template_kwargs")
    before = pair.request(client, upstream, body, Target("gpt-5.2", habits))
    out = pair.request(client, upstream, body, Target("gpt-5.2", structs.replace(habits, drop=(field,))))
    assert [word for word in out.dropped if word not in before.dropped] == told


def test_how_much_it_writes_is_told() -> None:
    out = pair.request("responses", "chat", TEXT | {"model": "m"}, Target("gpt-5.2", Policy(drop=("verbosity",))))
    assert out.dropped == ["text"]


def test_the_report_is_in_the_clients_words() -> None:
    words = fit.client_words
    asked = {"max_tokens": 1, "stop_sequences": [], "temperature": 1, "model": "m", "odd": 1}
    assert words(LEDGER, "chat", "stop", asked) == ["stop_sequences"]
    assert words(LEDGER, "chat", "temperature", asked) == ["temperature"]
    assert words(LEDGER, "chat", "stream_options", asked) == [] == words(LEDGER, "chat", "model", asked)
    assert words(LEDGER, "chat", "odd", asked) == ["odd"]
    assert words(LEDGER, "responses", "reasoning", {"thinking": 1}) == ["thinking"]
