"""What one request has to do with the memory of responses: it builds on one, and its own response is kept.

A response is kept here where no upstream does it: it was translated and may be stored (`store` is not false), or it
belongs to a websocket session, which remembers its own for as long as it lasts, stored or not. A request that names
one that is not kept here goes on as it is to an upstream of its own protocol, which may have it; elsewhere it is
refused.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from tornado.httputil import HTTPHeaders

from gateway.access import keys_of
from gateway.memory import Entry, Memory, items_of
from translate import sse, wire
from translate.errors import ApiError

NAMED = b'"previous_response_id"'
_ID = re.compile(rb'"id"\s*:\s*"([^"\\]{1,200})"')
_ID_WITHIN = 4096  # bytes: an id stands at the beginning of a response, or of its first event
_LAST = (b'"response.completed"', b'"response.incomplete"')
_ITEM_DONE = b'"response.output_item.done"'


def owner_of(client: str, headers: HTTPHeaders) -> str:
    """Whose responses they are: the [client]'s, or where there are none, those of the key that comes along."""
    if client:
        return client
    brought = keys_of(headers)
    return "?" + hashlib.sha256(brought[0].encode("utf-8", "surrogatepass")).hexdigest() if brought else ""


class Recall:
    """For one request. session: the owner that a websocket session's own memory goes by, "" for none."""

    __slots__ = ("_draft", "_items", "_memory", "_on", "_own", "_owner", "_session", "_tell")

    def __init__(self, memory: Memory, owner: str, session: str = "") -> None:
        self._memory = memory
        self._owner = owner
        self._session = session
        self._on: Entry | None = None
        self._own: Any = None  # the input that came with the request, where items were put before it
        self._draft: Entry | None = None
        self._tell = False
        self._items: list[Any] = []  # of a session's stream: output items that are complete

    def __repr__(self) -> str:
        return f"<Recall on {self._on!r}, {self._draft!r}>"

    @property
    def extends(self) -> bool:
        """The request builds on a response that is kept here."""
        return self._on is not None

    def extended(self, data: dict[str, Any]) -> dict[str, Any] | None:
        """The body with what it builds on put before its input, or None where that is not kept here."""
        id = data.get("previous_response_id")
        own = items_of(data.get("input"))
        if not isinstance(id, str) or own is None:
            return None
        on = self._memory.find(self._session, id) if self._session else None
        self._on = on = on or self._memory.find(self._owner, id)
        if on is None:
            return None
        self._own = own
        data = {key: value for key, value in data.items() if key != "previous_response_id"}
        return data | {"input": [*on.history(), *own]}

    def refuse(self, data: dict[str, Any], upstream: str, speaks: str) -> None:
        """Raises ApiError (400) where the body still names a response, and is about to be translated."""
        if id := data.get("previous_response_id"):
            message = (
                f"previous_response_id: no response '{str(id)[:100]}' is kept here ([responses] in settings.ini bounds "
                f"how many and how long), and upstream '{upstream}', which speaks {speaks}, keeps none; send the whole "
                "conversation as input"
            )
            raise ApiError(
                "invalid_request", message, 400, param="previous_response_id", code="previous_response_not_found"
            )

    def note(self, data: dict[str, Any]) -> None:
        """The request is about to be sent; the same again for a retry."""
        stored = data.get("store") is not False
        if self._draft is not None or not (stored or self._session):
            return
        items = self._own if self._on is not None else items_of(data.get("input"))
        if items is not None:
            self._tell = stored
            owner = self._owner if stored else self._session
            self._draft = self._memory.draft(owner, self._on, items)

    # --------------------------------------------------------------------------------------- its response

    def stream_ended(self, out: bytes) -> None:
        """out: the last of a stream that we have written ourselves; the terminal event is in it, and whole."""
        if self._draft is not None:
            for event in out.split(b"\n\n"):
                self.saw(sse.fields(event)[1])

    def saw(self, data: bytes) -> None:
        """One event's data. Servers that leave a response's output empty have sent its items one by one."""
        if self._draft is None:
            return
        if _ITEM_DONE in data:
            event = _object(data)
            if event.get("type") == "response.output_item.done":
                self._items.append(event.get("item"))
        elif any(mark in data for mark in _LAST):
            event = _object(data)
            response = event.get("response")
            if event.get("type") in ("response.completed", "response.incomplete") and isinstance(response, dict):
                self.came(response if response.get("output") else response | {"output": self._items})

    def whole(self, body: bytes) -> None:
        if self._draft is not None:
            self.came(_object(body))

    def came(self, response: dict[str, Any]) -> None:
        """The whole response."""
        draft, self._draft = self._draft, None
        if draft is not None:
            if self._on is not None:
                response = response | {"previous_response_id": self._on.id}
            self._memory.keep(draft, response, self._tell)

    def went(self, out: bytes, upstream: str) -> None:
        """The beginning of a reply of an upstream that keeps its responses itself."""
        if found := _ID.search(out, 0, _ID_WITHIN):
            self._memory.went(found.group(1).decode("utf-8", "replace"), self._owner, upstream)

    def over(self) -> None:
        """The request has ended, however it did."""
        draft, self._draft = self._draft, None
        if draft is not None:
            self._memory.drop(draft)


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = wire.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
