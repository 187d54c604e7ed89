"""Reads a Chat stream's bytes into neutral events.

Most of a stream is text deltas, and the chunks around them are the same to the letter. A `Template` keeps a chunk's
bytes before and after its text; chunks that match it give their text without being parsed, as the escaped bytes that it
is. Everything else takes the slow path: JSON, then `Assembly`. The states of a decoder are those of `StreamReading`.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from translate import errors, sse
from translate.chat.assembly import Assembly
from translate.chat.reply import explode
from translate.conversation import Event, Usage
from translate.lenient import NO_JSON, error_event, loads, no_json
from translate.pieces import BETWEEN, is_sound, same_text
from translate.reading import StreamReading
from translate.target import Policy

_TEXT_FIELD = re.compile(
    rb'"(?:content|reasoning_content|reasoning|arguments|text|summary|thinking)"\s*:\s*"((?:[^"\\]|\\.)+)"'
)
_PADDING = re.compile(rb',\s*"(?:obfuscation|p)":\s*"(?=[0-9A-Za-z]*"\}$)')


class Template(Struct, frozen=True):
    """A chunk's bytes around its text. `padding`: the beginning of the random bytes at the end of each chunk, which
    OpenAI calls "obfuscation" and Mistral "p"; b"" = there are none. `between`: what stands between the text and the
    same text once more, as OpenRouter says what was thought; b"" = it is said once."""

    before: bytes
    after: bytes
    padding: bytes
    between: bytes

    @classmethod
    def learn(cls, event: bytes, piece: bytes) -> Template | None:
        """Makes a template from a chunk that added just `piece` to the open part. Returns None unless one field or two
        hold text, and that text: another place that says the same would go unread in the chunks to come."""
        padding = _PADDING.search(event) if event.endswith(b'"}') else None
        body = event[: padding.start()] if padding else event
        found = list(_TEXT_FIELD.finditer(body))
        if not 0 < len(found) <= 2 or not all(same_text(field[1], piece) for field in found):
            return None
        between = body[found[0].end(1) : found[-1].start(1)] if len(found) == 2 else b""
        return cls(body[: found[0].start(1)], body[found[-1].end(1) :], padding[0] if padding else b"", between)

    def text(self, event: bytes) -> bytes:
        """Returns the text of an event that has it twice."""
        start = len(self.before)
        return event[start : start + (len(event) - start - len(self.after) - len(self.between)) // 2]

    def says_twice(self, event: bytes) -> bool:
        text = self.text(event)
        return event == b"%b%b%b%b%b" % (self.before, text, self.between, text, self.after)

    def bare(self, event: bytes) -> bytes:
        """Returns the event without its padding, or as it is where the padding is not plain."""
        cut = event.rfind(self.padding)
        return event[:cut] if cut > 0 and event[cut + len(self.padding) : -2].isalnum() else event


class Decoder(StreamReading):
    """See StreamReading. A stream is complete with [DONE], or when it ends after a finish_reason."""

    __slots__ = ("_template", "_parts", "_policy")

    def __init__(self, policy: Policy = Policy()) -> None:
        self._policy = policy
        self._parts = Assembly(policy)
        self._template: Template | None = None
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

    def _read(self, events: list[bytes]) -> None:
        template = self._template
        run: list[bytes] = []
        for event in events:
            if template is not None:
                bare = template.bare(event) if template.padding else event
                if bare.startswith(template.before) and bare.endswith(template.after):
                    if not template.between or template.says_twice(bare):
                        run.append(bare)
                        continue
                if run:
                    self._fast(run, template)
                    run = []
            if self._state is not Decoder._over:
                self._slow(event)
            if self._state is Decoder._over:
                return
            template = self._template
        if run and template is not None:
            self._fast(run, template)

    def _fast(self, run: list[bytes], template: Template) -> None:
        """Reads chunks that differ from the learned one in their text only."""
        start, stop = len(template.before), -len(template.after)
        if template.between:
            pieces = [template.text(event) for event in run]
        else:
            pieces = [event[start:stop] for event in run]
        joined = BETWEEN.join(pieces)
        if is_sound(joined) and self.look(joined) is joined:
            if b"" in pieces:
                pieces = [piece for piece in pieces if piece]
            if pieces:
                self._parts.more(pieces)
            return
        for event, piece in zip(run, pieces, strict=True):
            if self._state is Decoder._over:
                return
            if not is_sound(piece) or self.look(piece) is not piece or self._template is not template:
                self._slow(event)
            elif piece:
                self._parts.more([piece])

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
        self._template = Template.learn(event, trace[0]) if learns else None

    def _last_event(self, event: bytes) -> None:
        """Reads what stands after the last blank line: a whole event, or one that was cut. After the finish, a cut one
        is no loss."""
        data = sse.fields(event.lstrip())[1].strip()
        if data and data != b"[DONE]" and loads(data) is NO_JSON and self._parts.finished:
            return
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
