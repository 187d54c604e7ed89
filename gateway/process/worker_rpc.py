"""Worker RPC: the workers of one proxy ask each other, so that each of them can show what all of them know.

Each worker answers on a unix socket of its own. A question is a path, and its answer is one JSON object. On Linux the
sockets have abstract names, so that no writable folder is needed; elsewhere they are in the folder for temporary files.
Any program on the machine may use such a name. So both sides first prove that they know the workers' secret (an HMAC
over the other side's nonce).

Whoever knows an answer registers it: `answers[path] = function`. `ask` asks all workers, this one with a direct call; a
worker that does not answer in time is left out. With a single worker there are no sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from translate.json import wire

log = logging.getLogger("gateway")

PATIENCE_S = 2.0  # a worker that takes longer is left out
MAX_QUESTION = 256 * 1024  # the most bytes of a question, such as 200 ids of files
NONCE = 16  # bytes

Answers = dict[str, Callable[[dict[str, str]], dict[str, Any]]]


class WorkerRpc:
    """The workers of this proxy. number: that of this worker, from 0 on. count: how many there are. answers: the
    function for each path, which gets the query (one value for each name) and returns the object. group: a name for all
    of them together, which is not secret."""

    def __init__(self, number: int = 0, count: int = 1, secret: bytes = b"") -> None:
        """secret: the same for all workers of a proxy, and known to nobody else."""
        self.number = number
        self.count = count
        self.answers: Answers = {}
        self.first: Callable[[], None] = _nothing  # called before each answer
        self._secret = secret or secrets.token_bytes(32)
        self.group = self._mac("group")[:16]
        self._server: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"<WorkerRpc: worker {self.number} of {self.count}>"

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
            if not (name := self._name(self.number)).startswith("\0"):
                with contextlib.suppress(OSError):  # another worker's end may have removed the folder
                    os.unlink(name)

    async def ask(self, path: str) -> list[dict[str, Any]]:
        """The answers of all workers that answer in time, this one first. path: with its query. Raises KeyError for a
        path that is not registered."""
        return [self._own(path), *await self.ask_others(path)]

    async def ask_others(self, path: str) -> list[dict[str, Any]]:
        """The answers of the other workers."""
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
                raise ValueError("the answer is not that of a worker of this proxy")
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
                    raise ValueError("the question is not that of a worker of this proxy")
                body = wire.dumps(self._own(path))
                writing.write(self._mac("says", theirs, body).encode() + b"\n" + body)
                await writing.drain()
        except (
            OSError,
            TimeoutError,
            ValueError,
            TypeError,
            KeyError,
        ) as why:  # KeyError: the other worker is of another release
            log.debug("the question of another worker was not answered: %r", why)
        except Exception:
            log.exception("an error in the proxy: the question of another worker could not be answered")
        finally:
            writing.close()

    def _name(self, number: int) -> str:
        name = f"anthropic-proxy-{self.group}-{number}"
        if sys.platform == "linux":
            return f"\0{name}"
        import tempfile  # on Linux, nobody needs it at the start

        return str(Path(tempfile.gettempdir(), name))

    def _mac(self, *words: str | bytes) -> str:
        joined = b"\n".join(word.encode() if isinstance(word, str) else word for word in words)
        return hmac.new(self._secret, joined, hashlib.sha256).hexdigest()


def _nothing() -> None:
    return None
