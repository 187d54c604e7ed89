"""An error as Messages says it: whole, and as the last event of a stream.

Clients keep only what stands in stopped blocks: Claude Code asks a model to go on behind the words of those, and else
asks anew. So a block of words is stopped before the error: not an empty one, which upstreams refuse in a request, and
not that of a call, since half of it would be run.
"""

from __future__ import annotations

from typing import Any

from translate.failures import capability
from translate.failures.errors import KINDS, ApiError, Overflow, in_words_of
from translate.json import wire
from translate.json.json_fields import index_of, object_of, text_of
from translate.reasoning import sealed_reasoning

WORDS = ("text", "thinking")
BLOCK_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'

_UNSIGNED = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
    b'"delta":{"type":"signature_delta","signature":"%b"}}\n\n'
)
_OF_BLOCK = b'"content_block_'
_OF_WORDS = ("text_delta", "citations_delta", "thinking_delta", "signature_delta")

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
    return _stop_of_words(sent) + event(error)


def _stop_of_words(sent: bytes) -> bytes:
    """Returns the stop of the block that a stream leaves open, if it has words. Thinking has no signature yet."""
    latest = next((line for line in reversed(sent.splitlines()) if line[:5] == b"data:" and _OF_BLOCK in line), b"")
    try:
        said = wire.loads(latest[5:])
    except ValueError:
        return b""
    if not isinstance(said, dict) or (index := index_of(said.get("index"))) is None:
        return b""
    if (kind := text_of(object_of(said, "delta"), "type")) not in _OF_WORDS:
        return b""
    signed = b"" if kind != "thinking_delta" else _UNSIGNED % (index, sealed_reasoning.EMPTY.encode())
    return signed + BLOCK_STOP % index
