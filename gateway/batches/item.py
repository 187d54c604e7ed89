"""One request of a batch as a client of its own: it is handled like every request, but nobody waits at a connection.

So it has the limits, the rules, the failover, the translation and the record of any other request of its client. Its
answer is gathered here.
"""

from __future__ import annotations

from collections.abc import Callable

from tornado.httputil import HTTPHeaders

from gateway.batches import own_request
from gateway.batches.gathering import Answered, Gathering, retry_after
from gateway.batches.own_request import Call, Unconnected
from gateway.flow.client_request import ClientRequest
from gateway.http.auth import Access
from gateway.runtime import Service
from gateway.stored.previous_response import PreviousResponse


class Item(Unconnected):
    """Runs one request; it is the Front of its Flow. on_answer is called once."""

    def __init__(self, service: Service, client: str, owner: str, on_answer: Callable[[Answered], None]) -> None:
        self._service = service
        self._client = client
        self._owner = owner
        self._on_answer = on_answer
        self._writer: Gathering | None = None
        self._key = ""

    def __repr__(self) -> str:
        return f"<Item {self._key} of {self._client}>"

    def run(self, call: Call) -> None:
        own_request.send(own_request.flow_of(self._service.ports, call, self), call)

    def writer(self, key: str) -> Gathering:
        self._key = key
        self._writer = Gathering(self._over)
        return self._writer

    def _over(self) -> None:
        writer = self._writer
        if writer is not None:
            self._on_answer(Answered(writer.status, writer.body, self._key, retry_after(writer.head)))

    # ------------------------------------------------------------------------------------- asked by its Flow

    def checked(self, headers: HTTPHeaders, access: Access) -> str:
        access.still(self._client)
        return self._client

    def previous(self, request: ClientRequest) -> PreviousResponse:
        return PreviousResponse(self._service.response_store, self._owner)
