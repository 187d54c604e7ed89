"""The table of paths: which object handles a request.

The endpoints of models get a Flow as soon as the head of a request is parsed. Everything else goes to a small Tornado
application. Any other path gets a 404 in the client's dialect, with a hint at what was probably meant.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from collections.abc import Sequence
from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.routing import Rule
from tornado.web import Application, RequestHandler

from gateway.batches import endpoint as batches
from gateway.flow import upstream_request
from gateway.flow.flow import Flow
from gateway.http import azure_addresses, query_string
from gateway.http.header_rules import JSON_HEAD, of_refusal
from gateway.http.idle_connections import Idle, ServerConnection
from gateway.http.response_writer import ResponseWriter
from gateway.pages import dry_run, ollama, status
from gateway.pages.dry_run import DryRun
from gateway.pages.elsewhere import AskingBefore, Elsewhere, Preflight
from gateway.pages.handlers import Handler
from gateway.pages.health import Alive, Ready
from gateway.pages.models import Models, OneModel
from gateway.pages.stored_responses import StoredResponse
from gateway.relay import relay
from gateway.relay.relay import Relay
from gateway.runtime import Service
from gateway.websocket.socket import Socket, Upgrading
from operate.logs.journal import Journal
from operate.settings.load import Settings
from translate import dialects
from translate.failures.errors import ApiError

log = logging.getLogger("proxy")

Row = tuple[str, type[Handler], dict[str, Any]]
"""One row of the table: (pattern of the path, handler, its arguments)."""


OPERATORS = re.compile(r"/(healthz|health/.*|api/hello|readyz|metrics|dashboard.*|debug/(upstreams|quirks))?")
"""Paths that are served in reserved places too, when there are as many connections as there may be."""

PING_S = 45.0  # between two pings of a websocket, at most: what stands between takes 60 s of silence for its end
PACKED_PIECE = 512  # how many bytes of a compressed body are decompressed in one turn of the loop


class Door(HTTPServerConnectionDelegate):
    """The callback of Tornado's HTTPServer: it begins every request. rows: further rows of the table."""

    def __init__(self, service: Service, rows: Sequence[Row] = ()) -> None:
        self.service = service
        self.idle = Idle()
        self.ends_packed = asyncio.Lock()
        status.serve(service)
        args = {"service": service}
        self.application = Application(
            [
                Rule(AskingBefore(), Preflight, args),
                (r"/v1/models/?", Models, args),
                (r"/v1/models/(.+)", OneModel, args),
                *_listings(service),
                (r"/api/tags", ollama.Tags, args),
                (r"/api/ps", ollama.Running, args),
                (r"/api/version", ollama.Version, args),
                (r"/v1/responses/([^/]+)(/input_items|/cancel)?", StoredResponse, args),
                (r"/debug/quirks", status.Learned, args),
                (status.PATH, status.Standing, args),
                (r"/(?:healthz|health/live(?:li)?ness|api/hello)?", Alive, args),
                (r"/(?:readyz|health/readiness)", Ready, args),
                *rows,
                Rule(Upgrading(service), Socket, args),
                (r".*", Elsewhere, args),
            ],
            log_function=functools.partial(log_request, service.journal),
        )
        self.adopt(service.settings)

    def adopt(self, settings: Settings) -> None:
        """Takes over changed settings, for websockets that open from now on."""
        self.application.settings |= {
            "websocket_max_message_size": settings.server.max_body_bytes,
            "websocket_ping_interval": min(settings.server.idle_timeout, PING_S),
        }

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        connection = cast(ServerConnection, server_conn)  # Tornado's type is object; it passes one of these
        self.idle.waits(connection)
        return Entrance(self, connection, request_conn)


def _listings(service: Service) -> list[Row]:
    """The rows of the lists of models that have addresses of their own."""
    rows: list[Row] = []
    for dialect in dialects.every():
        for path in dialect.models.paths:
            args = {"service": service, "own": dialect}
            rows += [(f"{path}/?", Models, args), (f"{path}/(.+)", OneModel, args)]
    return rows


class Entrance(HTTPMessageDelegate):
    """Waits for the head of a request, and passes the rest on to the object that handles it. A body for any other path
    than a model's endpoint is read and dropped, because its sender may not even have a key."""

    __slots__ = ("_conn", "_door", "_hot", "_packed", "_server_conn", "_timer", "_to")

    def __init__(self, door: Door, server_conn: ServerConnection, conn: HTTPConnection) -> None:
        self._door = door
        self._server_conn = server_conn
        self._conn = conn
        self._to: HTTPMessageDelegate | None = None
        self._hot: HTTPMessageDelegate | None = None  # the handler, if it takes a body
        self._packed = False
        self._timer: asyncio.TimerHandle | None = None

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Any:
        assert isinstance(start_line, RequestStartLine)
        self._packed = "Content-Encoding" in headers
        deployment = ""
        if start_line[1].startswith(azure_addresses.ROOT):
            target, deployment = azure_addresses.plain(start_line[1])
            start_line = start_line._replace(path=target)
        if "key=" in start_line[1] and (of := dialects.keyed(start_line[1].partition("?")[0])) is not None:
            target = query_string.without_key(start_line[1], headers, of.http.query_key, of.http.auth[0])
            start_line = start_line._replace(path=target)
        path = start_line[1].partition("?")[0] if start_line[0] == "POST" else ""
        hot = dialects.at(path) if path else None
        batch = batches.asked(self._door.service, start_line[0], start_line[1], headers) if hot is None else None
        relayed = relay.asked(start_line[0], start_line[1], headers) if hot is None and batch is None else None
        if deployment and hot is not None:
            hot = hot._replace(endpoint=azure_addresses.deployed(hot.endpoint), model=deployment)
        elif deployment and relayed is not None:
            relayed = relayed[0], azure_addresses.deployed(relayed[1])
        assert isinstance(self._conn, HTTP1Connection)
        self._door.idle.ends(self._server_conn)
        if self._server_conn.turned_away is not None and not OPERATORS.fullmatch(start_line[1].partition("?")[0]):
            self._server_conn.turned_away()
            self._refuse(_full(), start_line[1], headers)
            return None
        if hot is None and relayed is None and batch is None and _has_body(headers):  # those have a clock of their own
            self._wait_for_body(start_line[1], headers)
        if path == dry_run.PATH:
            self._to = self._hot = DryRun(self._door.service, self._conn)
        elif path == ollama.SHOW:
            self._to = self._hot = ollama.Show(self._door.service, self._conn)
        elif hot is not None:
            self._to = self._hot = Flow(
                self._door.service.ports, self._conn, hot.dialect, hot.endpoint, model=hot.model
            )
        elif batch is not None:
            self._to = self._hot = batches.BatchesRequest(self._door.service, self._conn, batch)
        elif relayed is not None:
            self._to = self._hot = Relay(self._door.service, self._conn, *relayed, model=deployment)
            self._packed = self._packed and "form-data" not in headers.get("Content-Type", "")
        else:
            headers.pop("Content-Type", None)  # otherwise Tornado would parse a form, and fail because there is no body
            self._to = self._door.application.start_request(self._server_conn, self._conn)
        return self._to.headers_received(start_line, headers)

    def _wait_for_body(self, target: str, headers: HTTPHeaders) -> None:
        patience = self._door.service.settings.server.body_timeout
        self._timer = asyncio.get_running_loop().call_later(patience, self._too_slow, patience, target, headers)

    def data_received(self, chunk: bytes) -> Any:
        if self._hot is None:
            return None
        return self._in_turns(self._hot, chunk) if self._packed else self._hot.data_received(chunk)

    async def _in_turns(self, to: HTTPMessageDelegate, chunk: bytes) -> None:
        """Passes a compressed body on in pieces, with turns of the loop between them, because a few hundred bytes may
        become a megabyte. Several compressed bodies go one after the other: if they took turns, all of them would end
        in the same turn, in which each whole body is read."""
        for at in range(0, len(chunk), PACKED_PIECE):
            to.data_received(chunk[at : at + PACKED_PIECE])
            await asyncio.sleep(0)
        if len(chunk) > PACKED_PIECE:
            async with self._door.ends_packed:
                await asyncio.sleep(0)

    def finish(self) -> None:
        self._stop_timer()
        if self._to is not None:
            self._to.finish()

    def _too_slow(self, within_s: float, target: str, headers: HTTPHeaders) -> None:
        """Refuses a request whose body did not arrive in time, and that has no Flow."""
        self._timer = None
        error = upstream_request.too_slow(within_s)
        log.info("%s", error.message)
        self._refuse(error, target, headers)

    def malformed(self, error: ApiError, target: str, headers: HTTPHeaders) -> None:
        """The request is not HTTP/1.1, or not as strictly as it has to be (gateway/http/connection.py)."""
        self._door.idle.ends(self._server_conn)
        log.info("%s", error.message)
        self._refuse(error, target, headers)

    def _refuse(self, error: ApiError, target: str, headers: HTTPHeaders) -> None:
        """Answers with an error, and ends the connection."""
        assert isinstance(self._conn, HTTP1Connection)
        answer = ResponseWriter(self._conn)
        answer.last()
        answer.more = self._door.service.access.origins.lines(headers)
        key = self._door.service.next_key()
        head = JSON_HEAD + of_refusal(error.status, key, "", error.retry_after)
        served = dialects.at(target.partition("?")[0])
        dialect = served.dialect if served is not None else dialects.asking(headers, target)
        answer.whole(error.status, head, dialects.errors_at(target, dialect)(error, key))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def on_connection_close(self) -> None:
        self._stop_timer()
        if self._to is not None:
            self._to.on_connection_close()


def _full() -> ApiError:
    message = "the proxy has no place for a further connection ([server] max_connections)"
    return ApiError("overloaded", message, 503, retry_after=1)


def log_request(journal: Journal, handler: RequestHandler) -> None:
    """Writes a line to api_requests.json, except for probes and polls of the dashboard that succeed: they come every
    few seconds and are of no interest."""
    silent = getattr(handler, "open", False) or getattr(handler, "polled", False)
    if journal.api_requests and (handler.get_status() >= 400 or not silent):
        request = handler.request
        journal.request(
            request.method, request.path, handler.get_status(), request.request_time() * 1e3,
            getattr(handler, "client", ""), getattr(handler, "key", ""),
        )  # fmt: skip


def _has_body(headers: HTTPHeaders) -> bool:
    return headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers
