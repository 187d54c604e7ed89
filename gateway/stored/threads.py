"""Threads of Messages clients: the server keeps a conversation, so that each request has only what is new.

Anthropic's SDKs use threads by default in their tool runners. `{"type": "create"}` keeps the conversation under the id
of the reply; `{"type": "continue", "previous_message_id": ...}` continues it, without system and tools. A Messages
upstream keeps its own threads, and its bytes stay the same. For an upstream of another protocol, the thread is kept
here, in the response store, within its limits and for its owner alone. A request that continues a thread gets the whole
conversation before it is routed, so that it may go to any upstream. A thread that cannot be kept, or is not found, is
refused with the error codes on which the SDKs send the whole conversation again.

A thread is an entry of the response store. Its first item has what is the same in all turns (system and tools), the
others are the messages.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.stored.store import ANYONE, Entry, ResponseStore
from translate.failures.errors import BadRequest
from translate.json import wire
from translate.pair import Crossing

LASTING = ("system", "tools")  # the fields that are fixed when a thread is created
UNSUPPORTED, NOT_FOUND, MISMATCH = "thread_unsupported_request", "thread_not_found", "thread_fingerprint_mismatch"

_PREFIX = "thread\n"  # no client's name has a line break, so a thread cannot be read as a response
_ID = re.compile(rb'"id"\s*:\s*"([^"\\]{1,1000})"')
_ID_WITHIN = 4096  # bytes: the id is at the beginning of a message, or of its first event
_HOLD_BLOCKS = ("content", "source")  # keys of a block that may hold further blocks


def asked(data: dict[str, Any]) -> dict[str, Any] | None:
    """The `thread` of a body; None if it asks for none."""
    thread = data.get("thread")
    return thread if isinstance(thread, dict) else None


def without(data: dict[str, Any]) -> dict[str, Any]:
    """The body without its `thread`, for upstreams that keep none."""
    return {key: value for key, value in data.items() if key != "thread"}


class Thread:
    """The thread of one request. It has the same methods as a PreviousResponse, which is for Responses."""

    __slots__ = ("_draft", "_goes_on", "_memory", "_on", "_own", "_owner", "_previous")

    extends = False  # only a websocket's turns do

    def __init__(self, memory: ResponseStore, owner: str, thread: dict[str, Any]) -> None:
        """Raises BadRequest if the thread is neither "create" nor "continue"."""
        previous, kind = thread.get("previous_message_id"), thread.get("type")
        if kind not in ("create", "continue"):
            raise BadRequest("thread.type: Input should be 'create' or 'continue'")
        if kind == "continue" and not (isinstance(previous, str) and previous):
            raise BadRequest("thread.previous_message_id: Field required")
        self._memory = memory
        self._owner = _PREFIX + owner
        self._goes_on: bool = kind == "continue"
        self._previous = str(previous) if self._goes_on else ""
        self._on: Entry | None = None
        self._own: list[Any] = []  # the request's own messages
        self._draft: Entry | None = None

    def __repr__(self) -> str:
        return f"<Thread on {self._previous or 'nothing'}, {self._draft!r}>"

    # ---------------------------------------------------------------------------------------- the request

    @property
    def echo(self) -> dict[str, Any]:
        return {}

    @property
    def owners(self) -> list[str]:
        return [self._owner]

    def builds_on(self, body: bytes) -> bool:
        return self._goes_on

    def refers(self, body: bytes) -> bool:
        return self._goes_on

    def named(self, data: dict[str, Any]) -> list[str]:
        return [self._previous]

    def keeper(self, body: bytes) -> str:
        """The upstream that keeps the thread; "" if none is known."""
        owned = self._memory.noted(self._previous)
        return owned.upstream if owned is not None else ""

    def keepers_key(self, body: bytes) -> str:
        """The name of the upstream's key that made the thread; "" if it is not known."""
        owned = self._memory.noted(self._previous)
        return owned.key if owned is not None else ""

    def extended(self, data: dict[str, Any]) -> dict[str, Any] | None:
        """The body with the whole conversation, as one that creates the thread; None if the thread is not kept here.
        Raises BadRequest if an upstream keeps it for another client, or if the body changes a fixed field."""
        self._on = on = self._memory.find(self._owner, self._previous)
        if on is None:
            if self._memory.is_anothers(self._previous, self._owner):
                raise self._unknown()
            return None
        own = data.get("messages")
        if not isinstance(own, list):
            return None
        lasting, *said = on.history()
        for field in LASTING:
            if data.get(field) is not None and data[field] != lasting.get(field):
                message = f"{field}: this field is fixed when a thread is created; create a new thread to change it"
                raise BadRequest(message, details={"error_code": MISMATCH})
        self._own = own
        whole: dict[str, Any] = data | lasting | {"messages": [*said, *own], "thread": {"type": "create"}}
        return whole

    def crossing(self, data: dict[str, Any], body: bytes, upstream: str, speaks: str) -> dict[str, Any]:
        """The body for an upstream that keeps no threads, and from then on its reply is kept here. It may be called
        again for another attempt. Raises BadRequest if the thread is not here, or if the store keeps nothing."""
        if not self._memory.holds:
            raise _unsupported(
                f"upstream '{upstream}', which speaks {speaks}, keeps no threads, and the response store is off"
            )
        if self._goes_on and self._on is None:
            if keeper := self.keeper(body):
                raise _unsupported(
                    f"upstream '{keeper}' keeps '{self._previous[:100]}', but this request goes to '{upstream}'"
                )
            raise self._unknown()
        if self._draft is None and isinstance(messages := data.get("messages"), list):
            own = self._own if self._on is not None else messages
            items = list(map(_unmarked, own))
            if self._on is None:
                items.insert(0, {field: data[field] for field in LASTING if data.get(field) is not None})
            self._draft = self._memory.draft(self._owner, self._on, items)
        return without(data)

    def _unknown(self) -> BadRequest:
        message = (
            f"thread.previous_message_id: the proxy has no thread '{self._previous[:100]}' ([responses] in "
            "settings.ini "
            "limits how many are kept, and for how long); send the whole conversation with thread.type 'create'"
        )
        return BadRequest(message, details={"error_code": NOT_FOUND})

    # ---------------------------------------------------------------------------------------- its reply

    def follow(self, reply: Crossing) -> None:
        """Prepares to keep a reply that the client may get."""
        if self._draft is not None:
            reply.record()

    def stream_ended(self, out: bytes, reply: Any) -> None:
        """Keeps the message of a translated stream that is complete. In a passthrough, the upstream keeps it."""
        if isinstance(reply, Crossing) and reply.fault is None:
            self._came(reply.recorded())

    def whole(self, body: bytes) -> None:
        if self._draft is not None:
            self._came(wire.loads(body))

    def _came(self, message: dict[str, Any]) -> None:
        draft, self._draft = self._draft, None
        if draft is not None:
            said = {"role": "assistant", "content": message.get("content")}
            self._memory.keep(draft, {"id": message.get("id"), "output": [said]}, tell=False)

    def went(self, out: bytes, upstream: str, own_key: bool, key: str = "") -> None:
        """Records where a thread is kept. out: the beginning of the reply of a Messages upstream. own_key: the request
        had the client's own key."""
        if found := _ID.search(out, 0, _ID_WITHIN):
            owner = ANYONE if own_key and self._owner != _PREFIX else self._owner
            self._memory.went(found.group(1).decode("utf-8", "replace"), owner, upstream, key)

    def over(self) -> None:
        """Drops the draft of a request that has ended without a reply."""
        draft, self._draft = self._draft, None
        if draft is not None:
            self._memory.drop(draft)


def _unsupported(why: str) -> BadRequest:
    details = {"error_code": UNSUPPORTED, "unsupported": ["thread"]}
    return BadRequest(f"thread: {why}; send the whole conversation without it", details=details)


def _unmarked(message: Any) -> Any:
    """A message without its cache marks. They were meant for one turn, and a request may have only a few."""
    if isinstance(message, list):
        return [_unmarked(each) for each in message]
    if not isinstance(message, dict):
        return message
    return {
        key: _unmarked(value) if key in _HOLD_BLOCKS else value
        for key, value in message.items()
        if key != "cache_control"
    }
