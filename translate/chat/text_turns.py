"""The messages of a Chat request that is nothing but text."""

from __future__ import annotations

from typing import Any

from translate import text_turns

_ASIDE = frozenset({
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens",
    "stop", "seed", "user", "n", "reasoning_effort", "reasoning", "include_reasoning", "presence_penalty",
    "frequency_penalty", "logprobs", "top_logprobs", "logit_bias", "metadata", "store", "service_tier",
    "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "safety_identifier", "provider", "usage",
    "moderation",
})  # fmt: skip
"""What takes no tokens of the prompt."""

_ROLES = ("system", "developer", "user", "assistant")


def turns(body: dict[str, Any]) -> text_turns.Turns | None:
    """Returns None where there is something else."""
    more = body.keys() - _ASIDE
    if more and any(body[name] for name in more - {"response_format"}):
        return None
    messages = body.get("messages")
    if not isinstance(messages, list) or not text_turns.is_plain(body.get("response_format")):
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
    return found
