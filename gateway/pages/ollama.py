"""What Ollama's clients ask besides replies: the models (/api/tags), one of them (/api/show), the version.

So editors that offer "Ollama" and nothing else, GitHub Copilot in VS Code among them, find the models here.
"""

from __future__ import annotations

import asyncio

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from gateway.flow import outline, upstream_request
from gateway.http import body_decoding
from gateway.http.header_rules import JSON_HEAD
from gateway.pages.handlers import Handler
from gateway.routing.known_models import Model
from gateway.routing.router import Router
from gateway.runtime import Service
from translate import dialects
from translate.failures.errors import ApiError, BadRequest
from translate.json import wire
from translate.json.json_fields import text_of
from translate.ollama import models, reply
from translate.ollama.request import plain

SHOW = "/api/show"
MAX_BYTES = 64 << 10  # of a question about a model


class Tags(Handler):
    """GET and HEAD of /api/tags: the list of models."""

    async def get(self) -> None:
        found = await self.service.listing.models(self.request.headers)
        if (rules := self.service.rules.get(self.client)) is not None:
            found = [model for model in found if rules.allow(model.upstream, model.id)]
        self.finish(self.service.masked(wire.dumps({"models": list(map(models.row, found))})))

    head = get  # Tornado leaves out the body


class Running(Handler):
    """GET /api/ps: the models in memory, of which the proxy has none."""

    def get(self) -> None:
        self.finish(wire.dumps({"models": []}))


class Version(Handler):
    """GET and HEAD of /api/version."""

    open = True

    def get(self) -> None:
        self.finish(wire.dumps({"version": models.VERSION}))

    head = get


class Show(HTTPMessageDelegate):
    """POST /api/show: one model, by the name in a small body."""

    __slots__ = ("_answer", "_asking", "_client", "_headers", "_parts", "_refusal", "_service", "_size",
                 "_unpacker")  # fmt: skip

    def __init__(self, service: Service, conn: HTTP1Connection) -> None:
        self._service = service
        self._answer = service.answer(conn)
        self._client = ""
        self._headers = HTTPHeaders()
        self._parts: list[bytes] = []
        self._size = 0
        self._refusal: ApiError | None = None
        self._asking: asyncio.Task[None] | None = None
        self._unpacker: body_decoding.Unpacker | None = None

    def __repr__(self) -> str:
        return f"<Show {self._size} bytes, {self._refusal!r}>"

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        self._headers = headers
        self._answer.more = self._service.access.origins.lines(headers)
        try:
            self._client = self._service.access.check(headers)
            if self._service.access.open:
                upstream_request.check_asked(headers)
            self._unpacker = body_decoding.unpacker(headers.get("Content-Encoding"), MAX_BYTES)
        except ApiError as refusal:
            self._refusal = refusal

    def data_received(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > MAX_BYTES:
            self._refusal = self._refusal or ApiError("too_large", f"{SHOW}: a question of over {MAX_BYTES >> 10} KB")
            self._parts = []
        elif self._refusal is None:
            try:
                self._parts += self._unpacker.feed(chunk) if self._unpacker is not None else [chunk]
            except ApiError as refusal:
                self._refusal = refusal

    def finish(self) -> None:
        self._asking = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        try:
            if self._refusal is not None:
                raise self._refusal
            if self._unpacker is not None:
                self._unpacker.end()
            said = outline.parse(b"".join(self._parts))
            name = text_of(said, "model") or text_of(said, "name")
            if not name:
                raise BadRequest("model: the name of a model is expected", "model")
            listed = await self._service.listing.models(self._headers)
            model = _one(listed, outline.name(plain(name)), self._service.router)
            if (rules := self._service.rules.get(self._client)) is not None:
                rules.permitted(self._service.router.routes(model.id, _CHAT.name), model.id)
            self._answer.whole(200, JSON_HEAD, self._service.masked(wire.dumps(models.shown(model))))
        except ApiError as error:
            said_so = self._service.masked(reply.error(error))
            self._answer.whole(_CHAT.errors.status(error), JSON_HEAD + body_decoding.told(error), said_so)

    def on_connection_close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()


_CHAT = dialects.asking({})


def _one(listed: list[Model], name: str, router: Router) -> Model:
    """Every name that leads to an upstream is a model. Raises ApiError (404)."""
    found = next((model for model in listed if model.id in (name, f"{name}:latest")), None)
    return found or Model(name, router.routes(name, _CHAT.name)[0].upstream.name)
