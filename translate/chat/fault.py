"""An error in a Chat stream that has begun.

Chat has no error event. By convention the error is a data line that holds an error object, which the SDKs raise. No
[DONE] follows it, because a lenient client would then take the stream for complete.
"""

from __future__ import annotations

from translate.failures import openai_errors
from translate.failures.errors import ApiError


def event(error: ApiError, request_id: str = "") -> bytes:
    return b"data: " + openai_errors.body(error) + b"\n\n"


def last(error: ApiError, head: bytes, sent: bytes, model: str) -> bytes:
    return event(error)
