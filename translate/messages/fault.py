"""An error as Messages says it: whole, and as the last event of a stream."""

from __future__ import annotations

from typing import Any

from translate import capability, wire
from translate.errors import KINDS, ApiError, overflow_counts


def body(error: ApiError, request_id: str = "") -> bytes:
    message = error.message
    if error.kind == "context_overflow" and not message.startswith("prompt is too long"):
        message = _prompt_too_long(message)
    elif error.kind == "invalid_request":
        message = capability.with_token(message, error.param or "")
    out: dict[str, Any] = {"type": "error", "error": {"type": KINDS[error.kind][1], "message": message}}
    if error.details:
        out["error"]["details"] = error.details
    if request_id:
        out["request_id"] = request_id
    return wire.dumps(out)


def event(error: ApiError, request_id: str = "") -> bytes:
    return b"event: error\ndata: " + body(error, request_id) + b"\n\n"


def status(error: ApiError) -> int:
    return error.status


def last(error: ApiError, head: bytes, sent: bytes, model: str) -> bytes:
    return event(error)


def _prompt_too_long(message: str) -> str:
    """Returns the words that clients match on to compact and go on; the upstream's own words follow."""
    if (counts := overflow_counts(message)) is not None:
        return f"prompt is too long: {counts[0]} tokens > {counts[1]} maximum ({message})"
    return f"prompt is too long: {message}"
