"""Adds the observers to a process: the log, the metrics, the dashboard and the usage store, and their pages.

The core (gateway/) does not know them. It calls its subscribers with two events (gateway/observe/dispatcher.py), takes
further rows for its table of paths, and copies replies if that is wanted. All of this is connected here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from console.books import Books
from console.dashboard import pages
from console.dashboard.board import Board
from console.dashboard.trouble import Troubles
from console.dashboard.watch import Watch
from gateway.endpoints import Row
from gateway.observe import live_metrics
from gateway.observe.body_log import BodyLog
from gateway.observe.live_metrics import LiveMetrics
from gateway.pages.health import MetricsPage
from gateway.runtime import Service
from operate.settings.load import Settings
from operate.usage_store import UsageStore

TICK_S = 1.0


class Console:
    """The observers of one process. rows: for the table of paths. start() needs a running loop. adopt() is called after
    that of the service."""

    def __init__(self, service: Service) -> None:
        self.bodies = BodyLog(service.journal)
        self.metrics = LiveMetrics(service)
        self.watch = Watch(service.settings, lambda: service.journal.request_bodies)
        self.books = Books(None, service.settings.usage.keep_days, budgets=service.budgets)
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
        self._service.copier = self.bodies if self._service.journal.response_bodies is not None else None

    def start(self) -> None:
        self.metrics.start()
        self.books.start()
        self._tick()

    def stop(self) -> None:
        self.metrics.stop()
        self._service.observers.flush()
        self.books.stop()
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
