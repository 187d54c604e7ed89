"""A client whose connection dropped asks again: it gets the answer that is already on its way, and nobody pays twice.

Only with [retry] rejoin_seconds. Then a response writer remembers what it wrote, and one whose client left goes on for
so long without one; its Flow is told of the leaver only after that. Whoever sends the same body with the same key in
that time is given what is there, from the start, and then what comes. All memories together are bounded; what does not
fit cannot be joined, and is cancelled as ever.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from typing import Any

from tornado.http1connection import HTTP1Connection

from gateway.flow.client_request import ClientRequest
from gateway.http.response_writer import ResponseWriter, Writer, nothing
from gateway.stored.previous_response import owner_of

log = logging.getLogger("gateway")

_CHANGES = ("anthropic-", "openai-", "accept", "authorization", "x-api-key", "x-claude-code-request-class")
"""What the names of headers begin with that make another question of the same body."""


class JoinableWriter(ResponseWriter):
    """A response writer that remembers, and can be given another client. key: of its request. asked_as: what that asks;
    known once its body is here. detached: it has no client. `_calls`: what was told to it, in order; None = it cannot
    be joined any more."""

    __slots__ = ("_calls", "_reattach", "asked_as", "detached", "key", "remembered")

    def __init__(self, conn: HTTP1Connection, key: str, reattach: Reattach) -> None:
        super().__init__(conn)
        self._reattach = reattach
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] | None = []
        self.key = key
        self.asked_as = b""
        self.detached = False
        self.remembered = 0

    @property
    def kept(self) -> bytearray:  # type: ignore[override]  # made where it is asked for, for the log
        return bytearray().join(_body_in(call, args) for call, args in self._calls or ())

    @property
    def joinable(self) -> bool:
        """Not where its request has failed: then it is asked anew."""
        return self._calls is not None and not any(
            call is ResponseWriter.whole and args[0] != 200 for call, args in self._calls
        )

    # --------------------------------------------------------------------------------------- what is written

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        self._remember(ResponseWriter.whole, len(body), status, head, body)
        super().whole(status, head, body)

    def start(self, status: int, head: bytes) -> None:
        self._remember(ResponseWriter.start, len(head), status, head)
        super().start(status, head)
        if self.closed:
            self.state = "streaming"  # nobody hears it now, but somebody may later

    def write(self, data: bytes) -> None:
        self._remember(ResponseWriter.write, len(data), data)
        super().write(data)

    def end(self) -> None:
        self._remember(ResponseWriter.end, 0)
        super().end()

    def _remember(self, call: Callable[..., None], size: int, *args: object) -> None:
        if self._calls is None:
            return
        if not self._reattach.has_room(size):
            self.forget()
            self._reattach.outgrown(self)
            return
        self.remembered += size
        self._reattach.bytes += size
        self._calls.append((call, args))

    def forget(self) -> None:
        """It cannot be joined any more."""
        self._reattach.bytes -= self.remembered
        self.remembered = 0
        self._calls = None

    def when_sent(self, then: Callable[[bool], None]) -> None:
        if self.detached:
            then(False)
        else:
            super().when_sent(then)

    def over(self) -> None:
        super().over()
        if not self.detached:  # its client has it all
            self.forget()

    # ----------------------------------------------------------------------------------------- its client

    @property
    def left(self) -> bool:
        return not self.detached and super().left

    def leaves(self) -> None:
        if self.detached:
            return
        if self.state != "done" and self._reattach.keeps(self):
            self.detached = True
            self.on_drained()  # who had it paused is gone
        else:
            super().leaves()

    def abort(self) -> None:
        if self.detached:
            self._conn.close()
        else:
            super().abort()

    def attach(self, newcomer: JoinableWriter) -> None:
        """Another client in the place of the one that left: it is told everything again."""
        told = self._calls or []
        self._conn, self._stream, self.more = newcomer._conn, newcomer._stream, newcomer.more
        self._waiting, self._full, self._lost, self.state, self.written = 0, False, False, "open", 0
        self._together, self._head = False, b""
        self.detached = False
        self.watch(self.on_left)
        for call, args in told:
            call(self, *args)
        if self.on_left is nothing:  # its request is over
            self.over()


class Reattach:
    """bytes: remembered by all answers together. orphans: answers without a client, by what their requests asked."""

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self.bytes = 0
        self.joined = 0
        self.orphans: dict[bytes, tuple[JoinableWriter, asyncio.TimerHandle]] = {}

    def __repr__(self) -> str:
        return f"<Reattach {len(self.orphans)} orphans, {self.bytes} bytes>"

    def resize(self, seconds: float, most_bytes: int) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes

    def has_room(self, size: int) -> bool:
        return self.bytes + size <= self._most_bytes

    def answer(self, conn: HTTP1Connection, key: str) -> JoinableWriter:
        return JoinableWriter(conn, key, self)

    def keeps(self, answer: JoinableWriter) -> bool:
        """Its client has left. Whether the request goes on without one."""
        if not answer.joinable or not answer.asked_as or answer.asked_as in self.orphans:
            return False
        timer = asyncio.get_running_loop().call_later(self._seconds, self._give_up, answer.asked_as)
        self.orphans[answer.asked_as] = answer, timer
        return True

    def outgrown(self, answer: JoinableWriter) -> None:
        """An answer cannot be joined any more: if nobody reads it, nobody will."""
        found = self.orphans.get(answer.asked_as)
        if found is not None and found[0] is answer:
            found[1].cancel()
            asyncio.get_running_loop().call_soon(self._give_up, answer.asked_as)

    def drain(self) -> None:
        """The proxy shuts down: nobody can come back."""
        for asked_as, (_, timer) in list(self.orphans.items()):
            timer.cancel()
            self._give_up(asked_as)

    def joins(self, answer: Writer, request: ClientRequest) -> Callable[[], None] | None:
        """Where a request on its way, which its client has left, asks the same as a new one: what gives it the new
        one's connection."""
        if not isinstance(answer, JoinableWriter):
            return None
        answer.asked_as = _what_is_asked(request)
        found = self.orphans.pop(answer.asked_as, None)
        if found is None:
            return None
        orphan, timer = found
        timer.cancel()
        if not orphan.joinable:
            self._give_away(orphan)
            return None
        self.joined += 1
        log.info("request %s: its client had left request %s, and joins it", request.key, orphan.key)
        return lambda: orphan.attach(answer)

    def _give_up(self, asked_as: bytes) -> None:
        """Nobody came."""
        found = self.orphans.pop(asked_as, None)
        if found is not None:
            self._give_away(found[0])

    @staticmethod
    def _give_away(orphan: JoinableWriter) -> None:
        """Its request hears that its client has left."""
        orphan.forget()
        orphan.on_left()


def _body_in(call: Callable[..., None], args: tuple[object, ...]) -> bytes:
    """The part of a reply's body that a call holds: the last argument of whole and write."""
    last = args[-1] if call in (ResponseWriter.whole, ResponseWriter.write) else b""
    assert isinstance(last, bytes)
    return last


def _what_is_asked(request: ClientRequest) -> bytes:
    told = sorted(
        f"{name.lower()}: {value}" for name, value in request.headers.get_all() if name.lower().startswith(_CHANGES)
    )
    asked = request.protocol, request.task, request.in_path, request.endpoint.path, request.query
    said = "\n".join((owner_of(request.client, request.headers), *asked, *told))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass") + b"\n\n" + request.body).digest()
