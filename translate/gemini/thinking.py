"""thinkingConfig: how much a Gemini model is to think, and whether it shows that.

Models of the third generation take a word, those of 2.5 a number of tokens (0 = none, -1 = as the model sees fit), and
earlier ones do not think. A name that tells no generation counts as the latest.
"""

from __future__ import annotations

from translate import late
from translate.conversation import Conversation, Reasoning
from translate.encode_context import Draft
from translate.gemini.fields import Raw, flag, text, whole
from translate.reasoning import effort

WHERE = "generationConfig.thinkingConfig."

_BUDGET = late.pattern(r"gemini-2\.5|robotics-er-1\.5")
_NEVER = late.pattern(r"gemini-(?:1|2\.0)|gemma|learnlm|imagen|embedding")
_PRO = late.pattern(r"pro")
_MINIMAL = late.pattern(r"flash-lite|gemini-3(?:[.-][0-6])?-flash")  # the others answer 400 to the least level
_NO_MEDIUM = late.pattern(r"gemini-3-pro")  # it answers 400 to it; Google's own OpenAI form makes it the next one
MOST_BUDGET, MOST_BUDGET_PRO, LEAST_BUDGET_PRO = 24_576, 32_768, 128
AS_IT_LIKES = -1

_LEVELS = {"minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def read(config: Raw) -> Reasoning:
    """Returns the wish in a client's thinkingConfig."""
    wanted = Reasoning()
    level = text(config, "thinkingLevel", WHERE).lower().removeprefix("thinking_level_")
    budget = whole(config, "thinkingBudget", WHERE)
    if level and level != "unspecified":
        wanted.enabled, wanted.effort = True, level
    if budget is not None:
        wanted.enabled = budget != 0
        wanted.adaptive = budget < 0
        wanted.budget = max(0, budget)
    if flag(config, "includeThoughts") is False:
        wanted.display = "omitted"
    elif flag(config, "includeThoughts") and wanted.enabled is not False:
        wanted.display = "summarized"
        if wanted.enabled is None:  # such a model thinks as it likes, and is to show it
            wanted.enabled = wanted.adaptive = True
    return wanted


def write(conversation: Conversation, model: str, draft: Draft) -> Raw:
    """Returns thinkingConfig for an upstream's model, {} for none."""
    wanted, words = conversation.reasoning, conversation.words
    off = wanted.enabled is False or wanted.effort == "none"
    asked = bool(wanted.enabled or wanted.effort or wanted.budget or wanted.adaptive)
    if not off and not asked:
        return {}
    if _NEVER.search(model):
        if not off:
            draft.drop(words.effort if wanted.effort else words.thinking)
        return {}
    out = _by_budget(wanted, model, off) if _BUDGET.search(model) else _by_level(wanted, model, off)
    if off and out.get("thinkingBudget") != 0:
        draft.drop(words.thinking)  # it thinks as little as it can, which is not nothing
    if not off and effort.is_lowered(wanted.effort, str(out.get("thinkingLevel", wanted.effort))):
        draft.drop(words.effort)
    return out if off else out | {"includeThoughts": wanted.display != "omitted"}


def _by_budget(wanted: Reasoning, model: str, off: bool) -> Raw:
    pro = _PRO.search(model) is not None
    if off:
        return {"thinkingBudget": LEAST_BUDGET_PRO if pro else 0}
    if not wanted.budget and not wanted.effort:
        return {"thinkingBudget": AS_IT_LIKES} if wanted.adaptive else {}
    budget = min(wanted.budget or effort.budget_of(wanted.effort), MOST_BUDGET_PRO if pro else MOST_BUDGET)
    return {"thinkingBudget": max(budget, LEAST_BUDGET_PRO) if pro else budget}


def _by_level(wanted: Reasoning, model: str, off: bool) -> Raw:
    if off:
        return {"thinkingLevel": "minimal" if _MINIMAL.search(model) else "low"}
    word = wanted.effort or (effort.effort_of(wanted.budget) if wanted.budget else "")
    if not word:
        return {}
    level = _LEVELS[effort.degree(word)]
    if level == "medium" and _NO_MEDIUM.search(model):
        level = "high"
    return {"thinkingLevel": "low" if level == "minimal" and not _MINIMAL.search(model) else level}
