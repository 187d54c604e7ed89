"""The messages of a Responses request in which these are nothing but text."""

from __future__ import annotations

from typing import Any

from translate.counting import text_turns

_ASIDE = frozenset({
    "model", "input", "instructions", "stream", "stream_options", "temperature", "top_p", "max_output_tokens",
    "reasoning", "include", "metadata", "store", "user", "service_tier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "moderation", "safety_identifier", "truncation", "background",
    "top_logprobs", "provider",
})  # fmt: skip
"""What takes no tokens of the prompt."""

_FIXED = frozenset({"tools", "tool_choice", "parallel_tool_calls", "text"})

_ROLES = ("system", "developer", "user", "assistant")
_TEXTS = ("input_text", "output_text")


def said(body: dict[str, Any]) -> text_turns.TextRequest | None:
    """Returns None where there is something else."""
    fixed, asked, told = text_turns.fixed(body, _ASIDE, _FIXED), body.get("input"), body.get("instructions")
    if fixed is None or not isinstance(told, str | None):
        return None
    found: list[tuple[str, list[str]]] = [("developer", [told])] if told else []
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    if not isinstance(items, list):
        return None
    for item in items:
        if not isinstance(item, dict) or item.get("role") not in _ROLES or item.get("type", "message") != "message":
            return None
        if (texts := text_turns.texts_of(item.get("content"), _TEXTS)) is None:
            return None
        found.append((item["role"], texts))
    return text_turns.TextRequest(found, fixed)
