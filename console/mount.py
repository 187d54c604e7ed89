"""Adds the observers to a process: the log, the metrics, the dashboard and the usage store, and their pages.

The core (gateway/) does not know them. It calls its subscribers with two events (gateway/observe/dispatcher.py), takes
further rows for its table of paths, and copies replies if that is wanted. All of this is connected here.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from typing import Any
from urllib.parse import urlsplit

from console.books import Books
from console.dashboard import pages
from console.dashboard.board import Board
from console.dashboard.trouble import Troubles
from console.dashboard.watch import Watch
from console.fleet_usage import FleetUsage
from gateway.endpoints import Row
from gateway.observe import live_metrics
from gateway.observe.body_log import BodyLog
from gateway.observe.live_metrics import LiveMetrics
from gateway.pages.health import MetricsPage
from gateway.runtime import Service
from operate.settings.load import Settings
from operate.settings.sections import Telemetry
from operate.usage_store import UsageStore

log = logging.getLogger("proxy")

TICK_S = 1.0


class Console:
    """The observers of one process. rows: for the table of paths. start() needs a running loop. adopt() is called after
    that of the service."""

    def __init__(self, service: Service) -> None:
        self.bodies = BodyLog(service.journal)
        self.metrics = LiveMetrics(service)
        self.watch = Watch(service.settings, lambda: service.journal.request_bodies)
        fleet = FleetUsage(service.shared, tells_old=service.worker_rpc.number == 0)
        self.books = Books(None, service.settings.usage.keep_days, budgets=service.budgets, fleet=fleet)
        self._traced: tuple[Telemetry, dict[str, str]] | None = None
        self._sender: Any = None  # a console.telemetry.Sender, whose module is not imported without need
        self._service = service
        self._ticker: asyncio.TimerHandle | None = None
        self.troubles = Troubles(service, self.watch, self.books)
        board = Board(service, self.watch, self.books, self.troubles)
        self.rows: list[Row] = [
            (live_metrics.PATH, MetricsPage, {"service": service, "live": self.metrics}),
            *pages.rows(board),
        ]
        service.observers.on_finished += [self._log, self.watch.finished, self.books.finished]
        service.observers.on_sent.append(self.watch.sent)
        self.adopt(service.settings)

    def __repr__(self) -> str:
        return f"<Console {self.watch!r} {self.metrics!r} {self.bodies!r}>"

    def adopt(self, settings: Settings) -> None:
        """Takes over changed settings."""
        self.watch.adopt(settings)
        self.metrics.adopt(settings)
        self.bodies.adopt(self._service.observers)
        file = settings.usage.file
        store = UsageStore(self._service.journal.folder / file) if file else None
        self.books.adopt(store, settings.usage.keep_days)
        self._trace(settings)
        self._service.observers.copier = self.bodies if self._service.journal.response_bodies is not None else None

    def _trace(self, settings: Settings) -> None:
        """Sends traces, or stops that. The SDK is imported only if it is needed."""
        chosen = settings.telemetry
        names = _providers(settings)
        if (chosen, names) == self._traced:
            return
        self._stop_tracing()
        self._traced = chosen, names
        if not chosen.otlp_endpoint:
            return
        try:
            sender = importlib.import_module("console.telemetry").Sender
        except ModuleNotFoundError as why:  # the setting came with a reload
            log.error("[telemetry] needs the package %s: start the proxy again, or install extras/otel.txt", why.name)
            return
        self._sender = sender(
            chosen, self._service.tracing, self._service.worker_rpc.number, names.get, self.metrics.samples
        )
        self._service.observers.on_traced = self._sender.traced

    def _stop_tracing(self) -> None:
        self._service.observers.on_traced = None
        if self._sender is not None:
            self._sender.stop()
            self._sender = None

    def start(self) -> None:
        self.metrics.start()
        self.books.start()
        self._tick()

    async def stop(self) -> None:
        self.metrics.stop()
        self._service.observers.flush()
        self._stop_tracing()
        await self.books.stop()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None

    def _tick(self) -> None:
        self._ticker = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        flows = self._service.flows
        self.watch.tick(len(flows), sum(flow.streaming for flow in flows), self._service.admission.waiting)
        self.troubles.tick()

    def _log(self, record: dict[str, Any]) -> None:
        journal = self._service.journal
        if journal.wants("error.type" in record):
            journal.finished(record)


_PROVIDERS = {
    "anthropic.com": "anthropic", "openai.com": "openai", "azure.com": "azure.ai.openai",
    "amazonaws.com": "aws.bedrock",
    "aiplatform.googleapis.com": "gcp.vertex_ai", "generativelanguage.googleapis.com": "gcp.gemini",
    "deepseek.com": "deepseek", "groq.com": "groq", "mistral.ai": "mistral_ai", "x.ai": "x_ai", "cohere.com": "cohere",
    "perplexity.ai": "perplexity",
}  # fmt: skip
"""What OpenTelemetry calls the providers, by the end of their addresses."""


def _providers(settings: Settings) -> dict[str, str]:
    """Returns the names of the upstreams' providers; if none is known, the name of the upstream."""
    found = {}
    for name, upstream in settings.upstreams.items():
        host = urlsplit(upstream.base_url).hostname or ""
        found[name] = next((known for end, known in _PROVIDERS.items() if host.endswith(end)), name)
    return found
