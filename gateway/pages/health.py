"""The pages for machines: /healthz, /readyz and /metrics.

/healthz says that the process answers. /readyz says whether it should get requests: it is 503 while the process drains,
and while no known endpoint of any upstream can be used (its breaker is open, its key was refused, or an operator
has drained it). An endpoint that waits for a rate limit still counts as usable. Both need no key, and say nothing that
a stranger should not know.
/metrics is the page for Prometheus, for admins unless [server] metrics says otherwise.
"""

from __future__ import annotations

import asyncio
import gzip
import time

from gateway.observe.live_metrics import LiveMetrics
from gateway.pages.handlers import Handler
from gateway.runtime import Service
from operate import exposition
from operate.metrics import Sample
from translate.failures.errors import ApiError
from translate.json import wire


def why_not_ready(service: Service) -> str:
    """Why the proxy is not ready; "" if it is."""
    if service.in_flight.stage != "serving":
        return service.in_flight.stage
    usable = dict.fromkeys((name for name in service.router.upstreams if name not in service.drained), True)
    now = time.monotonic()
    fine: dict[str, bool] = {}  # by upstream: whether a known endpoint can be used
    for (upstream, _, _), place in service.places.items():
        if upstream in usable:
            good = place.breaker.would_allow(now) and place.key.bad_until <= now
            fine[upstream] = fine.get(upstream, False) or good
    return "" if any((usable | fine).values()) else "no usable upstream"


class Alive(Handler):
    """GET and HEAD of /, /healthz, /health/liveliness, /api/hello: says that the process answers."""

    open = True

    def get(self) -> None:
        self.finish(wire.dumps({"status": "ok", "service": "anthropic-proxy"}))

    def head(self) -> None:
        self.finish()


class Ready(Handler):
    """GET and HEAD of /readyz, /health/readiness: says whether requests should be sent here."""

    open = True

    def get(self) -> None:
        self.finish(wire.dumps({"status": self.verdict() or "ok"}))

    def head(self) -> None:
        self.verdict()
        self.finish()

    def verdict(self) -> str:
        why = why_not_ready(self.service)
        self.set_status(503 if why else 200)
        self.set_header("Cache-Control", "no-store")
        return why


class MetricsPage(Handler):
    """GET /metrics, of all workers. A thread writes the page, so that a scrape holds no request up."""

    def initialize(self, service: Service, live: LiveMetrics | None = None) -> None:
        super().initialize(service)
        assert live is not None  # the row of the table names it
        self._live = live

    def prepare(self) -> None:
        mode = self.service.settings.server.metrics
        try:
            if mode == "off":
                raise ApiError("not_found", "/metrics is off; [server] metrics in settings.ini switches it on")
            if mode == "admin":
                self.service.access.check_admin(self.request.headers, str(self.request.remote_ip))
        except ApiError as error:
            self.refuse(error)

    async def get(self) -> None:
        states = await self._live.states()
        packed = "gzip" in self.request.headers.get("Accept-Encoding", "")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Vary", "Accept-Encoding")
        if packed:
            self.set_header("Content-Encoding", "gzip")
        page, kind = await asyncio.get_running_loop().run_in_executor(None, self._page, states, packed)
        self.set_header("Content-Type", kind)
        self.finish(page)

    def _page(self, states: list[tuple[str, list[Sample]]], packed: bool) -> tuple[bytes, str]:
        """Returns the page and its Content-Type."""
        page, kind = exposition.text(states, self.request.headers.get("Accept", ""))
        page = self.service.masked(page)
        return gzip.compress(page, 1) if packed else page, kind
