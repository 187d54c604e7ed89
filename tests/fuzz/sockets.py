"""A websocket without a socket: its frames, and its session, read from bytes that are all there."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.websocket import _WebSocketParams

from gateway.runtime import Service
from gateway.websocket.arriving import Arriving, CountingProtocol
from gateway.websocket.session import Session
from operate.logs.journal import Journal
from operate.settings import load

MOST = 100_000  # bytes of a message
SETTINGS = """
[upstream up]
protocol = chat
base_url = http://127.0.0.1:1
api_key = k
[models]
a-model-that-nobody-asks-for = up
"""


class Stream:
    """Gives what it has, and then is closed."""

    max_buffer_size = 0
    socket = None

    def __init__(self, data: bytes = b"") -> None:
        self._left = data
        self.written = b""
        self.io_loop = SimpleNamespace(
            time=lambda: 0.0, add_timeout=lambda *_: None, remove_timeout=lambda _: None,
            add_future=lambda future, _: future, add_callback=lambda call, *args: call(*args),
        )  # fmt: skip

    async def read_bytes(self, size: int, partial: bool = False) -> bytes:
        if not self._left or (not partial and len(self._left) < size):
            raise StreamClosedError
        data, self._left = self._left[:size], self._left[size:]
        return data

    def write(self, data: bytes) -> asyncio.Future[None]:
        self.written += data
        done: asyncio.Future[None] = _loop().create_future()
        done.set_result(None)
        return done

    def set_nodelay(self, value: bool) -> None:
        pass

    def closed(self) -> bool:
        return False

    def writing(self) -> bool:
        return False

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self._left = b""


class Handler:
    """What Tornado's protocol tells of the messages."""

    close_code = close_reason = None

    def __init__(self) -> None:
        self.got = 0

    def on_message(self, message: str | bytes) -> None:
        self.got += len(message)

    def on_ping(self, data: bytes) -> None:
        pass

    on_pong = on_ping

    def on_ws_connection_close(self, code: Any = None, reason: Any = None) -> None:
        pass

    def log_exception(self, *error: Any) -> None:
        raise error[1]


def frames(data: bytes) -> None:
    """Raises nothing."""
    _service()
    _loop().run_until_complete(_frames(data))


async def _frames(data: bytes) -> None:
    held = SimpleNamespace(hold=lambda size: None, let_go=lambda size: None)
    service: Any = SimpleNamespace(settings=_service().settings, bodies=held)
    handler: Any = Handler()
    arriving = Arriving(service)
    params = _WebSocketParams(max_message_size=MOST, ping_interval=None, ping_timeout=None, compression_options=None)

    async def refused(error: Exception) -> None:
        pass

    protocol: Any = CountingProtocol(handler, params, arriving, refused)
    protocol.stream = Stream(data)
    await protocol._receive_frame_loop()
    arriving.over()
    assert handler.got <= len(data), "more came out than went in"


def messages(data: bytes) -> None:
    """A client's message: it is answered, or begins a turn that ends. Raises nothing."""
    _service()
    _loop().run_until_complete(_messages(data))


async def _messages(data: bytes) -> None:
    stream = Stream()
    asked = SimpleNamespace(remote_ip="127.0.0.1")
    socket: Any = SimpleNamespace(
        ws_connection=SimpleNamespace(stream=stream), close=lambda code=None: None, request=asked
    )
    session = Session(_service(), socket, HTTPHeaders({"Host": "localhost"}))
    try:
        waiting = session.message(data.decode("utf-8", "replace"))
        if waiting is not None:
            await waiting
        await asyncio.sleep(0)
        assert stream.written, "no answer"
    finally:
        session.closed()


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@functools.cache
def _service() -> Service:
    """Made on the loop. Its one upstream is never asked."""
    chosen = load.read(SETTINGS, "fuzz.ini", ["usage.file="], {})

    async def make() -> Service:
        journal = Journal(chosen.logging, Path("/nonexistent"), chosen.secrets())
        journal.performance = journal.errors = journal.api_requests = False
        return Service(chosen, journal)

    return _loop().run_until_complete(make())


def close() -> None:
    """What has been made for all inputs."""
    if _service.cache_info().currsize:
        _service().client.close()
    if _loop.cache_info().currsize:
        _loop().close()
    _service.cache_clear()
    _loop.cache_clear()
