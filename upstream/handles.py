"""The handles of libcurl: each is kept for further requests that go the same way."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pycurl

from upstream.exchange import Exchange, Handle
from upstream.pool import Pool, Roots, options
from upstream.way import Way

MOST_SPARE = 1024  # how many unused handles are kept; each takes a few KB


class Handles:
    """made: how many there are. spare: how many of them are unused. ready: the client's list of exchanges that have
    something. opened: libcurl calls it with each socket that it opens."""

    __slots__ = ("_opened", "_pool", "_ready", "_roots", "free", "made", "spare")

    def __init__(self, pool: Pool, ready: list[Exchange], opened: Callable[[int, int], int]) -> None:
        self.made = self.spare = 0
        self.free: dict[Way, list[Handle]] = {}  # whoever takes one out counts it in `spare`
        self._pool = pool
        self._roots = Roots(pool)
        self._ready = ready
        self._opened = opened

    def __repr__(self) -> str:
        return f"<Handles {self.made}, {self.spare} of them spare>"

    def new(self, way: Way) -> Handle:
        curl, pool = pycurl.Curl(), self._pool
        curl.setopt(pycurl.SOCKOPTFUNCTION, self._opened)
        for option, value in options(pool).items():
            curl.setopt(option, value)
        way.put(curl, self._roots.path, pool.proxy, pool.family)
        handle = Handle(curl, self._ready, way, pool)
        curl.handle = handle
        self.made += 1
        return handle

    def put_back(self, handle: Handle) -> None:
        if handle.pool is not self._pool or self.spare >= MOST_SPARE:
            self.discard(handle)
        else:
            self.free.setdefault(handle.way, []).append(handle)
            self.spare += 1

    def discard(self, handle: Handle) -> None:
        self.made -= 1
        handle.curl.close()

    def adopt(self, pool: Pool) -> None:
        """Takes over changed settings: those in use now are not used again."""
        self._pool = pool
        self._roots.adopt(pool)
        self.discard_spare()

    def discard_spare(self) -> None:
        free, self.free, self.spare = self.free, {}, 0
        for handle in itertools.chain.from_iterable(free.values()):
            self.discard(handle)
