"""The beginning of a stream that passes as it is, up to its first word; and the error that may be at its end.

Servers open a stream before their model has said anything: message_start, response.created, a chunk that names the role
alone. What they cannot do after all, since they are overloaded or the account has no quota left, they say in the next
event. So the opening waits here with what comes before it: as long as the client has got nothing, another attempt may
be made.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Any

from operate.search import has_any
from translate.failures import errors
from translate.json import wire
from translate.streams import sse

MAX_ERROR_BYTES = 4096  # a larger object is not taken for an error in the server's own words
LARGE = 12 * 1024  # bytes: of a larger event, its beginning shows what it is
LAST_EVENTS = 4  # of a stream, among which its error is: usage and [DONE] may follow
MOST = 256 * 1024  # bytes that may wait: an opening may repeat the request's instructions and tools

_REPLY = re.compile(rb'"(?:id|choices|candidates|content|output|type)"\s*:')  # every reply has one of these
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*(?:null|\[\s*\])')  # beside an error, MiniMax's base_resp for instance
_FAILED = (b".failed", b".cancelled")  # how the names of events end that may be large, and are no word
_MARGIN = 3  # bytes of a blank line that may have come before its last one

Opens = Callable[[bytes, bytes], bool]
Fails = Callable[[bytes, bytes], errors.ApiError | None]


class Opening:
    """The beginning of one stream. held: all that has come. fault: the stream begins with this error. later: the error
    that follows what opens it."""

    __slots__ = ("_fails", "_has_choice", "_large", "_next", "_opens", "_searched", "fault", "held", "later", "opened")

    def __init__(self, opens: Opens, fails: Fails) -> None:
        """opens, fails: see translate.dialect.Dialect."""
        self._opens = opens
        self._fails = fails
        self.held = bytearray()
        self._next = 0  # where the event begins that was not looked at
        self._searched = 0  # up to here, no blank line ends it
        self._large = False  # it is large, its beginning is no word, and its end is waited for
        self.opened = False
        self._has_choice = False  # something of a reply has come, and not only what Azure says beforehand
        self.fault: errors.ApiError | None = None
        self.later: errors.ApiError | None = None

    def __repr__(self) -> str:
        return f"<Opening {len(self.held)} bytes {self.fault or self.later or ''}>"

    def begins(self, chunk: bytes) -> bool:
        """Takes a chunk. Returns whether the stream has begun, so that all that has come may pass."""
        if self.fault is not None:
            return False
        held = self.held
        if not held and chunk.startswith(codecs.BOM_UTF8):
            self._next = len(codecs.BOM_UTF8)
        held += chunk
        while self.later is None and (blank := self._blank()) is not None:
            event, self._next, self._large = bytes(held[self._next : blank[0]]), blank[1], False
            if self._is_word(event):
                return True
            if self.fault is not None:
                return False
        if self.later is None and not self._large and len(held) - self._next > LARGE:
            self._large = True
            event = bytes(held[self._next : self._next + LARGE])  # looked at once, however its rest comes
            name, data = sse.fields(event)
            if not (self._opens(name, data) or name.endswith(_FAILED)) and self._is_word(event):
                return True
        return self.fault is None and len(held) > MOST

    def ends(self) -> bool:
        """Looks at a last event that no blank line follows. Returns whether it is a word."""
        rest = bytes(self.held[self._next :]).strip(b"\r\n")
        return self.later is None and self._is_word(rest)

    @property
    def is_blank(self) -> bool:
        """Whether nothing has come but pings and comments."""
        return not self.opened and not self.held[self._next :].strip()

    def _blank(self) -> tuple[int, int] | None:
        """Returns where the next blank line begins and ends."""
        held, start = self.held, max(self._next, self._searched - _MARGIN)
        if b"\r" not in held:
            at = held.find(b"\n\n", start)
            found = (at, at + 2) if at >= 0 else None
        else:
            blank = sse.BLANK.search(held, start)
            found = blank.span() if blank is not None else None
        self._searched = len(held) if found is None else found[1]
        return found

    def _is_word(self, event: bytes) -> bool:
        """Whether the event is the first that says something. If it is an error, that is noted."""
        name, data = sse.fields(event)
        if not data or name == b"ping" or data.strip() == b"null":  # as little an event as a ping
            return False
        if self._opens(name, data):
            self.opened = True
            self._has_choice = self._has_choice or _NO_CHOICES.search(data) is None
            return False
        if not self._has_choice and data.strip() == b"[DONE]":
            is_empty = b'"usage":' not in self.held
            self.later = errors.BadReply("the upstream's stream ended without any choice", is_empty=is_empty)
            return False
        if (failed := self._fails(name, data)) is not None:
            self.opened, self.later = True, failed
        elif self.opened:
            self.later = _error_after(name, data)
        else:
            self.fault = _no_reply(name, data)
        return self.later is None and self.fault is None


def _no_reply(name: bytes, data: bytes) -> errors.ApiError | None:
    """Returns why a stream that begins with this event is no reply; None if it is one."""
    if name == b"error" or (b'"error"' in data and is_error(data)):
        return error_of(data)
    if data.lstrip()[:1] == b"{":
        return complaint(data, errors.of_object)
    shown = data[:120].decode("utf-8", "replace")
    return errors.BadReply(f"the upstream's stream begins with an event that is no JSON object: {shown}")


def _error_after(name: bytes, data: bytes) -> errors.ApiError | None:
    """Returns the error that this event tells in a stream that is open, None if it tells none."""
    return _no_reply(name, data) if name == b"error" or data.lstrip()[:1] == b"{" else None


def failure_at_end(sent: bytes, fails: Fails) -> errors.ApiError | None:
    """Returns the error with which a stream has ended that passed as it came; None if it ended well. sent: its latest
    bytes."""
    if not has_any(sent, (b"error", b".failed")):
        return None
    sent = sent.strip()
    events = sse.BLANK.split(sent) if b"\r" in sent else sent.rsplit(b"\n\n", LAST_EVENTS)
    for event in reversed(events[-LAST_EVENTS:]):
        name, data = sse.fields(event)
        if (failed := fails(name, data)) is not None:
            return failed
        may_be = name == b"error" or (not name and b'"error"' in data and len(data) <= MAX_ERROR_BYTES)
        if may_be and is_error(data):
            return error_of(data)
    return None


def complaint(data: bytes, read: Callable[[Any], errors.ApiError | None]) -> errors.ApiError | None:
    """Returns the error in an object that is no part of a reply."""
    if len(data) > MAX_ERROR_BYTES:
        return None
    if _REPLY.search(data):
        if _NO_CHOICES.search(data) is None:
            return None
        read = errors.of_object
    try:
        return read(wire.loads(data))
    except ValueError:
        return None


def is_error(data: bytes) -> bool:
    try:
        body = wire.loads(data)
    except ValueError:
        return False
    return isinstance(body, dict) and bool(body.get("error")) and not body.get("choices") and not body.get("id")


def error_of(data: bytes) -> errors.ApiError:
    """The status is not known any more: 200 went before. The error's own words decide."""
    try:
        error = errors.of_object(wire.loads(data))
    except ValueError:
        error = None
    return error or errors.BadReply(f"the upstream began its stream with an error: {data[:200]!r}")
