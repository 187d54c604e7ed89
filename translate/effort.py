"""How hard to think: Anthropic's token budgets and OpenAI's effort words, by one table.

Neither side defines the other. The table follows the documents of both and the practice of other gateways. A word
becomes a budget, and the budget becomes the same word again.
"""

from __future__ import annotations

import re

BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 65_536}
_LEFT_OPEN = ("default", "auto")
MIN_BUDGET = 1_024  # Anthropic's floor

# Models that answer 400 to reasoning_effort because they do not reason.
_NO_EFFORT = re.compile(r"gpt-(3|4)|chatgpt-4|gpt-5-chat|mistral|codestral|devstral|ministral|pixtral", re.I)
_VERBOSITY = re.compile(r"gpt-([5-9]|\d\d)", re.I)
_XHIGH = re.compile(r"gpt-(5\.[1-9]|[6-9])", re.I)


def said(word: str) -> str:
    """Returns an effort that a client names, "" for one that leaves it to the model: Groq's "default"."""
    return "" if word.lower() in _LEFT_OPEN else word


def may_reason(model: str, may: str = "auto") -> bool:
    """Tells whether the model reasons, as far as its name tells. may: as in chat_effort."""
    return may == "true" or (may == "auto" and _NO_EFFORT.search(model) is None)


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
    or "false" where the upstream's policy knows better than the model's name.
    """
    if not effort or not may_reason(model, may):
        return ""
    gpt = "gpt-" in model
    if effort in ("xhigh", "max"):
        return "xhigh" if _XHIGH.search(model) else "high"
    if effort == "minimal":
        return "minimal" if gpt else "low"
    if effort == "none":
        return "none" if _XHIGH.search(model) else ""
    return effort
