"""Reads a Chat stream's bytes into neutral events.

Most of a stream is text deltas, which take the fast path (translate.deltas). Everything else takes the slow path: JSON,
then `Assembly`. The states of a decoder are those of `StreamReading`.
"""

from __future__ import annotations

import re
from typing import Any

from translate.chat import details
from translate.chat.assembly import Assembly
from translate.chat.reply import explode
from translate.conversation import Event, Usage
from translate.failures import errors
from translate.json.lenient import NO_JSON, apart, error_event, is_whole, loads, no_json
from translate.streams import sse
from translate.streams.deltas import AGAIN, NUMBER, TEXT, WORD, DeltaReading, Place, Template, template
from translate.streams.pieces import INSIDE, same_text
from translate.target import Policy

_TEXTS = "|".join(("content", "arguments", "text", "summary", *details.NAMES))
_TEXT_FIELD = re.compile(rb'"(?:%b)"\s*:\s*"(%b)"' % (_TEXTS.encode(), INSIDE))
_PADDING = re.compile(rb'"(?:obfuscation|p)"\s*:\s*"([0-9A-Za-z]*)"')  # OpenAI's and Mistral's random bytes
_COUNTS = re.compile(rb'"(?:created|token_id)"\s*:\s*(\d+)')
_ID = re.compile(rb'"id"\s*:\s*"([\w.:-]*)"')
_CHOICES = b'"choices"'


def learn(event: bytes, piece: bytes, varied: bool = False) -> Template | None:
    """Returns the template of chunks like this one, which added just `piece` to the open part. None unless one field or
    two hold text, and that text: OpenRouter says what was thought twice, and another text would go unread in the chunks
    to come. varied: the last template did not fit. There are servers that give each chunk an id of its own, its second,
    or the number of its token."""
    found = [*_TEXT_FIELD.finditer(event)]
    if not 0 < len(found) <= 2 or not all(same_text(field[1], piece) for field in found):
        return None
    places: list[Place] = [(*field.span(1), kind) for field, kind in zip(found, (TEXT, AGAIN), strict=False)]
    places += [(*padding.span(1), WORD) for padding in _PADDING.finditer(event)]
    if varied:
        places += [(*count.span(1), NUMBER) for count in _COUNTS.finditer(event)]
        own = _ID.search(event, 0, max(0, event.find(_CHOICES)))  # what follows may be the id of a call
        places += [(*own.span(1), WORD)] if own is not None else []
    return template(event, places)


class Decoder(DeltaReading):
    """See DeltaReading. A stream is complete with [DONE], or when it ends after a finish_reason."""

    __slots__ = ("_parts", "_policy")

    def __init__(self, policy: Policy = Policy()) -> None:
        self._policy = policy
        self._parts = Assembly(policy)
        super().__init__(self._parts)

    def __repr__(self) -> str:
        return f"<chat.Decoder {self._state.__name__.strip('_')} {self._parts!r}>"

    @property
    def begun(self) -> bool:
        """The upstream has begun a reply, even if nothing of it can be told yet."""
        return self._parts.seen > 0

    @property
    def usage(self) -> Usage | None:
        """Returns what the reply has said so far that it takes."""
        return self._parts.usage

    @property
    def complete(self) -> bool:
        """All of the reply is there: if the stream breaks off now, nothing is lost."""
        return self._state is Decoder._events and self._parts.finished

    # ------------------------------------------------------------------------------------------- events

    def _slow(self, event: bytes) -> None:
        event = self.look(event)
        name, data = sse.fields(event.lstrip())
        data = data.strip()
        if not data:
            return  # a comment, or an event without data
        if data == b"[DONE]":
            self._done()
            return
        chunk = loads(data)
        if chunk is NO_JSON and (events := apart(event)):
            self._read(events)
            return
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
            self._done()  # nothing comes after it, but some servers leave the stream open
            return
        trace = self._parts.trace
        learns = len(trace) == 1 and trace[0] and self._parts.steady
        self._template = learn(event, trace[0], self._template is not None) if learns else None

    def _last_event(self, event: bytes) -> None:
        """Reads what stands after the last blank line. After the finish, an event that was cut is no loss."""
        if not self._parts.finished or is_whole(event):
            self._slow(event)

    # --------------------------------------------------------------------------------------------- ends

    def _done(self) -> None:
        remark = self._parts.remark
        if remark is not None and not self._parts.finished:
            self._stop_at(remark)
            return
        if not self._parts.seen:
            message, is_empty = "the upstream's stream ended without any choice", self._parts.usage is None
            self._stop_at(errors.BadReply(message, is_empty=is_empty))
            return
        self._parts.stop()
        self._state = Decoder._over

    def _close(self) -> None:
        if self._parts.finished or self._parts.remark is not None:
            self._done()
        else:
            self._fault("the upstream's stream ended before its finish_reason and [DONE]")

    def _explode(self, body: dict[str, Any]) -> list[Event]:
        return explode(body, self._policy)
