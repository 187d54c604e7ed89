"""The part of the cache that workers and hosts share: kept replies, and whose turn it is to ask.

A reply that one of them keeps is found by all. If the same is asked at the same time on several hosts, one of them
takes a lease, asks, and puts its reply where the others look for it. They get it when it is complete, since a stream
does not go from host to host. If the holder of the lease is killed, the lease ends by itself, and another one asks.
While the store is away, each worker knows only its own replies.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.cache.question import Kept, Source
from gateway.shared.shared import Shared
from gateway.shared.store import Away
from translate.conversation import Usage
from translate.json import wire

log = logging.getLogger("gateway")

LEASE_S = 5.0  # a lease ends so long after its holder was last heard of
LOOK_S = (0.02, 0.25)  # between two looks for another's reply: at first, and at most (it doubles)
WAIT_S = 20.0  # after this wait, a request asks in spite of the lease
HANDED_S = 10.0  # how long a reply that will not be kept stays for the requests that wait for it


_COUNTED = ("input", "cache_read", "cache_write", "output", "reasoning")


class Fleet:
    """The shared part. Its keys begin with "cache:"."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._own = secrets.token_bytes(8)
        self._held: dict[bytes, asyncio.TimerHandle] = {}
        self._writing: set[asyncio.Future[Any]] = set()

    def __repr__(self) -> str:
        return f"<Fleet {self._shared!r}, {len(self._held)} leases>"

    @property
    def is_on(self) -> bool:
        return self._shared.several

    # ----------------------------------------------------------------------------------------------- replies

    async def find(self, key: bytes) -> Kept | None:
        """Returns a kept reply."""
        return await self._get(f"cache:kept:{key.hex()}")

    def keep(self, key: bytes, kept: Kept, seconds: float) -> None:
        self._later(self._shared.store.put(f"cache:kept:{key.hex()}", packed(kept), seconds))

    async def _get(self, key: str) -> Kept | None:
        try:
            found = await self._shared.store.get(key)
        except Away:
            self._shared.fallbacks += 1
            return None
        return unpacked(found) if found is not None else None

    # ------------------------------------------------------------------------------------------------ leases

    async def turn(self, key: bytes, came: float, is_over: Callable[[], bool]) -> Kept | None:
        """Returns None if it is the caller's turn to ask, else another one's reply. came: the Unix time at which the
        request came. is_over: nobody wants the reply any more."""
        loop, store, lease = asyncio.get_running_loop(), self._shared.store, f"cache:lease:{key.hex()}"
        until, pause_s = loop.time() + WAIT_S, LOOK_S[0]
        try:
            while not await store.put(lease, self._own, LEASE_S, absent=True):
                if is_over() or loop.time() >= until:
                    return None
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LOOK_S[1])
                if (handed := await self._handed(key, came)) is not None:
                    return handed
            if (handed := await self._handed(key, came)) is not None:  # it may have come just before the lease ended
                self._later(store.delete(lease, self._own))
                return handed
        except Away:
            self._shared.fallbacks += 1
            return None
        if is_over():
            self._later(store.delete(lease, self._own))
        else:
            self._hold(key)
        return None

    async def _handed(self, key: bytes, came: float) -> Kept | None:
        """Returns a reply that was made while the request waited for it. An earlier reply does not count."""
        found = await self._get(f"cache:handed:{key.hex()}")
        return found if found is not None and found.at >= came else None

    def _hold(self, key: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._held[key] = loop.call_later(LEASE_S / 3, self._extend, key)

    def _extend(self, key: bytes) -> None:
        if key in self._held:
            self._later(self._shared.store.extend(f"cache:lease:{key.hex()}", self._own, LEASE_S))
            self._hold(key)

    def holds(self, key: bytes) -> bool:
        return key in self._held

    def hands_over(self, key: bytes, kept: Kept | None) -> None:
        """The upstream has answered. kept: the reply, if it may go to the others."""
        timer = self._held.pop(key, None)
        if timer is None:
            return
        timer.cancel()
        store = self._shared.store
        if kept is not None:
            self._later(store.put(f"cache:handed:{key.hex()}", packed(kept), HANDED_S))
        self._later(store.delete(f"cache:lease:{key.hex()}", self._own))

    def _later(self, what: Awaitable[Any]) -> None:
        """Lets something finish for which nobody waits. A store that is away has been logged."""
        doing = asyncio.ensure_future(what)
        self._writing.add(doing)
        doing.add_done_callback(self._done)

    def _done(self, doing: asyncio.Future[Any]) -> None:
        self._writing.discard(doing)
        if not doing.cancelled() and (why := doing.exception()) is not None and not isinstance(why, Away):
            log.error("the shared cache failed", exc_info=why)


def packed(kept: Kept) -> bytes:
    used = kept.usage
    about = {
        "source": list(kept.source), "streamed": kept.streamed, "at": kept.at, "usd": kept.usd,
        "usage": {name: getattr(used, name) for name in _COUNTED} if used is not None else None,
    }  # fmt: skip
    return wire.dumps(about) + b"\n" + kept.body


def unpacked(said: bytes) -> Kept | None:
    """Returns the reply; None for what another version has written."""
    head, _, body = said.partition(b"\n")
    try:
        about = wire.loads(head)
        upstream, protocol, model, dropped = about["source"]
        used = Usage(**about["usage"]) if about["usage"] is not None else None
        return Kept(Source(upstream, protocol, model, tuple(dropped)), about["streamed"], body, about["at"], used,
                    about["usd"])  # fmt: skip
    except (ValueError, TypeError, KeyError):
        return None
