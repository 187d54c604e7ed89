"""Why a reply ended: the words for it in Messages (stop_reason), read and written."""

from __future__ import annotations

from typing import Any

from translate.conversation import Part, Refusal, Stop, StopReason, ToolCall
from translate.failures.errors import ApiError
from translate.json.json_fields import object_of, text_of

_READ: dict[str, StopReason] = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_overflow",
    "compaction": "compaction",
}

_WRITTEN: dict[StopReason, str] = {neutral: own for own, neutral in _READ.items()}

# Words of other protocols, which servers that speak several let through.
_FOREIGN: dict[str, StopReason] = {
    "length": "length", "max_output_tokens": "length", "model_length": "length",
    "content_filter": "refusal", "sensitive": "refusal", "safety": "refusal",
}  # fmt: skip

_BROKEN = frozenset({"error", "abort", "network_error", "insufficient_system_resource"})


def read_stop(given: Any, seen: set[type[Part]]) -> tuple[StopReason, dict[str, Any]]:
    """Returns the neutral reason of a stop_reason, and what ext must keep of it. null and unknown words count as a
    plain end, and ext keeps the word. seen: the types of the reply's parts."""
    if isinstance(given, str) and (known := _READ.get(given.lower()) or _FOREIGN.get(given.lower())):
        return known, {}
    reason: StopReason = "tool_calls" if ToolCall in seen else "end"
    return reason, {"stop_reason": given} if given else {}


def breakdown(given: Any) -> ApiError | None:
    """Returns the error that a stop_reason such as "network_error" stands for."""
    if not isinstance(given, str) or given.lower() not in _BROKEN:
        return None
    return ApiError("upstream", f'the upstream ended its answer with stop_reason "{given}"')


def explanation_in(said: dict[str, Any]) -> str:
    """Returns the model's reason to decline, in words; "" = none. said: a whole message, or the end of a stream."""
    return text_of(object_of(said, "stop_details"), "explanation")


def write_stop(stop: Stop, seen: set[type[Part]]) -> dict[str, Any]:
    """Returns stop_reason and stop_sequence, true to what the reply held (`seen`: the types of its parts). Tool calls
    with a plain end are tool_use, tool_use without a tool is end_turn; a reply that was cut off stays so."""
    own = stop.ext.get("messages", {})
    reason = own.get("stop_reason") or _WRITTEN[stop.reason]
    if stop.reason == "end" and "stop_reason" not in own:
        if ToolCall in seen:
            reason = "tool_use"
        elif Refusal in seen:
            reason = "refusal"
    elif stop.reason == "tool_calls" and ToolCall not in seen:
        reason = "end_turn"
    sequence = stop.sequence if reason == "stop_sequence" and stop.sequence else None
    return {"stop_reason": reason, "stop_sequence": sequence}
