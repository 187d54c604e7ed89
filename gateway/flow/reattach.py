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
from typing import TYPE_CHECKING

from tornado.http1connection import HTTP1Connection

from gateway.http.response_writer import Answer
from gateway.stored.previous_response import owner_of

if TYPE_CHECKING:
    from gateway.flow.relay import Relay

log = logging.getLogger("gateway")


_CHANGES = ("anthropic-", "openai-", "accept", "authorization", "x-api-key", "x-claude-code-request-class")
"""What the names of headers begin with that make another question of the same body."""


class JoinableAnswer(Answer):
    """An Answer that remembers, and can be given another client. `_calls`: what was told to it, in order."""

    __slots__ = ("_calls", "_ends", "_rejoin", "remembered")

    def __init__(self, conn: HTTP1Connection, rejoin: Rejoin) -> None:
        super().__init__(conn)
        self._rejoin = rejoin
        self._calls: list[tuple[Callable[..., None], tuple[object, ...]]] | None = []
        self._ends = False
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
        if not self._rejoin.has_room(size):
            self.forget()
            self._rejoin.outgrown(self)
            return
        self.remembered += size
        self._rejoin.bytes += size
        self._calls.append((call, args))

    def forget(self) -> None:
        """It cannot be joined any more."""
        self._rejoin.bytes -= self.remembered
        self.remembered = 0
        self._calls = None

    def attach(self, conn: HTTP1Connection) -> None:
        """Another client in the place of the one that left: it is told everything again."""
        told = self._calls or []
        self._conn, self._stream = conn, conn.stream
        self._waiting, self._full, self.state, self.written = 0, False, "open", 0
        for call, args in told:
            call(self, *args)


class Rejoin:
    """bytes: remembered by all answers together. orphans: requests without a client, by what they asked."""

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self.bytes = 0
        self.joined = 0
        self.orphans: dict[bytes, tuple[Relay, asyncio.TimerHandle]] = {}

    def __repr__(self) -> str:
        return f"<Rejoin {len(self.orphans)} orphans, {self.bytes} bytes>"

    def resize(self, seconds: float, most_bytes: int) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes

    def has_room(self, size: int) -> bool:
        return self.bytes + size <= self._most_bytes

    def answer(self, conn: HTTP1Connection) -> JoinableAnswer:
        return JoinableAnswer(conn, self)

    def keep(self, relay: Relay) -> bool:
        """Its client has left. Whether the request goes on without one."""
        answer = relay.answer
        if not isinstance(answer, JoinableAnswer) or not answer.joinable or not relay.asked_as:
            return False
        if relay.asked_as in self.orphans:
            return False
        timer = asyncio.get_running_loop().call_later(self._seconds, self._give_up, relay.asked_as)
        self.orphans[relay.asked_as] = relay, timer
        if relay.lead is not None and relay.lead.exchange is not None:
            relay.lead.exchange.resume()  # the client that had it paused is gone
        return True

    def outgrown(self, answer: JoinableAnswer) -> None:
        """An answer cannot be joined any more: if nobody reads it, nobody will."""
        for asked_as, (relay, timer) in self.orphans.items():
            if relay.answer is answer:
                timer.cancel()
                asyncio.get_running_loop().call_soon(self._give_up, asked_as)
                return

    def drain(self) -> None:
        """The proxy shuts down: nobody can come back."""
        for asked_as, (_, timer) in list(self.orphans.items()):
            timer.cancel()
            self._give_up(asked_as)

    def join(self, relay: Relay) -> bool:
        """Whether the new request is one that goes on without its client: then that one has its connection now."""
        if not isinstance(relay.answer, JoinableAnswer):  # a websocket's
            return False
        relay.asked_as = _what_is_asked(relay)
        found = self.orphans.pop(relay.asked_as, None)
        if found is None:
            return False
        orphan, timer = found
        timer.cancel()
        if not orphan.answer.joinable or (orphan.state == "done" and orphan.status != 200):  # type: ignore[attr-defined]
            self._forget(orphan)
            orphan.orphaned()
            return False
        self.joined += 1
        log.info("request %s: its client had left request %s, and joins it", relay.key, orphan.key)
        orphan.adopt(relay)
        if orphan not in relay.service.relays:
            self._forget(orphan)
        return True

    def over(self, relay: Relay) -> None:
        """Its reply is complete. One whose client has it all need not be remembered."""
        if relay.asked_as not in self.orphans or self.orphans[relay.asked_as][0] is not relay:
            self._forget(relay)

    @staticmethod
    def _forget(relay: Relay) -> None:
        if isinstance(relay.answer, JoinableAnswer):
            relay.answer.forget()

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


def _what_is_asked(relay: Relay) -> bytes:
    told = sorted(
        f"{name.lower()}: {value}" for name, value in relay.headers.get_all() if name.lower().startswith(_CHANGES)
    )
    said = "\n".join((owner_of(relay.client, relay.headers), relay.protocol, relay.task, relay.query, *told))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass") + b"\n\n" + relay.body).digest()
