"""Conversations of other protocols as Google accepts them."""

from __future__ import annotations

from typing import Any

import pytest

from translate import pair
from translate.target import Policy, Target

CALLS: dict[str, dict[str, Any]] = {
    "chat": {
        "messages": [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "a", "content": "done"},
        ]
    },
    "messages": {
        "max_tokens": 50,
        "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "done"}]},
        ],
    },
    "responses": {
        "input": [
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "done"},
        ]
    },
}


@pytest.mark.parametrize("client", CALLS)
def test_a_history_that_was_cut_begins_with_the_user(client: str) -> None:
    """Google answers 400 to a call that comes after neither a user's turn nor a function's."""
    body: Any = pair.request(client, "gemini", {"model": "m", **CALLS[client]}, Target("gemini-2.5-pro")).body
    user, model, result = body["contents"]
    assert user == {"role": "user", "parts": [{"text": "(conversation continues)"}]}
    assert "functionCall" in model["parts"][0] and "functionResponse" in result["parts"][0]


@pytest.mark.parametrize(("call_ids", "known_by"), [(True, "id"), (False, "name")])
def test_files_of_an_output_say_whose_they_are_as_the_model_knows_it(call_ids: bool, known_by: str) -> None:
    """Vertex has no ids, and elsewhere one may be changed."""
    names = {"toolu_x": "shot", "toolu.y": "look"}
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    calls = [{"type": "function_call", "call_id": id, "name": names[id], "arguments": "{}"} for id in names]
    outputs = [{"type": "function_call_output", "call_id": id, "output": [picture]} for id in names]
    body = {"model": "m", "input": [{"role": "user", "content": "hi"}, *calls, *outputs]}
    sent: Any = pair.request("responses", "gemini", body, Target("gemini-2.5-pro", Policy(call_ids=call_ids))).body
    parts = sent["contents"][-1]["parts"]
    results = [part["functionResponse"] for part in parts if "functionResponse" in part]
    labels = [f"[output of the tool call {result[known_by]}]" for result in results]
    assert [part["text"] for part in parts if "text" in part] == labels


@pytest.mark.parametrize(
    ("model", "level"),
    [
        ("gemini-3-flash-preview", "minimal"),
        ("gemini-3.5-flash", "minimal"),
        ("gemini-3.5-flash-lite", "minimal"),
        ("gemini-3.7-flash", "low"),
        ("gemini-3.8-flash-preview", "low"),
        ("gemini-3.1-pro-preview", "low"),
        ("gemini-4-argon", "low"),
    ],
)
def test_the_least_that_a_model_thinks(model: str, level: str) -> None:
    """The later models answer 400: "Thinking level MINIMAL is not supported for this model."."""
    for word in ("none", "minimal"):
        chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": word}
        body: Any = pair.request("chat", "gemini", chat, Target(model)).body
        assert body["generationConfig"]["thinkingConfig"]["thinkingLevel"] == level
    messages = {"messages": chat["messages"], "model": "m", "max_tokens": 9, "thinking": {"type": "disabled"}}
    off = pair.request("messages", "gemini", messages, Target(model))
    assert off.body["generationConfig"]["thinkingConfig"] == {"thinkingLevel": level}  # type: ignore[index,call-overload]
    assert off.dropped == ["thinking"]


@pytest.mark.parametrize(("model", "level"), [("gemini-3-pro-preview", "high"), ("gemini-3.1-pro-preview", "medium")])
def test_the_first_pro_of_its_generation_knows_no_middle(model: str, level: str) -> None:
    """It answers 400: "Thinking level MEDIUM is not supported for this model."."""
    chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "medium"}
    encoded = pair.request("chat", "gemini", chat, Target(model))
    body: Any = encoded.body
    assert body["generationConfig"]["thinkingConfig"]["thinkingLevel"] == level and encoded.dropped == []


def test_a_search_that_is_forced_is_offered_and_the_rest_is_named() -> None:
    """Google's search cannot be forced."""
    body = {
        "model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "tool", "name": "web_search"},
    }  # fmt: skip
    target = Target("gemini-3-pro", Policy(web_search="true"))
    encoded = pair.request("messages", "gemini", body, target)
    assert encoded.body["tools"] == [{"googleSearch": {}}] and "tool_choice" in encoded.dropped


BESIDE = [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}, "strict": False}]
SHOWN = {"includeServerSideToolInvocations": True}


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (None, {"mode": "VALIDATED"}),
        ("auto", {"mode": "VALIDATED"}),
        ("required", {"mode": "ANY"}),
        ("none", {"mode": "NONE"}),
        ({"type": "function", "name": "f"}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_a_search_beside_functions_is_asked_for_as_google_wants_it(choice: Any, config: dict[str, Any]) -> None:
    """Google says "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function
    calling" else; Vertex AI does not know the word."""
    body = {"model": "m", "input": "x", "tools": BESIDE} | ({"tool_choice": choice} if choice else {})
    sent = pair.request("responses", "gemini", body, Target("gemini-3.5-flash")).body
    assert [list(tool) for tool in sent["tools"]] == [["functionDeclarations"], ["googleSearch"]]
    assert sent["toolConfig"] == {"functionCallingConfig": config} | SHOWN
    vertex = pair.request("responses", "gemini", body, Target("gemini-3.5-flash", Policy(call_ids=False))).body
    assert vertex["toolConfig"] == {"functionCallingConfig": config}
    for alone in BESIDE:
        lone = pair.request("responses", "gemini", body | {"tools": [alone]}, Target("gemini-3.5-flash")).body
        assert "includeServerSideToolInvocations" not in lone.get("toolConfig", {})


def test_a_search_without_functions_that_cross_is_plain() -> None:
    old = pair.request("responses", "gemini", {"model": "m", "input": "x", "tools": BESIDE}, Target("gemini-2.5-pro"))
    assert "toolConfig" not in old.body and old.dropped == ["tools.web_search"]
