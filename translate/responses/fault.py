"""An error in a Responses stream that has begun: response.failed.

The protocol has a bare `error` event too, which the SDK's stream helper trips over. The response that has failed is the
one that has begun: clients compare at least its id.
"""

from __future__ import annotations

import re
from typing import Any

from translate.failures import openai_errors
from translate.failures.errors import KINDS, ApiError
from translate.json import wire
from translate.responses import items
from translate.responses.stop import failure_of, in_event
from translate.streams import sse

HEAD_BYTES = 64 * 1024  # of a stream's beginning, where a response says who it is

_FAILED = re.compile(rb'(?:\{\s*"type"\s*:\s*")?response\.(failed|cancelled|done)\b')
_DONE = b"done"  # in the words of the realtime protocol, whatever has come of the response
_ERROR = re.compile(rb'"error"\s*:\s*(?=\{)')
_OBJECT = re.compile(rb'\{(?>(?:[^{}"]++|"(?>(?:[^"\\]++|\\.)*)")*)\}')  # without one in it
_NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d{1,15})')
_NAMES = {name: re.compile(rb'"%b"\s*:\s*"([^"\\]{1,200})"' % name.encode()) for name in ("id", "model")}

# Those of ResponseError in OpenAI's SDK that an upstream may give, and two of Codex's.
_CODES = frozenset({
    "server_error", "rate_limit_exceeded", "invalid_prompt", "data_residency_mismatch", "bio_policy",
    "misalignment_policy_violation", "vector_store_timeout", "invalid_image", "invalid_image_format",
    "invalid_base64_image", "invalid_image_url", "image_too_large", "image_too_small", "image_parse_error",
    "image_content_policy_violation", "invalid_image_mode", "image_file_too_large", "unsupported_image_media_type",
    "empty_image_file", "failed_to_download_image", "image_file_not_found", "context_length_exceeded",
    "insufficient_quota",
})  # fmt: skip


def event(error: ApiError, request_id: str = "") -> bytes:
    return failed(error, {"id": f"resp_{request_id or 'failed'}"}, 0)


def last(error: ApiError, head: bytes, sent: bytes, model: str) -> bytes:
    response = _begun(head)
    if model and "model" in response:
        response["model"] = model
    numbers = _NUMBER.findall(sent) or _NUMBER.findall(head)
    return failed(error, response, int(numbers[-1]) + 1 if numbers else 0)


def failed(error: ApiError, response: dict[str, Any], number: int) -> bytes:
    """Returns the event. response: the known fields of the response that has begun. number: the event's in its
    stream."""
    known = items.REST | {"id": "resp_failed", "object": "response", "created_at": 0, "completed_at": None,
                          "incomplete_details": None, "model": "", "output": [], "usage": None}  # fmt: skip
    known |= response | {"status": "failed", "error": response_error(error)}
    event = {"type": "response.failed", "sequence_number": number, "response": known}
    return b"event: response.failed\ndata: " + wire.dumps(event) + b"\n\n"


def of_failed(name: bytes, data: bytes) -> ApiError | None:
    """Returns the error of the response in this event, if the event says that it has failed or was cancelled, or the
    response does where the event says just that it is done. Of a long event, such as repeats the instructions, its
    beginning is enough."""
    if (ended := _FAILED.match(name or data)) is None:
        return None
    try:
        said = wire.loads(data)
        response = in_event(said) if isinstance(said, dict) else None
    except ValueError:
        response = _beginning(data) if ended[1] != _DONE else None
    if response is None:
        return None
    return failure_of(response if ended[1] == _DONE else response | {"status": ended[1].decode()})


def _beginning(data: bytes) -> dict[str, Any]:
    """Returns what the beginning of an event says of why its response has failed. Only the first error is looked at:
    bytes that are no JSON may seem to begin one everywhere."""
    if (found := _ERROR.search(data)) is None or (error := _OBJECT.match(data, found.end())) is None:
        return {}
    try:
        return {"error": wire.loads(error[0])}
    except ValueError:
        return {}


def response_error(error: ApiError) -> dict[str, Any]:
    """Returns the `error` of a failed response. Its codes are a closed list, to which the two are added that Codex acts
    on. An overload has no code there but that of any failure: it is named in a field more, for a proxy like this one,
    whose client may try again after an overload alone (Claude Code)."""
    usual = KINDS[error.kind][3] or ("invalid_prompt" if error.kind in ("invalid_request", "too_large") else "")
    code = next((code for code in (error.code, usual) if code in _CODES), "server_error")
    said = {"code": code, "message": openai_errors.told(error)}
    if code == "server_error" and error.kind not in ("api", "upstream"):
        said["type"] = KINDS[error.kind][1]
    return said


def _begun(head: bytes) -> dict[str, Any]:
    """Returns what a stream's beginning says of its response: the whole of it, or as much as is there."""
    for event in head.replace(b"\r\n", b"\n").split(b"\n\n"):
        try:
            response = wire.loads(sse.fields(event)[1])["response"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(response, dict):
            return response
    found = {name: pattern.search(head) for name, pattern in _NAMES.items()}
    return {name: match.group(1).decode("utf-8", "replace") for name, match in found.items() if match}
