"""Clients that put Messages into the envelope of a cloud, as Claude Code does with CLAUDE_CODE_USE_BEDROCK or _VERTEX.

Their addresses are more addresses of Messages. The values in the address and around the body are moved to their places
in Messages. From then on it is a request of Messages. Replies go back in the cloud's frames, and errors in its words.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from typing import Any

from translate import late
from translate.endpoint import Endpoint, Framed, Unsealed
from translate.envelopes import eventstream
from translate.failures.errors import KINDS, ApiError, BadRequest
from translate.json import top_level, wire

PLAIN_VERSION = "2023-06-01"
_TAKEN = ("anthropic_version", "anthropic_beta")
_SAYABLE = late.pattern(r"[ -~]*")

# Kinds of errors -> exceptions of Bedrock.
_EXCEPTIONS = {
    "invalid_request": "ValidationException",
    "context_overflow": "ValidationException",
    "too_large": "ValidationException",
    "conflict": "ConflictException",
    "authentication": "AccessDeniedException",
    "permission": "AccessDeniedException",
    "billing": "AccessDeniedException",
    "not_found": "ResourceNotFoundException",
    "rate_limit": "ThrottlingException",
    "timeout": "ModelTimeoutException",
    "overloaded": "ServiceUnavailableException",
}
_INTERNAL = "InternalServerException"
_OF_TYPES = {row[1]: _EXCEPTIONS.get(kind, _INTERNAL) for kind, row in reversed(KINDS.items())}

# Kinds of errors -> words of Google's.
_STATUSES = {
    "invalid_request": "INVALID_ARGUMENT",
    "context_overflow": "INVALID_ARGUMENT",
    "too_large": "INVALID_ARGUMENT",
    "conflict": "ABORTED",
    "authentication": "UNAUTHENTICATED",
    "billing": "PERMISSION_DENIED",
    "permission": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "rate_limit": "RESOURCE_EXHAUSTED",
    "timeout": "DEADLINE_EXCEEDED",
    "overloaded": "UNAVAILABLE",
    "upstream": "UNAVAILABLE",
}


def unsealed(body: bytes, model: str, streams: bool | None) -> Unsealed:
    """Returns a body of Messages, and the headers that stood in it. Every byte of the other members stays."""
    first = b'"model":' + wire.dumps(model) if model else b""
    if streams and model:
        first += b',"stream":true'
    whole, taken = top_level.taken(body, (*_TAKEN, "stream") if model else _TAKEN, first)
    version = _version(taken.get(_TAKEN[0]))
    headers = {"Anthropic-Version": PLAIN_VERSION if version[:1].isalpha() else version}
    if betas := _betas(taken.get(_TAKEN[1])):
        headers["Anthropic-Beta"] = betas
    return Unsealed(whole, {name: value for name, value in headers.items() if value})


def _version(raw: bytes | None) -> str:
    said = _value(raw, _TAKEN[0])
    return _header(said, _TAKEN[0]) if isinstance(said, str) else ""


def _betas(raw: bytes | None) -> str:
    said = _value(raw, _TAKEN[1]) or []
    names = [said] if isinstance(said, str) else said
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest("anthropic_beta: a list of names is expected", "anthropic_beta")
    return _header(",".join(names), _TAKEN[1])


def _value(raw: bytes | None, name: str) -> Any:
    try:
        return wire.loads(raw) if raw is not None else None
    except ValueError:
        raise BadRequest(f"{name}: is no JSON", name) from None


def _header(said: str, name: str) -> str:
    """Returns what becomes a header's value. A line's end in it would begin another header."""
    if not _SAYABLE.fullmatch(said):
        raise BadRequest(f"{name}: letters that no header may hold", name)
    return said


def _counted(body: bytes, model: str, streams: bool | None) -> Unsealed:
    """Bedrock wraps the request of a count once more; this unwraps it."""
    try:
        inner = wire.loads(body)["input"]["invokeModel"]["body"]
        return unsealed(b64decode(inner, validate=True), model, None)
    except (ValueError, KeyError, TypeError):
        raise BadRequest("input: invokeModel.body is expected, a request of Messages in base64", "input") from None


# ------------------------------------------------------------------------------------------------ Bedrock's frames


_CHUNKS = eventstream.Writer(
    eventstream.encode_headers({":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"})
)
_DATA = late.pattern(rb"^data: ?(.+)$", re.M)
_ERROR = late.pattern(rb'\s*\{\s*"type"\s*:\s*"error"')
_PING = b'{"type":"ping"}'


def _chunk(data: bytes) -> bytes:
    return _CHUNKS.message(b'{"bytes":"%b"}' % b2a_base64(data, newline=False))


def _exception(data: bytes) -> bytes:
    try:
        error = wire.loads(data)["error"]
        name, said = _OF_TYPES.get(error["type"], _INTERNAL), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return _chunk(data)
    kind = name[:1].lower() + name[1:]
    head = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return eventstream.encode(eventstream.encode_headers(head), wire.dumps({"message": said}))


class Frames:
    """See translate.dialect.Framing."""

    __slots__ = ()

    def feed(self, events: bytes) -> bytes:
        found = _DATA.findall(events)
        if events.find(b'"error"') < 0:  # nearly always so
            return b"".join(map(_chunk, found))
        return b"".join([_exception(data) if _ERROR.match(data) else _chunk(data) for data in found])

    def end(self) -> bytes:
        return b""

    def ping(self) -> bytes:
        return _chunk(_PING)


class Events:
    """The events of Messages, unchanged."""

    __slots__ = ()

    def feed(self, events: bytes) -> bytes:
        return events

    def end(self) -> bytes:
        return b""

    def ping(self) -> bytes:
        return b"event: ping\ndata: " + _PING + b"\n\n"


def bedrock_error(error: ApiError, request_id: str = "") -> bytes:
    return wire.dumps({"message": error.message, "__type": _EXCEPTIONS.get(error.kind, _INTERNAL)})


def vertex_error(error: ApiError, request_id: str = "") -> bytes:
    """Returns an error that can be read in two ways: as Messages writes errors of the model, and as Google writes its
    own."""
    row = KINDS[error.kind]
    said = {"type": row[1], "code": error.status, "message": error.message,
            "status": _STATUSES.get(error.kind, "INTERNAL")}  # fmt: skip
    return wire.dumps({"type": "error", "error": said} | ({"request_id": request_id} if request_id else {}))


def _input_tokens(raw: bytes) -> bytes:
    try:
        return wire.dumps({"inputTokens": wire.loads(raw)["input_tokens"]})
    except (ValueError, KeyError, TypeError):
        return raw


def _always(framed: Framed) -> Callable[[Mapping[str, str]], Framed]:
    return lambda query: framed


_BEDROCK = _always(Framed(eventstream.CONTENT_TYPE, Frames, error=bedrock_error))
_BEDROCK_COUNT = _always(Framed(eventstream.CONTENT_TYPE, Frames, whole=_input_tokens, error=bedrock_error))
_VERTEX = _always(Framed("text/event-stream; charset=utf-8", Events, error=vertex_error))

_MODELS = "/projects/{}/locations/{}/publishers/anthropic/models/"


def _vertex(root: str) -> tuple[Endpoint, ...]:
    at = root + _MODELS
    return (
        Endpoint("count", f"{at}count-tokens:rawPredict", "messages/count_tokens", framed=_VERTEX, unsealed=unsealed),
        Endpoint("", at + "{model}:rawPredict", "messages", streams=False, framed=_VERTEX, unsealed=unsealed),
        Endpoint("", at + "{model}:streamRawPredict", "messages", streams=True, framed=_VERTEX, unsealed=unsealed),
    )


ENDPOINTS = (
    Endpoint("", "/model/{model}/invoke", "messages", streams=False, framed=_BEDROCK, unsealed=unsealed),
    Endpoint(
        "", "/model/{model}/invoke-with-response-stream", "messages", streams=True, framed=_BEDROCK, unsealed=unsealed
    ),
    Endpoint("count", "/model/{model}/count-tokens", "messages/count_tokens", framed=_BEDROCK_COUNT, unsealed=_counted),
    *_vertex("/v1"),
    *_vertex(""),
)
"""Where such clients ask, whatever base URL they have been given."""

UNSERVED = (
    (
        re.compile(r"/model/[^/]+(?:/[^/]+)?/converse(?:-stream)?"),
        "Converse is not spoken: have the client ask by InvokeModel (/model/MODEL/invoke, for which many have a class "
        "of their own), or take its class for Anthropic or OpenAI with this proxy's address",
    ),
)
"""Where clients of Bedrock ask that do not send Messages."""
