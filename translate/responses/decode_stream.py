"""Reads a Responses stream's bytes into neutral events.

Most of a stream is text deltas, which take the fast path (fast_path.py): their text is copied as the escaped bytes that
it is. Everything else is parsed and read by `Assembly`. The stream is complete with its terminal event and with nothing
else: [DONE], or an end without a terminal event, is an error. The states of a decoder are those of `StreamReading`.
"""

from __future__ import annotations

from typing import Any

from translate import errors, sse
from translate.conversation import Event, Usage
from translate.lenient import NO_JSON, error_event, loads, no_json
from translate.pieces import BETWEEN, is_sound
from translate.reading import StreamReading
from translate.responses.assembly import Assembly
from translate.responses.fast_path import Template, learn
from translate.responses.reply import explode
from translate.target import Policy


class Decoder(StreamReading):
    """See StreamReading."""

    __slots__ = ("_template", "_parts")

    def __init__(self, policy: Policy = Policy()) -> None:
        self._parts = Assembly()
        self._template: Template | None = None
        super().__init__(self._parts)

    def __repr__(self) -> str:
        return f"<responses.Decoder {self._state.__name__.strip('_')} {self._parts!r}>"

    @property
    def begun(self) -> bool:
        """The upstream has begun a reply, even if nothing of it can be told yet."""
        return self._parts.begun

    @property
    def usage(self) -> Usage | None:
        """Returns the usage that the reply has told so far."""
        return self._parts.usage

    @property
    def complete(self) -> bool:
        """All of the reply is there: if the stream breaks off now, nothing is lost. Only the last event tells."""
        return False

    # ------------------------------------------------------------------------------------------- events

    def _read(self, events: list[bytes]) -> None:
        at = 0
        while at < len(events) and self._state is not Decoder._over:
            run = self._template.run(events, at) if self._template is not None else []
            if run and is_sound(joined := BETWEEN.join(run)) and self.look(joined) is joined:
                if pieces := [piece for piece in run if piece] if b"" in run else run:
                    self._parts.more(pieces)
            else:  # one that is not sound, or is changed, sends all of them the slow way
                for event in events[at : at + (len(run) or 1)]:
                    self._slow(event)
            at += len(run) or 1

    def _slow(self, event: bytes) -> None:
        if self._state is Decoder._over:
            return
        event = self.look(event)
        name, data = sse.fields(event.lstrip())
        data = data.strip()
        if not data or data == b"[DONE]":
            return  # a comment, or an event without data; [DONE] does not end the stream
        value = loads(data)
        if name == b"error" and not isinstance(value, dict):
            self._stop_at(error_event(data, value))
        elif value is NO_JSON:
            self._stop_at(no_json(data))
        elif isinstance(value, dict):
            kind = value.get("type")
            self._parts.event(kind if isinstance(kind, str) else name.decode("utf-8", "replace"), value)
            if self._parts.ended:
                self._state = Decoder._over
            piece = self._parts.trace
            self._template = learn(event, piece) if piece and self._parts.steady else None

    # --------------------------------------------------------------------------------------------- ends

    def _last_event(self, event: bytes) -> None:
        self._slow(event)

    def _close(self) -> None:
        self._stop_at(self._parts.remark or errors.BadReply("the upstream's stream ended before response.completed"))

    def _explode(self, body: dict[str, Any]) -> list[Event]:
        return explode(body)
