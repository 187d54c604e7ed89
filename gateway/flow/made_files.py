"""Files that a model's code has written: the client whose reply names them may ask for them then.

All clients share an upstream's keys, so that a file belongs to a client only because that is noted (relay/files.py).
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.flow.client_request import ClientRequest
from gateway.flow.ports import Ports
from gateway.passing.passthrough import Passthrough
from gateway.passing.usage_chunk import UsageChunk
from gateway.routing.router import Route
from gateway.stored.previous_response import owner_of
from translate.dialect import MadeFiles


def noting(request: ClientRequest, route: Route, ports: Ports) -> Callable[[str], None]:
    """Returns what notes that a file is of the request's client. A file that is known is not given away."""
    owner, upstream = owner_of(request.client, request.headers), route.upstream.name
    key, store = route.upstream.key_names[route.key], ports.response_store

    def note(id: str) -> None:
        if store.noted(id) is None:
            store.went(id, owner, upstream, key)

    return note


class NotingFiles(Passthrough):
    """A reply that passes as it is, and whose files are noted."""

    __slots__ = ("_made", "_note")

    def __init__(
        self,
        request: ClientRequest,
        echo: str,
        unasked: UsageChunk | None,
        made: MadeFiles,
        note: Callable[[str], None],
    ) -> None:
        super().__init__(request.protocol, echo, unasked, judges=True)
        self._made = made
        self._note = note

    def whole(self, raw: bytes, streamed: bool = False) -> bytes:
        out = super().whole(raw, streamed)
        for id in self._made.in_events(out) if streamed else self._made.in_reply(out):
            self._note(id)
        return out

    def feed(self, chunk: bytes) -> bytes:
        out = super().feed(chunk)  # whole lines
        for id in self._made.in_events(out):
            self._note(id)
        return out
