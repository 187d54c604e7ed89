"""The conversation with a Redis server over one connection: commands go out together, replies come in order.

redis-py's own client costs 63 us of CPU a command, and 50 with its bare connection; this costs 18, and 3 where sixteen
requests ask in one turn of the loop. So redis-py connects and introduces itself (redis_link.py), and this takes over.

How long a reply may take, patience.py says; one that comes later is read and dropped.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

from gateway.shared.patience import Patience, fail
from gateway.shared.store import Away

T = TypeVar("T")

NOT_THE_ONE = {"MOVED", "ASK", "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "TRYAGAIN", "NOSCRIPT"}
"""Errors of a server that has not, or not any more, the keys or the scripts."""
TAKES_NOTHING = {"OOM", "MISCONF", "NOREPLICAS", "NOPERM", "BUSY"}
"""Those of a server that is the right one, and takes nothing: memory or disk is full, it lacks replicas, its user may
not have the keys, or a script holds it up."""
_CODE = re.compile(rf"(?:^|-)({'|'.join(sorted(NOT_THE_ONE | TAKES_NOTHING))})\b")


class ServerError(Exception):
    """What Redis says in place of a result, such as "MOVED 3999 127.0.0.1:6381"."""

    @property
    def code(self) -> str:
        """Of those above; "" for any other. Older servers say it within the error of a script."""
        found = _CODE.search(str(self))
        return found[1] if found is not None else ""


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
    """One connection. on_lost: is called once, with the reason. on_full: with the reason, whenever the server
    takes nothing (TAKES_NOTHING). on_odd: whenever it answers with another error, or with what cannot be read."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, patience_s: float, on_lost: Callable[[Wire, str], None],
        on_full: Callable[[str], None], on_odd: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._on_lost = on_lost
        self._on_full = on_full
        self._on_odd = on_odd
        self._reader = Reader()
        self._writer: asyncio.StreamWriter | None = None  # kept, since it warns of its end where it is not closed
        self._transport: asyncio.WriteTransport | None = None
        self._out: list[bytes] = []
        self._patience = Patience(loop, patience_s, lambda: self.close("the server does not answer any more"))

    def __repr__(self) -> str:
        return f"<Wire {self._patience!r}>"

    def takes_over(self, writer: asyncio.StreamWriter) -> None:
        """writer: of a connection that is ready for commands, and on which nothing is on its way."""
        self._writer, self._transport = writer, writer.transport
        self._transport.set_protocol(self)

    def send(
        self, command: bytes, read: Callable[[Any], T], otherwise: Callable[[Away], T] | None = None
    ) -> asyncio.Future[T]:
        """Gives what `read` makes of the reply. After a failure it gives what `otherwise` makes of the error; without
        `otherwise` it raises Away."""
        answer: asyncio.Future[T] = self._loop.create_future()
        if self._transport is None or self._patience.is_late:
            fail(answer, Away("the server does not answer"), otherwise)
            return answer
        if self._out:
            self._out.append(command)
        elif self._patience.nobody_waits:  # there is nothing yet that it could go along with
            self._transport.write(command)
        else:
            self._loop.call_soon(self._flush)
            self._out.append(command)
        self._patience.waits(answer, read, otherwise)
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

    def data_received(self, data: bytes) -> None:
        try:
            replies = self._reader.feed(data)
        except ValueError as error:
            self.close(str(error))
            return
        for reply in replies:
            asked = self._patience.heard()
            if asked is None:
                self.close("the server said more than it was asked")
                return
            answer, read, otherwise = asked
            if isinstance(reply, ServerError):
                fail(answer, Away(str(reply)), otherwise)
                if reply.code in NOT_THE_ONE:
                    self.close(str(reply))
                    return
                if reply.code in TAKES_NOTHING:
                    self._on_full(str(reply))
                else:
                    self._on_odd(str(reply))
            elif not answer.done():
                try:
                    answer.set_result(read(reply))
                except (ValueError, TypeError, LookupError, AttributeError) as error:
                    # Somebody else has written under that name. Who has asked would wait for ever.
                    fail(answer, Away(f"what the server has cannot be read: {error}"), otherwise)
                    self._on_odd(f"what it has cannot be read: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._over(f"the connection is lost: {exc}" if exc else "the server has closed the connection")

    def _over(self, why: str) -> None:
        if self._transport is not None:
            self._transport = None
            self._patience.over(why)
            self._on_lost(self, why)


def packed(*words: bytes) -> bytes:
    """A command as the server reads it."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])
