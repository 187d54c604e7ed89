"""Why a reply ended: the words for it in Chat (finish_reason), read and written."""

from __future__ import annotations

from translate.conversation import StopReason
from translate.failures.errors import KINDS, ApiError

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

_FINISH: dict[StopReason, str] = {
    "length": "length",
    "context_overflow": "length",
    "pause": "length",
    "tool_calls": "tool_calls",
    "refusal": "content_filter",
}


def read_stop(finish: str, *, has_calls: bool, refused_in_words: bool = False) -> StopReason:
    """Returns the neutral reason of a finish_reason: "" = the upstream gave none; an unknown word counts as an end.

    A reply with tool calls ends with "tool_calls", whatever word the server has used. A reply that was cut is the
    exception: the arguments of its last call may be half, and must not be run. Without a call, "tool_calls" is an end.
    A reply that holds a refusal (`refused_in_words`) ends with "refusal", though OpenAI says "stop".
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


def write_stop(reason: StopReason, *, has_calls: bool, refused_in_words: bool, functions: bool) -> str:
    """Returns Chat's finish_reason. A refusal in the field `refusal` ends with "stop", as at OpenAI. A paused turn that
    does not go on ends with "length". functions: the client calls tools by that name."""
    if has_calls and reason in ("end", "pause", "tool_calls"):
        return "function_call" if functions else "tool_calls"
    if (reason == "tool_calls" and not has_calls) or (reason == "refusal" and refused_in_words):
        return "stop"
    return _FINISH.get(reason, "stop")
