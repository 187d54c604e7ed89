"""Reads a Responses stream's bytes into neutral events.

Most of a stream is text deltas, which take the fast path (translate.deltas): one differs from the next in its text, in
its sequence_number and in the random `obfuscation` that OpenAI pads it with, whatever their order. Everything else is
parsed and read by `Assembly`. The stream is complete with its terminal event and with nothing else: [DONE], or an end
without a terminal event, is an error. The states of a decoder are those of `StreamReading`.
"""

from __future__ import annotations

import re
from typing import Any

from translate.conversation import Event, Usage
from translate.failures import errors
from translate.json.lenient import NO_JSON, apart, error_event, loads, no_json
from translate.responses.assembly import Assembly
from translate.responses.reply import explode
from translate.streams import sse
from translate.streams.deltas import NUMBER, TEXT, WORD, DeltaReading, Place, Template, template
from translate.streams.pieces import INSIDE, same_text
from translate.target import Policy

_PLACES = (
    (TEXT, re.compile(rb'"delta"\s*:\s*"(%b)"' % INSIDE)),
    (NUMBER, re.compile(rb'"sequence_number"\s*:\s*(\d+)')),
    (WORD, re.compile(rb'"obfuscation"\s*:\s*"([^"\\]*)"')),
)
_INDEX = re.compile(rb'"output_index"\s*:\s*\d')
_ID = re.compile(rb'"item_id"\s*:\s*"([\w.:+/=-]*)"')


def learn(event: bytes, piece: bytes, varied: bool = False) -> Template | None:
    """Returns the template of events like this one, which added just `piece` to the open part. None where the places
    that vary are not certain to be found. varied: the last template did not fit. Copilot gives an item another id in
    each event; it is the index that counts."""
    places: list[Place] = []
    for kind, pattern in _PLACES:
        found = list(pattern.finditer(event))
        if len(found) > 1 or (kind == TEXT and not (found and same_text(found[0][1], piece))):
            return None
        places += [(*match.span(1), kind) for match in found]
    if varied and _INDEX.search(event) is not None and (id := _ID.search(event)) is not None:
        places.append((*id.span(1), WORD))
    return template(event, places)


class Decoder(DeltaReading):
    """See DeltaReading."""

    __slots__ = ("_parts",)

    def __init__(self, policy: Policy = Policy()) -> None:
        self._parts = Assembly()
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

    def _slow(self, event: bytes) -> None:
        event = self.look(event)
        name, data = sse.fields(event.lstrip())
        data = data.strip()
        if not data or data == b"[DONE]":
            return  # a comment, or an event without data; [DONE] does not end the stream
        value = loads(data)
        if name == b"error" and not isinstance(value, dict):
            self._stop_at(error_event(data, value))
        elif value is NO_JSON:
            if events := apart(event):
                self._read(events)
            else:
                self._stop_at(no_json(data))
        elif isinstance(value, dict):
            kind = value.get("type")
            self._parts.event(kind if isinstance(kind, str) else name.decode("utf-8", "replace"), value)
            if self._parts.ended:
                self._state = Decoder._over
            piece = self._parts.trace
            self._template = learn(event, piece, self._template is not None) if piece and self._parts.steady else None

    # --------------------------------------------------------------------------------------------- ends

    def _last_event(self, event: bytes) -> None:
        self._slow(event)

    def _close(self) -> None:
        self._stop_at(self._parts.remark or errors.BadReply("the upstream's stream ended before response.completed"))

    def _explode(self, body: dict[str, Any]) -> list[Event]:
        return explode(body)
