"""Whether a model is to think at all, and how hard: in the words of the vendor that has it."""

from __future__ import annotations

from typing import Any

import pytest

from operate.settings.presets import PRESETS
from translate import pair
from translate.target import Policy, Target

OFF, ON = {"thinking": {"type": "disabled"}}, {"thinking": {"type": "adaptive"}}
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 5000}, "max_tokens": 9000}


def low(word: str) -> dict[str, Any]:
    return ON | {"output_config": {"effort": word}}


def target(preset: str, model: str) -> Target:
    given = PRESETS[preset]
    habits = {name: given[name] for name in ("reasoning_effort", "thinking_switch") if name in given}
    return Target(model, Policy(**habits))  # type: ignore[arg-type]  # both are texts


# preset, model, what a Messages client says -> what the upstream is told, what is reported
TOLD: list[tuple[str, str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("deepseek", "deepseek-v4-pro", OFF, {"thinking": {"type": "disabled"}}, []),
    ("deepseek", "deepseek-v4-pro", ON, {"thinking": {"type": "enabled"}}, []),
    ("deepseek", "deepseek-v4-pro", low("max"), {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}, []),
    ("deepseek", "deepseek-v4-pro", low("medium"), {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, []),
    ("deepseek", "deepseek-v4-pro", OFF | {"output_config": {"effort": "low"}}, {"thinking": {"type": "disabled"}},
     ["output_config.effort"]),
    ("deepseek", "deepseek-v4-pro", {}, {}, []),
    ("moonshot", "kimi-k2.6", OFF, {"thinking": {"type": "disabled"}}, []),
    ("moonshot", "kimi-k2.7-code", OFF, {}, ["thinking"]),  # it answers 400
    ("moonshot", "kimi-k2.6", low("low"), {"thinking": {"type": "enabled"}}, ["output_config.effort"]),
    ("moonshot", "kimi-k3", low("xhigh"), {"reasoning_effort": "max"}, []),  # "cannot specify both"
    ("moonshot", "kimi-k2.6", BUDGET, {"thinking": {"type": "enabled"}}, ["thinking"]),  # the budget is lost
    ("zai", "glm-5.1", OFF, {"thinking": {"type": "disabled"}}, []),
    ("zai", "glm-5.2", low("low"), {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}, []),
    ("openrouter", "z-ai/glm-5", OFF, {"reasoning": {"enabled": False}}, []),
    ("openrouter", "moonshotai/kimi-k2-thinking", OFF, {}, ["thinking"]),  # it answers 400 to either word
    ("openrouter", "anthropic/claude-sonnet-5", ON, {"reasoning": {"enabled": True}}, []),
    ("openrouter", "anthropic/claude-sonnet-5", low("xhigh"), {"reasoning_effort": "xhigh"}, []),
    ("xai", "grok-4.5", low("low"), {"reasoning_effort": "low"}, []),
    ("xai", "grok-4.5", OFF, {}, ["thinking"]),
    ("xai", "grok-4.3", OFF, {"reasoning_effort": "none"}, []),
    ("xai", "grok-4.6", low("max"), {"reasoning_effort": "xhigh"}, ["output_config.effort"]),
    ("xai", "grok-code-fast-1", low("low"), {}, ["output_config.effort"]),
    ("ollama", "qwen3:8b", OFF, {"reasoning_effort": "none"}, []),
    ("ollama", "llama3.2", ON, {}, []),
    ("ollama", "llama3.2", low("low"), {}, ["output_config.effort"]),
    ("vllm", "Qwen/Qwen3-8B", OFF, {"chat_template_kwargs": {"enable_thinking": False}}, []),
    ("vllm", "google/gemma-4", ON, {"chat_template_kwargs": {"enable_thinking": True}}, []),
]  # fmt: skip


@pytest.mark.parametrize(("preset", "model", "said", "told", "dropped"), TOLD)
def test_what_a_vendor_is_told(
    preset: str, model: str, said: dict[str, Any], told: dict[str, Any], dropped: list[str]
) -> None:
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]} | said
    out = pair.request("messages", "chat", body, target(preset, model))
    words = ("thinking", "enable_thinking", "chat_template_kwargs", "reasoning", "reasoning_effort")
    assert {key: out.body[key] for key in words if key in out.body} == told
    assert out.dropped == dropped


@pytest.mark.parametrize(
    ("model", "told"), [("gpt-5.5", "none"), ("an-alias", "none"), ("gpt-6-astra", "low"), ("gpt-4.1", None)]
)
def test_beside_tools_only_what_may_think_is_told_not_to(model: str, told: str | None) -> None:
    """The setting is for all models of an upstream. GPT-4.1 answers 400 to the field itself."""
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], "tools": tools}
    out = pair.request("messages", "chat", body | low("low"), Target(model, Policy(thinking_switch="reasoning_effort")))
    assert out.body.get("reasoning_effort") == told
    assert out.dropped == ([] if told == "low" else ["output_config.effort"])


FORCED: list[tuple[str, str, dict[str, Any], Any, list[str]]] = [
    ("deepseek", "deepseek-v4-pro", {"type": "any"}, "disabled", []),
    ("deepseek", "deepseek-v4-pro", {"type": "tool", "name": "f"} | ON, "disabled", ["thinking"]),
    ("moonshot", "kimi-k2.6", {"type": "any"} | low("low"), "disabled", ["output_config.effort"]),
    ("deepseek", "deepseek-v4-pro", {"type": "any", "output_config": {"effort": "low"}}, "disabled",
     ["output_config.effort"]),
    ("moonshot", "kimi-k2.7-code", {"type": "any"}, None, []),  # it cannot be switched off
    ("deepseek", "deepseek-v4-pro", {"type": "auto"} | ON, "enabled", []),
    ("deepseek", "deepseek-v4-pro", {"type": "auto"}, None, []),
]  # fmt: skip


@pytest.mark.parametrize(("preset", "model", "said", "told", "dropped"), FORCED)
def test_a_forced_tool_goes_before_thinking(
    preset: str, model: str, said: dict[str, Any], told: Any, dropped: list[str]
) -> None:
    choice = {key: said[key] for key in ("type", "name") if key in said}
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    body: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
    body |= {"tools": tools, "tool_choice": choice}
    body |= {key: said[key] for key in ("thinking", "output_config") if key in said}
    out = pair.request("messages", "chat", body, target(preset, model))
    assert out.body.get("thinking") == (told and {"type": told})
    forced = {"any": "required", "auto": "auto", "tool": {"type": "function", "function": {"name": "f"}}}
    assert out.body["tool_choice"] == forced[choice["type"]]
    assert out.dropped == dropped


@pytest.mark.parametrize(
    ("model", "told", "dropped"),
    [("deepseek-v4-pro", {"type": "disabled"}, []), ("deepseek-reasoner", None, ["reasoning.effort"])],
)
def test_no_effort_is_no_thinking(model: str, told: Any, dropped: list[str]) -> None:
    body = {"model": "m", "input": "hi", "reasoning": {"effort": "none"}}
    out = pair.request("responses", "chat", body, target("deepseek", model))
    assert (out.body.get("thinking"), out.dropped) == (told, dropped)


def test_a_field_of_qwens() -> None:
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]} | OFF
    out = pair.request("messages", "chat", body, Target("qwen3", Policy(thinking_switch="enable_thinking")))
    assert out.body["enable_thinking"] is False


def test_a_chat_clients_own_words_are_left_alone() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "none"}
    out = pair.request("chat", "chat", body, target("deepseek", "deepseek-v4-pro"))
    assert "thinking" not in out.body
    assert out.body["reasoning_effort"] == "none"
