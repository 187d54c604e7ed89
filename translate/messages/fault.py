"""An error as Messages says it: whole, and as the last event of a stream."""

from __future__ import annotations

from typing import Any

from translate import capability
from translate.errors import KINDS, ApiError, Overflow, in_words_of
from translate.json import wire

_TOO_LONG = Overflow((), "prompt is too long: {} tokens > {} maximum", "prompt is too long")


def body(error: ApiError, request_id: str = "") -> bytes:
    message = error.message
    if not message.startswith(_TOO_LONG.plain):
        message = in_words_of(_TOO_LONG, error)
    if error.kind == "invalid_request":
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
