"""What one request does with the response store: it may build on a previous response, and its own is kept.

A response is kept here if no upstream keeps it: it was translated and may be stored (`store` is not false), or it
belongs to a websocket session, which keeps its own responses as long as it lasts, stored or not. If a request names a
response that is not kept here, it goes unchanged to an upstream of its own protocol, which may have it; for any other
upstream it is refused.
"""

from __future__ import annotations

import re
from typing import Any

from tornado.httputil import HTTPHeaders

from gateway.http.auth import keys_of
from gateway.stored.store import ANYONE, Entry, ResponseStore, items_of
from operate.client_keys import digest
from translate.failures.errors import ApiError
from translate.json import wire
from translate.pair import Crossing
from translate.streams import sse

NAMED = b'"previous_response_id"'
ESCAPED = b"\\u00"  # the name of a field may be written with such escapes
CONVERSATION = b'"conversation"'
REFERRED = b'"item_reference"'
_ID = re.compile(rb'"id"\s*:\s*"([^"\\]{1,1000})"')
_KEY_OF_ITEM = re.compile(r"_([0-9a-zA-Z]+)_[0-9]+")  # in the proxy's own ids: the key of the response, and a number
_BUILDS_ON = re.compile(rb'"previous_response_id"\s*:\s*"([^"\\]{1,1000})"')
_ID_WITHIN = 4096  # bytes: the id is at the beginning of a response, or of its first event
_ENDED_WELL = ("response.completed", "response.incomplete", "response.done")
_LAST = tuple(b'"%b"' % kind.encode() for kind in _ENDED_WELL)
_ITEM_DONE = b'"response.output_item.done"'


def owner_of(client: str, headers: HTTPHeaders) -> str:
    """The owner of a client's responses: the name of the [client], else a digest of the key that it sends, else ""."""
    if client:
        return client
    brought = keys_of(headers)
    return "?" + digest(brought[0]).hex() if brought else ""


class PreviousResponse:
    """The part of one request. session: the owner of the responses of a websocket session, "" = there is none."""

    __slots__ = ("_draft", "_items", "_memory", "_on", "_own", "_owner", "_session", "_tell")

    def __init__(self, memory: ResponseStore, owner: str, session: str = "") -> None:
        self._memory = memory
        self._owner = owner
        self._session = session
        self._on: Entry | None = None
        self._own: Any = None  # the request's own input, if items were put before it
        self._draft: Entry | None = None
        self._tell = False
        self._items: list[Any] = []  # complete output items of a session's stream

    def __repr__(self) -> str:
        return f"<PreviousResponse on {self._on!r}, {self._draft!r}>"

    @property
    def extends(self) -> bool:
        """Whether the request builds on a response that is kept here."""
        return self._on is not None

    @property
    def echo(self) -> dict[str, Any]:
        """Fields of the request that its response repeats, although the upstream did not get them."""
        return {"previous_response_id": self._on.id} if self._on is not None else {}

    @property
    def owners(self) -> list[str]:
        """The owners whose responses this request may build on; the first is the client."""
        return [self._owner, self._session] if self._session else [self._owner]

    @staticmethod
    def builds_on(body: bytes) -> bool:
        """Whether the body may name a previous response, or a conversation."""
        return NAMED in body or CONVERSATION in body or ESCAPED in body

    @staticmethod
    def refers(body: bytes) -> bool:
        """Whether the body may name anything that is kept here."""
        return NAMED in body or REFERRED in body or ESCAPED in body

    @staticmethod
    def plain(body: bytes, data: dict[str, Any]) -> bytes:
        """The body, written again if another reader might find another response in it: because a field is there twice,
        or its name is written with escapes."""
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
        """The body with the history of its previous response before its own input; None if that is not kept here.
        Raises ApiError (400) if an upstream keeps the response for another client, since it sees one key for all
        clients."""
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
        """The upstream that keeps the previous response; "" if none is known."""
        found = _builds_on(body)
        owned = self._memory.noted(found.group(1).decode("utf-8", "replace")) if found else None
        return owned.upstream if owned is not None else ""

    def keepers_key(self, body: bytes) -> str:
        """The name of the upstream's key that made the previous response; "" if it is not known."""
        found = _builds_on(body)
        owned = self._memory.noted(found.group(1).decode("utf-8", "replace")) if found else None
        return owned.key if owned is not None else ""

    def refuse(self, data: dict[str, Any], upstream: str, speaks: str) -> None:
        """Raises ApiError (400) if a body that is to be translated still names a previous response."""
        if id := data.get("previous_response_id"):
            raise _unknown(id, f"and upstream '{upstream}', which speaks {speaks}, keeps no responses; ")

    def refuse_warm_up(self, data: dict[str, Any]) -> None:
        """Raises ApiError (400) if a warm-up, which no upstream gets, still names a previous response."""
        if id := data.get("previous_response_id"):
            raise _unknown(id, "and a warm-up can build on no other; ")

    def crossing(self, data: dict[str, Any], body: bytes, upstream: str, speaks: str) -> dict[str, Any]:
        """The body for translation, with all items that it names, and from then on its response is kept. It may be
        called again for another attempt. Raises ApiError (400)."""
        self.refuse(data, upstream, speaks)
        if REFERRED in body:
            data = self.resolved(data)
        self.note(data)
        return data

    def resolved(self, data: dict[str, Any]) -> dict[str, Any]:
        """The body with each item that it names only by id, if the item's response is kept here. The AI SDK names the
        model's items in this way."""
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
        """Prepares to keep the response of a request that is to be sent. It may be called again for another attempt."""
        stored = data.get("store") is not False
        if self._draft is not None or not (stored or self._session):
            return
        items = self._own if self._on is not None else items_of(data.get("input"))
        if items is not None:
            self._tell = stored
            owner = self._owner if stored else self._session
            self._draft = self._memory.draft(owner, self._on, items)
            if self._draft is not None:
                self._draft.stays_here = not stored

    # ------------------------------------------------------------------------------------------ its reply

    def follow(self, reply: Crossing) -> None:
        """Does nothing: the last event of a stream has the whole response."""

    def stream_ended(self, out: bytes, reply: Any) -> None:
        """Keeps the response of a translated stream. out: its last bytes, with the whole terminal event."""
        if self._draft is not None:
            for event in out.split(b"\n\n"):
                self.saw(sse.fields(event)[1])

    def saw(self, data: bytes) -> None:
        """Reads the data of one event. Some servers leave the output of the last event empty; then the items that came
        one by one are used."""
        if self._draft is None:
            return
        if _ITEM_DONE in data:
            event = _object(data)
            if event.get("type") == "response.output_item.done":
                self._items.append(event.get("item"))
        elif any(mark in data for mark in _LAST):
            event = _object(data)
            response = event.get("response")
            if event.get("type") in _ENDED_WELL and isinstance(response, dict):
                self.came(response if response.get("output") else response | {"output": self._items})

    def whole(self, body: bytes) -> None:
        if self._draft is not None:
            self.came(_object(body))

    def came(self, response: dict[str, Any]) -> None:
        """Keeps the whole response. Nothing can be built on one that has failed."""
        if response.get("status") in ("failed", "cancelled"):
            return
        draft, self._draft = self._draft, None
        if draft is not None:
            self._memory.keep(draft, response | self.echo, self._tell)

    def went(self, out: bytes, upstream: str, own_key: bool, key: str = "") -> None:
        """Records where a response is kept. out: the beginning of the reply of an upstream that keeps its responses.
        own_key: the request had the client's own key, so that the upstream knows the owner itself. The client may then
        use another of its keys later."""
        if found := _ID.search(out, 0, _ID_WITHIN):
            owner = ANYONE if own_key and self._owner else self._owner
            self._memory.went(found.group(1).decode("utf-8", "replace"), owner, upstream, key)

    def over(self) -> None:
        """Drops the draft of a request that has ended without a response."""
        draft, self._draft = self._draft, None
        if draft is not None:
            self._memory.drop(draft)


def _builds_on(body: bytes) -> re.Match[bytes] | None:
    """Bodies are large, and most of them build on nothing, which rfind shows in a quarter of the time of a regex."""
    return _BUILDS_ON.search(body) if body.rfind(b'"previous_response_id"') >= 0 else None


def _unknown(id: Any, why: str) -> ApiError:
    message = (
        f"previous_response_id: the proxy has no response '{str(id)[:100]}' ([responses] in settings.ini limits how"
        f" many are kept, and for how long), {why}send the whole conversation as input"
    )
    return ApiError("invalid_request", message, 400, param="previous_response_id", code="previous_response_not_found")


def _shared_conversation() -> ApiError:
    message = (
        "conversation: an upstream keeps conversations for its key, which several clients share here, so that one could"
        " read those of another; send previous_response_id, or the whole conversation as input"
    )
    return ApiError("invalid_request", message, 400, param="conversation")


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = wire.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
