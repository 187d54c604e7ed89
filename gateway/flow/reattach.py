"""A client whose connection dropped asks again: it gets the answer that is already on its way, and nobody pays twice.

Only with [retry] rejoin_seconds. Then an Answer remembers what it wrote, and a request whose client left goes on for so
long without one. Whoever sends the same body with the same key in that time is given what is there, from the start, and
then what comes. All memories together are bounded; what does not fit cannot be joined, and is cancelled as ever.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from typing import cast

from tornado.http1connection import HTTP1Connection

from gateway.flow.client_request import ClientRequest
from gateway.flow.ports import Detachable
from gateway.http.response_writer import Answer
from gateway.stored.previous_response import owner_of

log = logging.getLogger("gateway")

_CHANGES = ("anthropic-", "openai-", "accept", "authorization", "x-api-key", "x-claude-code-request-class")
"""What the names of headers begin with that make another question of the same body."""


class JoinableAnswer(Answer):
    """An Answer that remembers, and can be given another client. `_calls`: what was told to it, in order."""

    __slots__ = ("_calls", "_ends", "_reattach", "asked_as", "remembered")

    def __init__(self, conn: HTTP1Connection, reattach: Reattach) -> None:
        super().__init__(conn)
        self._reattach = reattach
        self._calls: list[tuple[Callable[..., None], tuple[object, ...]]] | None = []
        self._ends = False
        self.asked_as = b""  # what its request asks; known once that is here
        self.remembered = 0

    @property
    def kept(self) -> bytearray:  # type: ignore[override]  # made where it is asked for, for the log
        return bytearray().join(_body_in(call, args) for call, args in self._calls or ())

    @property
    def joinable(self) -> bool:
        return self._calls is not None

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        self._remember(Answer.whole, len(body), status, head, body)
        super().whole(status, head, body)

    def start(self, status: int, head: bytes) -> None:
        self._remember(Answer.start, len(head), status, head)
        super().start(status, head)
        if self.closed:
            self.state = "streaming"  # nobody hears it now, but somebody may later

    def write(self, data: bytes) -> None:
        self._remember(Answer.write, len(data), data)
        super().write(data)

    def end(self) -> None:
        self._remember(Answer.end, 0)
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

    def attach(self, conn: HTTP1Connection) -> None:
        """Another client in the place of the one that left: it is told everything again."""
        told = self._calls or []
        self._conn, self._stream = conn, conn.stream
        self._waiting, self._full, self.state, self.written = 0, False, "open", 0
        for call, args in told:
            call(self, *args)


class Reattach:
    """bytes: remembered by all answers together. orphans: requests without a client, by what they asked."""

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self.bytes = 0
        self.joined = 0
        self.orphans: dict[bytes, tuple[Detachable, asyncio.TimerHandle]] = {}

    def __repr__(self) -> str:
        return f"<Reattach {len(self.orphans)} orphans, {self.bytes} bytes>"

    def resize(self, seconds: float, most_bytes: int) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes

    def has_room(self, size: int) -> bool:
        return self.bytes + size <= self._most_bytes

    def answer(self, conn: HTTP1Connection) -> JoinableAnswer:
        return JoinableAnswer(conn, self)

    def keeps(self, flow: Detachable) -> bool:
        """Its client has left. Whether the request goes on without one."""
        answer = flow.writer
        if not isinstance(answer, JoinableAnswer) or not answer.joinable or not answer.asked_as:
            return False
        if answer.asked_as in self.orphans:
            return False
        timer = asyncio.get_running_loop().call_later(self._seconds, self._give_up, answer.asked_as)
        self.orphans[answer.asked_as] = flow, timer
        flow.reads_on()
        return True

    def outgrown(self, answer: JoinableAnswer) -> None:
        """An answer cannot be joined any more: if nobody reads it, nobody will."""
        found = self.orphans.get(answer.asked_as)
        if found is not None and found[0].writer is answer:
            found[1].cancel()
            asyncio.get_running_loop().call_soon(self._give_up, answer.asked_as)

    def drain(self) -> None:
        """The proxy shuts down: nobody can come back."""
        for asked_as, (_, timer) in list(self.orphans.items()):
            timer.cancel()
            self._give_up(asked_as)

    def joins(self, flow: Detachable) -> bool:
        """Whether the new request is one that goes on without its client: then that one has its connection now."""
        answer = flow.writer
        if not isinstance(answer, JoinableAnswer):
            return False
        answer.asked_as = _what_is_asked(flow.request)
        found = self.orphans.pop(answer.asked_as, None)
        if found is None:
            return False
        orphan, timer = found
        timer.cancel()
        kept = orphan.writer
        if not isinstance(kept, JoinableAnswer) or not kept.joinable or orphan.failed:
            self._forget(orphan)
            orphan.orphaned()
            return False
        self.joined += 1
        log.info("request %s: its client had left request %s, and joins it", flow.request.key, orphan.request.key)
        orphan.adopt(flow)
        kept.attach(cast(HTTP1Connection, flow.conn))
        if orphan.is_over:
            self._forget(orphan)
        return True

    def over(self, flow: Detachable) -> None:
        """Its reply is complete. One whose client has it all need not be remembered."""
        answer = flow.writer
        if isinstance(answer, JoinableAnswer):
            found = self.orphans.get(answer.asked_as)
            if found is None or found[0] is not flow:
                self._forget(flow)

    @staticmethod
    def _forget(flow: Detachable) -> None:
        if isinstance(flow.writer, JoinableAnswer):
            flow.writer.forget()

    def _give_up(self, asked_as: bytes) -> None:
        """Nobody came."""
        found = self.orphans.pop(asked_as, None)
        if found is not None:
            self._forget(found[0])
            found[0].orphaned()


def _body_in(call: Callable[..., None], args: tuple[object, ...]) -> bytes:
    """The part of a reply's body that a call holds: the last argument of whole and write."""
    last = args[-1] if call in (Answer.whole, Answer.write) else b""
    assert isinstance(last, bytes)
    return last


def _what_is_asked(request: ClientRequest) -> bytes:
    told = sorted(
        f"{name.lower()}: {value}" for name, value in request.headers.get_all() if name.lower().startswith(_CHANGES)
    )
    said = "\n".join((owner_of(request.client, request.headers), request.protocol, request.task, request.query, *told))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass") + b"\n\n" + request.body).digest()
