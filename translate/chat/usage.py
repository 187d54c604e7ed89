"""Counters and finish reasons: reads and writes Chat's words for them.

OpenAI's prompt_tokens includes what was read from and written to a cache, and the neutral `input` does not; the one
conversion each way is here. Compatible servers spell the cache counters in half a dozen ways, send null for what they
do not know yet, and repeat growing values: the last ones count, and nothing is summed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from translate.conversation import StopReason, Usage
from translate.errors import KINDS, ApiError
from translate.json_fields import count, count_of, object_of
from translate.usage import with_thoughts

_END: dict[str, StopReason] = {
    "stop": "end", "eos": "end", "end_turn": "end", "eos_token": "end", "stop_sequence": "stop_sequence",
    "length": "length", "max_tokens": "length", "model_length": "length", "max_output_tokens": "length",
    "model_context_window_exceeded": "context_overflow",
    "tool_calls": "tool_calls", "tool_call": "tool_calls", "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refusal", "content-filter": "refusal", "sensitive": "refusal", "safety": "refusal",
    "recitation": "refusal", "refusal": "refusal", "pause_turn": "pause",
    # Gemini's words, which gateways before it hand on.
    "prohibited_content": "refusal", "blocklist": "refusal", "spii": "refusal", "image_safety": "refusal",
    "image_prohibited_content": "refusal", "blocked": "refusal", "content_filtered": "refusal",
}  # fmt: skip

# Finish reasons which mean that the server broke down and gave no answer (z.ai, DeepSeek, OpenRouter, SGLang).
_BROKEN = {
    "error": "upstream",
    "network_error": "upstream",
    "malformed_function_call": "upstream",  # Gemini: the model made a call that cannot be read
    "unexpected_tool_call": "upstream",
    "abort": "upstream",
    "insufficient_system_resource": "overloaded",
}

_OPENAIS = frozenset((
    "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details",
))  # fmt: skip
_COUNTS = frozenset(("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"))  # the last two: gateways

_FINISH: dict[StopReason, str] = {
    "length": "length",
    "context_overflow": "length",
    "pause": "length",
    "tool_calls": "tool_calls",
    "refusal": "content_filter",
}


def stop_reason(finish: str, has_calls: bool, refused_in_words: bool = False) -> StopReason:
    """`finish`: an upstream's finish_reason, "" where it gave none; an unknown word counts as an end.

    A reply with tool calls asks for their results whatever the server called it, but for one that was cut:
    its last call's arguments may be half, and must not be run. Without a call, "tool_calls" is an end. A reply
    that holds a refusal is one, though OpenAI ends it with "stop".
    """
    reason = _END.get(finish.lower(), "end")
    if reason in ("end", "tool_calls"):
        return "tool_calls" if has_calls else "refusal" if refused_in_words else "end"
    return reason


def is_known(word: str) -> bool:
    """Tells whether the word is anybody's finish_reason."""
    return word.lower() in _END


def is_cut(word: str) -> bool:
    """Tells whether the word means that the reply was cut off."""
    return _END.get(word.lower()) == "length"


def is_whole(word: str) -> bool:
    """Tells whether the word means that the reply came to its end."""
    return _END.get(word.lower()) in ("end", "tool_calls")


def breakdown(finish: str) -> ApiError | None:
    """Returns the error that a finish_reason such as "network_error" stands for."""
    kind = _BROKEN.get(finish.lower())
    if kind is None:
        return None
    return ApiError(kind, f'the upstream ended its answer with finish_reason "{finish}"', KINDS[kind][0])


def finish_reason(reason: StopReason, has_calls: bool, refused_in_words: bool, functions: bool = False) -> str:
    """Returns Chat's finish_reason. A refusal that was said in `refusal` ends with "stop", as at OpenAI; a turn that is
    paused for good is cut off. functions: the client calls tools by that name."""
    if has_calls and reason in ("end", "pause", "tool_calls"):
        return "function_call" if functions else "tool_calls"
    if (reason == "tool_calls" and not has_calls) or (reason == "refusal" and refused_in_words):
        return "stop"
    return _FINISH.get(reason, "stop")


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
    of_prompt = object_of(raw, "prompt_tokens_details").get
    read = _first(
        of_prompt("cached_tokens"),
        get("prompt_cache_hit_tokens"),  # DeepSeek
        get("cached_tokens"),  # Moonshot
        get("cache_read_input_tokens"),  # gateways before Anthropic models
    )
    write = _first(of_prompt("cache_write_tokens"), get("cache_creation_input_tokens"))
    thought = object_of(raw, "completion_tokens_details").get("reasoning_tokens")
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
        reasoning=_first(thought, get("reasoning_tokens")),
        total=count(get("total_tokens")),
        ext={"chat": raw},
    )


def read_usage(raw: Any, before: Usage | None = None) -> Usage | None:
    """Reads a usage object over what was known before. The last one counts, except for a prompt that it leaves out."""
    usage = usage_of(raw)
    if usage is None:
        return before
    if before is not None and not usage.prompt:
        usage = replace(usage, input=before.input, cache_read=before.cache_read, cache_write=before.cache_write,
                        cache_write_1h=before.cache_write_1h)  # fmt: skip
    return with_thoughts(usage)


def of_chunk(chunk: dict[str, Any], before: Usage | None = None) -> Usage | None:
    """Returns the usage after one chunk of a stream, or a whole completion: its own, else the one where Groq or
    Moonshot put it."""
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
