"""The tokens that a reply took: `usageMetadata` of Google, read and written.

promptTokenCount includes what was read from a cache, which the neutral `input` does not; candidatesTokenCount leaves
out what was thought, which the neutral `output` includes; what tools of Google's own have put into the prompt is
counted beside it. Each event of a stream has all counters so far: the last ones count.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Usage
from translate.counting.usage import terms_of, with_thoughts
from translate.gemini.fields import camel
from translate.json.json_fields import count_of, object_of

_COUNTS = ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")


def read_usage(raw: Any, before: Usage | None = None) -> Usage | None:
    """Reads a usageMetadata object; `before` where it counts nothing. The last event's may leave out, or have a 0 for,
    what was counted in an earlier one."""
    raw = camel(raw) if isinstance(raw, dict) else {}
    if not any(key in raw for key in _COUNTS):
        return before
    if before is not None:
        raw = object_of(before.ext, "gemini") | {key: value for key, value in raw.items() if value}
    prompt, read = count_of(raw, "promptTokenCount"), count_of(raw, "cachedContentTokenCount")
    thought = count_of(raw, "thoughtsTokenCount")
    read = min(read, prompt)
    return with_thoughts(Usage(
        input=prompt - read + count_of(raw, "toolUsePromptTokenCount"),
        cache_read=read,
        output=count_of(raw, "candidatesTokenCount") + thought,
        reasoning=thought,
        total=count_of(raw, "totalTokenCount"),
        ext={"gemini": raw},
        terms=_terms(raw),
    ))  # fmt: skip


def _terms(raw: dict[str, Any]) -> tuple[str, ...]:
    """Returns the tier, as Gemini's API (serviceTier) and Vertex AI (trafficType) tell it."""
    said = terms_of((raw.get("serviceTier"), raw.get("trafficType")))
    return tuple(word.lower().removeprefix("service_tier_").removeprefix("on_demand_") for word in said) if said else ()


def of_event(said: dict[str, Any], before: Usage | None = None) -> Usage | None:
    return read_usage(said.get("usageMetadata", said.get("usage_metadata")), before)


def usage_body(usage: Usage) -> dict[str, Any]:
    """Returns a usageMetadata object. More thought than output was counted beside it, as Google does, too."""
    own = object_of(usage.ext, "gemini")
    beside = usage.reasoning > usage.output
    answer = usage.output - (0 if beside else usage.reasoning)
    out = {
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": answer,
        "totalTokenCount": usage.prompt + answer + usage.reasoning,
    }
    if usage.cache_read:
        out["cachedContentTokenCount"] = usage.cache_read
    if usage.reasoning:
        out["thoughtsTokenCount"] = usage.reasoning
    return own or out
