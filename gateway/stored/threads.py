"""Threads of Messages clients: a conversation that the server holds, so that each request brings only what is new.

Anthropic's SDKs ask for one by default in their tool runners. `{"type": "create"}` has the conversation held under the
reply's id; `{"type": "continue", "previous_message_id": ...}` goes on from there, without system and tools. A Messages
upstream holds its own threads, and its bytes are not touched. Before an upstream of another protocol the thread is held
here, in the memory of responses, within its bounds and for its owner alone. A request that goes on from one is made
whole before it is routed, so that it may go to any upstream. What cannot be held, or is not found, is refused in the
words on which the SDKs send the whole conversation again.

A thread is an entry of the memory: its first item has what stays the same over all turns (system and tools), the others
are the messages.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.stored.store import ANYONE, Entry, Memory
from translate import wire
from translate.errors import BadRequest
from translate.pair import Crossing

LASTING = ("system", "tools")  # a thread keeps what it was created with
UNSUPPORTED, NOT_FOUND, MISMATCH = "thread_unsupported_request", "thread_not_found", "thread_fingerprint_mismatch"

_PREFIX = "thread\n"  # no client's name has a line break, so nobody reads a thread as a response
_ID = re.compile(rb'"id"\s*:\s*"([^"\\]{1,200})"')
_ID_WITHIN = 4096  # bytes: an id stands at the beginning of a message, or of its first event
_HOLD_BLOCKS = ("content", "source")  # keys of a block under which there may be more of them


def asked(data: dict[str, Any]) -> dict[str, Any] | None:
    """The body's `thread`, None where it asks for none."""
    thread = data.get("thread")
    return thread if isinstance(thread, dict) else None


def without(data: dict[str, Any]) -> dict[str, Any]:
    """The body as one that upstreams take which hold no threads."""
    return {key: value for key, value in data.items() if key != "thread"}


class Thread:
    """What one request has to do with the thread it asks for. It stands where a Recall does for Responses."""

    __slots__ = ("_draft", "_goes_on", "_memory", "_on", "_own", "_owner", "_previous")

    extends = False  # of a websocket's turns alone

    def __init__(self, memory: Memory, owner: str, thread: dict[str, Any]) -> None:
        """Raises BadRequest for what is neither create nor continue."""
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
        self._own: list[Any] = []  # the messages that came with the request
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
        """The upstream that holds the thread, "" where none is known to."""
        place = self._memory.place(self._previous)
        return place[1] if place is not None else ""

    def keepers_key(self, body: bytes) -> str:
        """The name of the upstream's key that it was made with, as far as that is known."""
        return self._memory.key(self._previous)

    def extended(self, data: dict[str, Any]) -> dict[str, Any] | None:
        """The body with all that the thread holds, as one that creates it; None where it is not held here. Raises
        BadRequest for one that an upstream holds for another client, and for what a thread cannot change."""
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
                message = f"{field}: a thread keeps what it was created with; create a new one to change it"
                raise BadRequest(message, details={"error_code": MISMATCH})
        self._own = own
        whole: dict[str, Any] = data | lasting | {"messages": [*said, *own], "thread": {"type": "create"}}
        return whole

    def crossing(self, data: dict[str, Any], body: bytes, upstream: str, speaks: str) -> dict[str, Any]:
        """The body for an upstream that holds no threads: its reply will be held here. The same again for a retry.
        Raises BadRequest where the thread is not here, or nothing is held."""
        if not self._memory.holds:
            raise _unsupported(f"upstream '{upstream}', which speaks {speaks}, holds none, and nor does this proxy")
        if self._goes_on and self._on is None:
            if keeper := self.keeper(body):
                raise _unsupported(f"upstream '{keeper}' holds '{self._previous[:100]}', but '{upstream}' answers now")
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
            f"thread.previous_message_id: no thread goes on from '{self._previous[:100]}' here ([responses] in "
            "settings.ini bounds how many and how long); send the whole conversation with thread.type 'create'"
        )
        return BadRequest(message, details={"error_code": NOT_FOUND})

    # ---------------------------------------------------------------------------------------- its reply

    def follow(self, reply: Crossing) -> None:
        """It may become the client's."""
        if self._draft is not None:
            reply.keep()

    def stream_ended(self, out: bytes, reply: Any) -> None:
        """A stream is whole; one that was passed on untouched has been kept by its upstream."""
        if isinstance(reply, Crossing) and reply.fault is None:
            self._came(reply.kept())

    def whole(self, body: bytes) -> None:
        if self._draft is not None:
            self._came(wire.loads(body))

    def _came(self, message: dict[str, Any]) -> None:
        draft, self._draft = self._draft, None
        if draft is not None:
            said = {"role": "assistant", "content": message.get("content")}
            self._memory.keep(draft, {"id": message.get("id"), "output": [said]}, tell=False)

    def went(self, out: bytes, upstream: str, own_key: bool, key: str = "") -> None:
        """The beginning of a reply of a Messages upstream. own_key: it was asked with the client's own."""
        if found := _ID.search(out, 0, _ID_WITHIN):
            owner = ANYONE if own_key and self._owner != _PREFIX else self._owner
            self._memory.went(found.group(1).decode("utf-8", "replace"), owner, upstream, key)

    def over(self) -> None:
        """The request has ended, however it did."""
        draft, self._draft = self._draft, None
        if draft is not None:
            self._memory.drop(draft)


def _unsupported(why: str) -> BadRequest:
    details = {"error_code": UNSUPPORTED, "unsupported": ["thread"]}
    return BadRequest(f"thread: {why}; send the whole conversation without it", details=details)


def _unmarked(message: Any) -> Any:
    """A message without its cache marks: they were for the turn that brought it, and a request takes only a few."""
    if isinstance(message, list):
        return [_unmarked(each) for each in message]
    if not isinstance(message, dict):
        return message
    return {
        key: _unmarked(value) if key in _HOLD_BLOCKS else value
        for key, value in message.items()
        if key != "cache_control"
    }
