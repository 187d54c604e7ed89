"""The tokens that a reply took: `usage` of Messages, read and written.

Anthropic's usage is cumulative where it comes twice (message_start, then message_delta): later values replace earlier
ones and are never added. input_tokens leaves out what came from or went to the cache, as the neutral form does.
Everything else in it (service_tier, iterations, ...) is kept in Usage.ext.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Usage
from translate.counting.usage import added, terms_of
from translate.json.json_fields import count_of, objects_of

_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")

_TERMS = ("service_tier", "speed", "inference_geo")
_OF_ITERATIONS = (*_COUNTS, "cache_creation")


def read_usage(raw: Any, before: Usage | None = None) -> Usage | None:
    """Returns a `usage` object over what was known before; `before` is left as it was. A count of 0 does not replace a
    real one: some servers fill fields they do not know with it. Only the output's is always the last word, and that of
    the cache where the prompt is another one than before: it was made shorter on the way."""
    if not isinstance(raw, dict):
        return before
    known = before or Usage()
    fresh = count_of(raw, "input_tokens")
    if before and fresh and fresh != before.input and raw.get("cache_read_input_tokens") is not None:
        known = Usage(output=known.output, reasoning=known.reasoning, ext=known.ext, aside=known.aside)
    creation, details = raw.get("cache_creation"), raw.get("output_tokens_details")
    hour = count_of(creation, "ephemeral_1h_input_tokens")
    written = count_of(raw, "cache_creation_input_tokens") or hour + count_of(creation, "ephemeral_5m_input_tokens")
    left = {key: value for key, value in raw.items() if key not in _COUNTS}
    left = known.ext.get("messages", {}) | left
    return Usage(
        input=fresh or known.input,
        cache_read=count_of(raw, "cache_read_input_tokens") or known.cache_read,
        cache_write=written or known.cache_write,
        cache_write_1h=hour or known.cache_write_1h,
        output=known.output if raw.get("output_tokens") is None else count_of(raw, "output_tokens"),
        reasoning=count_of(details, "thinking_tokens") or known.reasoning,
        ext={"messages": left} if left else {},
        aside=(_compacting(raw) if "iterations" in raw else None) or known.aside,
        terms=terms_of([left.get(name) for name in _TERMS]) if left else (),
    )


def _compacting(raw: dict[str, Any]) -> Usage | None:
    """Returns what compactions on the way have taken, mostly the whole conversation: the sums leave it out."""
    used: Usage | None = None
    for each in objects_of(raw, "iterations"):
        if each.get("type") == "compaction":
            used = added(used, read_usage({name: value for name, value in each.items() if name in _OF_ITERATIONS}))
    return used


def of_event(event: dict[str, Any], before: Usage | None = None) -> Usage | None:
    """Returns the usage after one event of a stream, or a whole message. message_start has it within its message."""
    message = event.get("message")
    if isinstance(message, dict):
        before = read_usage(message.get("usage"), before)
    return read_usage(event.get("usage"), before)


def write_usage(usage: Usage) -> dict[str, Any]:
    """Returns a `usage` object, its counts first."""
    out: dict[str, Any] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if usage.cache_write_1h:
        five = max(0, usage.cache_write - usage.cache_write_1h)
        out["cache_creation"] = {
            "ephemeral_5m_input_tokens": five,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning:
        out["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return out | usage.ext.get("messages", {})
