"""How hard to think, and whether at all: token budgets, effort words and the switches of vendors, by tables.

Neither side defines the other. The table follows the documents of both and the practice of other gateways. A word
becomes a budget, and the budget becomes the same word again.
"""

from __future__ import annotations

import re
from typing import Any

BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 65_536}
_LEFT_OPEN = ("default", "auto")
MIN_BUDGET = 1_024  # Anthropic's floor

# Models that answer 400 to reasoning_effort because they do not reason.
_NO_EFFORT = re.compile(r"gpt-(3|4)|chatgpt-4|gpt-5-chat|mistral|codestral|devstral|ministral|pixtral", re.I)
_VERBOSITY = re.compile(r"gpt-([5-9]|\d\d)", re.I)
_XHIGH = re.compile(r"gpt-(5\.[1-9]|[6-9])", re.I)

# The efforts that vendors list for some of their models; their other models refuse the field, or ignore it.
_KNOWN = (
    (re.compile(r"grok-4\.3", re.I), "none low medium high"),
    (re.compile(r"grok-4\.5", re.I), "low medium high"),
    (re.compile(r"grok-(4\.[6-9]|[5-9])", re.I), "low medium high xhigh"),
    (re.compile(r"grok-3-mini", re.I), "low high"),
    (re.compile(r"kimi-k[3-9]", re.I), "low high max"),
    (re.compile(r"glm-(5\.[2-9]|[6-9])", re.I), "low high max"),
)


def said(word: str) -> str:
    """Returns an effort that a client names, "" for one that leaves it to the model: Groq's "default"."""
    return "" if word.lower() in _LEFT_OPEN else word


def may_reason(model: str, may: str = "auto") -> bool:
    """Tells whether the model reasons, as far as its name tells. may: as in chat_effort."""
    return may == "true" or bool(listed(model, may)) or (may == "auto" and _NO_EFFORT.search(model) is None)


def listed(model: str, may: str) -> list[str]:
    """Returns the efforts that are listed for the model: by the policy, or by its vendor if the policy says so."""
    if may == "known":
        return next((words.split() for family, words in _KNOWN if family.search(model)), [])
    return [] if may in ("auto", "true", "false") else may.split(", ")


def has_verbosity(model: str) -> bool:
    """Tells whether a Chat upstream's model knows how much it is to write. OpenAI's models do since GPT-5; others
    refuse the field."""
    return _VERBOSITY.search(model) is not None


def budget_of(effort: str) -> int:
    """Returns tokens for an effort word. An unknown word counts as medium, "none" as 0."""
    return 0 if effort == "none" else BUDGETS.get(effort, BUDGETS["medium"])


def effort_of(budget: int) -> str:
    """Returns the least word whose budget covers `budget`."""
    for word, tokens in BUDGETS.items():
        if budget <= tokens and word != "minimal":
            return word
    return "max"


def is_lowered(asked: str, sent: str) -> bool:
    """Tells whether the model is asked to think less than the client wanted."""
    return BUDGETS.get(sent, 0) < BUDGETS.get(asked, 0)


def chat_effort(effort: str, model: str, may: str = "auto") -> str:
    """Returns the reasoning_effort to send a Chat upstream for `model`; "" means none should be sent.

    Compatible servers know low, medium and high; minimal and xhigh belong to some of OpenAI's own models. may: "true"
    or "false" where the upstream's policy knows better than the model's name, "known" for what vendors list, else
    the words themselves.
    """
    if not effort or not may_reason(model, may):
        return ""
    if words := listed(model, may):
        return _nearest(effort, words)
    gpt = "gpt-" in model
    if effort in ("xhigh", "max"):
        return "xhigh" if _XHIGH.search(model) else "high"
    if effort == "minimal":
        return "minimal" if gpt else "low"
    if effort == "none":
        return "none" if _XHIGH.search(model) else ""
    return effort


def _nearest(effort: str, words: list[str]) -> str:
    """Returns the word itself, else the least that is more, else the most there is. Nothing stands for "none"."""
    if effort in words or effort == "none":
        return effort if effort in words else ""
    degrees = sorted((budget_of(word), word) for word in words if word != "none")
    return next((word for degree, word in degrees if degree >= budget_of(effort)), degrees[-1][1] if degrees else "")


# How thinking is switched on and off at compatible servers: each vendor has a field of its own, Chat has none.

SWITCHES = ("thinking", "enable_thinking", "chat_template_kwargs", "reasoning")
"""What [upstream] thinking_switch may name: DeepSeek's, Moonshot's and z.ai's field, Qwen's, that of servers which hand
it to the model's template (vLLM, SGLang, llama.cpp), and OpenRouter's."""

BEFORE_TOOLS = ("thinking", "enable_thinking")
"""Those of vendors whose models, while they think, answer 400 to a request that forces a tool."""

# Models that always think. Some of their vendors answer 400 to a request that they do not, and Moonshot to one that
# says so beside an effort.
_ALWAYS_THINK = re.compile(r"kimi-k(2\.7|2-thinking|[3-9])|glm-(4\.7|5\.[3-9]|[6-9])|deepseek-(r1|reasoner)", re.I)


def switch(field: str, model: str, on: bool) -> dict[str, Any] | None:
    """Returns what says so in a request's body; None where nothing can, or need."""
    if field not in SWITCHES or _ALWAYS_THINK.search(model):
        return None
    if field == "thinking":
        return {"thinking": {"type": "enabled" if on else "disabled"}}
    if field == "reasoning":
        return {"reasoning": {"enabled": on}}
    return {"enable_thinking": on} if field == "enable_thinking" else {field: {"enable_thinking": on}}
