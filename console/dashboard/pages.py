"""GET /dashboard, and what the page asks for under /dashboard/data/; POST /dashboard/probe/UPSTREAM.

The page (page.py) has no data, so anybody may load it; the data is for admins, and the page itself asks for their key.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from tornado.httputil import HTTPHeaders

from console.dashboard import page, panels
from console.dashboard.panels import Board
from gateway.endpoints import Row
from gateway.http import forwarded
from gateway.pages.handlers import Handler, Shown
from gateway.runtime import Service
from translate import wire
from translate.errors import ApiError

log = logging.getLogger("gateway")


def rows(board: Board) -> list[Row]:
    """The rows for the table in gateway/endpoints.py."""
    panels.register(board)
    page.made()  # at the start, as the files may be of another release later
    args = {"service": board.service}
    return [
        (r"/dashboard/?", Page, args),
        (r"/dashboard/data/([a-z]+)", Data, args | {"board": board}),
        (r"/dashboard/probe/([^/]+)", Probe, args),
    ]


class Page(Handler):
    """GET /dashboard: the page."""

    open = True

    def get(self) -> None:
        made = page.made()
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", made.policy)
        self.set_header("Vary", "Accept-Encoding")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")
        packed = "gzip" in self.request.headers.get("Accept-Encoding", "")
        if packed:
            self.set_header("Content-Encoding", "gzip")
        self.finish(made.packed if packed else made.whole)


class Data(Shown):
    """GET /dashboard/data/PANEL: the JSON of a panel."""

    polled = True

    def initialize(self, service: Service, board: Board | None = None) -> None:
        super().initialize(service)
        assert board is not None  # the row of the table names it
        self._board = board

    async def get(self, panel: str) -> None:  # type: ignore[override]  # Tornado calls it with the groups of its path, and awaits it
        shown = panels.SHOWN.get(panel)
        query = {name: values[-1].decode("utf-8", "replace") for name, values in self.request.arguments.items()}
        try:
            if shown is None:
                raise ApiError(
                    "not_found", f"there is no panel '{panel[:50]}'; the panels are {', '.join(panels.SHOWN)}"
                )
            url = forwarded.public_url(self.request.headers, query.get("public_url", ""), self.request.protocol)
            said = await shown(self._board, query | {"public_url": url})
        except ApiError as error:
            self.refuse(error)
            return
        self.set_header("Cache-Control", "no-store")
        self.finish(self.service.masked(wire.dumps(said)))


class Probe(Handler):
    """POST /dashboard/probe/UPSTREAM: asks an upstream for its list of models, which costs nothing, to see that it
    answers."""

    def prepare(self) -> None:
        try:
            headers = _from_own_page(self.request.headers)
            self.service.access.check_admin(headers, str(self.request.remote_ip))
        except ApiError as error:
            self.refuse(error)

    async def post(self, name: str) -> None:
        peer = self.service.router.peers.get(name)
        if peer is None:
            self.refuse(ApiError("not_found", f"there is no upstream '{name[:100]}' that is on"))
            return
        began = time.perf_counter()
        said: dict[str, Any] = {"upstream": name}
        try:
            said |= {"ok": True, "models": await self.service.listing.probe(peer)}
        except ApiError as error:
            said |= {"ok": False, "why": error.message}
        said["ms"] = round((time.perf_counter() - began) * 1e3, 1)
        log.info("upstream '%s' was probed: %s", name, said.get("why", "it answers"))
        self.finish(self.service.masked(wire.dumps(said)))


def _from_own_page(headers: HTTPHeaders) -> HTTPHeaders:
    """Refuses a POST from another web page, by the headers of the browser. The browser's Sec-Fetch-Site counts more
    than Host, which a reverse proxy may have changed. Raises ApiError (403)."""
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if site not in (None, "same-origin", "none"):
        raise ApiError("permission", "requests from other web pages are refused")
    is_ours = site is not None or (origin or "").partition("://")[2].lower() == headers.get("Host", "").lower()
    if origin is None or not is_ours:
        return headers
    own = HTTPHeaders(headers)
    del own["Origin"]
    return own
