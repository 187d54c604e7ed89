"""A Responses stream's bytes in, neutral events out.

Text deltas dominate a stream and take the fast lane (lane.py): their text is copied as the escaped bytes it is.
Everything else is parsed and read by `Assembly`. The stream is complete with its terminal event and with nothing
else: [DONE] or an end without one is an error. Four states, one bound method each: sniffing the first byte, events,
a whole JSON body after all, over. Never raises: what cannot be read is a Fault.
"""

from __future__ import annotations

from collections.abc import Callable

from translate import errors, sse
from translate.conversation import Event, Fault
from translate.lenient import NO_JSON, body_of, error_event, loads, no_json
from translate.pieces import all_sound
from translate.responses.assembly import Assembly
from translate.responses.lane import Lane, learn
from translate.responses.reply import explode
from translate.target import Policy

MAX_WHOLE_BYTES = sse.MAX_EVENT_BYTES

_BLANK = b"\xef\xbb\xbf \t\r\n"  # a byte order mark, and what may stand before the first line


class Decoder:
    """feed(chunk) and end() give events; after Stop or Fault, `ended` is True and nothing more comes."""

    __slots__ = ("_lane", "_parts", "_splitter", "_state", "_whole")

    def __init__(self, policy: Policy = Policy()) -> None:
        self._parts = Assembly()
        self._splitter = sse.Splitter()
        self._whole = bytearray()
        self._lane: Lane | None = None
        self._state: Callable[[bytes], list[Event]] = self._sniff

    def __repr__(self) -> str:
        return f"<responses.Decoder {self._state.__name__.strip('_')} {self._parts!r}>"

    @property
    def ended(self) -> bool:
        return self._state == self._over

    @property
    def begun(self) -> bool:
        """The upstream has begun a reply, even if nothing of it can be told yet."""
        return self._parts.begun

    @property
    def complete(self) -> bool:
        """All of the reply is there: if the stream breaks off now, nothing is lost. Only the last event tells."""
        return False

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
                self._slow(rest)
            if self._state != self._over:
                self._fault("the upstream's stream ended before response.completed")
        return self._parts.take()

    # ------------------------------------------------------------------------------------------- states

    def _sniff(self, chunk: bytes) -> list[Event]:
        chunk = chunk.lstrip(_BLANK)
        if not chunk:
            return []
        # Servers that do not stream answer JSON all the same, and misrouted requests get a page of HTML.
        self._state = self._json if chunk[:1] in b"{[<" else self._events
        return self._state(chunk)

    def _events(self, chunk: bytes) -> list[Event]:
        try:
            events = self._splitter.feed(chunk)
        except sse.EventTooLarge as error:
            self._fault(str(error))
            return self._parts.take()
        at = 0
        while at < len(events) and self._state != self._over:
            run = self._lane.run(events, at) if self._lane is not None else []
            if run and all_sound(run):
                if pieces := [piece for piece in run if piece] if b"" in run else run:
                    self._parts.more(pieces)
            else:  # one that is not sound sends them all the slow way
                for event in events[at : at + (len(run) or 1)]:
                    self._slow(event)
            at += len(run) or 1
        return self._parts.take()

    def _json(self, chunk: bytes) -> list[Event]:
        self._whole += chunk
        if len(self._whole) > MAX_WHOLE_BYTES:
            self._fault(f"the upstream's reply is larger than {MAX_WHOLE_BYTES} bytes")
        return self._parts.take()

    def _over(self, chunk: bytes) -> list[Event]:
        return []

    # ------------------------------------------------------------------------------------------- events

    def _slow(self, event: bytes) -> None:
        if self._state == self._over:
            return
        name, data = sse.fields(event.lstrip())
        data = data.strip()
        if not data or data == b"[DONE]":
            return  # a comment, an event without data; [DONE] ends nothing that has not ended
        value = loads(data)
        if name == b"error" and not isinstance(value, dict):
            self._stop_at(error_event(data, value))
        elif value is NO_JSON:
            self._stop_at(no_json(data))
        elif isinstance(value, dict):
            kind = value.get("type")
            self._parts.event(kind if isinstance(kind, str) else name.decode("utf-8", "replace"), value)
            if self._parts.ended:
                self._state = self._over
            piece = self._parts.trace
            self._lane = learn(event, piece) if piece and self._parts.steady else None

    # --------------------------------------------------------------------------------------------- ends

    def _fault(self, message: str) -> None:
        self._stop_at(errors.BadReply(message))

    def _stop_at(self, error: Exception) -> None:
        self._parts.fail(error)
        self._lane = None
        self._state = self._over

    def _explode(self) -> list[Event]:
        self._state = self._over
        try:
            return explode(body_of(bytes(self._whole)))
        except errors.BadReply as error:
            return [Fault(error)]
