"""An upstream that answers with the mark that the question held, in any of the three protocols, when it answers at all.

What it does with a request is drawn by lot: mostly it is well, else one of a dozen faults. Its answers come in pieces,
so that those of many requests interleave.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
from typing import Any

Json = dict[str, Any]

MARK = re.compile(rb"mark-[0-9a-f]+-\d+")
PIECES = 8  # of an answer: the mark, so many times
FAULTS = ("drop", "status", "retry_after", "html", "empty", "cut", "reset", "stall", "error_first", "error_later",
          "garbage", "slow_head", "no_json")  # fmt: skip
STATUSES = (400, 401, 404, 429, 500, 502, 503, 529)


class Chaotic:
    """share: of requests that meet with a fault. pace: times its pauses. dead: resets every connection while it is
    set."""

    def __init__(self, protocol: str, seed: int, share: float = 0.3, pace: float = 1.0) -> None:
        self.protocol = protocol
        self.share = share
        self._pace = pace
        self.statuses = STATUSES
        self.dead = False
        self.requests = 0
        self.left = 0
        self._lot = random.Random(seed)
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1000)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        """Takes no further connection."""
        assert self._server is not None
        self._server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left += 1  # the proxy has: it may, at any time
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(length.group(1)) if length else 0)
        self.requests += 1
        if self.dead:
            return reset(writer)
        if not body:
            return await self._plain(writer, 404, b'{"error": {"message": "no such page"}}', b"")
        fault = self._lot.choice(FAULTS) if self._lot.random() < self.share else ""
        found = MARK.search(body)
        mark = found.group().decode() if found else "unmarked"
        stream = json.loads(body).get("stream") is True
        return await self._answer(writer, fault, mark, stream)

    async def _answer(self, writer: asyncio.StreamWriter, fault: str, mark: str, stream: bool) -> bool:
        early = await self._early(writer, fault)
        if early is not None:
            return early
        events = streamed(self.protocol, mark) if stream else [json.dumps(whole(self.protocol, mark)).encode()]
        if fault == "error_first" and stream:
            events = [error_event(self.protocol)]
        kind = b"text/event-stream" if stream else b"application/json"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        at = self._lot.randrange(1, len(events)) if len(events) > 1 else 0
        for number, event in enumerate(events):
            if number == at and fault in ("cut", "reset", "stall", "error_later", "garbage"):
                if fault == "stall":
                    await asyncio.sleep(5 * self._pace)
                if fault in ("reset", "stall"):
                    return reset(writer)
                if fault == "cut":
                    return False
                event = error_event(self.protocol) if fault == "error_later" else b"data: {garbage\n\n\xff\xfe\n\n"
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            if self._lot.random() < 0.5:
                await asyncio.sleep(self._lot.random() * 0.02 * self._pace)
            if fault == "error_later" and number == at:
                break
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _early(self, writer: asyncio.StreamWriter, fault: str) -> bool | None:
        """What happens instead of an answer; None: nothing of that kind."""
        if fault == "drop":
            return reset(writer)
        if fault == "slow_head":
            await asyncio.sleep(self._lot.random() * 3 * self._pace)
            return None
        plain = {"html": (200, b"<html><title>busy</title></html>"), "empty": (200, b""), "no_json": (200, b'{"a":')}
        if fault in plain:
            status, body = plain[fault]
            return await self._plain(writer, status, body, b"")
        if fault in ("status", "retry_after"):
            status = self._lot.choice(self.statuses) if fault == "status" else 429
            more = b"Retry-After: %d\r\n" % self._lot.choice((0, 1, 99)) if fault == "retry_after" else b""
            return await self._plain(writer, status, b'{"error": {"message": "by lot"}}', more)
        return None

    async def _plain(self, writer: asyncio.StreamWriter, status: int, body: bytes, more: bytes) -> bool:
        writer.write(b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, more, len(body), body))
        await writer.drain()
        return True


def reset(writer: asyncio.StreamWriter) -> bool:
    if not writer.transport.is_closing():
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


# ---------------------------------------------------------------------------------- answers in three protocols


def whole(protocol: str, mark: str) -> Json:
    text = mark_text(mark)
    if protocol == "messages":
        return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                "stop_sequence": None, "content": [{"type": "text", "text": text}],
                "usage": {"input_tokens": 3, "output_tokens": 8}}  # fmt: skip
    if protocol == "chat":
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
                "usage": {"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11}}  # fmt: skip
    return response("completed", [item(text)])


def streamed(protocol: str, mark: str) -> list[bytes]:
    if protocol == "messages":
        start = whole(protocol, mark) | {"content": [], "stop_reason": None}
        return [named(event) for event in (
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
              for piece in pieces(mark)),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
             "usage": {"output_tokens": 8}},
            {"type": "message_stop"},
        )]  # fmt: skip
    if protocol == "chat":
        deltas = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces(mark))]
        return [*map(chunk, deltas), chunk({}, "stop"), b"data: [DONE]\n\n"]
    part = {"item_id": "i", "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": []}
    full = empty | {"text": mark_text(mark)}
    events: list[Json] = [
        {"type": "response.created", "response": response("in_progress", [])},
        {"type": "response.in_progress", "response": response("in_progress", [])},
        {"type": "response.output_item.added", "output_index": 0, "item": item("") | {"content": []}},
        {"type": "response.content_part.added", "part": empty} | part,
        *({"type": "response.output_text.delta", "delta": piece, "logprobs": []} | part for piece in pieces(mark)),
        {"type": "response.output_text.done", "text": mark_text(mark), "logprobs": []} | part,
        {"type": "response.content_part.done", "part": full} | part,
        {"type": "response.output_item.done", "output_index": 0, "item": item(mark_text(mark))},
        {"type": "response.completed", "response": response("completed", [item(mark_text(mark))])},
    ]
    return [named(event | {"sequence_number": number}) for number, event in enumerate(events)]


def error_event(protocol: str) -> bytes:
    error = {"type": "overloaded_error", "message": "by lot"}
    if protocol == "messages":
        return named({"type": "error", "error": error})
    if protocol == "chat":
        return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
    failed = response("failed", []) | {"error": {"code": "server_error", "message": "by lot"}}
    return named({"type": "response.failed", "sequence_number": 1, "response": failed})


def pieces(mark: str) -> list[str]:
    return [f"{mark};" for _ in range(PIECES)]


def mark_text(mark: str) -> str:
    return "".join(pieces(mark))


def named(event: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())


def chunk(delta: Json, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def item(text: str) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "i", "role": "assistant", "status": "completed", "content": content}


def response(status: str, output: list[Json]) -> Json:
    usage = {"input_tokens": 3, "output_tokens": 8, "total_tokens": 11, "input_tokens_details": {"cached_tokens": 0},
             "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "output": output,
            "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "tools": [],
            "parallel_tool_calls": True, "temperature": None, "tool_choice": "auto", "top_p": None,
            "usage": usage if output else None}  # fmt: skip
