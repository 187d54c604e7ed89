"""The list of models in Codex' own form, {"models": [...]}, which it asks for by GET .../models?client_version=.

Codex brings a catalogue along. A model that is not in it has "metadata not found": Codex then guesses its context, and
offers it fewer tools. An entry of this list takes the place of one that Codex brings, prompt and all. So what Codex
knows by itself has none here, and keeps the prompt that was written for it.
Source: github.com/openai/codex, codex-rs/protocol/src/openai_models.rs and codex-rs/models-manager.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from translate import late
from translate.json.json_fields import Body
from translate.model_list import ListedModel

QUERY = "client_version"
USUAL_CONTEXT = 272_000  # tokens; Codex's own assumption for an unknown model
_OUTPUT = {"mode": "tokens", "limit": 10_000}  # how much of a tool's output the model is shown
_FIRST = 100  # in the picker, after the models that Codex brings: a smaller number stands higher

# What Codex brings up to this version, and what a later one may bring. It looks for the longest name that a model's
# begins with, also behind one "namespace/".
_LATEST = (0, 171)
_BROUGHT = late.pattern(
    r"(?:[\w-]+/)?(?:gpt-5\.5|gpt-5\.6-(?:luna|sol|terra)|gpt-6-(?:astra|luna|sol)|gpt-6\.1-(?:sol|terra)"
    r"|gpt-6\.2-(?:astra|sol)|gpt-daybreak-(?:blue|red)-latest|codex-auto-review)",
    re.ASCII,
)
_LATER = late.pattern(r"(?:[\w-]+/)?(?:gpt-5\.[5-9]|gpt-(?:[6-9]|\d\d)|gpt-daybreak-|codex-auto-review)", re.ASCII)
_VERSION = late.pattern(r"(?:codex[\w -]*/)?(\d{1,4})\.(\d{1,4})", re.ASCII)
# The names of models that take an effort, if their upstream's list does not say so.
_THINKS = late.pattern(
    r"claude-(?:[a-z]+-)?[4-9]|gpt-5|gpt-oss|(?:^|/)o[1-9]|gemini-(?:2\.5|[3-9])|deepseek-r|qwq", re.I
)
_LEVELS = {
    "low": "Thinks little, and answers soon",
    "medium": "Thinks as much as most tasks need",
    "high": "Thinks long about hard problems",
}


def asks(query: Collection[str], user_agent: str) -> bool:
    """Whether it is Codex that wants the list."""
    return QUERY in query or user_agent.startswith("codex")


def knows(slug: str, version: str) -> bool:
    """Whether Codex has the model in its own catalogue. version: as Codex tells it, alone or in its User-Agent."""
    told = _VERSION.match(version)
    known = _BROUGHT if told is not None and (int(told[1]), int(told[2])) <= _LATEST else _LATER
    return known.match(slug) is not None


def page(models: Sequence[ListedModel], instructions: str, version: str) -> Body:
    unknown = [model for model in models if not knows(model.id, version)]
    return {"models": [row(model, instructions, _FIRST + at) for at, model in enumerate(unknown)]}


def row(model: ListedModel, instructions: str, priority: int = _FIRST) -> Body:
    """One entry. instructions: the prompt of Codex' agent. Codex reads no list at all in which a field is missing
    that its version wants."""
    context = model.context or USUAL_CONTEXT
    thinks = _THINKS.search(model.id) is not None if model.thinks is None else model.thinks
    return {
        "slug": model.id,
        "display_name": model.name or model.id,
        "description": model.described,
        "default_reasoning_level": "medium" if thinks else None,
        "supported_reasoning_levels": [{"effort": level, "description": said} for level, said in _LEVELS.items()]
        if thinks else [],
        "supports_reasoning_summaries": thinks,
        "default_reasoning_summary": "auto",
        "shell_type": "unified_exec",
        "apply_patch_tool_type": "freeform",
        "web_search_tool_type": "text",
        "supports_parallel_tool_calls": True,
        "support_verbosity": False,
        "default_verbosity": None,
        "experimental_supported_tools": [],
        "input_modalities": ["text"] if model.sees is False else ["text", "image"],
        "truncation_policy": _OUTPUT,
        "context_window": context,
        "max_context_window": context,
        "effective_context_window_percent": 95,
        "visibility": "list",
        "supported_in_api": True,
        "priority": priority,
        "upgrade": None,
        "base_instructions": instructions,
    }  # fmt: skip
