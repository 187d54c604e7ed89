"""The upstream that the bench brings along: the least that can answer in all protocols, as fast as asyncio can.

The model's name says how it answers: bench-e200-g20 streams 200 events, 20 ms apart; bench-b5000 is a text of 5,000
bytes. It runs as a process of its own, so that what it costs is nobody else's. Over TLS it speaks HTTP/2 with whoever
wants to, and answers there as Chat Completions, whole.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from bench import far_certificate, http2

EVENTS, TEXT = 20, 20
_MODEL = re.compile(rb'"model"\s*:\s*"(bench[a-z0-9-]*)"')
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_IN_PATH = re.compile(rb"/models/(bench[a-z0-9-]*):(stream)?")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.I)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nrequest-id: r\r\nx-request-id: r\r\n%b\r\n\r\n"
_CHUNKED = _HEAD % (b"text/event-stream", b"transfer-encoding: chunked")


def run(ready: Any) -> None:
    """Serves until it is killed. ready: is called with the plain port and the port with TLS."""
    asyncio.run(_serve(ready))


async def _serve(ready: Any) -> None:
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=4096)
    secure = await loop.create_server(_Secure, "127.0.0.1", 0, ssl=_context(), backlog=4096)
    ready(*(server.sockets[0].getsockname()[1] for server in (plain, secure)))
    await asyncio.Event().wait()


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "far.pem"
        file.write_text(far_certificate.CERTIFICATE + far_certificate.KEY)
        context.load_cert_chain(file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held, self._wanted = 0, 0  # bytes of the request so far, and of all of it (0: its head is not whole)
        self._path = b""

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        if not self._wanted:
            data = b"".join(self._parts)
            self._parts = [data]
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(data, 0, end + 2)
            self._wanted = end + 4 + (int(length[1]) if length else 0)
            self._path = data.split(b" ", 2)[1]
            if b"100-continue" in data[:end]:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._held >= self._wanted:
            whole = b"".join(self._parts)
            self._parts, self._held, self._wanted = [], 0, 0
            self._answer(whole)

    def _answer(self, request: bytes) -> None:
        protocol = next((each for each in _PROTOCOLS if each.mark in self._path), None)
        if protocol is None:
            self._whole(_MODELS)
            return
        in_path = _IN_PATH.search(self._path)
        named = in_path or _MODEL.search(request)
        model = named[1].decode() if named else "bench"
        if not (in_path[2] if in_path else _STREAM.search(request)):
            self._whole(_reply(protocol, model))
            return
        events, gap_s = _chunks(protocol, model), _number(model, "g", 0) / 1e3
        if gap_s:
            self._paced(list(events), gap_s)
        else:
            self._transport.write(_CHUNKED + b"".join(events) + b"0\r\n\r\n")

    def _whole(self, body: bytes) -> None:
        self._transport.write(_HEAD % (b"application/json", b"content-length: %d" % len(body)) + body)

    def _paced(self, events: list[bytes], gap_s: float) -> None:
        events.reverse()
        self._transport.write(_CHUNKED + events.pop())
        loop = asyncio.get_running_loop()

        def go_on() -> None:
            if self._transport.is_closing():
                return
            self._transport.write(events.pop() if len(events) > 1 else events.pop() + b"0\r\n\r\n")
            if events:
                loop.call_later(gap_s, go_on)

        loop.call_later(gap_s, go_on)


class _Secure(_Connection):
    """One with TLS, where client and server may have agreed on HTTP/2."""

    _session: http2.Session | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
            self._session = http2.Session(transport.write, _chat)

    def data_received(self, data: bytes) -> None:
        if self._session is None:
            super().data_received(data)
            return
        try:
            self._session.feed(data)
        except ValueError:
            self._transport.abort()


def _chat(request: bytes) -> tuple[bytes, bytes]:
    model = _MODEL.search(request)
    return b"application/json", _reply(_PROTOCOLS[0], model[1].decode() if model else "bench")


_MODELS = b'{"object":"list","data":[{"id":"bench","object":"model","created":1,"owned_by":"bench"}]}'


def _number(model: str, letter: str, otherwise: int) -> int:
    found = re.search(rf"-{letter}(\d+)", model)
    return int(found[1]) if found else otherwise


class _Protocol(NamedTuple):
    """mark: in the path of its requests. whole: makes a reply of a model's name and a text. stream: makes its
    beginning, a delta and its end."""

    mark: bytes
    whole: Callable[[str, str], dict[str, Any]]
    stream: Callable[[str], tuple[bytes, bytes, bytes]]


@lru_cache(maxsize=64)
def _reply(protocol: _Protocol, model: str) -> bytes:
    size = _number(model, "b", TEXT)
    return _json(protocol.whole(model, ("word " * (size // 5 + 1))[:size]))


@lru_cache(maxsize=16)
def _chunks(protocol: _Protocol, model: str) -> tuple[bytes, ...]:
    """The events of a stream, each as a chunk."""
    begins, delta, ends = protocol.stream(model)
    deltas = max(1, _number(model, "e", EVENTS))
    return tuple(b"%x\r\n%b\r\n" % (len(event), event) for event in (begins, *([delta] * deltas), ends))


def _chat_whole(model: str, text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": model}
    return {**head, "choices": [choice], "usage": _USED}


def _messages_whole(model: str, text: str) -> dict[str, Any]:
    return _message(model, [{"type": "text", "text": text}], "end_turn", {"input_tokens": 9, "output_tokens": 9})


def _responses_whole(model: str, text: str) -> dict[str, Any]:
    counts = {"input_tokens": 9, "output_tokens": 9, "total_tokens": 18}
    return _response(model, "completed", [_item(text, "completed")], counts)


def _chat_stream(model: str) -> tuple[bytes, bytes, bytes]:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model}

    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        return b"data: %b\n\n" % _json({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    used = b"data: %b\n\n" % _json({**head, "choices": [], "usage": _USED})
    begins = chunk({"role": "assistant", "content": ""})
    return begins, chunk({"content": "word "}), chunk({}, "stop") + used + b"data: [DONE]\n\n"


def _messages_stream(model: str) -> tuple[bytes, bytes, bytes]:
    counts = {"input_tokens": 9, "output_tokens": 1}
    at: dict[str, Any] = {"index": 0}
    begins = _event("message_start", message=_message(model, [], None, counts))
    begins += _event("content_block_start", **at, content_block={"type": "text", "text": ""})
    delta = _event("content_block_delta", **at, delta={"type": "text_delta", "text": "word "})
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    ends = _event("content_block_stop", **at) + _event("message_delta", delta=stop, usage={"output_tokens": 9})
    return begins, delta, ends + _event("message_stop")


def _responses_stream(model: str) -> tuple[bytes, bytes, bytes]:
    at: dict[str, Any] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    counts = {"input_tokens": 9, "output_tokens": 9, "total_tokens": 18}
    begins = _event("response.created", response=_response(model, "in_progress", [], None))
    begins += _event("response.output_item.added", output_index=0, item=_item(None, "in_progress"))
    begins += _event("response.content_part.added", **at, part={"type": "output_text", "text": "", "annotations": []})
    delta = _event("response.output_text.delta", **at, delta="word ")
    ends = _event("response.output_item.done", output_index=0, item=_item("word", "completed"))
    done = _response(model, "completed", [_item("word", "completed")], counts)
    return begins, delta, ends + _event("response.completed", response=done)


def _gemini_whole(model: str, text: str) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]}
    return {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "modelVersion": model,
            "responseId": "g", "usageMetadata": _COUNTED}  # fmt: skip


def _gemini_stream(model: str) -> tuple[bytes, bytes, bytes]:
    def chunk(text: str, **more: Any) -> bytes:
        candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0} | more
        said = {"candidates": [candidate], "modelVersion": model, "responseId": "g", "usageMetadata": _COUNTED}
        return b"data: %b\r\n\r\n" % _json(said)

    return chunk(""), chunk("word "), chunk("", finishReason="STOP")


_PROTOCOLS = (
    _Protocol(b"/chat/completions", _chat_whole, _chat_stream),
    _Protocol(b"/messages", _messages_whole, _messages_stream),
    _Protocol(b"/responses", _responses_whole, _responses_stream),
    _Protocol(b"enerateContent", _gemini_whole, _gemini_stream),
)
_COUNTED = {"promptTokenCount": 9, "candidatesTokenCount": 9, "totalTokenCount": 18}
_USED = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}


def _event(name: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _json({"type": name, **fields}))


def _message(model: str, content: list[Any], stop: str | None, usage: dict[str, int]) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": content}
    return head | {"stop_reason": stop, "stop_sequence": None, "usage": usage}


def _response(model: str, status: str, output: list[Any], usage: dict[str, int] | None) -> dict[str, Any]:
    head = {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": model}
    return head | {"output": output, "usage": usage}


def _item(text: str | None, status: str) -> dict[str, Any]:
    content = [] if text is None else [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "status": status, "role": "assistant", "content": content}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
