"""An error as Google says it: whole, and in a stream that has begun."""

from __future__ import annotations

from typing import Any

from translate.failures.errors import ApiError, Overflow, in_words_of, whole_seconds
from translate.json import wire

_STATUS = {
    "invalid_request": "INVALID_ARGUMENT",
    "context_overflow": "INVALID_ARGUMENT",
    "authentication": "UNAUTHENTICATED",
    "billing": "PERMISSION_DENIED",
    "permission": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "timeout": "DEADLINE_EXCEEDED",
    "conflict": "ABORTED",
    "too_large": "INVALID_ARGUMENT",
    "rate_limit": "RESOURCE_EXHAUSTED",
    "api": "INTERNAL",
    "upstream": "UNAVAILABLE",
    "overloaded": "UNAVAILABLE",
}
_HTTP = {529: 503, 402: 403}
"""Statuses that Google's API does not have."""
_TOO_LONG = Overflow(
    ("exceeds the maximum number of tokens allowed",),
    "The input token count ({}) exceeds the maximum number of tokens allowed ({}).",
    "The input token count exceeds the maximum number of tokens allowed",
)


def status(error: ApiError) -> int:
    return _HTTP.get(error.status, error.status)


def body(error: ApiError, request_id: str = "") -> bytes:
    message = in_words_of(_TOO_LONG, error)
    said: dict[str, Any] = {"code": status(error), "message": message, "status": _STATUS[error.kind]}
    details = _details(error, request_id)
    return wire.dumps({"error": said | ({"details": details} if details else {})})


def _details(error: ApiError, request_id: str) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    if error.param:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    if error.retry_after is not None:
        delay = {"retryDelay": f"{whole_seconds(error.retry_after)}s"}
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo"} | delay)
    if request_id:
        details.append({"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": request_id})
    return details


def event(error: ApiError, request_id: str = "") -> bytes:
    return b"data: " + body(error, request_id) + b"\n\n"


def last(error: ApiError, head: bytes, sent: bytes, model: str) -> bytes:
    return event(error)
