"""How each model of Anthropic is told to think, and where thinking gives way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.messages.test_encode_request import ANSWER, GET, GOT, USER
from tests.translate.messages.test_encode_tools import TOOL
from tests.translate.messages.written import NEW, OLD, assistant, user, write
from translate.conversation import Reasoning, Text, Thinking, ToolChoice, Turn
from translate.target import Policy

MODES = {
    "claude-3-opus-20240229": "never",
    "claude-3-5-sonnet-latest": "never",
    "claude-2.1": "never",
    "claude-3-7-sonnet-20250219": "budget",
    "us.anthropic.claude-3-7-sonnet-20250219-v1:0": "budget",
    "claude-opus-4-20250514": "budget",
    "claude-sonnet-4@20250514": "budget",
    "claude-sonnet-4-0": "budget",
    "claude-opus-4-1-20250805": "budget",
    "claude-haiku-4-5-20251001": "budget",
    "anthropic/claude-sonnet-4.5": "budget",
    "claude-sonnet-4": "budget",
    "anthropic/claude-4-sonnet": "budget",
    "claude-opus-4-6": "effort",
    "claude-opus-4-8": "asked to show it",
    "anthropic/claude-opus-4.7": "asked to show it",
    "claude-sonnet-5": "asked to show it",
    "claude-opus-5-5": "asked to show it",
    "claude-haiku-5-5": "asked to show it",
    "my-model": "effort",
}


@pytest.mark.parametrize("model", MODES)
def test_how_a_model_is_told_to_think(model: str) -> None:
    out = write(model=model, reasoning=Reasoning(effort="medium"))
    expected: dict[str, Any] = {
        "never": None,
        "budget": {"type": "enabled", "budget_tokens": 8192},
        "effort": {"type": "adaptive"},
        "asked to show it": {"type": "adaptive", "display": "summarized"},  # Chat has no field for this wish
    }
    assert out.body.get("thinking") == expected[MODES[model]]
    assert ("output_config" in out.body) is (MODES[model] not in ("never", "budget"))
    assert out.dropped == (["reasoning_effort"] if MODES[model] == "never" else [])


SHOWN = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking"),
    [
        ("claude-opus-5-5", Reasoning(), SHOWN),
        ("claude-fable-5-1", Reasoning(), SHOWN),
        ("claude-opus-5-5", Reasoning(display="omitted"), None),
        ("claude-opus-5", Reasoning(), None),  # unasked, these do not think
        ("claude-sonnet-5-5", Reasoning(), None),
        ("my-model", Reasoning(), None),
    ],
)
def test_what_always_thinks_shows_a_chat_client_what_it_says_between_calls(
    model: str, reasoning: Reasoning, thinking: dict[str, str] | None
) -> None:
    assert write(model=model, reasoning=reasoning).body.get("thinking") == thinking


@pytest.mark.parametrize("choice", [ToolChoice("any"), ToolChoice("tool", "get")])
def test_nor_is_it_asked_for_unasked_beside_a_forced_tool(choice: ToolChoice) -> None:
    body = write(model="claude-fable-5", tools=[TOOL], tool_choice=choice).body
    assert "tool_choice" in body and "thinking" not in body


@pytest.mark.parametrize(
    ("reasoning", "thinking", "effort"),
    [
        (Reasoning(), None, None),
        (Reasoning(effort="none"), {"type": "disabled"}, None),
        (Reasoning(enabled=False, effort="high"), {"type": "disabled"}, None),
        (Reasoning(enabled=True), {"type": "adaptive"}, None),
        (Reasoning(effort="minimal"), {"type": "adaptive"}, "low"),
        (Reasoning(effort="xhigh"), {"type": "adaptive"}, "xhigh"),
        (Reasoning(effort="max"), {"type": "adaptive"}, "max"),
        (Reasoning(effort="ultra"), {"type": "adaptive"}, "max"),
        (Reasoning(budget=2048), {"type": "adaptive"}, "low"),
        (Reasoning(effort="high", display="omitted"), {"type": "adaptive", "display": "omitted"}, "high"),
    ],
)
def test_reasoning_is_written_as_thinking_and_effort(reasoning: Reasoning, thinking: Any, effort: str | None) -> None:
    out = write(model="claude-opus-4-6" if reasoning.effort != "xhigh" else "my-model", reasoning=reasoning)
    assert out.body.get("thinking") == thinking
    assert out.body.get("output_config") == ({"effort": effort} if effort else None)
    assert out.dropped == []


@pytest.mark.parametrize(
    ("model", "may", "asked", "sent", "dropped"),
    [
        ("claude-opus-4-6", "auto", "xhigh", "high", True),
        ("claude-sonnet-4.6", "auto", "xhigh", "high", True),
        ("claude-opus-4-6", "auto", "max", "max", False),
        ("claude-mythos-preview", "auto", "xhigh", "high", True),
        ("claude-opus-4-7", "auto", "xhigh", "xhigh", False),
        ("claude-opus-4-7", "medium", "xhigh", "medium", True),  # as a refusal has told
        ("claude-opus-4-7", "low, medium, high", "max", "high", True),
        ("claude-opus-4-7", "medium", "low", "medium", False),
        ("claude-opus-4-7", "false", "max", "max", False),
        ("claude-opus-5", "auto", "extreme", "medium", True),
    ],
)
def test_an_effort_that_the_model_does_not_take(model: str, may: str, asked: str, sent: str, dropped: bool) -> None:
    """Anthropic answers 400 to it. The next lower one stands for it, as in its own client."""
    out = write(model=model, reasoning=Reasoning(effort=asked), policy=Policy(reasoning_effort=may))
    assert out.body["output_config"] == {"effort": sent}
    assert bool(out.dropped) == dropped


@pytest.mark.parametrize(
    ("model", "thinking", "dropped"),
    [
        ("claude-opus-5-20260724", {"type": "disabled"}, []),
        ("claude-haiku-5-5", {"type": "disabled"}, []),
        ("claude-sonnet-5", {"type": "disabled"}, []),
        ("claude-sonnet-5-5", {"type": "between_tools"}, []),
        ("anthropic/claude-sonnet-5.5", {"type": "between_tools"}, []),
        ("us.anthropic.claude-opus-5-5-20260930-v1:0", None, ["reasoning_effort"]),
        ("claude-opus-5.5", None, ["reasoning_effort"]),
        ("claude-fable-5-1", None, ["reasoning_effort"]),
    ],
)
def test_how_a_model_is_told_not_to_think(model: str, thinking: Any, dropped: list[str]) -> None:
    out = write(model=model, reasoning=Reasoning(effort="none"))
    assert (out.body.get("thinking"), out.dropped) == (thinking, dropped)
    assert out.body.get("output_config") == ({"effort": "low"} if dropped else None)


def test_a_model_that_always_thinks() -> None:
    out = write(model="claude-mythos-5", reasoning=Reasoning(effort="none"))
    assert "thinking" not in out.body and out.body["output_config"] == {"effort": "low"}
    assert out.dropped == ["reasoning_effort"]


@pytest.mark.parametrize(
    ("reasoning", "given", "clamp", "max_tokens", "budget"),
    [
        (Reasoning(effort="high"), 30_000, 0, 30_000, 24_576),
        (Reasoning(enabled=True), None, 0, 32_000, 8192),
        (Reasoning(budget=500), None, 0, 32_000, 1024),
        (Reasoning(budget=20_000), 10_000, 0, 10_000, 7500),  # a chosen limit stands
        (Reasoning(budget=20_000), 1100, 0, 1100, 1024),
        (Reasoning(effort="xhigh"), None, 0, 64_000, 32_768),  # ours is raised
        (Reasoning(effort="xhigh"), None, 20_000, 20_000, 15_000),
        (Reasoning(effort="low"), 1024, 0, 1024, None),
        (Reasoning(effort="low"), None, 800, 800, None),
        (Reasoning(effort="none"), 5000, 0, 5000, None),
    ],
)
def test_older_models_get_a_budget_that_fits(
    reasoning: Reasoning, given: int | None, clamp: int, max_tokens: int, budget: int | None
) -> None:
    out = write(model=OLD, reasoning=reasoning, max_tokens=given, policy=Policy(max_tokens=clamp))
    assert out.body["max_tokens"] == max_tokens
    assert out.body.get("thinking") == (budget and {"type": "enabled", "budget_tokens": budget})
    assert out.dropped == ([] if budget or reasoning.effort == "none" else ["reasoning_effort"])


def test_a_budget_does_not_raise_opus_4_above_what_it_writes() -> None:
    out = write(model="claude-opus-4-1", reasoning=Reasoning(effort="xhigh"))
    assert out.body["max_tokens"] == 32_000
    assert out.body["thinking"] == {"type": "enabled", "budget_tokens": 24_000}


LOOP = [USER, assistant(GET), user(GOT)]
SIGNED = [USER, assistant(Thinking("Hm", "sig"), GET), user(GOT)]


@pytest.mark.parametrize(
    ("turns", "choice", "model", "thinks"),
    [
        (LOOP, None, OLD, False),
        (LOOP, None, NEW, True),  # adaptive thinking may begin anywhere
        (SIGNED, None, OLD, True),
        ([*LOOP, ANSWER, USER], None, OLD, True),
        ([USER], ToolChoice("any"), OLD, False),
        ([USER], ToolChoice("tool", "get"), "claude-opus-5", False),
        ([USER], ToolChoice("auto"), NEW, True),
        ([USER, assistant(Text("{"))], None, OLD, False),  # a prefilled answer
        ([USER, assistant(Text("{"))], None, NEW, True),  # which is asked to go on
    ],
)
def test_thinking_gives_way(turns: list[Turn], choice: Any, model: str, thinks: bool) -> None:
    out = write(*turns, model=model, tools=[TOOL], tool_choice=choice, reasoning=Reasoning(effort="low"))
    assert ("thinking" in out.body, out.dropped) == (thinks, [] if thinks else ["reasoning_effort"])
