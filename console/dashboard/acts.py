"""What the buttons of the dashboard do: POST /dashboard/probe, drain and undrain/UPSTREAM, and cancel/REQUEST.

They are for admins, from our own page or from a program. Each is done in all workers, and logged with who did it.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from tornado.httputil import HTTPHeaders

from console.dashboard import running
from console.dashboard.board import Board
from gateway.endpoints import Row
from gateway.pages.handlers import Handler
from gateway.runtime import Service
from translate.failures.errors import ApiError
from translate.json import wire

log = logging.getLogger("gateway")


def rows(board: Board) -> list[Row]:
    args = {"service": board.service}
    return [
        (r"/dashboard/probe/([^/]+)", Probe, args),
        (r"/dashboard/drain/([^/]+)", Drain, args),
        (r"/dashboard/undrain/([^/]+)", Undrain, args),
        (r"/dashboard/cancel/([^/]+)", Cancel, args),
    ]


class Act(Handler):
    """done() does it, and returns what the page is told."""

    def prepare(self) -> None:
        try:
            headers = _from_own_page(self.request.headers)
            self.client = self.service.access.check_admin(headers, str(self.request.remote_ip))
        except ApiError as error:
            self.refuse(error)

    async def post(self, name: str) -> None:
        try:
            said = await self.done(name)
        except ApiError as error:
            self.refuse(error)
        else:
            self.finish(self.service.masked(wire.dumps(said)))

    async def done(self, name: str) -> dict[str, Any]:
        """name: of what it is done to. Raises ApiError."""
        raise NotImplementedError


class Probe(Act):
    """Asks an upstream for its list of models, which costs nothing, to see that it answers."""

    async def done(self, name: str) -> dict[str, Any]:
        upstream = self.service.router.upstreams[_known(self.service, name)]
        began = time.perf_counter()
        said: dict[str, Any] = {"upstream": name}
        try:
            said |= {"ok": True, "models": await self.service.listing.probe(upstream)}
        except ApiError as error:
            said |= {"ok": False, "why": error.message}
        said["ms"] = round((time.perf_counter() - began) * 1e3, 1)
        log.info("upstream '%s' was probed: %s", name, said.get("why", "it answers"))
        return said


class Drain(Act):
    """The upstream gets no new requests; what is on its way there goes on."""

    drained = True

    async def done(self, name: str) -> dict[str, Any]:
        workers = await self.service.drained.change(_known(self.service, name), self.client, drained=self.drained)
        return {"upstream": name, "drained": self.drained, "workers": workers}


class Undrain(Drain):
    drained = False


class Cancel(Act):
    """Ends a request that is on its way. Its client gets an error of its protocol, which says so."""

    async def done(self, name: str) -> dict[str, Any]:
        if not await running.cancel(self.service, name, self.client):
            raise ApiError("not_found", f"request {name[:50]} is not on its way (any more)")
        return {"id": name, "cancelled": True}


def _known(service: Service, upstream: str) -> str:
    """Raises ApiError (404)."""
    if upstream not in service.router.upstreams:
        raise ApiError("not_found", f"there is no upstream '{upstream[:100]}' that is on")
    return upstream


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
