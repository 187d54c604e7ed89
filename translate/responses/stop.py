"""Why a response ended: by its status; an incomplete one gives a reason, and one that has failed an error."""

from __future__ import annotations

from typing import Any

from translate.conversation import Stop, StopReason
from translate.failures import errors
from translate.json.json_fields import object_of

REFUSED = "The model declined to answer this request."

_INCOMPLETE: dict[str, StopReason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "length": "length",
    "max_messages": "length",
    "content_filter": "refusal",
    "safety": "refusal",
}


def failure_of(response: dict[str, Any]) -> errors.ApiError | None:
    """Returns the error of a response that has failed, or was cancelled. If it has failed before there was any output,
    nothing was done, as a 502 says."""
    status = response.get("status")
    if not response.get("error") and status not in ("failed", "cancelled"):
        return None
    error = errors.of_object({"error": response.get("error")})
    error = error or errors.ApiError("api", f"the upstream's response has the status '{status}'")
    if error.kind == "api" and status != "cancelled" and not response.get("output"):
        error.status = 502
    return error


def in_event(event: dict[str, Any]) -> dict[str, Any]:
    """Returns the response in a terminal event. Some servers tell the error beside it, or without one."""
    response = object_of(event, "response")
    beside = event.get("error")
    return response | {"error": beside} if beside and not response.get("error") else response


def read_stop(response: dict[str, Any], *, has_calls: bool, refused: bool) -> StopReason:
    """Returns the neutral reason of a response that ended without an error; an unknown word counts as an end."""
    if response.get("status") == "incomplete":
        reason = object_of(response, "incomplete_details").get("reason")
        return _INCOMPLETE.get(str(reason), "length")
    if has_calls:
        return "tool_calls"
    return "refusal" if refused else "end"


def incomplete_reason(stop: Stop) -> str:
    """Returns why a response is incomplete, "" where it is completed. A refusal is a complete answer, as at OpenAI;
    what a Responses upstream calls a filter's doing stays that."""
    if stop.reason in ("length", "context_overflow", "pause"):
        return "max_output_tokens"
    return str(stop.ext.get("responses", {}).get("incomplete", "")) if stop.reason == "refusal" else ""


def words_of_refusal(stop: Stop) -> str:
    """Returns what a model that declined has to say: Anthropic's explanation, where it gives one."""
    return stop.explanation or REFUSED
