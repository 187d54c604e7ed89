"""Reads a Gemini stream's bytes into neutral events. Its states are those of `StreamReading`.

Each event is parsed as JSON: it has a few dozen tokens, and its counters differ from those of the event before. There
is no last event but the one with a finish reason, and what comes after that (counters, pages) still counts: the stream
is over when the upstream closes it.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Event, Usage
from translate.failures import errors
from translate.gemini.assembly import Assembly
from translate.gemini.reply import explode
from translate.json.lenient import NO_JSON, apart, error_event, is_whole, loads, no_json
from translate.streams import sse
from translate.streams.reading import StreamReading


class Decoder(StreamReading):
    """See StreamReading."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts = Assembly()
        super().__init__(self._parts)

    def __repr__(self) -> str:
        return f"<gemini.Decoder {self._state.__name__.strip('_')} {self._parts!r}>"

    @property
    def begun(self) -> bool:
        return self._parts.seen

    @property
    def usage(self) -> Usage | None:
        return self._parts.usage

    @property
    def complete(self) -> bool:
        return self._state is Decoder._events and self._parts.finished

    def _read(self, events: list[bytes]) -> None:
        for event in events:
            if self._state is Decoder._over:
                return
            self._event(event)

    def _event(self, event: bytes) -> None:
        event = self.look(event)
        name, data = sse.fields(event.lstrip())
        data = data.strip()
        if not data or data == b"[DONE]":  # which gateways add that speak other protocols, too
            return
        said = loads(data)
        if said is NO_JSON and (events := apart(event)):
            self._read(events)
        elif said is NO_JSON or name == b"error":
            self._stop_at(error_event(data, said) if name == b"error" else no_json(data))
        elif not isinstance(said, dict):
            if error := errors.of_object(said):
                self._stop_at(error)
        elif error := self._parts.chunk(said):
            self._stop_at(error)

    def _last_event(self, event: bytes) -> None:
        """Reads what stands after the last blank line. After the finish, an event that was cut is no loss."""
        if not self._parts.finished or is_whole(event):
            self._event(event)

    def _close(self) -> None:
        if self._parts.finished:
            self._parts.stop()
            self._state = Decoder._over
        elif self._parts.remark is not None:
            self._stop_at(self._parts.remark)
        else:
            self._fault("the upstream's stream ended before its finishReason")

    def _read_whole(self) -> list[Event]:
        """Reads a whole reply, or a stream as one array, as sent by gateways that ignore `alt=sse`."""
        elements = loads(self.look(bytes(self._whole)))
        if not isinstance(elements, list):
            return super()._read_whole()
        self._state = Decoder._over
        for said in elements:
            if isinstance(said, dict) and (error := self._parts.chunk(said)):
                self._parts.fail(error)
                return self._parts.take()
        self._state = Decoder._events
        self._close()
        return self._parts.take()

    def _explode(self, body: dict[str, Any]) -> list[Event]:
        return explode(body)
