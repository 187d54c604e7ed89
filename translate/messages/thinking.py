"""How hard to think, said in the way the upstream's model understands, and what thinking forbids.

Claude 3.7 and 4 to 4.5 take a budget in tokens; later ones, and names we do not know (which are treated as
current Claude), choose for themselves and take a word for the effort; older ones do not think. Anthropic
answers 400 to thinking beside a forced tool, a prefilled answer, or a tool loop that began without it: the
client asked for the other thing in so many words, so thinking gives way and the reply's headers say so.
"""

from __future__ import annotations

from typing import Literal

from translate import late
from translate.conversation import Conversation, Reasoning
from translate.fields.words import Words
from translate.json.json_fields import Body
from translate.messages import sampling
from translate.reasoning import effort
from translate.target import Policy

_FAMILY_4 = r"claude-(?:opus|sonnet|haiku)-4(?:[-.][0-5](?!\d)|[-.@]\d{8}|(?![-.]?\d))"
_MANUAL = late.pattern(r"claude-3[-.]7|claude-4-(?:opus|sonnet)|" + _FAMILY_4)
_NEVER = late.pattern(r"claude-(?:3(?![-.]7)|2|instant)")
# These answer 400 to "disabled": some always think, and others have a word of their own for it.
_ALWAYS = late.pattern(r"claude-(?:mythos|fable|opus-(?:5[-.][5-9]|[6-9]|[1-9]\d)(?!\d))")
_BETWEEN = late.pattern(r"claude-sonnet-(?:5[-.][5-9]|[6-9]|[1-9]\d)(?!\d)")
_SMALL = late.pattern(r"claude-(?:3-(?:opus|sonnet|haiku)|2|instant)")
_MIDDLE = late.pattern(r"claude-3")
_OPUS_4 = late.pattern(r"claude-(?:opus-4(?![-.]5)|4-opus)")

DEFAULT_MAX_TOKENS = 32_000


def mode_of(model: str) -> Literal["budget", "effort", "never"]:
    """Returns how `model` is told to think. Vendor prefixes and dates in the name do not matter."""
    if _NEVER.search(model):
        return "never"
    return "budget" if _MANUAL.search(model) else "effort"


def takes_beginning(model: str) -> bool:
    """Tells whether a conversation may end with the beginning of the answer. From 4.6 on Claude answers 400 to it."""
    return "claude" not in model or mode_of(model) != "effort"


def default_max_tokens(model: str) -> int:
    """Returns max_tokens for a client that gave none (Messages demands one): what each family can write at most, but no
    more than is sensible without being asked."""
    if _SMALL.search(model):
        return 4_096
    return 8_192 if _MIDDLE.search(model) else DEFAULT_MAX_TOKENS


def asked_for(reasoning: Reasoning) -> bool | None:
    """Tells whether the client asked for thinking. None = it said nothing."""
    if reasoning.enabled is False or reasoning.effort == "none":
        return False
    return True if reasoning.enabled or reasoning.effort or reasoning.budget or reasoning.adaptive else None


def write(body: Body, conversation: Conversation, policy: Policy) -> str:
    """Puts thinking (and output_config.effort) into `body`, whose model, max_tokens, messages and tool_choice
    are there already. Returns the client's word for what is left out of its wish, "" for nothing."""
    reasoning, words = conversation.reasoning, conversation.words
    wanted = asked_for(reasoning)
    mode = mode_of(body["model"])
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    if wanted is None:  # beside a forced tool, nothing is asked for that might be refused
        shown = {} if forced or reasoning.display else _shown(body["model"], words)
        if shown and _ALWAYS.search(body["model"]):
            body["thinking"] = {"type": "adaptive"} | shown  # as it thinks anyway
        return ""
    if not wanted:
        if _ALWAYS.search(body["model"]):
            body["output_config"] = {"effort": "low"}
            return words.thinking
        if mode == "effort":  # the other models do not think unless they are told to
            body["thinking"] = {"type": "between_tools" if _BETWEEN.search(body["model"]) else "disabled"}
        return ""
    if mode == "never" or forced or body["messages"][-1]["role"] == "assistant":
        return words.thinking
    if mode == "budget":
        return "" if _by_budget(body, conversation, policy.max_tokens) else words.thinking
    body["thinking"] = {"type": "adaptive"} | (_display(reasoning) or _shown(body["model"], words))
    word = reasoning.effort or (effort.effort_of(reasoning.budget) if reasoning.budget else "")
    if not word:
        return ""
    sent = effort.claude_effort(word, body["model"], policy.reasoning_effort)
    body["output_config"] = {"effort": sent}
    return words.effort if effort.is_lowered(reasoning.effort, sent) else ""


def _by_budget(body: Body, conversation: Conversation, limit: int) -> bool:
    """max_tokens includes the budget. A max_tokens that the client chose stands, and the budget is cut to
    leave a quarter for the answer; one that we chose is raised, as far as the model goes. `limit`: the clamp of
    max_tokens, 0 = none. False: no thinking fits."""
    reasoning = conversation.reasoning
    budget = max(effort.MIN_BUDGET, reasoning.budget or effort.budget_of(reasoning.effort or "medium"))
    if budget >= body["max_tokens"] and conversation.max_tokens is None:
        most = 32_000 if _OPUS_4.search(body["model"]) else 64_000
        raised = max(body["max_tokens"], min(body["max_tokens"] + budget, most))
        body["max_tokens"] = min(raised, limit) if limit else raised
    if body["max_tokens"] <= effort.MIN_BUDGET or _began_without(body["messages"]):
        return False
    if budget >= body["max_tokens"]:
        budget = max(effort.MIN_BUDGET, body["max_tokens"] * 3 // 4)
    body["thinking"] = {"type": "enabled", "budget_tokens": budget} | _display(reasoning)
    return True


def _display(reasoning: Reasoning) -> Body:
    return {"display": reasoning.display} if reasoning.display else {}


def _shown(model: str, words: Words) -> Body:
    """Returns the wish for thoughts in words, for a client whose protocol has none for it and whose servers show them.
    Since Opus 4.7 models leave them out unless they are asked, and what they say between two calls with them."""
    return {"display": "summarized"} if words.sees_thoughts and sampling.is_fixed(model) else {}


def _began_without(messages: list[Body]) -> bool:
    """Tells whether this is the middle of a tool loop whose last assistant turn did not begin with thinking."""
    turn: list[Body] = next((m["content"] for m in reversed(messages) if m["role"] == "assistant"), [])
    if not any(block["type"] == "tool_use" for block in turn):
        return False
    return turn[0]["type"] not in ("thinking", "redacted_thinking")
