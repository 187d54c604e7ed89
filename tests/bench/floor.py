"""The least that Tornado and libcurl can do: a proxy for texts alone, beside which the real one is measured.

It has no errors, limits, logs, keys or cancellation, and shows how cheap each part can be, not how a proxy should look.
`python -m tests.bench.floor UPSTREAM pass|translate` prints its address. `pass`: Chat Completions through, byte for
byte. `translate`: Messages in, Chat Completions out.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any

import pycurl
import ujson
from tornado import httputil
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

HEADERS = ["Content-Type: application/json", "Authorization: Bearer bench", "Expect:"]
HEAD_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
HEAD_SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
MAX_BODY = 100 << 20


def dumps(value: Any) -> bytes:
    return ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False).encode()


# ------------------------------------------------------------------------------------------------ translation


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def to_chat(asked: dict[str, Any]) -> dict[str, Any]:
    messages = [{"role": each["role"], "content": text_of(each["content"])} for each in asked["messages"]]
    if asked.get("system"):
        messages.insert(0, {"role": "system", "content": text_of(asked["system"])})
    made = {"model": asked["model"], "messages": messages, "max_tokens": asked["max_tokens"]}
    return made | ({"stream": True, "stream_options": {"include_usage": True}} if asked.get("stream") else {})


def to_message(reply: dict[str, Any]) -> dict[str, Any]:
    choice, used = reply["choices"][0], reply.get("usage") or {}
    return {
        "id": reply["id"], "type": "message", "role": "assistant", "model": reply["model"],
        "content": [{"type": "text", "text": choice["message"]["content"]}],
        "stop_reason": STOPS.get(choice["finish_reason"], "end_turn"), "stop_sequence": None,
        "usage": {"input_tokens": used.get("prompt_tokens", 0), "output_tokens": used.get("completion_tokens", 0)},
    }  # fmt: skip


class Events:
    """Chunks of Chat Completions in, events of Messages out. A text whose chunk is like the one before is copied as it
    is written."""

    def __init__(self) -> None:
        self._rest, self._begun, self._stop, self._used = b"", False, "end_turn", 0
        self._before, self._after = b"", b""

    def feed(self, data: bytes) -> bytes:
        *events, self._rest = (self._rest + data).split(b"\n\n")
        return b"".join(map(self._event, events))

    def _event(self, event: bytes) -> bytes:
        if self._before and event.startswith(self._before) and event.endswith(self._after):
            text = event[len(self._before) : -len(self._after)]
            if b'"' not in text:
                return _DELTA % (b'"%b"' % text)
        said = event[5:].strip()
        if said == b"[DONE]":
            return _event("content_block_stop", index=0) + self._end()
        chunk = ujson.loads(said)
        made = b"" if self._begun else self._begin(chunk)
        self._used = (chunk.get("usage") or {}).get("completion_tokens", self._used)
        for choice in chunk["choices"]:
            if text := choice["delta"].get("content"):
                written = dumps(text)
                made += _DELTA % written
                if event.count(written) == 1:
                    self._before, _, self._after = event.partition(written[1:-1])
            self._stop = STOPS.get(choice.get("finish_reason"), self._stop)
        return made

    def _begin(self, chunk: dict[str, Any]) -> bytes:
        self._begun = True
        message = {
            "id": chunk["id"], "type": "message", "role": "assistant", "model": chunk["model"], "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 0, "output_tokens": 0},
        }  # fmt: skip
        begins = _event("message_start", message=message)
        return begins + _event("content_block_start", index=0, content_block={"type": "text", "text": ""})

    def _end(self) -> bytes:
        delta = {"stop_reason": self._stop, "stop_sequence": None}
        return _event("message_delta", delta=delta, usage={"output_tokens": self._used}) + _event("message_stop")


def _event(name: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumps({"type": name, **fields}))


_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":%b}}\n\n'
)


# ------------------------------------------------------------------------------------------------ the client


class Handle:
    """A handle of libcurl that keeps its options, and its connection."""

    def __init__(self, url: str, dirty: list[Handle]) -> None:
        self.parts, self._dirty = list[bytes](), dirty
        self.on_data: Callable[[bytes], None] | None = None
        self.on_end: Callable[[bytes], None] | None = None
        self.curl = pycurl.Curl()
        self.curl.handle = self
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.NOSIGNAL, 1)
        self.curl.setopt(pycurl.POST, 1)
        self.curl.setopt(pycurl.HTTPHEADER, HEADERS)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._write)

    def _write(self, data: bytes) -> None:
        if self.on_data is not None and not self.parts:
            self._dirty.append(self)
        self.parts.append(data)

    def taken(self) -> bytes:
        data = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        self.parts.clear()
        return data


class LeanClient:
    """libcurl's multi interface on asyncio. What one turn of the loop brings is one piece."""

    def __init__(self, url: str, connections: int) -> None:
        self._url, self._loop = url, asyncio.get_running_loop()
        self._free, self._dirty, self._watched = list[Handle](), list[Handle](), dict[int, int]()
        self._timer: asyncio.Handle | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._multi.setopt(pycurl.M_PIPELINING, 0)

    def fetch(self, body: bytes, on_data: Callable[[bytes], None] | None, on_end: Callable[[bytes], None]) -> None:
        """on_data: gets the pieces; None: on_end gets all of it."""
        handle = self._free.pop() if self._free else Handle(self._url, self._dirty)
        handle.curl.setopt(pycurl.POSTFIELDS, body)
        handle.on_data, handle.on_end = on_data, on_end
        self._multi.add_handle(handle.curl)

    def _set_timer(self, ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if ms >= 0:
            self._timer = self._loop.call_later(ms / 1e3, self._act, pycurl.SOCKET_TIMEOUT, 0)

    def _watch(self, event: int, fd: int, _multi: object, _data: object) -> None:
        old, new = self._watched.get(fd, 0), 0 if event == pycurl.POLL_REMOVE else event
        self._watched[fd] = new
        for mark, add, remove, what in (
            (pycurl.POLL_IN, self._loop.add_reader, self._loop.remove_reader, pycurl.CSELECT_IN),
            (pycurl.POLL_OUT, self._loop.add_writer, self._loop.remove_writer, pycurl.CSELECT_OUT),
        ):
            if new & mark and not old & mark:
                add(fd, self._act, fd, what)
            elif old & mark and not new & mark:
                remove(fd)

    def _act(self, fd: int, what: int) -> None:
        self._multi.socket_action(fd, what)
        dirty, self._dirty[:] = [*self._dirty], []
        for handle in dirty:
            if handle.parts and handle.on_data:
                handle.on_data(handle.taken())
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for curl in (*good, *(each[0] for each in bad)):
                self._done(curl.handle)

    def _done(self, handle: Handle) -> None:
        self._multi.remove_handle(handle.curl)
        rest = handle.taken() if handle.parts else b""
        if handle.on_data and rest:
            handle.on_data(rest)
        assert handle.on_end is not None
        handle.on_end(rest)
        self._free.append(handle)


# ------------------------------------------------------------------------------------------------ the server


class Request(httputil.HTTPMessageDelegate):
    def __init__(self, connection: Any, client: LeanClient, translates: bool) -> None:
        self._connection, self._client, self._translates = connection, client, translates
        self._parts, self._events, self._begun = list[bytes](), None, False

    def headers_received(self, start_line: Any, headers: Any) -> None:
        pass

    def data_received(self, chunk: bytes) -> None:
        self._parts.append(chunk)

    def on_connection_close(self) -> None:
        pass

    def finish(self) -> None:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        is_stream = b'"stream": true' in body or b'"stream":true' in body
        if self._translates:
            body = dumps(to_chat(ujson.loads(body)))
            self._events = Events()
        if is_stream:
            self._client.fetch(body, self._on_data, self._on_end)
        else:
            self._client.fetch(body, None, self._on_reply)

    def _on_reply(self, reply: bytes) -> None:
        if self._translates:
            reply = dumps(to_message(ujson.loads(reply)))
        if not self._connection.stream.closed():
            self._connection.stream.write(HEAD_JSON % len(reply) + reply)
            self._connection.finish()

    def _on_data(self, data: bytes) -> None:
        if self._events is not None:
            data = self._events.feed(data)
        stream = self._connection.stream
        if not data or stream is None or stream.closed():
            return
        head = b""
        if not self._begun:
            self._begun, head = True, HEAD_SSE
            stream.set_nodelay(True)
            self._connection._chunking_output = True
        stream.write(b"%b%x\r\n%b\r\n" % (head, len(data), data))

    def _on_end(self, _: bytes) -> None:
        if self._connection.stream is not None and not self._connection.stream.closed():
            self._connection.finish()


class Server(HTTPServer):
    def initialize(self, client: LeanClient, translates: bool) -> None:  # type: ignore[override]
        super().initialize(lambda request: None, max_buffer_size=MAX_BODY)
        self._client, self._translates = client, translates

    def start_request(self, server_conn: object, request_conn: Any) -> Request:
        return Request(request_conn, self._client, self._translates)


async def main(upstream: str, translates: bool) -> None:
    client = LeanClient(f"{upstream}/v1/chat/completions", 6_000)
    server = Server(client, translates)
    sockets = bind_sockets(0, "127.0.0.1", backlog=4096)
    server.add_sockets(sockets)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    print(f"the floor: http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2] == "translate"))
