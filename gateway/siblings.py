"""The other worker processes of this proxy: what one asks of all, so that every one of them shows the same.

Each worker answers questions on a unix socket of its own, in a folder that only this user may enter: one line with a
path, one JSON object back. What may be asked is registered by whoever knows the answer: `answers[path] = function`.
`ask` puts a question to all, this worker included (by a call); one that is just restarting is left out. With a single
worker there are no sockets, and `ask` is that call alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from translate import wire

log = logging.getLogger("gateway")

PATIENCE_S = 2.0  # a worker that is that busy is left out
MAX_QUESTION = 64 * 1024  # bytes of the line

Answers = dict[str, Callable[[dict[str, str]], dict[str, Any]]]


class Siblings:
    """number: this worker's, from 0. count: how many there are. answers: path -> what gives the object for it; it gets
    the query, one value for each name."""

    def __init__(self, number: int = 0, count: int = 1, folder: Path | None = None) -> None:
        """folder: where the sockets are; None for a worker that is alone."""
        self.number = number
        self.count = count if folder is not None else 1
        self.answers: Answers = {}
        self.orphaned = False  # the supervisor is gone: whoever ends last clears up
        self.first: Callable[[], None] = _nothing  # done before each answer
        self._folder = folder
        self._server: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"<Siblings: worker {self.number} of {self.count}>"

    @property
    def alone(self) -> bool:
        return self.count == 1

    async def start(self) -> None:
        if self._folder is None or self.alone:
            return
        own = self._socket(self.number)
        own.unlink(missing_ok=True)  # of one that was killed
        self._server = await asyncio.start_unix_server(self._serve, own, limit=MAX_QUESTION)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self._socket(self.number).unlink(missing_ok=True)
        if self.orphaned and self._folder is not None:
            with contextlib.suppress(OSError):  # others are there still, or it is gone already
                self._folder.rmdir()

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
        except (OSError, TimeoutError, ValueError) as why:
            log.debug("worker %d did not answer %s: %r", number, path.partition("?")[0], why)
            return None

    async def _exchange(self, number: int, path: str) -> dict[str, Any]:
        reading, writing = await asyncio.open_unix_connection(self._socket(number))
        try:
            writing.write(path.encode() + b"\n")
            found: dict[str, Any] = wire.loads(await reading.read())
            return found
        finally:
            writing.close()

    async def _serve(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        try:
            question = (await reading.readline()).decode().strip()
            writing.write(wire.dumps(self._own(question)))
            await writing.drain()
        except (OSError, ValueError, KeyError) as why:  # KeyError: of another release, while one replaces the other
            log.debug("a sibling's question had no answer: %r", why)
        except Exception:
            log.exception("a sibling's question could not be answered")
        finally:
            writing.close()

    def _socket(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number}.sock"


def _nothing() -> None:
    return None
