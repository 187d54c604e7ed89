"""How hard to think, and whether at all: token budgets, effort words and the switches of vendors, by tables.

Neither side defines the other. The table follows the documents of both and the practice of other gateways. A word
becomes a budget, and the budget becomes the same word again.
"""

from __future__ import annotations

import re
from typing import Any

from translate import late

BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 65_536}
_LEFT_OPEN = ("default", "auto")
_BY_NAME = ("auto", "true", "known")  # the policy leaves it to the model's name which efforts it takes
MIN_BUDGET = 1_024  # Anthropic's floor

# Models that answer 400 to reasoning_effort because they do not reason.
_NO_EFFORT = late.pattern(r"gpt-(3|4)|chatgpt-4|gpt-5-chat|mistral|codestral|devstral|ministral|pixtral", re.I)
_VERBOSITY = late.pattern(r"gpt-(?:[5-9]|[12]\d)(?!\d)", re.I)  # Azure calls GPT-3.5 gpt-35

# The efforts that OpenAI's models take, each generation others; they answer 400 to any other word. The first row counts
# that is met. Clouds write a dash for the dot.
_OPENAI = (
    (late.pattern(r"gpt-5-chat", re.I), ""),
    (late.pattern(r"gpt-5[.-]\d-chat", re.I), "medium"),
    (late.pattern(r"gpt-5-pro", re.I), "high"),
    (late.pattern(r"gpt-5[.-][2-5]-pro", re.I), "medium high xhigh"),
    (late.pattern(r"gpt-5[.-](?:1-codex-max|[2-5]-codex)", re.I), "low medium high xhigh"),
    (late.pattern(r"gpt-5(?:[.-]1)?-codex", re.I), "low medium high"),
    (late.pattern(r"gpt-5[.-][6-9](?!\d)", re.I), "none low medium high xhigh max"),
    (late.pattern(r"gpt-5[.-][2-5](?!\d)", re.I), "none low medium high xhigh"),
    (late.pattern(r"gpt-5[.-]1(?!\d)", re.I), "none low medium high"),
    (late.pattern(r"gpt-5", re.I), "minimal low medium high"),
    (late.pattern(r"gpt-6-(?:sol|luna)", re.I), "none low medium high xhigh max"),
    (late.pattern(r"gpt-(?:[6-9]|[12]\d)(?!\d)", re.I), "low medium high xhigh max"),
    (late.pattern(r"(?:^|[/.])o(?:1(?!-mini|-preview)|3|4)(?:-|$)", re.I), "low medium high"),
)

# Those of Anthropic's models: all that take an effort know these, and all but some of them one more.
_CLAUDE, _CLAUDE_SINCE = ["low", "medium", "high", "max"], "xhigh"
_CLAUDE_BEFORE = late.pattern(r"claude-(?:(?:opus|sonnet)-4[-.]6|mythos-preview)", re.I)

# The efforts that vendors list for some of their models; their other models refuse the field, or ignore it.
_KNOWN = (
    (late.pattern(r"grok-4\.3", re.I), "none low medium high"),
    (late.pattern(r"grok-4\.5", re.I), "low medium high"),
    (late.pattern(r"grok-(4\.[6-9]|[5-9])", re.I), "low medium high xhigh"),
    (late.pattern(r"grok-3-mini", re.I), "low high"),
    (late.pattern(r"kimi-k[3-9]", re.I), "low high max"),
    (late.pattern(r"glm-(5\.[2-9]|[6-9])", re.I), "low high max"),
)


def said(word: str) -> str:
    """Returns an effort that a client names, "" for one that leaves it to the model: Groq's "default"."""
    return "" if word.lower() in _LEFT_OPEN else word


def may_reason(model: str, may: str = "auto") -> bool:
    """Tells whether the model reasons, as far as its name tells. may: as in chat_effort."""
    return may == "true" or bool(listed(model, may)) or (may == "auto" and _NO_EFFORT.search(model) is None)


def listed(model: str, may: str) -> list[str]:
    """Returns the efforts that are listed for the model: by the policy, by OpenAI, or by its vendor if the policy says
    so."""
    if may == "false":
        return []
    if may not in _BY_NAME:
        return may.split(", ")
    rows = _OPENAI + _KNOWN if may == "known" else _OPENAI
    return next((words.split() for family, words in rows if family.search(model)), [])


def has_verbosity(model: str) -> bool:
    """Tells whether a Chat upstream's model knows how much it is to write. OpenAI's models do since GPT-5; others
    refuse the field."""
    return _VERBOSITY.search(model) is not None


def degree(word: str) -> str:
    """Returns the word that has a budget: "max" for Codex's word for more than that, "medium" for an unknown one."""
    return word if word in BUDGETS else "max" if word == "ultra" else "medium"


def budget_of(effort: str) -> int:
    """Returns tokens for an effort word; 0 for "none"."""
    return 0 if effort == "none" else BUDGETS[degree(effort)]


def effort_of(budget: int) -> str:
    """Returns the least word whose budget covers `budget`."""
    for word, tokens in BUDGETS.items():
        if budget <= tokens and word != "minimal":
            return word
    return "max"


def is_lowered(asked: str, sent: str) -> bool:
    """Tells whether the model is asked to think less than the client wanted, or as another word than one that nobody
    knows."""
    if asked in ("", "none"):
        return False
    return BUDGETS.get(sent, 0) < budget_of(asked) or (asked not in BUDGETS and asked not in ("ultra", sent))


def chat_effort(effort: str, model: str, may: str = "auto") -> str:
    """Returns the effort to send to a Chat or Responses upstream for `model`; "" means none should be sent.

    Compatible servers know low, medium and high. may: "true" or "false" where the upstream's policy knows better than
    the model's name, "known" for what vendors list, else the words themselves.
    """
    if not effort or not may_reason(model, may):
        return ""
    if words := listed(model, may):
        return _nearest(effort, words)
    if effort in ("xhigh", "max", "ultra"):
        return "high"
    if effort == "minimal":
        return "low"
    return "" if effort == "none" else effort


def always_thinks(model: str, may: str) -> bool:
    """Tells whether no effort of those that are listed for the model switches its thinking off."""
    words = listed(model, may)
    return bool(words) and "none" not in words


def claude_effort(effort: str, model: str, may: str) -> str:
    """Returns the effort to send to a Messages upstream: the most it takes that is not more than was asked for, as
    Anthropic's own client does it."""
    asked = budget_of(effort)
    words = _CLAUDE if _CLAUDE_BEFORE.search(model) else [*_CLAUDE, _CLAUDE_SINCE]
    if may != "false" and may not in _BY_NAME:
        words = [word for word in may.split(", ") if word in BUDGETS] or words
    by_degree = sorted(words, key=budget_of)
    return next((word for word in reversed(by_degree) if budget_of(word) <= asked), by_degree[0])


def _nearest(effort: str, words: list[str]) -> str:
    """Returns the word itself, else the least that is more, else the most there is. Nothing stands for "none"."""
    if effort in words or effort == "none":
        return effort if effort in words else ""
    degrees = sorted((budget_of(word), word) for word in words if word != "none")
    return next((word for degree, word in degrees if degree >= budget_of(effort)), degrees[-1][1] if degrees else "")


# How thinking is switched on and off at compatible servers: each vendor has a field of its own, Chat has none.

BESIDE_TOOLS = "reasoning_effort"
"""That of OpenAI: from GPT-5.4 on, Chat takes no other effort than none beside tools."""

SWITCHES = ("thinking", "enable_thinking", "chat_template_kwargs", "reasoning", BESIDE_TOOLS)
"""What [upstream] thinking_switch may name: DeepSeek's, Moonshot's and z.ai's field, Qwen's, that of servers which hand
it to the model's template (vLLM, SGLang, llama.cpp), OpenRouter's, and OpenAI's."""

BEFORE_TOOLS = ("thinking", "enable_thinking")
"""Those of vendors whose models, while they think, answer 400 to a request that forces a tool."""

# Models that always think. Some of their vendors answer 400 to a request that they do not, and Moonshot to one that
# says so beside an effort.
_ALWAYS_THINK = late.pattern(r"kimi-k(2\.7|2-thinking|[3-9])|glm-(4\.7|5\.[3-9]|[6-9])|deepseek-(r1|reasoner)", re.I)


def switch(field: str, model: str, on: bool) -> dict[str, Any] | None:
    """Returns what says so in a request's body; None where nothing can, or need."""
    if field not in SWITCHES or _ALWAYS_THINK.search(model):
        return None
    if field == "thinking":
        return {"thinking": {"type": "enabled" if on else "disabled"}}
    if field == BESIDE_TOOLS:
        return None if on else {field: "none"}
    if field == "reasoning":
        return {"reasoning": {"enabled": on}}
    return {"enable_thinking": on} if field == "enable_thinking" else {field: {"enable_thinking": on}}
