"""The messages of a Responses request that is nothing but text."""

from __future__ import annotations

from typing import Any

from translate import text_turns

_ASIDE = frozenset({
    "model", "input", "instructions", "stream", "stream_options", "temperature", "top_p", "max_output_tokens",
    "reasoning", "include", "metadata", "store", "user", "service_tier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "moderation", "safety_identifier", "parallel_tool_calls", "truncation", "background",
    "top_logprobs", "provider",
})  # fmt: skip
"""What takes no tokens of the prompt."""

_ROLES = ("system", "developer", "user", "assistant")
_TEXTS = ("input_text", "output_text")


def turns(body: dict[str, Any]) -> text_turns.Turns | None:
    """Returns None where there is something else."""
    more = body.keys() - _ASIDE
    if more and any(body[name] for name in more - {"text"}):
        return None
    said, told = body.get("input"), body.get("instructions")
    if not text_turns.is_plain(body.get("text")) or not isinstance(told, str | None):
        return None
    found: list[tuple[str, list[str]]] = [("developer", [told])] if told else []
    items = [{"role": "user", "content": said}] if isinstance(said, str) else said
    if not isinstance(items, list):
        return None
    for item in items:
        if not isinstance(item, dict) or item.get("role") not in _ROLES or item.get("type", "message") != "message":
            return None
        if (texts := text_turns.texts_of(item.get("content"), _TEXTS)) is None:
            return None
        found.append((item["role"], texts))
    return found
