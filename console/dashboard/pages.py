"""GET /dashboard, and what the page asks for under /dashboard/data/. What its buttons do is in acts.py.

The page (page.py) has no data, so anybody may load it; the data is for admins, and the page itself asks for their key.
"""

from __future__ import annotations

from console.dashboard import acts, page, panels
from console.dashboard.board import Board
from gateway.endpoints import Row
from gateway.http import forwarded
from gateway.pages.handlers import Handler, Shown
from gateway.runtime import Service
from translate.failures.errors import ApiError
from translate.json import wire


def rows(board: Board) -> list[Row]:
    """The rows for the table in gateway/endpoints.py."""
    panels.register(board)
    page.made()  # at the start, as the files may be of another release later
    args = {"service": board.service}
    return [
        (r"/dashboard/?", Page, args),
        (r"/dashboard/data/([a-z]+)", Data, args | {"board": board}),
        *acts.rows(board),
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
        self.finish(page.packed() if packed else made.whole)


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
