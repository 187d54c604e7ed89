"""The other worker processes of this proxy: what one asks of all, so that every one of them shows the same.

Each worker answers questions on a unix socket of its own: a path, and one JSON object back. The sockets have abstract
names, so that no folder need be writable; such a name has no owner, and anybody on the machine may use it. Hence both
sides show that they know the group's secret (an HMAC over the other's word), and nothing is said or believed otherwise.

What may be asked is registered by whoever knows the answer: `answers[path] = function`. `ask` puts a question to all,
this worker included (by a call); one that is just restarting is left out. With a single worker there are no sockets,
and `ask` is that call alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from translate import wire

log = logging.getLogger("gateway")

PATIENCE_S = 2.0  # a worker that is that busy is left out
MAX_QUESTION = 64 * 1024  # bytes of the line
NONCE = 16  # bytes

Answers = dict[str, Callable[[dict[str, str]], dict[str, Any]]]


class Siblings:
    """number: this worker's, from 0. count: how many there are. answers: path -> what gives the object for it; it gets
    the query, one value for each name. group: a word for all of them together, which may be told."""

    def __init__(self, number: int = 0, count: int = 1, secret: bytes = b"") -> None:
        """secret: the same for all workers of a proxy, and known to nobody else."""
        self.number = number
        self.count = count
        self.answers: Answers = {}
        self.first: Callable[[], None] = _nothing  # done before each answer
        self._secret = secret or secrets.token_bytes(32)
        self.group = self._mac("group")[:16]
        self._server: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"<Siblings: worker {self.number} of {self.count}>"

    @property
    def alone(self) -> bool:
        return self.count == 1

    async def start(self) -> None:
        if not self.alone:
            self._server = await asyncio.start_unix_server(self._serve, self._name(self.number), limit=MAX_QUESTION)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def ask(self, path: str) -> list[dict[str, Any]]:
        """What every worker that answers in time says, this one first. path: with its query. Raises KeyError for a path
        that nobody has registered."""
        return [self._own(path), *await self.ask_others(path)]

    async def ask_others(self, path: str) -> list[dict[str, Any]]:
        """The same without this worker."""
        if self.alone:
            return []
        others = [number for number in range(self.count) if number != self.number]
        said = await asyncio.gather(*(self._ask(number, path) for number in others))
        return [one for one in said if one is not None]

    def _own(self, path: str) -> dict[str, Any]:
        self.first()
        name, _, query = path.partition("?")
        return self.answers[name](dict(parse_qsl(query, keep_blank_values=True)))

    async def _ask(self, number: int, path: str) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._exchange(number, path)
        except (OSError, TimeoutError, ValueError, EOFError) as why:
            log.debug("worker %d did not answer %s: %r", number, path.partition("?")[0], why)
            return None

    # Server: nonce. Client: its nonce, mac("asks", nonce, path), path. Server: mac("says", its nonce, body), body.

    async def _exchange(self, number: int, path: str) -> dict[str, Any]:
        reading, writing = await asyncio.open_unix_connection(self._name(number))
        try:
            theirs, own = (await reading.readexactly(2 * NONCE)).decode(), secrets.token_hex(NONCE)
            writing.write(f"{own} {self._mac('asks', theirs, path)} {path}\n".encode())
            mac, _, body = (await reading.read()).partition(b"\n")
            if not hmac.compare_digest(mac, self._mac("says", own, body).encode()):
                raise ValueError("not the answer of a sibling")
            found: dict[str, Any] = wire.loads(body)
            return found
        finally:
            writing.close()

    async def _serve(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                own = secrets.token_hex(NONCE)
                writing.write(own.encode())
                theirs, mac, path = (await reading.readline()).decode().strip().split(" ", 2)
                if not hmac.compare_digest(mac, self._mac("asks", own, path)):
                    raise ValueError("not the question of a sibling")
                body = wire.dumps(self._own(path))
                writing.write(self._mac("says", theirs, body).encode() + b"\n" + body)
                await writing.drain()
        except (OSError, TimeoutError, ValueError, TypeError, KeyError) as why:  # KeyError: of another release
            log.debug("a sibling's question had no answer: %r", why)
        except Exception:
            log.exception("a sibling's question could not be answered")
        finally:
            writing.close()

    def _name(self, number: int) -> str:
        return f"\0anthropic-proxy-{self.group}-{number}"

    def _mac(self, *words: str | bytes) -> str:
        joined = b"\n".join(word.encode() if isinstance(word, str) else word for word in words)
        return hmac.new(self._secret, joined, hashlib.sha256).hexdigest()


def _nothing() -> None:
    return None
