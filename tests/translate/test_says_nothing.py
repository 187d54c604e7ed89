"""What a request says and could not have changed anything is not reported as lost, and strict mode takes it."""

from __future__ import annotations

from typing import Any

import pytest

from translate import pair
from translate.target import Target

Json = dict[str, Any]

HI: Json = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
ASK: Json = {"model": "m", "input": "hi"}
USUAL: Json = {"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "n": 1,
               "metadata": {}, "logprobs": False, "tool_choice": "auto", "parallel_tool_calls": True, "tools": [],
               "stop": [], "top_logprobs": 0, "modalities": ["text"]}  # fmt: skip
OWN: Json = {"temperature": 1.0, "top_p": 1.0, "metadata": {}, "tool_choice": "none", "parallel_tool_calls": True,
             "tools": [], "top_logprobs": 0, "truncation": "disabled", "include": [], "background": False}  # fmt: skip


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-7", "m"])
def test_before_claude(model: str) -> None:
    assert pair.request("chat", "messages", HI | USUAL, Target(model)).dropped == []
    assert pair.request("responses", "messages", ASK | OWN, Target(model)).dropped == []


@pytest.mark.parametrize("upstream", ["chat", "gemini"])
def test_what_clients_of_responses_say_by_habit(upstream: str) -> None:
    assert pair.request("responses", upstream, ASK | OWN, Target("m")).dropped == []


@pytest.mark.parametrize("upstream", ["responses", "gemini"])
def test_what_clients_of_chat_say_by_habit(upstream: str) -> None:
    assert pair.request("chat", upstream, HI | USUAL, Target("m")).dropped == []


def test_what_says_something_is_reported() -> None:
    said = {
        "top_p": 0.5,
        "temperature": 0.5,
        "frequency_penalty": 0.5,
        "seed": 0,
        "logit_bias": {"1": 2},
        "metadata": {"a": "b"},
    }
    left = pair.request("chat", "messages", HI | said | {"tool_choice": "required"}, Target("claude-opus-4-7")).dropped
    assert set(left) == {*said, "tool_choice"}
