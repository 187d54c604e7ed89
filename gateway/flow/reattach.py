"""A client whose connection broke asks again, and gets the answer that is already on its way: nobody pays twice.

This needs [retry] rejoin_seconds. Then a response writer remembers what it wrote. If its client leaves, the request
goes on for so long without one; only after that does the Flow learn that its client has left. A client that sends the
same body with the same key in that time gets the remembered part from the start, and then what comes. All memories
together have a limit; an answer that does not fit cannot be joined, and its request is cancelled when its client
leaves.
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
"""With other values in headers whose names begin so, the same body is another question."""


class JoinableWriter(ResponseWriter):
    """A response writer that remembers what it wrote, and can be given another client. key: of its request. asked_as: a
    hash of the question, known once the body is here. detached: it has no client. `_calls`: what it was told, in order;
    None = it can no longer be joined."""

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
    def kept(self) -> bytearray:  # type: ignore[override]  # joined only when the log asks for it
        return bytearray().join(_body_in(call, args) for call, args in self._calls or ())

    @property
    def joinable(self) -> bool:
        """Whether a client may join. A request that has failed is not joined but made anew."""
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
            self.state = "streaming"  # nobody gets it now, but somebody may later

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
        """Forgets what was written: nobody can join any more."""
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
        if not self.detached:  # the client has all of it
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
            self.on_drained()  # the client that read slowly is gone
        else:
            super().leaves()

    def abort(self) -> None:
        if self.detached:
            self._conn.close()
        else:
            super().abort()

    def attach(self, newcomer: JoinableWriter) -> None:
        """Takes over the connection of another client, and writes everything again for it."""
        told = self._calls or []
        self._conn, self._stream, self.more = newcomer._conn, newcomer._stream, newcomer.more
        self._waiting, self._full, self._lost, self.state, self.written = 0, False, False, "open", 0
        self._together, self._head = False, b""
        self.detached = False
        self.watch(self.on_left)
        for call, args in told:
            call(self, *args)
        if self.on_left is nothing:  # the request is over
            self.over()


class Reattach:
    """All joinable answers. bytes: remembered by all of them together. orphans: answers without a client, by their
    questions."""

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
        """A client has left. Returns whether its request goes on without one."""
        if not answer.joinable or not answer.asked_as or answer.asked_as in self.orphans:
            return False
        timer = asyncio.get_running_loop().call_later(self._seconds, self._give_up, answer.asked_as)
        self.orphans[answer.asked_as] = answer, timer
        return True

    def outgrown(self, answer: JoinableWriter) -> None:
        """An answer has become too large to be joined. If it has no client, it is given up."""
        found = self.orphans.get(answer.asked_as)
        if found is not None and found[0] is answer:
            found[1].cancel()
            asyncio.get_running_loop().call_soon(self._give_up, answer.asked_as)

    def drain(self) -> None:
        """Gives up all orphans: the proxy shuts down, and nobody can come back."""
        for asked_as, (_, timer) in list(self.orphans.items()):
            timer.cancel()
            self._give_up(asked_as)

    def joins(self, answer: Writer, request: ClientRequest) -> Callable[[], None] | None:
        """Returns a function that gives the new request's connection to an earlier request, if that one asks the same
        and its client has left."""
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
        """Gives up an orphan, because nobody came for it."""
        found = self.orphans.pop(asked_as, None)
        if found is not None:
            self._give_away(found[0])

    @staticmethod
    def _give_away(orphan: JoinableWriter) -> None:
        """Tells the request that its client has left."""
        orphan.forget()
        orphan.on_left()


def _body_in(call: Callable[..., None], args: tuple[object, ...]) -> bytes:
    """Returns the part of a reply's body that a call holds: the last argument of whole and write."""
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
