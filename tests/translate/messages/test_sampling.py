"""temperature, top_p and top_k by what the model takes."""

from __future__ import annotations

from typing import Any

import pytest

from translate import pair
from translate.messages.sampling import is_fixed
from translate.target import Target

FIXED = [
    "claude-opus-4-7", "claude-opus-4-8", "claude-opus-4.7", "claude-opus-5", "claude-sonnet-5-5", "claude-haiku-5-5",
    "anthropic.claude-opus-4-8-v1:0", "claude-opus-4-8@20260901", "claude-opus-4-10", "claude-opus-10",
    "anthropic/claude-sonnet-6", "claude-mythos-preview", "claude-fable-1", "claude-opus-5-20270101",
]  # fmt: skip
FREE = [
    "claude-opus-4-6", "claude-opus-4-20250514", "claude-sonnet-4-5-20250929", "claude-3-7-sonnet-20250219",
    "claude-opus-4", "claude-3-opus-20240229", "claude-2.1", "deepseek-chat", "m", "glm-5", "claude-test",
]  # fmt: skip


@pytest.mark.parametrize("model", FIXED)
def test_current_models_are_not_told(model: str) -> None:
    assert is_fixed(model)


@pytest.mark.parametrize("model", FREE)
def test_others_are(model: str) -> None:
    assert not is_fixed(model)


SAMPLED: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("claude-opus-4-8", {"temperature": 0.2}, {}, ["temperature"]),
    ("claude-opus-4-8", {"temperature": 1, "top_p": 1}, {}, []),
    ("claude-opus-4-8", {"temperature": 0, "top_p": 0.9, "top_k": 5}, {}, ["temperature", "top_p", "top_k"]),
    ("claude-opus-4-6", {"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2}, ["top_p"]),
    ("claude-opus-4-6", {"temperature": 1.7}, {"temperature": 1}, []),
    ("claude-opus-4-6", {"top_p": 0.9, "top_k": 5}, {"top_p": 0.9, "top_k": 5}, []),
    ("claude-sonnet-4-5", {"temperature": 0.2, "top_k": 5, "top_p": 0.9, "reasoning_effort": "high"}, {},
     ["temperature", "top_p", "top_k"]),
    ("claude-sonnet-4-5", {"temperature": 1, "top_p": 0.97, "reasoning_effort": "high"}, {"top_p": 0.97}, []),
    ("deepseek-chat", {"temperature": 0.2}, {"temperature": 0.2}, []),
]  # fmt: skip


@pytest.mark.parametrize(("model", "asked", "sent", "dropped"), SAMPLED)
def test_what_is_sent_and_told(model: str, asked: dict[str, Any], sent: dict[str, Any], dropped: list[str]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]} | asked
    encoded = pair.request("chat", "messages", body, Target(model))
    assert {key: encoded.body[key] for key in ("temperature", "top_p", "top_k") if key in encoded.body} == sent
    assert encoded.dropped == dropped
