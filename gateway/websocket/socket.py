"""The websocket of Responses clients, from its upgrade to its end."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher
from tornado.websocket import WebSocketHandler, WebSocketProtocol, _WebSocketParams

from gateway.pages.handlers import Handler
from gateway.runtime import Service
from gateway.websocket.arriving import Arriving, CountingProtocol
from gateway.websocket.session import Session
from translate.failures.errors import ApiError
from translate.responses.dialect import RESPONSES


class Upgrading(Matcher):
    """Matches GET /v1/responses with an upgrade to a websocket, if websockets are served."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        if not self._service.websockets:
            return None
        return {} if request.method == "GET" and request.path == "/v1/responses" and wants_upgrade(request) else None


class Socket(Handler, WebSocketHandler):
    """A websocket, from its upgrade to its end. Access is checked as for every request, also for web pages."""

    session: Session | None = None
    arriving: Arriving | None = None

    def prepare(self) -> None:
        try:
            self.client = self.service.access.check(self.request.headers)
            if self.service.in_flight.stage != "serving":
                raise ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1)
        except ApiError as error:
            self.refuse(error, RESPONSES)

    def check_origin(self, origin: str) -> bool:
        return True  # `prepare` has checked it

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        if self.request.headers.get("Sec-WebSocket-Version") != "13":  # Tornado answers which version it takes
            return None
        self.arriving = Arriving(self.service)
        params = _WebSocketParams(
            ping_interval=self.ping_interval,
            ping_timeout=self.ping_timeout,
            max_message_size=self.max_message_size,
            compression_options=self.get_compression_options(),
        )
        return CountingProtocol(self, params, self.arriving, self.too_much)

    async def too_much(self, error: ApiError) -> None:
        """Of what messages may take together: this one was not kept."""
        if self.session is not None:
            await self.session.refuse(error)

    def get_compression_options(self) -> dict[str, Any]:
        return {"compression_level": 1, "mem_level": 5}  # a higher level saves little on small events

    def open(self, *args: str, **kwargs: str) -> None:  # type: ignore[override]  # Tornado's hook; ours is a flag
        self.session = Session(self.service, self, self.request.headers)

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        return self.session.message(message) if self.session is not None else None

    def on_close(self) -> None:
        if self.arriving is not None:
            self.arriving.over()
        if self.session is not None:
            self.session.closed()


def wants_upgrade(request: HTTPServerRequest) -> bool:
    """Whether a websocket is asked for. Java's clients offer HTTP/2 (h2c) with any request in the same way."""
    asked = request.headers.get("Connection", "").lower(), request.headers.get("Upgrade", "").lower()
    return "upgrade" in asked[0] and asked[1] == "websocket"
