"""Conversations as Responses requests: from Messages and Chat clients, and back to where they came from."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.support.conversations import of_client
from translate import pair
from translate.conversation import (
    Audio,
    Conversation,
    Document,
    Image,
    Part,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Unknown,
)
from translate.encode_context import Draft
from translate.failures.errors import BadRequest
from translate.reasoning import sealed_reasoning
from translate.responses.decode_request import decode
from translate.responses.encode_request import encode
from translate.target import Encoded, Policy, Target
from translate.tools import json_mode


def sent(conversation: Conversation, policy: Policy | None = None, model: str = "gpt-5.2") -> Encoded:
    return encode(conversation, Target(model, policy or Policy()))


def body(*turns: Turn, policy: Policy | None = None, **fields: Any) -> dict[str, Any]:
    return dict(sent(of_client("m", list(turns), ext={"messages": {}}, **fields), policy).body)


def items(*turns: Turn, policy: Policy | None = None) -> list[Any]:
    return list(body(*turns, policy=policy)["input"])


def message(role: str, *content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content)}


def given(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": text}


def spoken(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text}


def made(text: str) -> str:
    return "rs_" + hashlib.sha256(text.encode()).hexdigest()[:32]


USER = Turn("user", [Text("hi")])
EMPTY = {"type": "object", "properties": {}}


def test_nothing_is_left_for_the_upstream_to_keep() -> None:
    whole = body(USER, system=[Text("a"), Text("b")], stream=True)
    assert whole == {
        "model": "gpt-5.2",
        "instructions": "a\n\nb",
        "input": [message("user", given("hi"))],
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }


def test_a_turn_becomes_items() -> None:
    parts: list[Part] = [Text("a"), Text("b"), ToolCall("x", "f", '{"a":1}'), Refusal("no"), ToolCall("y", "g")]
    results: list[Part] = [Text("and"), ToolResult("x", [Text("1"), Text("2")]), ToolResult("y", [], is_error=True)]
    assert items(USER, Turn("assistant", parts), Turn("user", results)) == [
        message("user", given("hi")),
        said("a\n\nb"),
        {"type": "function_call", "call_id": "x", "name": "f", "arguments": '{"a":1}'},
        said("no"),
        {"type": "function_call", "call_id": "y", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "x", "output": "1\n2"},
        {"type": "function_call_output", "call_id": "y", "output": "Error: (no output)"},
        message("user", given("and")),
    ]


def test_instructions_in_mid_conversation() -> None:
    turns = USER, Turn("system", [Text("now")])
    assert items(*turns)[1] == message("system", given("now"))
    assert items(*turns, policy=Policy(developer_role=True))[1] == message("developer", given("now"))


def test_ids_and_names_fit() -> None:
    call = ToolCall("c" * 80, "n" * 80)
    whole = sent(of_client("m", [Turn("assistant", [call]), Turn("user", [ToolResult(call.id)])], ext={"chat": {}}))
    used, result = whole.body["input"]  # type: ignore[misc]
    assert used["call_id"] == result["call_id"] and len(used["call_id"]) == 64
    assert whole.tool_names == {used["name"]: call.name} and len(used["name"]) == 64
    assert result["output"] == "(no output)"


def test_arguments_that_are_no_object_are_wrapped() -> None:
    for odd in ("[1]", '{"a'):
        assert items(Turn("assistant", [ToolCall("x", "f", odd)]))[0]["arguments"] != odd


def test_images_stay_in_the_outputs() -> None:
    picture = Image(data="AA", media_type="image/png")
    result = ToolResult("x", [Text("see"), picture], is_error=True)
    out = items(Turn("assistant", [ToolCall("x", "f")]), Turn("user", [result]))[1]["output"]
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"}
    assert out == [given("Error:"), given("see"), image]


CONTENT: list[tuple[Part, list[Any]]] = [
    (Image(url="u", detail="low"), [{"type": "input_image", "image_url": "u", "detail": "low"}]),
    (Document(text="t", title="T"), [given('<document title="T">\nt\n</document>')]),
    (
        Document(data="AA", media_type="application/pdf"),
        [{"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,AA"}],
    ),
    (Document(url="u"), [{"type": "input_file", "file_url": "u"}]),
    (
        Document(url="u", title="a"),
        [{"type": "input_text", "text": "[document: a]"}, {"type": "input_file", "file_url": "u"}],
    ),
    (Document(parts=[Text("p")], title="T"), [given("[document: T]"), given("p")]),
    (Unknown("messages", {"type": "tool_reference", "tool_name": "f"}), [given("Tool f is now available.")]),
]


@pytest.mark.parametrize(("part", "want"), CONTENT)
def test_a_content_part_is_written(part: Part, want: list[Any]) -> None:
    assert items(Turn("user", [part])) == [message("user", *want)]


def test_what_holds_nothing_is_left_out() -> None:
    assert items(USER, Turn("user", [Document()]), Turn("user", [Thinking("x")])) == [message("user", given("hi"))]
    upload = Turn("user", [Unknown("messages", {"type": "container_upload"})])
    assert sent(of_client("m", [USER, upload], ext={"messages": {}})).dropped == ["container_upload"]
    with pytest.raises(BadRequest, match="nothing in them"):
        sent(of_client("m", [upload]))


@pytest.mark.parametrize("part", [Audio("AA", "wav"), Image(file_id="f"), Document(file_id="f")])
def test_what_must_not_be_lost_is_refused(part: Part) -> None:
    with pytest.raises(BadRequest):
        items(Turn("user", [part]))


def test_reasoning_goes_back_to_whom_it_belongs() -> None:
    own = Thinking("so", sealed_reasoning.of_item("rs", "E"))
    hidden = Thinking(encrypted=sealed_reasoning.of_item("", "F"))
    foreign = Thinking("mine", "SIG")
    turn = Turn("assistant", [own, foreign, hidden, Text("a"), own])
    assert items(turn) == [
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [{"type": "summary_text", "text": "so"}],
            "encrypted_content": "E",
        },
        {"type": "reasoning", "id": made("F"), "summary": [], "encrypted_content": "F"},
        said("a"),
    ]
    plain = items(turn, policy=Policy(reasoning_history="true"))
    assert plain[1] == {
        "type": "reasoning",
        "id": made("mine"),
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "mine"}],
    }


def test_a_server_tools_result_is_told_in_words() -> None:
    found = Unknown("messages", {"type": "web_search_tool_result", "content": [{"title": "T", "url": "u"}]})
    assert items(Turn("assistant", [found, Text("a")])) == [
        said("T\nu"),
        said("a"),
    ]


# ----------------------------------------------------------------------------------------------------- fields


def test_tools_are_written_or_left_out() -> None:
    tools = [
        Tool("f", "d", {"type": "object"}),
        Tool("later", deferred=True),
        Tool("web", kind="server", protocol="messages", raw={"type": "web_fetch_20250910"}),
    ]
    whole = sent(
        of_client(
            "m", [USER], tools=tools, tool_choice=ToolChoice("tool", "f"), parallel_tools=False, ext={"messages": {}}
        )
    )
    function = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}
    assert whole.body["tools"] == [function]
    assert whole.body["tool_choice"] == {"type": "function", "name": "f"}
    assert whole.body["parallel_tool_calls"] is False
    assert whole.dropped == ["tools.web_fetch_20250910"]
    for name in ("later", "web", "none"):
        forced = sent(of_client("m", [USER], tools=tools, tool_choice=ToolChoice("tool", name), ext={"messages": {}}))
        assert "tool_choice" not in forced.body and forced.dropped[-1] == "tool_choice"
    assert body(USER, tools=tools, tool_choice=ToolChoice("any"))["tool_choice"] == "required"


MESSAGES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"max_tokens": 5}, {"max_output_tokens": 16}, []),
    ({"max_tokens": 900}, {"max_output_tokens": 500}, []),
    ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}, []),
    ({"top_k": 3, "stop_sequences": ["x"]}, {}, ["top_k", "stop_sequences"]),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 9000}},
        {"reasoning": {"effort": "high", "summary": "auto"}},
        [],
    ),
    ({"thinking": {"type": "adaptive", "display": "omitted"}}, {}, []),
    ({"thinking": {"type": "disabled"}}, {"reasoning": {"effort": "none"}}, []),
    (
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
        {"reasoning": {"effort": "none"}},
        ["output_config.effort"],
    ),
    ({"output_config": {"effort": "low"}}, {"reasoning": {"effort": "low"}}, []),
    ({"metadata": {"user_id": "u"}}, {"user": "u"}, []),
    ({"metadata": {"user_id": "u" * 65}}, {"user": "0f0a2a72d3d8a9ac3ff5a4f0f6bd1d56"}, []),
    ({"service_tier": "auto", "container": "c"}, {}, ["container"]),
    ({"service_tier": "standard_only"}, {}, ["service_tier"]),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"text": {"format": {"type": "json_schema", "name": "output", "schema": EMPTY, "strict": False}}},
        [],
    ),
]


@pytest.mark.parametrize(("fields", "want", "dropped"), MESSAGES)
def test_fields_of_messages(fields: dict[str, Any], want: dict[str, Any], dropped: list[str]) -> None:
    asked = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "x"}]}
    encoded = pair.request("messages", "responses", asked | fields, Target("gpt-5.5", Policy(max_tokens=500)))
    left = {key: value for key, value in encoded.body.items() if key not in ("model", "input", "store", "include")}
    if "max_tokens" not in fields:
        assert left.pop("max_output_tokens") == 100
    if len(str(want.get("user"))) == 32:
        want = {"user": left["user"]}
        assert len(str(left["user"])) == 64 and left["user"] != "u" * 64
    assert left == want
    assert encoded.dropped == dropped


CHAT: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low", "summary": "auto"}}, []),
    ({"reasoning": {"effort": "low"}}, {"reasoning": {"effort": "low", "summary": "auto"}}, []),
    ({"reasoning": {"effort": "low", "exclude": True}}, {"reasoning": {"effort": "low"}}, []),
    ({"thinking": {"type": "enabled"}}, {"reasoning": {"summary": "auto"}}, []),
    (
        {"verbosity": "low", "response_format": {"type": "json_object"}},
        {
            "text": {"format": {"type": "json_object"}, "verbosity": "low"},
            "input": [message("developer", given(json_mode.ONE_OBJECT)), message("user", given("x"))],
        },
        [],
    ),
    (
        {"metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k"},
        {"metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k"},
        [],
    ),
    ({"store": True, "top_logprobs": 2}, {"store": True}, ["top_logprobs"]),
    ({"service_tier": "on_demand"}, {}, []),
    ({"service_tier": "performance"}, {}, ["service_tier"]),
    (
        {"seed": 1, "frequency_penalty": 1, "logit_bias": {"1": 2}, "stop": "x"},
        {},
        ["seed", "frequency_penalty", "stop", "logit_bias"],
    ),
    ({"n": 1, "logprobs": False}, {}, []),
]


@pytest.mark.parametrize(("fields", "want", "dropped"), CHAT)
def test_fields_of_chat(fields: dict[str, Any], want: dict[str, Any], dropped: list[str]) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    encoded = pair.request("chat", "responses", asked | fields, Target("gpt-5.5"))
    plain = {"model": "gpt-5.5", "input": [message("user", given("x"))], "store": False}
    assert encoded.body == plain | {"include": ["reasoning.encrypted_content"]} | want
    assert encoded.dropped == dropped


@pytest.mark.parametrize(
    ("config", "want"),
    [
        ({"includeThoughts": True}, {"reasoning": {"summary": "auto"}}),
        ({"includeThoughts": True, "thinkingLevel": "low"}, {"reasoning": {"effort": "low", "summary": "auto"}}),
        ({"thinkingLevel": "low"}, {"reasoning": {"effort": "low"}}),
        ({"includeThoughts": False, "thinkingLevel": "low"}, {"reasoning": {"effort": "low"}}),
        ({"includeThoughts": True, "thinkingBudget": 0}, {"reasoning": {"effort": "none"}}),
    ],
)
def test_a_gemini_client_sees_thoughts_if_it_asks_to(config: dict[str, Any], want: dict[str, Any]) -> None:
    asked = {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "generationConfig": {"thinkingConfig": config}}
    encoded = pair.request("gemini", "responses", asked, Target("gpt-5.5"))
    assert encoded.body.get("reasoning") == want["reasoning"] and encoded.dropped == []


@pytest.mark.parametrize(("client", "word"), [("chat", "reasoning_effort"), ("messages", "output_config.effort")])
def test_an_effort_that_a_model_cannot_hear(client: str, word: str) -> None:
    conversation = of_client("m", [USER], ext={client: {}})
    conversation.reasoning.effort = "high"
    assert sent(conversation, model="gpt-4o").dropped == [word]


@pytest.mark.parametrize(
    ("model", "told", "dropped"),
    [("gpt-6-astra", None, ["thinking"]), ("gpt-5.6", {"effort": "none"}, []), ("qwen3", None, []),
     ("gpt-4o", None, [])],
)  # fmt: skip
def test_a_model_is_told_not_to_think(model: str, told: dict[str, Any] | None, dropped: list[str]) -> None:
    """Else it thinks, and its thoughts are paid for: unsaid, OpenAI's models do so since GPT-5.6."""
    asked = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "x"}]}
    encoded = pair.request("messages", "responses", asked | {"thinking": {"type": "disabled"}}, Target(model))
    assert (encoded.body.get("reasoning"), encoded.dropped) == (told, dropped)


@pytest.mark.parametrize("model", ["gpt-4.1-mini", "gpt-4o", "gpt-5-chat-latest"])
def test_a_model_that_does_not_reason_is_not_asked_for_its_thoughts(model: str) -> None:
    """It answers 400: "Encrypted content is not supported with this model"."""
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    assert "include" not in pair.request("chat", "responses", asked, Target(model)).body
    searching = asked | {"web_search_options": {}}
    sent = pair.request("chat", "responses", searching, Target(model)).body
    assert sent["include"] == ["web_search_call.action.sources"]


def test_encoding_twice_says_the_same() -> None:
    turns = [Turn("assistant", [ToolCall("x", "f")]), Turn("user", [ToolResult("x", [Text("y")])])]
    conversation = of_client("m", turns, tools=[Tool("f")], ext={"messages": {}})
    before = repr(conversation)
    assert sent(conversation) == sent(conversation)
    assert repr(conversation) == before
    assert "Draft" in repr(Draft(conversation, Target("m"), "responses"))


def test_at_home_an_output_stays_of_the_kind_it_was() -> None:
    """Even where a custom tool's call has the same id: whether they fit is the upstream's to say."""
    output = {"type": "function_call_output", "call_id": "c", "output": "0"}
    made = {"type": "custom_tool_call", "call_id": "c", "name": "a", "input": "0"}
    body = pair.request("responses", "responses", {"model": "m", "input": [output, made]}, Target("m")).body
    assert body["input"] == [output, made]


EVERYTHING: dict[str, Any] = {
    "model": "m",
    "instructions": "Be brief.",
    "input": [
        message("developer", given("one"), given("two")) | {"id": "msg_1"},
        message("user", given("hi"), {"type": "input_image", "file_id": "f"}) | {"id": "msg_2"},
        message("user", {"type": "input_file", "file_id": "f"}, {"type": "input_video"}),
        {"type": "reasoning", "id": "rs", "summary": [], "content": [], "encrypted_content": "E"},
        message("assistant", spoken("wait")) | {"phase": "commentary", "id": "msg_3", "status": "completed"},
        message("assistant", spoken("so"), {"type": "refusal", "refusal": "no"}),
        {"type": "web_search_call", "id": "ws", "status": "completed"},
        {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "x", "id": "ctc"},
        {"type": "function_call", "call_id": "a", "name": "f", "namespace": "ns", "arguments": ""},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
        {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_image", "image_url": "u"}]},
        {"type": "mcp_approval_response", "approve": True},
        message("system", given("now")),
        {"type": "tool_search_output", "call_id": "s", "tools": [{"type": "function", "name": "new"}]},
    ],
    "tools": [
        {"type": "custom", "name": "patch", "format": {"type": "text"}},
        {
            "type": "namespace",
            "name": "ns",
            "description": "d",
            "tools": [{"type": "function", "name": "f", "strict": False}],
        },
        {"type": "function", "name": "later", "defer_loading": True, "parameters": {"type": "object"}},
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "function", "name": "f", "namespace": "ns"},
    "parallel_tool_calls": True,
    "max_output_tokens": 1,
    "reasoning": {"effort": "low", "summary": "concise", "context": "all"},
    "text": {
        "format": {"type": "json_schema", "name": "n", "description": "d", "schema": {"type": "object"}},
        "verbosity": "low",
    },
    "safety_identifier": "s" * 80,
    "prompt_cache_key": "k",
    "service_tier": "flex",
    "store": False,
    "metadata": {"a": "b"},
}


def test_a_request_comes_back_as_it_was() -> None:
    encoded = encode(decode(EVERYTHING), Target("m"))
    assert encoded.body == EVERYTHING
    assert encoded.dropped == []
    for choice in ("none", {"type": "web_search"}, {"type": "custom", "name": "patch"}):
        assert encode(decode(EVERYTHING | {"tool_choice": choice}), Target("m")).body["tool_choice"] == choice


def test_another_protocols_thinking_is_reported_when_it_stays_behind() -> None:
    turn = Turn("assistant", [Thinking("mine", "SIG"), Text("a")])
    assert sent(of_client("m", [turn], ext={"messages": {}})).dropped == ["messages.thinking"]
    assert sent(of_client("m", [turn], ext={"chat": {}})).dropped == ["messages.reasoning_content"]
