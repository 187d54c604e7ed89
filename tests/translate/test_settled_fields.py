"""What a client says that is so anyway is no loss: it is not told, and strict mode does not refuse it."""

from __future__ import annotations

from typing import Any

import pytest

from translate import pair
from translate.target import Protocol, Target

CASES: list[tuple[Protocol, Protocol, dict[str, Any], list[str]]] = [
    ("chat", "messages", {"usage": {"include": True}}, []),
    ("chat", "messages", {"usage": {"include": False}}, ["usage"]),
    ("chat", "responses", {"include_reasoning": True}, []),
    ("chat", "responses", {"include_reasoning": False}, ["include_reasoning"]),
    ("chat", "messages", {"verbosity": "medium"}, []),
    ("chat", "messages", {"verbosity": "low"}, ["verbosity"]),
    ("chat", "messages", {"service_tier": "default"}, []),
    ("chat", "messages", {"service_tier": "on_demand"}, []),
    ("chat", "messages", {"service_tier": "flex"}, ["service_tier"]),
    ("responses", "chat", {"service_tier": "auto"}, []),
    ("responses", "chat", {"service_tier": "flex"}, ["service_tier"]),
    ("messages", "responses", {"service_tier": "auto"}, []),
    ("messages", "chat", {"service_tier": "standard_only"}, ["service_tier"]),
    ("responses", "messages", {"include": []}, []),
    ("responses", "messages", {"include": ["reasoning.encrypted_content"]}, []),
    ("responses", "messages", {"include": ["web_search_call.action.sources", "reasoning.encrypted_content"]}, []),
    ("responses", "messages", {"include": ["message.output_text.logprobs"]}, ["include"]),
    ("responses", "messages", {"include": [{}]}, ["include"]),
    ("responses", "messages", {"include": {}}, []),
    ("responses", "messages", {"text": {"verbosity": "medium"}}, []),
    ("responses", "messages", {"text": {"verbosity": "low"}}, ["text.verbosity"]),
    ("messages", "chat", {"thinking": {"type": "adaptive", "display": "summarized"}}, []),
    ("messages", "chat", {"thinking": {"type": "adaptive", "display": "omitted"}}, ["thinking.display"]),
]


@pytest.mark.parametrize(("client", "upstream", "fields", "dropped"), CASES)
def test_only_what_is_lost_is_told(
    client: Protocol, upstream: Protocol, fields: dict[str, Any], dropped: list[str]
) -> None:
    ask = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
    body = {"model": "m", "input": "hi"} if client == "responses" else ask
    assert pair.request(client, upstream, body | fields, Target("some-model")).dropped == dropped


@pytest.mark.parametrize(("model", "sent"), [("gpt-5.2", True), ("gpt-5", True), ("gpt-4o", False), ("qwen3", False)])
def test_verbosity_goes_to_chat_models_that_know_it(model: str, sent: bool) -> None:
    body = {"model": "m", "input": "hi", "text": {"verbosity": "low"}}
    out = pair.request("responses", "chat", body, Target(model))
    assert out.body.get("verbosity") == ("low" if sent else None)
    assert out.dropped == ([] if sent else ["text.verbosity"])


@pytest.mark.parametrize("kind", ["image_generation", "mcp", "file_search"])
@pytest.mark.parametrize("upstream", ["messages", "chat"])
def test_a_choice_of_a_tool_that_stays_behind_is_told(upstream: Protocol, kind: str) -> None:
    """Also where no tool is left at all."""
    ask = {"model": "m", "input": "hi", "tools": [{"type": kind}], "tool_choice": {"type": kind}}
    out = pair.request("responses", upstream, ask, Target("some-model"))
    assert set(out.dropped) == {f"tools.{kind}", "tool_choice"} and "tool_choice" not in out.body
