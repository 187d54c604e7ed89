"""A scripted upstream: a real socket that answers what a test tells it to, and remembers what it was asked.

    with Upstream([Answer.json({"ok": 1}), Answer.sse([b"data: 1\\n\\n", 0.05, b"data: 2\\n\\n"])]) as up:
        ... requests to up.url ...
    assert up.requests[0].body == b"..."

Runs in a thread with a loop of its own, so that tests of any kind, sync or async, may use it. The script is
a list (one answer a request, in the order of arrival; the last one repeats) or a function Request -> Answer.
HTTP/1.1 is written by hand: a test must be able to break it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


class Gate:
    """Put into an answer's body: the server waits there until the test calls open(), in whichever thread."""

    def __init__(self) -> None:
        self._is_open = False
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def __repr__(self) -> str:
        return f"<Gate {'open' if self._is_open else 'shut'}>"

    def open(self) -> None:
        with self._lock:
            self._is_open = True
            waiting, self._waiting = self._waiting, []
        for loop, opened in waiting:
            with contextlib.suppress(RuntimeError):  # its server has stopped
                loop.call_soon_threadsafe(opened.set)

    async def passed(self) -> None:
        with self._lock:
            if self._is_open:
                return
            opened = asyncio.Event()
            self._waiting.append((asyncio.get_running_loop(), opened))
        await opened.wait()


Item = bytes | float | Gate
End = Literal["keep", "close", "reset", "hang"]
Framing = Literal["length", "chunked", "eof"]


@dataclass
class Answer:
    """body: bytes, or a sequence of bytes (one write each), pauses (float seconds) and Gates. end: after the
    body keep the connection, close it, reset it (RST), or hang. framing: how the body's end is told; with
    "chunked" and end "close" or "reset" the last chunk is left out, with "length" `short` bytes are
    promised that never come. delay (seconds or a Gate) is waited before the head; head False = no head."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Sequence[Item] = b""
    end: End = "keep"
    framing: Framing = "length"
    short: int = 0
    delay: float | Gate = 0.0
    head: bool = True

    @classmethod
    def json(cls, body: Any, status: int = 200, **more: Any) -> Answer:
        headers = {"Content-Type": "application/json"} | more.pop("headers", {})
        return cls(status, headers, json.dumps(body).encode(), **more)

    @classmethod
    def sse(cls, body: bytes | Sequence[Item], **more: Any) -> Answer:
        headers = {"Content-Type": "text/event-stream"} | more.pop("headers", {})
        return cls(more.pop("status", 200), headers, body, framing=more.pop("framing", "chunked"), **more)

    @classmethod
    def silence(cls) -> Answer:
        """Takes the request and never answers."""
        return cls(head=False, end="hang")

    @classmethod
    def drop(cls) -> Answer:
        """Resets the connection without a byte of reply."""
        return cls(head=False, end="reset")


def drip(data: bytes, pieces: int, pause: float) -> list[Item]:
    """`data` in equal pieces with a pause after each."""
    size = max(1, -(-len(data) // pieces))
    return [item for i in range(0, len(data), size) for item in (data[i : i + size], pause)]


@dataclass
class Request:
    """headers: lower-case names. connection counts accepted sockets from 0. state: "answering", then
    "answered", or "gone" where the client left before the whole answer was written. ended_at: when (monotonic)."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    state: str = "answering"
    ended_at: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Callable[[Request], Answer] | Iterable[Answer]


class Upstream:
    """The server, from `with` to its end. url has no trailing slash. connections = sockets accepted so far,
    active = those open now, peak = the most at once. wait(predicate) blocks the test until predicate(up)."""

    def __init__(self, script: Script = (), host: str = "127.0.0.1") -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.active = 0
        self.peak = 0
        self.url = ""
        self.port = 0
        self.failures: list[BaseException] = []
        self._host = host
        self._script = script if callable(script) else _sequence(list(script) or [Answer()])
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scripted-upstream", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def __repr__(self) -> str:
        return f"<Upstream {self.url} {len(self.requests)} requests, {self.active} of {self.connections} open>"

    def __enter__(self) -> Upstream:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self.failures and kind is None:
            raise self.failures[0]

    def wait(self, predicate: Callable[[Upstream], bool], timeout: float = 10.0) -> None:
        """Returns when predicate(self) is true; AssertionError after `timeout` seconds. Blocks its thread."""
        with self._changed:
            if not self._changed.wait_for(lambda: predicate(self), timeout):
                raise AssertionError(f"not within {timeout} s: {self!r}")

    # -------------------------------------------------------------------------------------- its thread

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(self._connection(reader, writer))  # type: ignore[arg-type]
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        def protocol() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(_Reader(limit=1 << 26), accepted)

        server = await self._loop.create_server(protocol, self._host, 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"http://{self._host}:{self.port}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        with self._changed:
            number = self.connections
            self.connections += 1
            self.active += 1
            self.peak = max(self.peak, self.active)
            self._changed.notify_all()
        try:
            while request := await _read(reader, writer, number):
                with self._changed:
                    self.requests.append(request)
                    self._changed.notify_all()
                if not await self._answer(request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return  # the client or the test has left
        except BaseException as error:  # shown by __exit__: a script's own mistake must not look like a cut
            self.failures.append(error)
        finally:
            writer.close()
            with self._changed:
                self.active -= 1
                self._changed.notify_all()

    async def _answer(self, request: Request, reader: _Reader, writer: asyncio.StreamWriter) -> bool:
        """Writes the script's answer while watching for the client's leaving. True = connection goes on."""
        answer = self._script(request)
        writing = asyncio.ensure_future(self._write(answer, writer))
        leaving = asyncio.ensure_future(reader.ended.wait())
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            error = writing.exception() if writing.done() else None
            whole = writing.done() and error is None
            self._set_state(request, "answered" if whole else "gone")
            if error is not None and not isinstance(error, ConnectionError):
                raise error
            return whole and writing.result()
        finally:
            writing.cancel()
            leaving.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)

    def _set_state(self, request: Request, state: str) -> None:
        with self._changed:
            request.state, request.ended_at = state, time.monotonic()
            self._changed.notify_all()

    async def _write(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        await _pause(answer.delay)
        items: Sequence[Item] = [answer.body] if isinstance(answer.body, bytes) else answer.body
        if answer.head:
            writer.write(_head(answer, items))
        for item in items:
            if isinstance(item, bytes):
                chunked = answer.framing == "chunked" and item
                writer.write(b"%x\r\n%b\r\n" % (len(item), item) if chunked else item)
                await writer.drain()
            else:
                await _pause(item)
        if answer.framing == "chunked" and answer.end in ("keep", "hang") and answer.head:
            writer.write(b"0\r\n\r\n" if answer.end == "keep" else b"")
        await writer.drain()
        if answer.end == "hang":
            await asyncio.Event().wait()
        if answer.end == "reset":
            linger = struct.pack("ii", 1, 0)  # on, 0 seconds: close() sends RST instead of FIN
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        return answer.end == "keep" and answer.framing != "eof"


def _sequence(answers: list[Answer]) -> Callable[[Request], Answer]:
    return lambda _: answers.pop(0) if len(answers) > 1 else answers[0]


def _head(answer: Answer, items: Sequence[Item]) -> bytes:
    headers = dict(answer.headers)
    if answer.framing == "chunked":
        headers["Transfer-Encoding"] = "chunked"
    elif answer.framing == "length" and "Content-Length" not in headers:
        headers["Content-Length"] = str(sum(len(i) for i in items if isinstance(i, bytes)) + answer.short)
    if answer.framing == "eof":
        headers["Connection"] = "close"
    lines = [f"HTTP/1.1 {answer.status} Scripted", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


async def _pause(item: float | Gate | Item) -> None:
    if isinstance(item, Gate):
        await item.passed()
    elif isinstance(item, float | int) and item:
        await asyncio.sleep(item)


class _Reader(asyncio.StreamReader):
    """Tells at once when the client has closed its side, without anybody reading."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit)
        self.ended = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.ended.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.ended.set()


async def _read(reader: _Reader, writer: asyncio.StreamWriter, connection: int) -> Request | None:
    """The next request, or None where the client closed between two requests."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body, connection)
