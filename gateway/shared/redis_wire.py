"""The conversation with a Redis server over one connection: commands go out together, replies come in order.

redis-py's own client costs 63 us of CPU a command, and 50 with its bare connection; this costs 18, and 3 where sixteen
requests ask in one turn of the loop. So redis-py connects and introduces itself (redis_link.py), and this takes over.

A command whose reply is later than `PATIENCE_S` fails with Away; a reply that comes later still is read and dropped.
While the server owes a reply for longer than that, further commands fail at once. After `LOST_S` without a word the
connection is given up.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from typing import Any, TypeVar

from gateway.shared.store import Away

PATIENCE_S = 0.05
LOST_S = 1.0
MOST_WAITING = 10_000  # commands without a reply

T = TypeVar("T")

NOT_THE_ONE = {"MOVED", "ASK", "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "TRYAGAIN", "NOSCRIPT"}
"""Errors of a server that has not, or not any more, the keys or the scripts."""


class ServerError(Exception):
    """What Redis says in place of a result, such as "MOVED 3999 127.0.0.1:6381"."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]


class Reader:
    """Reads replies of RESP2 as they come in: bytes, int, None, ServerError, or lists of these."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._open: list[tuple[list[Any], int]] = []  # arrays that are not complete, with their lengths

    def __repr__(self) -> str:
        return f"<Reader {len(self._data)} bytes>"

    def feed(self, data: bytes) -> list[Any]:
        """Raises ValueError for what is no RESP2."""
        self._data += data
        at = 0
        replies: list[Any] = []
        while (end := self._data.find(b"\r\n", at)) >= 0:
            kind, rest = self._data[at], bytes(self._data[at + 1 : end])
            value: Any
            if kind == 36:  # $: bytes
                size = int(rest)
                if size < 0:
                    value = None
                elif len(self._data) < end + 4 + size:
                    break
                else:
                    value = bytes(self._data[end + 2 : end + 2 + size])
                    end += 2 + size
            elif kind == 42:  # *: array
                size = int(rest)
                if size > 0:
                    self._open.append(([], size))
                    at = end + 2
                    continue
                value = None if size < 0 else []
            elif kind == 58:  # :
                value = int(rest)
            elif kind == 43:  # +
                value = rest
            elif kind == 45:  # -
                value = ServerError(rest.decode("utf-8", "replace"))
            else:
                raise ValueError(f"{chr(kind)!r} begins no reply of Redis")
            at = end + 2
            self._close(value, replies)
        del self._data[:at]
        return replies

    def _close(self, value: Any, replies: list[Any]) -> None:
        while self._open:
            array, size = self._open[-1]
            array.append(value)
            if len(array) < size:
                return
            value = self._open.pop()[0]
        replies.append(value)


class Wire(asyncio.Protocol):
    """One connection. on_lost: is called once, with the reason."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: Callable[[Wire, str], None]) -> None:
        self._loop = loop
        self._on_lost = on_lost
        self._reader = Reader()
        self._writer: asyncio.StreamWriter | None = None  # kept, since it warns of its end where it is not closed
        self._transport: asyncio.WriteTransport | None = None
        self._out: list[bytes] = []
        self._waiting: collections.deque[_Waiting] = collections.deque()
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Wire {len(self._waiting)} wait>"

    @property
    def is_late(self) -> bool:
        """It owes a reply for longer than anybody waits."""
        return bool(self._waiting) and self._loop.time() - self._waiting[0][2] > PATIENCE_S

    def takes_over(self, writer: asyncio.StreamWriter) -> None:
        """writer: of a connection that is ready for commands, and on which nothing is on its way."""
        self._writer, self._transport = writer, writer.transport
        self._transport.set_protocol(self)

    def send(self, command: bytes, read: Callable[[Any], T]) -> asyncio.Future[T]:
        """What `read` makes of the reply, or Away."""
        answer: asyncio.Future[T] = self._loop.create_future()
        if self._transport is None or self.is_late or len(self._waiting) >= MOST_WAITING:
            fail(answer, "the server does not answer")
            return answer
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(command)
        self._waiting.append((answer, read, self._loop.time()))
        if self._timer is None:
            self._timer = self._loop.call_later(PATIENCE_S, self._look)
        return answer

    def close(self, why: str = "closed") -> None:
        if self._transport is not None:
            self._transport.abort()
        self._over(why)

    # ------------------------------------------------------------------------------------------- inside

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _look(self) -> None:
        """Whoever has waited long enough hears that nothing has come."""
        self._timer = None
        now = self._loop.time()
        for answer, _, since in self._waiting:
            if now - since < PATIENCE_S:
                break
            fail(answer, "the server did not answer in time")
        if not self._waiting:
            return
        if now - max(self._waiting[0][2], self._heard_at) > LOST_S:
            self.close("the server does not answer any more")
            return
        self._timer = self._loop.call_later(PATIENCE_S / 2, self._look)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            replies = self._reader.feed(data)
        except ValueError as error:
            self.close(str(error))
            return
        for reply in replies:
            if not self._waiting:
                self.close("the server said more than it was asked")
                return
            answer, read, _ = self._waiting.popleft()
            if isinstance(reply, ServerError):
                fail(answer, str(reply))
                if reply.code in NOT_THE_ONE:
                    self.close(str(reply))
                    return
            elif not answer.done():
                answer.set_result(read(reply))

    def connection_lost(self, exc: Exception | None) -> None:
        self._over(f"the connection is lost: {exc}" if exc else "the server has closed the connection")

    def _over(self, why: str) -> None:
        if self._transport is None:
            return
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, collections.deque()
        for answer, _, _ in waiting:
            fail(answer, why)
        self._on_lost(self, why)


def packed(*words: bytes) -> bytes:
    """A command as the server reads it."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


_Waiting = tuple["asyncio.Future[Any]", Callable[[Any], Any], float]  # and since when


def fail(answer: asyncio.Future[Any], why: str) -> None:
    if not answer.done():
        answer.set_exception(Away(why))
        answer.exception()  # whoever does not wait for it need not be told
