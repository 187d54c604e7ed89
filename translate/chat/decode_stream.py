"""A Chat stream's bytes in, neutral events out.

Text deltas dominate a stream, and the chunks around them are the same to the letter: the `Lane` learns a
chunk's bytes before and after its text from one that was parsed, and the chunks that match give their text
without being parsed, as the escaped bytes they are. Everything else takes the slow path: JSON, then
`Assembly`. Four states, one bound method each: sniffing the first byte, events, a whole JSON body after
all, over. Never raises: what cannot be read is a Fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from translate import errors, sse, wire
from translate.chat.assembly import Assembly
from translate.chat.reply import explode
from translate.conversation import Event, Fault
from translate.lenient import NO_JSON, body_of, error_event, loads, no_json
from translate.pieces import all_sound
from translate.target import Policy

MAX_WHOLE_BYTES = sse.MAX_EVENT_BYTES

_BLANK = b"\xef\xbb\xbf \t\r\n"  # a byte order mark, and what may stand before the first line

_TEXT_FIELD = re.compile(
    rb'"(?:content|reasoning_content|reasoning|arguments|text|summary|thinking)"\s*:\s*"((?:[^"\\]|\\.)+)"'
)
_PADDING = re.compile(rb',\s*"(?:obfuscation|p)":\s*"(?=[0-9A-Za-z]*"\}$)')


@dataclass(frozen=True, slots=True)
class Lane:
    """A chunk's bytes around its text. `padding` is where the random bytes begin that OpenAI ("obfuscation")
    and Mistral ("p") end each chunk with, b"" where there are none."""

    before: bytes
    after: bytes
    padding: bytes

    @classmethod
    def learn(cls, event: bytes, piece: bytes) -> Lane | None:
        """From a chunk that added just `piece` to the open part. None unless exactly one field holds text,
        and that text: another place that says the same would go unread in the chunks to come."""
        padding = _PADDING.search(event)
        body = event[: padding.start()] if padding else event
        found = list(_TEXT_FIELD.finditer(body))
        if len(found) != 1 or not _same(found[0][1], piece):
            return None
        start, end = found[0].span(1)
        return cls(body[:start], body[end:], padding[0] if padding else b"")

    def bare(self, event: bytes) -> bytes:
        """The event without its padding; as it is where that is not plain."""
        cut = event.rfind(self.padding)
        return event[:cut] if cut > 0 and event[cut + len(self.padding) : -2].isalnum() else event


class Decoder:
    """feed(chunk) and end() give events; after Stop or Fault, `ended` is True and nothing more comes."""

    __slots__ = ("_lane", "_parts", "_policy", "_splitter", "_state", "_whole")

    def __init__(self, policy: Policy = Policy()) -> None:
        self._policy = policy
        self._parts = Assembly(policy)
        self._splitter = sse.Splitter()
        self._whole = bytearray()
        self._lane: Lane | None = None
        self._state: Callable[[bytes], list[Event]] = self._sniff

    def __repr__(self) -> str:
        return f"<chat.Decoder {self._state.__name__.strip('_')} {self._parts!r}>"

    @property
    def ended(self) -> bool:
        return self._state == self._over

    @property
    def begun(self) -> bool:
        """The upstream has begun a reply, even if nothing of it can be told yet."""
        return self._parts.seen > 0

    @property
    def complete(self) -> bool:
        """All of the reply is there: if the stream breaks off now, nothing is lost."""
        return self._state == self._events and self._parts.finished

    def feed(self, chunk: bytes) -> list[Event]:
        return self._state(chunk)

    def end(self) -> list[Event]:
        """The upstream closed the connection."""
        state = self._state
        if state == self._over:
            return []
        if state == self._sniff:
            self._fault("the upstream answered 200 with an empty body")
        elif state == self._json:
            return self._explode()
        else:
            if rest := self._splitter.rest():
                self._last_event(rest)
            if self._state != self._over:
                self._close()
        return self._parts.take()

    # ------------------------------------------------------------------------------------------- states

    def _sniff(self, chunk: bytes) -> list[Event]:
        chunk = chunk.lstrip(_BLANK)
        if not chunk:
            return []
        # A stream's line begins with a field name or a colon. Servers that do not stream answer JSON all the
        # same, and misrouted requests get a page of HTML.
        self._state = self._json if chunk[:1] in b"{[<" else self._events
        return self._state(chunk)

    def _events(self, chunk: bytes) -> list[Event]:
        try:
            events = self._splitter.feed(chunk)
        except sse.EventTooLarge as error:
            self._fault(str(error))
            return self._parts.take()
        lane, run = self._lane, []
        for event in events:
            if lane is not None:
                bare = lane.bare(event) if lane.padding else event
                if bare.startswith(lane.before) and bare.endswith(lane.after):
                    run.append(bare)
                    continue
                if run:
                    self._fast(run, lane)
                    run = []
            self._slow(event)
            if self._state == self._over:
                break
            lane = self._lane
        if run and lane is not None:
            self._fast(run, lane)
        return self._parts.take()

    def _json(self, chunk: bytes) -> list[Event]:
        self._whole += chunk
        if len(self._whole) > MAX_WHOLE_BYTES:
            self._fault(f"the upstream's reply is larger than {MAX_WHOLE_BYTES} bytes")
        return self._parts.take()

    def _over(self, chunk: bytes) -> list[Event]:
        return []

    # ------------------------------------------------------------------------------------------- events

    def _fast(self, run: list[bytes], lane: Lane) -> None:
        """Chunks that differ from the learned one in their text only."""
        start, stop = len(lane.before), -len(lane.after)
        pieces = [event[start:stop] for event in run]
        if all_sound(pieces):
            if pieces := [piece for piece in pieces if piece]:
                self._parts.more(pieces)
            return
        for event, piece in zip(run, pieces, strict=True):
            if self._state == self._over:
                return
            if not all_sound([piece]) or self._lane is not lane:
                self._slow(event)
            elif piece:
                self._parts.more([piece])

    def _slow(self, event: bytes) -> None:
        name, data = sse.fields(event.lstrip())
        data = data.strip()
        if not data:
            return  # a comment, or an event without data
        if data == b"[DONE]":
            self._done()
            return
        chunk = loads(data)
        if chunk is NO_JSON or name == b"error":
            self._stop_at(error_event(data, chunk) if name == b"error" else no_json(data))
            return
        if not isinstance(chunk, dict):
            if error := errors.of_object(chunk):
                self._stop_at(error)
            return
        if error := self._parts.chunk(chunk):
            self._stop_at(error)
            return
        if self._parts.finished and chunk.get("usage") and chunk.get("choices") == []:
            self._done()  # the last that a server has to say; some leave the stream open after it
            return
        trace = self._parts.trace
        learns = len(trace) == 1 and trace[0] and self._parts.steady
        self._lane = Lane.learn(event, trace[0]) if learns else None

    def _last_event(self, event: bytes) -> None:
        """What stands after the last blank line: a whole event, or one that was cut. Cut after the finish,
        it is no loss."""
        data = sse.fields(event.lstrip())[1].strip()
        if data and data != b"[DONE]" and loads(data) is NO_JSON and self._parts.finished:
            return
        self._slow(event)

    # --------------------------------------------------------------------------------------------- ends

    def _done(self) -> None:
        if not self._parts.seen:
            self._fault("the upstream's stream ended without any choice")
            return
        self._parts.stop()
        self._state = self._over

    def _close(self) -> None:
        if self._parts.finished:
            self._done()
        else:
            self._fault("the upstream's stream ended before its finish_reason and [DONE]")

    def _fault(self, message: str) -> None:
        self._stop_at(errors.BadReply(message))

    def _stop_at(self, error: Exception) -> None:
        self._parts.fail(error)
        self._state = self._over

    def _explode(self) -> list[Event]:
        self._state = self._over
        try:
            return explode(body_of(bytes(self._whole)), self._policy)
        except errors.BadReply as error:
            return [Fault(error)]


def _same(raw: bytes, piece: bytes) -> bool:
    try:
        return raw == piece or wire.text_of([raw]) == wire.text_of([piece])
    except ValueError:
        return False
