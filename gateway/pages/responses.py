"""Stored responses at their own addresses: to read, to cancel and to delete them."""

from __future__ import annotations

import asyncio
import logging
from http.client import responses as REASONS

from tornado.iostream import StreamClosedError

from gateway.pages import stored_responses
from gateway.pages.handlers import Handler
from gateway.pages.upstream_query import Reply, Sink
from translate import dialects
from translate.errors import ApiError
from translate.responses.dialect import RESPONSES

log = logging.getLogger("proxy")


class Stored(Handler):
    """GET and DELETE /v1/responses/{id}, GET .../input_items, POST .../cancel: one stored response."""

    asking: asyncio.Task[Reply] | None = None

    async def ask(self, id: str, part: str | None) -> None:
        method = self.request.method or ""
        if (method, part or "") not in stored_responses.SERVED or dialects.at(self.request.path):
            error = ApiError("invalid_request", f"{method} {self.request.path[:200]} is not served here", 405)
            self.refuse(error, RESPONSES)
            return
        sink = Sink(self.begin, self.more)
        asked = stored_responses.ask(
            self.service, self.client, self.request.headers, method, id, part or "", self.request.query, sink
        )
        self.asking = asyncio.ensure_future(asked)
        self.service.in_flight.asks(self.asking)
        try:
            reply = await self.asking
        except ApiError as error:
            self.refuse(error, RESPONSES)
        except (asyncio.CancelledError, StreamClosedError):
            log.debug("%s %s: the client left", method, self.request.path)
        else:
            if not reply.streamed:
                self.begin(reply)
            self.finish(reply.body)

    def begin(self, reply: Reply) -> None:
        self.set_status(reply.status, REASONS.get(reply.status, "Unknown"))
        for line in reply.head.decode("latin-1").split("\r\n")[:-1]:
            name, _, value = line.partition(": ")
            self.set_header(name, value)

    async def more(self, data: bytes) -> None:
        self.write(data)
        await self.flush()

    get = head = post = put = patch = delete = ask

    def on_connection_close(self) -> None:
        if self.asking is not None:
            self.asking.cancel()
