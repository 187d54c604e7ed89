"""The tokens that a response took: `usage` of Responses, read and written.

input_tokens includes what was read from and written to a cache, and the neutral `input` does not; the one conversion
each way is here.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Usage
from translate.json.json_fields import count_of, object_of

_COUNTS = ("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens")  # the latter two: gateways


def usage_of(raw: Any, tier: Any = None) -> Usage | None:
    """Returns a usage object's counters, None where there is none. The object itself stays in ext (costs). tier: the
    service tier, which stands beside it."""
    if not isinstance(raw, dict) or not any(name in raw for name in _COUNTS):
        return None
    details = object_of(raw, "input_tokens_details") or object_of(raw, "prompt_tokens_details")
    spent = object_of(raw, "output_tokens_details") or object_of(raw, "completion_tokens_details")
    prompt = count_of(raw, "input_tokens") or count_of(raw, "prompt_tokens")
    read = min(count_of(details, "cached_tokens"), prompt)
    write = min(count_of(details, "cache_write_tokens"), prompt - read)
    return Usage(
        input=prompt - read - write,
        cache_read=read,
        cache_write=write,
        output=count_of(raw, "output_tokens") or count_of(raw, "completion_tokens"),
        reasoning=count_of(spent, "reasoning_tokens"),
        ext={"responses": raw},
        terms=(tier,) if type(tier) is str else (),
    )


def read_usage(raw: Any, before: Usage | None = None) -> Usage | None:
    """Returns a usage object over what was known before: only the terminal response has one that counts."""
    return usage_of(raw) or before


def of_event(event: dict[str, Any], before: Usage | None = None) -> Usage | None:
    """After one event of a stream, which has a response within, or a whole response."""
    response = event.get("response")
    said = response if isinstance(response, dict) else event
    return usage_of(said.get("usage"), said.get("service_tier")) or before


def usage_body(usage: Usage) -> dict[str, Any]:
    """ResponseUsage of the OpenAI SDK."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.output,
    }
