"""Which address libcurl connects to: it looks none up, but is told."""

from __future__ import annotations

import pycurl

from upstream.names import Answer
from upstream.pool import Pool
from upstream.request import Request
from upstream.way import Place, Way, place_of

MAX_PLACES = 4096


class Addresses:
    """Hosts whose address must be known before a request can be sent, and what libcurl has been told of them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._places: dict[tuple[str, Way], Place | None] = {}
        self._pointed: dict[tuple[str, int], Answer] = {}  # what libcurl has been told

    def adopt(self, pool: Pool) -> None:
        """Takes over other settings; requests may go by another proxy now."""
        self._pool = pool
        self._places.clear()

    def place_of(self, request: Request) -> Place | None:
        """Whose address must be known before libcurl can connect; None where it needs nobody's."""
        key = request.url, request.way
        try:
            return self._places[key]
        except KeyError:
            if len(self._places) >= MAX_PLACES:
                self._places.clear()
            proxy = self._pool.proxy if request.way.proxy is None else request.way.proxy
            place = self._places[key] = place_of(request.url, proxy, request.way.family or self._pool.family)
            return place

    def point(self, curl: pycurl.Curl, place: Place, answer: Answer) -> None:
        """libcurl keeps what it is told until it is told otherwise, for all handles."""
        where = place.host, place.port
        if self._pointed.get(where) is not answer:
            self._pointed[where] = answer
            entry = f"{place.host}:{place.port}"
            curl.setopt(pycurl.RESOLVE, [f"-{entry}", f"{entry}:{','.join(answer.addresses)}"])
