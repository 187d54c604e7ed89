"""The tokens that a reply took: `usage` of Chat, read and written.

OpenAI's prompt_tokens includes what was read from and written to a cache, and the neutral `input` does not; the one
conversion each way is here. Compatible servers spell the cache counters in half a dozen ways, send null for what they
do not know yet, and repeat growing values: the last ones count, and nothing is summed.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from translate.conversation import Usage
from translate.counting.usage import with_terms, with_thoughts
from translate.json.json_fields import count, count_of, object_of

_OPENAIS = frozenset((
    "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details",
))  # fmt: skip
_COUNTS = frozenset(("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"))  # the last two: gateways


def usage_of(raw: Any) -> Usage | None:
    """Returns a usage object's counters, None where there is none or it counts nothing. The object itself stays in ext
    (costs, timings)."""
    if not isinstance(raw, dict) or _COUNTS.isdisjoint(raw):
        return None
    get = raw.get
    if raw.keys() <= _OPENAIS:  # as nearly always: no other spelling is there
        details = get("prompt_tokens_details")
        prompt = count_of(raw, "prompt_tokens")
        read = min(count_of(details, "cached_tokens"), prompt)
        write = min(count_of(details, "cache_write_tokens"), prompt - read)
        output, thought = count_of(raw, "completion_tokens"), get("completion_tokens_details")
        reasoning = count_of(thought, "reasoning_tokens")
        total = count_of(raw, "total_tokens")
        return Usage(prompt - read - write, read, write, 0, output, reasoning, {"chat": raw}, total)
    of_prompt = (object_of(raw, "prompt_tokens_details") or object_of(raw, "input_tokens_details")).get
    read = _first(
        of_prompt("cached_tokens"),
        get("prompt_cache_hit_tokens"),  # DeepSeek
        get("cached_tokens"),  # Moonshot
        get("cache_read_input_tokens"),  # gateways before Anthropic models
    )
    write = _first(of_prompt("cache_write_tokens"), get("cache_creation_input_tokens"))
    spent = object_of(raw, "completion_tokens_details") or object_of(raw, "output_tokens_details")
    # The prompt's total is what is billed: a cache counter that exceeds it (Grok at Azure) is cut, not added.
    prompt = _first(get("prompt_tokens"), get("input_tokens"))
    read = min(read, prompt)
    write = min(write, prompt - read)
    return Usage(
        input=prompt - read - write,
        cache_read=read,
        cache_write=write,
        cache_write_1h=count(object_of(raw, "cache_creation").get("ephemeral_1h_input_tokens")),
        output=_first(get("completion_tokens"), get("output_tokens")),
        reasoning=_first(spent.get("reasoning_tokens"), get("reasoning_tokens")),
        total=count(get("total_tokens")),
        ext={"chat": raw},
    )


def read_usage(raw: Any, before: Usage | None = None) -> Usage | None:
    """Reads a usage object over what was known before. The last one counts, except for a prompt that it leaves out, and
    where it counts nothing."""
    usage = usage_of(raw)
    if usage is None or (before is not None and not (usage.prompt or usage.output)):
        return before
    if before is not None and before.terms:
        usage = replace(usage, terms=before.terms)
    if before is not None and not usage.prompt:
        usage = replace(usage, input=before.input, cache_read=before.cache_read, cache_write=before.cache_write,
                        cache_write_1h=before.cache_write_1h)  # fmt: skip
    return with_thoughts(usage)


def of_chunk(chunk: dict[str, Any], before: Usage | None = None) -> Usage | None:
    """Returns the usage after one chunk of a stream, or a whole completion."""
    known = _of_chunk(chunk, before)
    return with_terms(known, chunk["service_tier"]) if "service_tier" in chunk else known


def _of_chunk(chunk: dict[str, Any], before: Usage | None) -> Usage | None:
    """Returns its own, else the one where Groq or Moonshot put it."""
    usage = chunk.get("usage")
    if isinstance(usage, dict) and usage:
        return read_usage(usage, before)
    groq, choices = chunk.get("x_groq"), chunk.get("choices")
    if isinstance(groq, dict):
        return read_usage(groq.get("usage"), before)
    if isinstance(choices, list) and choices and isinstance(choices[0], dict) and "usage" in choices[0]:
        return read_usage(choices[0]["usage"], before)
    return before


def usage_body(usage: Usage) -> dict[str, Any]:
    """Returns a CompletionUsage of the OpenAI SDK."""
    prompt_details = {"cached_tokens": usage.cache_read}
    if usage.cache_write:
        prompt_details["cache_write_tokens"] = usage.cache_write
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _first(*counters: Any) -> int:
    """Returns the first of the counters that counts something: servers fill the one and leave the other at 0."""
    for counter in counters:
        if counter and (found := count(counter)):
            return found
    return 0
