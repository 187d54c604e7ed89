"""Amazon Bedrock's InvokeModel and InvokeModelWithResponseStream, which have Messages inside.

The model stands in the address, and so does whether the reply streams; version and betas are members of the body. A
stream is a binary event stream (eventstream.py), each of whose chunks holds one event of Messages in base64. Errors in
it are exceptions, which become the error event of Messages.
"""

from __future__ import annotations

import contextlib
import re
from base64 import b64encode
from binascii import a2b_base64, b2a_base64
from urllib.parse import quote

import msgspec

from translate.envelopes import eventstream
from translate.envelopes.bridge import FIRST_PARTY, Bridge
from translate.envelopes.envelope import Envelope, Location
from translate.failures.errors import KINDS, BadReply
from translate.json import top_level, wire
from translate.messages.dialect import MESSAGES

VERSION = "bedrock-2023-05-31"

# Exceptions of the stream -> kinds of errors. Their names begin in lower case there, and in upper case in a header.
EXCEPTIONS = {
    "internalServerException": "api",
    "modelStreamErrorException": "api",
    "modelTimeoutException": "timeout",
    "serviceUnavailableException": "overloaded",
    "throttlingException": "rate_limit",
    "validationException": "invalid_request",
    "accessDeniedException": "permission",
    "resourceNotFoundException": "not_found",
    "modelNotReadyException": "overloaded",
    "serviceQuotaExceededException": "rate_limit",
}

# What Bedrock takes of Anthropic's betas, and under which name.
_SAME = (
    "claude-code-20250219", "computer-use-2024-10-22", "computer-use-2025-01-24", "computer-use-2025-11-24",
    "token-efficient-tools-2025-02-19", "output-128k-2025-02-19", "dev-full-thinking-2025-05-14",
    "interleaved-thinking-2025-05-14", "fine-grained-tool-streaming-2025-05-14", "context-1m-2025-08-07",
    "context-management-2025-06-27", "effort-2025-11-24", "tool-search-tool-2025-10-19", "tool-examples-2025-10-29",
    "compact-2026-01-12", "mid-conversation-output-config-2026-07-01", "mid-conversation-tool-changes-2026-07-01",
    "thinking-binding-controls-2026-08-01", "thinking-display-updates-2026-08-18", "dangerous-tool-use-2026-09-03",
)  # fmt: skip
BRIDGE = Bridge(
    betas={name: name for name in _SAME} | {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"},
    fields=FIRST_PARTY,
    tool_fields=("eager_input_streaming",),
    cache_fields=("scope",),
)

_BYTES, _DELTA = b'{"bytes":"', b'{"type":"content_block_delta",'  # the latter ends where three bytes of base64 do
_BEGINS = _BYTES + b2a_base64(_DELTA, newline=False)
_TYPE = re.compile(rb'\s*\{\s*"type"\s*:\s*"([a-z_]{1,64})"')
_NAMED = b"event: content_block_delta\ndata: " + _DELTA
_BETWEEN = b"\n\n" + _NAMED


class Events:
    """See envelope.Unframing. What came before something that cannot be read is given first, as the decoder does."""

    __slots__ = ("_broken", "_decoder", "_usual")

    def __init__(self) -> None:
        self._decoder = eventstream.Decoder()
        self._broken: BadReply | None = None
        self._usual = _DELTAS

    def feed(self, data: bytes) -> bytes:
        if self._broken is not None:
            raise self._broken
        deltas, others = self._decoder.cut(data, self._usual)
        if not others:
            return _written(deltas)
        out: list[bytes] = []
        at = 0
        try:
            for number, message in others:
                out.append(_written(deltas[at:number]))
                at = number
                out.append(_event(message))
                if message[1].startswith(_BEGINS):  # its headers stand in another order, or there are more
                    self._usual = _deltas(message[0])
            out.append(_written(deltas[at:]))
        except BadReply as why:
            self._broken = why
            if not any(out):
                raise
        return b"".join(out)


def _deltas(headers: dict[str, str]) -> eventstream.Usual:
    """Nearly all of a stream are deltas, whose frames have the same headers and begin with the same bytes."""
    return eventstream.Usual(eventstream.encode_headers(headers), _BEGINS, b'"', _decoded)


_FEW = 4  # are decoded one by one in less time
_list_of = msgspec.json.Decoder(list[bytes]).decode


def _decoded(texts: list[bytes]) -> list[bytes]:
    """The bytes of pieces of base64, up to the first piece that is not base64. msgspec decodes it in a third of
    binascii's time."""
    try:
        if len(texts) < _FEW:
            return list(map(a2b_base64, texts))
        found = _list_of(b'["%b"]' % b'","'.join(texts))
        if len(found) == len(texts):
            return found
    except (msgspec.MsgspecError, ValueError):
        pass
    found = []
    with contextlib.suppress(ValueError):
        for text in texts:
            found.append(a2b_base64(text))
    return found


_DELTAS = _deltas({":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"})


def _event(message: eventstream.Message) -> bytes:
    """A message of the stream as an event of Messages, b"" where it has none."""
    headers, payload = message
    if headers.get(":message-type", "event") == "event":
        return _chunk(payload) if headers.get(":event-type") == "chunk" else b""
    name = headers.get(":exception-type") or headers.get(":error-code", "")
    said = headers.get(":error-message") or _said(payload) or name
    error = {"type": KINDS[EXCEPTIONS.get(name[:1].lower() + name[1:], "api")][1], "message": said}
    return b"event: error\ndata: " + wire.dumps({"type": "error", "error": error}) + b"\n\n"


def _written(deltas: list[bytes]) -> bytes:
    if not deltas:
        return b""
    said = b"".join(deltas)
    if said.find(b"\n") >= 0 or said.find(b"\r") >= 0:
        deltas = [_in_a_line(data) for data in deltas]
    return b"%b%b\n\n" % (_NAMED, _BETWEEN.join(deltas))


def _in_a_line(data: bytes) -> bytes:
    """Line breaks stand between values: inside of a string they would be escaped."""
    return data.replace(b"\r", b" ").replace(b"\n", b" ")


def _chunk(payload: bytes) -> bytes:
    end = payload.find(b'"', len(_BYTES)) if payload.startswith(_BYTES) else -1
    try:  # a parse would cost as much as all the rest
        data = a2b_base64(payload[len(_BYTES) : end] if end > 0 else wire.loads(payload)["bytes"])
    except (ValueError, KeyError, TypeError):
        raise BadReply("the upstream's event stream has a chunk without bytes") from None
    found = _TYPE.match(data)
    name = found.group(1) if found is not None else _named(data)
    return b"event: %b\ndata: %b\n\n" % (name, _in_a_line(data))


def _named(data: bytes) -> bytes:
    try:
        return str(wire.loads(data)["type"]).encode()
    except (ValueError, KeyError, TypeError):
        raise BadReply("the upstream's event stream has a chunk that is no event of Messages") from None


def _said(payload: bytes) -> str:
    try:
        said = wire.loads(payload)
    except ValueError:
        return payload[:500].decode("utf-8", "replace")
    message = (said.get("message") or said.get("Message")) if isinstance(said, dict) else ""
    return message if isinstance(message, str) else ""


def _path(task: str, model: str, streams: bool, location: Location) -> str:
    verb = "count-tokens" if task else "invoke-with-response-stream" if streams else "invoke"
    return f"model/{quote(model, safe=':;')}/{verb}"


def _count(body: bytes) -> bytes:
    """A count is about a whole request, which has to say max_tokens."""
    if b'"max_tokens"' not in body:
        body = top_level.with_members(body, b'"max_tokens":1')
    return wire.dumps({"input": {"invokeModel": {"body": b64encode(body).decode()}}})


def _counted(body: bytes) -> bytes:
    try:
        return wire.dumps({"input_tokens": wire.loads(body)["inputTokens"]})
    except (ValueError, KeyError, TypeError):
        return body


BEDROCK = Envelope(
    name="bedrock",
    dialect=MESSAGES,
    path=_path,
    version=VERSION,
    left={"": ("model", "stream"), "count": ("model", "stream")},
    betas_inside=True,
    unframing=Events,
    bridge=BRIDGE,
    count=_count,
    counted=_counted,
)
