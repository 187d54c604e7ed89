"""The messages of a Chat request in which these are nothing but text."""

from __future__ import annotations

from typing import Any

from translate.counting import text_turns

_ASIDE = frozenset({
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens",
    "stop", "seed", "user", "n", "reasoning_effort", "reasoning", "include_reasoning", "presence_penalty",
    "frequency_penalty", "logprobs", "top_logprobs", "logit_bias", "metadata", "store", "service_tier",
    "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "safety_identifier", "provider", "usage",
    "moderation",
})  # fmt: skip
"""What takes no tokens of the prompt."""

_FIXED = frozenset({"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format"})

_ROLES = ("system", "developer", "user", "assistant")


def said(body: dict[str, Any]) -> text_turns.TextRequest | None:
    """Returns None where there is something else."""
    fixed, messages = text_turns.fixed(body, _ASIDE, _FIXED), body.get("messages")
    if fixed is None or not isinstance(messages, list):
        return None
    found = []
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return None
        if any(value for name, value in message.items() if name not in ("role", "content")):
            return None
        if (texts := text_turns.texts_of(message.get("content"), ("text",))) is None:
            return None
        found.append((message["role"], texts))
    return text_turns.TextRequest(found, fixed)
