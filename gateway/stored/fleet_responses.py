"""Responses that the proxies of a fleet keep for each other, in the shared store.

A response is there by the hash of its owner and id, so that nobody finds it who does not know both. It names the pieces
of the conversation before it by their hashes, and each piece is there once, however many responses build on it. What
belongs to a websocket session, and what a client wants nobody to store, stays in its worker.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from gateway.shared.store import Away, Store, digest
from operate.owner_store import Owned
from translate.json import wire

log = logging.getLogger("gateway")

MAX_BYTES = 8 << 20  # of a piece: a larger one is kept by its worker alone
MAX_REMEMBERED = 50_000  # pieces that have been put not long ago
OWNED_S = 30 * 86_400.0
AGAIN_S = 0.03
MAX_DELETED = 1_000


class FleetResponses:
    """seconds: how long a response is kept."""

    def __init__(self, store: Store, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self.seconds = seconds
        self._clock = clock
        self._put: OrderedDict[str, float] = OrderedDict()  # piece -> when
        self.deleted: OrderedDict[str, float] = OrderedDict()  # what the other hosts are to delete too -> until when

    def __repr__(self) -> str:
        return f"<FleetResponses in {self._store!r}>"

    def keeps(self, owner: str, id: str, before: Iterable[bytes], output: bytes, body: bytes) -> None:
        """A response has come. before, output: JSON without its brackets. body: b"" = it can only be built on."""
        pieces = [*before, output]
        if any(len(piece) > MAX_BYTES for piece in pieces):
            return
        named = [self._piece(owner, piece) for piece in pieces]
        entry = {"pieces": named, "body": body.decode(), "until": time.time() + self.seconds}
        self._store.put(_response(owner, id), wire.dumps(entry), self.seconds)

    def _piece(self, owner: str, data: bytes) -> str:
        """Its name. It lives as long as the last response that names it may."""
        name, now = digest(owner, data), self._clock()
        if now - self._put.get(name, -self.seconds) >= self.seconds / 2:
            self._store.put(f"piece:{name}", data, 2 * self.seconds)
            self._put[name] = now
            self._put.move_to_end(name)
        while len(self._put) > MAX_REMEMBERED:
            self._put.popitem(last=False)
        return name

    def went(self, id: str, owned: Owned) -> None:
        """An upstream keeps a response."""
        self._store.put(f"place:{digest(id)}", wire.dumps(list(owned)), OWNED_S)

    async def find(self, owner: str, ids: list[str]) -> tuple[list[dict[str, Any]], dict[str, Owned]]:
        """Entries as ResponseStore.take takes them, and what upstreams keep. Nothing where the store is away."""
        try:
            values = await self._values(owner, ids)
            if not any(values):  # a client may be quicker than the host that has just answered it
                await asyncio.sleep(AGAIN_S)
                values = await self._values(owner, ids)
            entries = [await self._whole(id, value) for id, value in zip(ids, values, strict=False) if value]
        except Away as why:
            log.debug("responses of other hosts are not known now: %s", why)
            return [], {}
        owned = {id: Owned(*wire.loads(value)) for id, value in zip(ids, values[len(ids) :], strict=True) if value}
        return [entry for entry in entries if entry is not None], owned

    async def _values(self, owner: str, ids: list[str]) -> list[bytes | None]:
        return await asyncio.gather(
            *(self._store.get(_response(owner, id)) for id in ids),
            *(self._store.get(f"place:{digest(id)}") for id in ids),
        )

    async def _whole(self, id: str, value: bytes) -> dict[str, Any] | None:
        entry = wire.loads(value)
        pieces = await asyncio.gather(*(self._store.get(f"piece:{name}") for name in entry["pieces"]))
        if None in pieces:
            return None
        *before, output = [piece for piece in pieces if piece is not None]
        return {
            "id": id,
            "before": wire.loads(b"[%b]" % b",".join(filter(None, before))),
            "output": wire.loads(b"[%b]" % output),
            "body": wire.loads(entry["body"].encode()) if entry["body"] else None,
            "seconds": entry["until"] - time.time(),
        }

    async def forget(self, owner: str, id: str) -> None:
        self.deleted[name_of(owner, id)] = self._clock() + self.seconds
        while len(self.deleted) > MAX_DELETED:
            self.deleted.popitem(last=False)
        try:
            await self._store.delete(_response(owner, id))
        except Away as why:
            log.warning("a response that was deleted may still be known to other hosts for %.0f s: %s",
                        self.seconds, why)  # fmt: skip


def name_of(owner: str, id: str) -> str:
    return digest(owner, id)


def _response(owner: str, id: str) -> str:
    return f"response:{name_of(owner, id)}"
