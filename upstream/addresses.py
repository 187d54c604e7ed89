"""Gives libcurl the addresses that it connects to, so that libcurl looks up no names itself."""

from __future__ import annotations

import pycurl

from upstream.names import Answer
from upstream.pool import Pool
from upstream.request import Request
from upstream.way import Lookup, Way, lookup_of

MAX_LOOKUPS = 4096


class Addresses:
    """The hosts whose address must be known before a request can be sent, and the addresses that libcurl has for
    them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lookups: dict[tuple[str, Way], Lookup | None] = {}
        self._pointed: dict[tuple[str, int], Answer] = {}  # the answers that libcurl has, by host and port

    def adopt(self, pool: Pool) -> None:
        """Takes over changed settings, as requests may now go through another proxy."""
        self._pool = pool
        self._lookups.clear()

    def lookup_of(self, request: Request) -> Lookup | None:
        """The host whose address must be known before libcurl can connect; None if no look-up is needed."""
        key = request.url, request.way
        try:
            return self._lookups[key]
        except KeyError:
            if len(self._lookups) >= MAX_LOOKUPS:
                self._lookups.clear()
            proxy = self._pool.proxy if request.way.proxy is None else request.way.proxy
            family = request.way.family or self._pool.family
            lookup = None if request.way.socket else lookup_of(request.url, proxy, family)
            self._lookups[key] = lookup
            return lookup

    def point(self, curl: pycurl.Curl, lookup: Lookup, answer: Answer) -> None:
        """Gives libcurl the addresses of a host. It keeps them, for all handles, until it gets others."""
        where = lookup.host, lookup.port
        if self._pointed.get(where) is not answer:
            self._pointed[where] = answer
            entry = f"{lookup.host}:{lookup.port}"
            curl.setopt(pycurl.RESOLVE, [f"-{entry}", f"{entry}:{','.join(answer.addresses)}"])
