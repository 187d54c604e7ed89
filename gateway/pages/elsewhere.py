"""Answers the questions that browsers ask before a request (CORS), and every path that is not served, with a hint at
those that are."""

from __future__ import annotations

from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher

from gateway.http import origins
from gateway.pages import astray
from gateway.pages.handlers import Handler
from gateway.websocket.socket import wants_upgrade
from translate import dialects
from translate.failures.errors import ApiError
from translate.responses.dialect import RESPONSES


class AskingBefore(Matcher):
    """Matches the preflight request (OPTIONS) of a browser, on any path."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return {} if origins.asks_before(request.method, request.headers) else None


class Preflight(Handler):
    """Answers a preflight request, which needs no key."""

    open = True

    def options(self) -> None:
        try:
            for name, value in self.service.access.origins.preflight(self.request.headers):
                self.set_header(name, value)
        except ApiError as error:
            self.refuse(error)
            return
        self.clear_header("Content-Type")
        self.set_status(204)
        self.finish()


class Elsewhere(Handler):
    """Answers every other path or method with an error that says what is served."""

    open = True

    async def get(self) -> None:
        self.answer()

    head = post = put = patch = delete = options = get

    def answer(self) -> None:
        path, method = self.request.path, self.request.method
        if path == "/v1/responses" and (why := _no_websocket(self.request)):
            self.set_header("Connection", "close")
            self.refuse(ApiError("invalid_request", f"{why}; use POST /v1/responses", 426), RESPONSES)
        elif (found := dialects.at(path)) is not None:
            self.set_header("Allow", "POST")
            error = ApiError("invalid_request", f"{method} {path}: only POST is served here", 405)
            self.refuse(error, found.dialect)
        elif (other := dialects.unserved(path)) is not None:
            dialect, instead = other
            self.refuse(ApiError("not_found", f"{method} {path[:200]} is not served here: {instead}"), dialect)
        elif (like := astray.meant(path)) is not None:
            address, todo = like
            place = dialects.at(address)
            message = f"{method} {path[:200]} is not served here, but {address} is: {todo}"
            self.refuse(ApiError("not_found", message), place.dialect if place is not None else None)
        else:
            served = ", ".join(astray.alike(path))
            self.refuse(ApiError("not_found", f"{method} {path[:200]} is not served here; what is served: {served}"))


def _no_websocket(request: HTTPServerRequest) -> str:
    """Returns why a client that asks for a websocket gets none, "" = it asks for none."""
    if wants_upgrade(request):
        return "websockets are off ([server] websockets, [responses] store_entries)"
    if "Sec-WebSocket-Key" in request.headers:
        return "a reverse proxy in front has taken out the headers Upgrade and Connection (see deploy/nginx.conf)"
    return ""
