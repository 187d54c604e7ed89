"""What one request has to do with the memory of responses: it builds on one, and its own response is kept.

A response is kept here where no upstream does it: it was translated and may be stored (`store` is not false), or it
belongs to a websocket session, which remembers its own for as long as it lasts, stored or not. A request that names
one that is not kept here goes on as it is to an upstream of its own protocol, which may have it; elsewhere it is
refused.
"""

from __future__ import annotations

import re
from typing import Any

from tornado.httputil import HTTPHeaders

from gateway.http.auth import keys_of
from gateway.stored.store import ANYONE, Entry, Memory, items_of
from operate.client_keys import digest
from translate import sse, wire
from translate.errors import ApiError
from translate.pair import Crossing

NAMED = b'"previous_response_id"'
ESCAPED = b"\\u00"  # a letter of a field's name may hide behind one
CONVERSATION = b'"conversation"'
REFERRED = b'"item_reference"'
_ID = re.compile(rb'"id"\s*:\s*"([^"\\]{1,200})"')
_KEY_OF_ITEM = re.compile(r"_([0-9a-zA-Z]+)_[0-9]+")  # ours: the response's own key, and a number
_BUILDS_ON = re.compile(rb'"previous_response_id"\s*:\s*"([^"\\]{1,200})"')
_ID_WITHIN = 4096  # bytes: an id stands at the beginning of a response, or of its first event
_LAST = (b'"response.completed"', b'"response.incomplete"')
_ITEM_DONE = b'"response.output_item.done"'


def owner_of(client: str, headers: HTTPHeaders) -> str:
    """Whose responses they are: the [client]'s, or where there are none, those of the key that comes along."""
    if client:
        return client
    brought = keys_of(headers)
    return "?" + digest(brought[0]).hex() if brought else ""


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

    @property
    def echo(self) -> dict[str, Any]:
        """What the response says again of the request, though the upstream was not told."""
        return {"previous_response_id": self._on.id} if self._on is not None else {}

    @property
    def owners(self) -> list[str]:
        """Whose responses this request may build on; the first is the client."""
        return [self._owner, self._session] if self._session else [self._owner]

    @staticmethod
    def builds_on(body: bytes) -> bool:
        """Whether the body may name a response, or a conversation, that it builds on."""
        return NAMED in body or CONVERSATION in body or ESCAPED in body

    @staticmethod
    def refers(body: bytes) -> bool:
        """Whether the body may name anything that is kept here."""
        return NAMED in body or REFERRED in body or ESCAPED in body

    @staticmethod
    def plain(body: bytes, data: dict[str, Any]) -> bytes:
        """The body as it was read, where another reader might find another response named in it: by a field that is
        there twice, or whose name is written with escapes."""
        times = body.count(NAMED), body.count(CONVERSATION)
        odd = max(times) > 1 or times != ("previous_response_id" in data, "conversation" in data)
        return wire.dumps(data) if odd and (ESCAPED in body or max(times) > 1) else body

    @staticmethod
    def named(data: dict[str, Any]) -> list[str]:
        """The ids of responses that the body builds on, or takes items from."""
        on, items = data.get("previous_response_id"), data.get("input")
        ids = [on] if isinstance(on, str) else []
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and item.get("type") == "item_reference":
                ids += [f"resp_{made.group(1)}"] if (made := _KEY_OF_ITEM.search(str(item.get("id")))) else []
        return ids

    def extended(self, data: dict[str, Any]) -> dict[str, Any] | None:
        """The body with what it builds on put before its input, or None where that is not kept here. Raises ApiError
        (400) for one that an upstream keeps, but for another client: the upstream sees one key for all of them."""
        if data.get("conversation") and self._memory.shared:
            raise _shared_conversation()
        id = data.get("previous_response_id")
        own = items_of(data.get("input"))
        if isinstance(id, str) and own is None and self._memory.is_anothers(id, self._owner):
            raise _unknown(id, "")
        if not isinstance(id, str) or own is None:
            return None
        on = self._memory.find(self._session, id) if self._session else None
        self._on = on = on or self._memory.find(self._owner, id)
        if on is None:
            if self._memory.is_anothers(id, self._owner):
                raise _unknown(id, "")
            return None
        self._own = own
        data = {key: value for key, value in data.items() if key != "previous_response_id"}
        return data | {"input": [*on.history(), *own]}

    def keeper(self, body: bytes) -> str:
        """The upstream that keeps the response which the request builds on, "" where none is known to."""
        found = _BUILDS_ON.search(body)
        place = self._memory.place(found.group(1).decode("utf-8", "replace")) if found else None
        return place[1] if place is not None else ""

    def keepers_key(self, body: bytes) -> str:
        """The name of the upstream's key that it was made with, as far as that is known."""
        found = _BUILDS_ON.search(body)
        return self._memory.key(found.group(1).decode("utf-8", "replace")) if found else ""

    def refuse(self, data: dict[str, Any], upstream: str, speaks: str) -> None:
        """Raises ApiError (400) where the body still names a response, and is about to be translated."""
        if id := data.get("previous_response_id"):
            raise _unknown(id, f"and upstream '{upstream}', which speaks {speaks}, keeps none; ")

    def refuse_warm_up(self, data: dict[str, Any]) -> None:
        """The same for one that is answered without any upstream."""
        if id := data.get("previous_response_id"):
            raise _unknown(id, "and a warm-up builds on nothing else; ")

    def crossing(self, data: dict[str, Any], body: bytes, upstream: str, speaks: str) -> dict[str, Any]:
        """The body that is about to be translated, with all that it names; its response will be kept. The same again
        for a retry. Raises ApiError (400)."""
        self.refuse(data, upstream, speaks)
        if REFERRED in body:
            data = self.resolved(data)
        self.note(data)
        return data

    def resolved(self, data: dict[str, Any]) -> dict[str, Any]:
        """The body with the items that it names by their ids alone, as far as their responses are kept here: the AI SDK
        names so what the model said."""
        items = data.get("input")
        return data | {"input": [self._item(item) for item in items]} if isinstance(items, list) else data

    def _item(self, item: Any) -> Any:
        if not isinstance(item, dict) or item.get("type") != "item_reference":
            return item
        id = str(item.get("id"))
        if made := _KEY_OF_ITEM.search(id):
            response = f"resp_{made.group(1)}"
            entry = self._memory.find(self._session, response) if self._session else None
            if entry := entry or self._memory.find(self._owner, response):
                return next((one for one in entry.output_items() if one.get("id") == id), item)
        return item

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

    def follow(self, reply: Crossing) -> None:
        """The last event of a stream has all of a response: nothing else need be kept of it."""

    def stream_ended(self, out: bytes, reply: Any) -> None:
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
            self._memory.keep(draft, response | self.echo, self._tell)

    def went(self, out: bytes, upstream: str, own_key: bool, key: str = "") -> None:
        """The beginning of a reply of an upstream that keeps its responses itself. own_key: it was asked with the
        client's own, so that it knows whose they are; a key may change, and its bearer stay the same."""
        if found := _ID.search(out, 0, _ID_WITHIN):
            owner = ANYONE if own_key and self._owner else self._owner
            self._memory.went(found.group(1).decode("utf-8", "replace"), owner, upstream, key)

    def over(self) -> None:
        """The request has ended, however it did."""
        draft, self._draft = self._draft, None
        if draft is not None:
            self._memory.drop(draft)


def _unknown(id: Any, why: str) -> ApiError:
    message = (
        f"previous_response_id: no response '{str(id)[:100]}' is kept here ([responses] in settings.ini bounds how "
        f"many and how long), {why}send the whole conversation as input"
    )
    return ApiError("invalid_request", message, 400, param="previous_response_id", code="previous_response_not_found")


def _shared_conversation() -> ApiError:
    message = (
        "conversation: upstreams keep conversations for a key, and several clients share it here, so that one might "
        "read another's: send previous_response_id, or the whole conversation as input"
    )
    return ApiError("invalid_request", message, 400, param="conversation")


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = wire.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
