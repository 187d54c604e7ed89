"""An upstream that misbehaves in all the ways that we know, and writes down what it has served.

Each reply tells a number of tokens that follows from the question's mark, so that what the proxy writes down of a
request can be compared with what its upstream has said.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import random
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

from tests.chaos import upstream as chaos
from tests.chaos.upstream import MARK, PIECES, mark_text, reset

FAULTS = (
    "drop", "status", "retry_after", "html", "empty", "no_json", "cut", "reset", "stall", "error_first", "error_later",
    "garbage", "slow_head", "gzip", "trailing", "closes", "half_head", "until_eof", "redirect", "wrong_type",
    "huge", "bad_chunk", "no_usage", "early_hints", "error_event", "open_end", "pause", "overflow", "slow_events",
)  # fmt: skip
STATUSES = (400, 404, 429, 500, 502, 503, 504, 529)
STRAY = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 23\r\n\r\n{"stray":"mark-dead-1"}'
TOO_LONG = (b'{"type": "error", "error": {"type": "invalid_request_error", '
            b'"message": "prompt is too long: 300000 tokens > 200000 maximum"}}')  # fmt: skip
HUGE = "x" * 30_000


@dataclass
class Served:
    """One request as the upstream saw it. began: it has sent a 200 with a beginning of an answer. nth: among all."""

    mark: str
    fault: str
    stream: bool
    began: bool = False
    nth: int = field(default_factory=itertools.count().__next__)


def tokens_in(mark: str) -> int:
    return 100 + zlib.crc32(mark.encode()) % 900


class Stormy:
    """share: of requests that meet with a fault. keys: those that it takes; none = any."""

    def __init__(self, protocol: str, seed: int, share: float) -> None:
        self.protocol, self.share = protocol, share
        self.served: list[Served] = []
        self.keys: set[str] = set()
        self._lot = random.Random(seed)
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1000, limit=1 << 24)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(length.group(1)) if length else 0)
        path = head.split()[1].decode()
        if not body:
            return await self._plain(writer, 404, b'{"error": {"message": "no such page"}}')
        key = re.search(rb"(?i)(?:authorization: bearer|x-api-key:|x-goog-api-key:) *(\S+)", head)
        if self.keys and (key is None or key[1].decode() not in self.keys):
            return await self._plain(
                writer, 401, b'{"error": {"message": "wrong key", "type": "authentication_error"}}'
            )
        asked = json.loads(body)
        found = MARK.findall(body)
        mark = found[-1].decode() if found else "unmarked"
        if path.endswith("/count_tokens") or ":countTokens" in path:
            return await self._plain(writer, 200, b'{"input_tokens": 7, "totalTokens": 7}')
        if path.endswith("/embeddings"):
            return await self._embeddings(writer, asked, mark)
        if path.endswith("/audio/speech"):
            return await self._speech(writer, mark)
        stream = asked.get("stream") is True or ":streamGenerateContent" in path
        fault = self._lot.choice(FAULTS) if self._lot.random() < self.share else ""
        served = Served(mark, fault, stream)
        self.served.append(served)
        return await self._answer(writer, served, asked)

    async def _speech(self, writer: asyncio.StreamWriter, mark: str) -> bool:
        if self._lot.random() < self.share / 2:
            return await self._plain(writer, 503, b'{"error": {"message": "by lot"}}')
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n")
        for n in range(8):
            piece = mark.encode() + b";" + b"\0" * 20000
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(self._lot.random() * 0.02)
            if n == 4 and self._lot.random() < self.share / 2:
                return reset(writer)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _embeddings(self, writer: asyncio.StreamWriter, asked: dict[str, Any], mark: str) -> bool:
        inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        data = [{"object": "embedding", "index": n, "embedding": [float(zlib.crc32(text.encode()) % 1000), 1.0]}
                for n, text in enumerate(inputs)]  # fmt: skip
        await asyncio.sleep(self._lot.random() * 0.01)
        if self._lot.random() < self.share / 2:
            return await self._plain(writer, 503, b'{"error": {"message": "by lot"}}')
        usage = {"prompt_tokens": 10 * len(inputs), "total_tokens": 10 * len(inputs)}
        return await self._plain(writer, 200, json.dumps(
            {"object": "list", "data": data, "model": "e", "usage": usage}).encode())  # fmt: skip

    async def _answer(self, writer: asyncio.StreamWriter, served: Served, asked: dict[str, Any]) -> bool:
        fault, stream, mark = served.fault, served.stream, served.mark
        if fault == "drop":
            return reset(writer)
        if fault == "half_head":
            writer.write(b"HTTP/1.1 200 O")
            await writer.drain()
            return False
        if fault == "slow_head":
            await asyncio.sleep(self._lot.random() * 2.5)
        if fault == "redirect":
            return await self._plain(writer, 307, b"moved", b"Location: http://127.0.0.1:9/elsewhere\r\n")
        plain = {"html": (b"text/html", b"<html><title>busy</title></html>"), "empty": (b"application/json", b""),
                 "no_json": (b"application/json", b'{"a":')}  # fmt: skip
        if fault in plain:
            served.began = fault == "no_json"  # a page or nothing at all is no answer: another may be asked
            kind, body = plain[fault]
            return await self._plain(writer, 200, body, kind=kind)
        if fault in ("status", "retry_after"):
            status = self._lot.choice(STATUSES) if fault == "status" else 429
            more = b"Retry-After: %d\r\n" % self._lot.choice((0, 1, 20)) if fault == "retry_after" else b""
            return await self._plain(writer, status, b'{"error": {"message": "by lot"}}', more)
        if fault == "overflow":
            return await self._plain(writer, 400, TOO_LONG)
        if fault == "error_event":
            return await self._plain(writer, 529, chaos.error_event("messages"), kind=b"text/event-stream")
        events = self._events(mark, stream, asked, fault)
        if fault == "error_first" and stream:
            events = [self._error()]
        served.began = not (fault == "error_first" and stream)
        kind = b"text/event-stream" if stream else b"application/json"
        if fault == "wrong_type":
            kind = b"application/json" if stream else b"text/plain"
        more = b""
        if fault == "gzip":
            more = b"Content-Encoding: gzip\r\n"
            whole = gzip.compress(b"".join(events))
            cut = max(1, len(whole) // 3)
            events = [whole[at : at + cut] for at in range(0, len(whole), cut)]
        if fault == "early_hints":
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        return await self._body(writer, served, events, kind, more)

    async def _body(
        self, writer: asyncio.StreamWriter, served: Served, events: list[bytes], kind: bytes, more: bytes
    ) -> bool:
        fault = served.fault
        chunked = fault != "until_eof"
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: "
            + kind
            + b"\r\nx-request-id: up-"
            + served.mark.encode()
            + b"\r\n"
            + more
        )
        writer.write(head + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Connection: close\r\n\r\n"))
        at = self._lot.randrange(1, len(events)) if len(events) > 1 else 0
        for number, event in enumerate(events):
            if number == at:
                if fault == "stall":
                    await asyncio.sleep(3)
                if fault in ("reset", "stall"):
                    return reset(writer)
                if fault == "cut":
                    writer.write(b"%x\r\n%b" % (len(event), event[: len(event) // 2]))
                    return False
                if fault == "bad_chunk":
                    writer.write(b"zz\r\nnonsense\r\n")
                    return False
                if fault == "error_later" and served.stream:
                    event = self._error()
                if fault == "garbage":
                    event = b"data: {garbage\n\n\xff\xfe\n\n"
            writer.write(b"%x\r\n%b\r\n" % (len(event), event) if chunked else event)
            await writer.drain()
            if fault == "slow_events":
                await asyncio.sleep(0.15)
            elif self._lot.random() < 0.4:
                await asyncio.sleep(self._lot.random() * 0.02)
            if fault == "error_later" and served.stream and number == at:
                break
        if fault == "open_end" and served.stream:
            for _ in range(40):
                await asyncio.sleep(0.1)
                writer.write(b"e\r\n: keep-alive\n\n\r\n")
                await writer.drain()
        if not chunked:
            return False
        writer.write(b"0\r\n\r\n")
        if fault == "trailing":
            writer.write(STRAY)
        await writer.drain()
        return fault != "closes"

    def _error(self) -> bytes:
        if self.protocol == "gemini":
            return b'data: {"error": {"code": 503, "message": "by lot", "status": "UNAVAILABLE"}}\n\n'
        return chaos.error_event(self.protocol)

    def _events(self, mark: str, stream: bool, asked: dict[str, Any], fault: str) -> list[bytes]:
        told = fault != "no_usage"
        events = _streamed(self.protocol, mark, asked) if stream else [_whole(self.protocol, mark)]
        events = [_with_usage(self.protocol, event, tokens_in(mark), told) for event in events]
        if fault == "pause" and self.protocol == "messages":
            events = [event.replace(b'"end_turn"', b'"pause_turn"') for event in events]
        if fault == "huge":
            events = [event.replace(f"{mark};".encode(), f"{mark};{HUGE}".encode()) for event in events]
        return events

    async def _plain(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        body: bytes,
        more: bytes = b"",
        kind: bytes = b"application/json",
    ) -> bool:
        writer.write(b"HTTP/1.1 %d X\r\nContent-Type: %b\r\n%bContent-Length: %d\r\n\r\n%b"
                     % (status, kind, more, len(body), body))  # fmt: skip
        await writer.drain()
        return True


# ------------------------------------------------------------------------------------------------- replies


def _whole(protocol: str, mark: str) -> bytes:
    if protocol == "gemini":
        return json.dumps(_gemini(mark_text(mark), "STOP")).encode()
    return json.dumps(chaos.whole(protocol, mark)).encode()


def _streamed(protocol: str, mark: str, asked: dict[str, Any]) -> list[bytes]:
    if protocol == "gemini":
        pieces = chaos.pieces(mark)
        return [b"data: " + json.dumps(_gemini(piece, "STOP" if n == PIECES - 1 else "")).encode() + b"\r\n\r\n"
                for n, piece in enumerate(pieces)]  # fmt: skip
    events = chaos.streamed(protocol, mark)
    if protocol == "chat" and (asked.get("stream_options") or {}).get("include_usage"):
        usage = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                 "usage": {"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11}}  # fmt: skip
        events.insert(-1, b"data: " + json.dumps(usage).encode() + b"\n\n")
    return events


def _gemini(text: str, finish: str) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "g", "responseId": "r",
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 8, "totalTokenCount": 11}}  # fmt: skip


_FIELDS = {"messages": b"input_tokens", "chat": b"prompt_tokens", "responses": b"input_tokens",
           "gemini": b"promptTokenCount"}  # fmt: skip


def _with_usage(protocol: str, event: bytes, tokens: int, told: bool) -> bytes:
    field = _FIELDS[protocol]
    if not told and protocol == "gemini":
        return re.sub(rb', "usageMetadata": \{[^{}]*\}', b"", event)
    if not told and protocol != "messages":
        return re.sub(rb'"usage": \{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}', rb'"usage": null', event)
    event = re.sub(rb'"%b": 3\b' % field, b'"%b": %d' % (field, tokens), event)
    return re.sub(rb'"(total_tokens|totalTokenCount)": 11\b', rb'"\1": %d' % (tokens + 8), event)
