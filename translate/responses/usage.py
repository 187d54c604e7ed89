"""Counters and endings: Responses' words for them, there and back.

input_tokens includes what was read from and written to a cache, the neutral `input` does not; the one conversion
each way is here. A response ends by its status, and an incomplete one says why.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from translate.conversation import Stop, StopReason, Usage

_COUNTS = ("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens")  # the latter: some gateways

REFUSED = "The model declined to answer this request."

_INCOMPLETE: dict[str, StopReason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "length": "length",
    "max_messages": "length",
    "content_filter": "refusal",
    "safety": "refusal",
}


def usage_of(raw: Any) -> Usage | None:
    """A usage object's counters, None where there is none. The object itself stays in ext (costs)."""
    if not isinstance(raw, dict) or not any(name in raw for name in _COUNTS):
        return None
    details = _dict(raw, "input_tokens_details") or _dict(raw, "prompt_tokens_details")
    spent = _dict(raw, "output_tokens_details") or _dict(raw, "completion_tokens_details")
    prompt = _count(raw, "input_tokens") or _count(raw, "prompt_tokens")
    read = min(_count(details, "cached_tokens"), prompt)
    write = min(_count(details, "cache_write_tokens"), prompt - read)
    return Usage(
        input=prompt - read - write,
        cache_read=read,
        cache_write=write,
        output=_count(raw, "output_tokens") or _count(raw, "completion_tokens"),
        reasoning=_count(spent, "reasoning_tokens"),
        ext={"responses": raw},
    )


def read_usage(raw: Any, before: Usage | None = None) -> Usage | None:
    """A usage object over what was known before: only the terminal response has one that counts."""
    return usage_of(raw) or before


def of_event(event: dict[str, Any], before: Usage | None = None) -> Usage | None:
    """After one event of a stream, which has a response within, or a whole response."""
    response = event.get("response")
    return read_usage((response if isinstance(response, dict) else event).get("usage"), before)


def usage_body(usage: Usage) -> dict[str, Any]:
    """ResponseUsage of the OpenAI SDK."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.output,
    }


def known_usage(usage: Usage | None, estimate: int) -> Usage:
    """Clients decide by the prompt's tokens when to compact: an estimate is better than 0."""
    usage = usage or Usage()
    return usage if usage.prompt else replace(usage, input=estimate)


def stop_reason(response: dict[str, Any], has_calls: bool, refused: bool) -> StopReason:
    """The neutral reason of a response that ended without an error; an unknown word counts as an end."""
    if response.get("status") == "incomplete":
        reason = _dict(response, "incomplete_details").get("reason")
        return _INCOMPLETE.get(str(reason), "length")
    if has_calls:
        return "tool_calls"
    return "refusal" if refused else "end"


def incomplete_reason(stop: Stop) -> str:
    """Why a response is incomplete, "" where it is completed. A refusal is a complete answer, as at OpenAI; what a
    Responses upstream calls a filter's doing stays that."""
    if stop.reason in ("length", "context_overflow", "pause"):
        return "max_output_tokens"
    return str(stop.ext.get("responses", {}).get("incomplete", "")) if stop.reason == "refusal" else ""


def words_of_refusal(stop: Stop) -> str:
    """What a model that declined has to say: Anthropic's explanation, where it gives one."""
    details = stop.ext.get("messages", {}).get("stop_details")
    said = details.get("explanation") if isinstance(details, dict) else None
    return said if isinstance(said, str) and said else REFUSED


def _dict(raw: dict[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def _count(raw: dict[str, Any], key: str) -> int:
    value = raw.get(key)
    return max(0, int(value)) if isinstance(value, (int, float)) and -1e15 < value < 1e15 else 0
