"""Writes neutral events as a Gemini stream: each event a small whole reply, on a data line.

A delta of text is bytes around its piece, by a template that is made once for a reply; a call is written when it is
complete, since Google's come whole. The last event has the finish reason and the counters; there is no other end. Lines
that are no data would break Google's own SDK, so that a sign of life is a blank line.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import (
    Close,
    Event,
    Part,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
)
from translate.failures import errors
from translate.gemini import fault
from translate.gemini.parts import Parts, about
from translate.json import wire
from translate.streams.writing import StreamWriting
from translate.target import Asked

PING = b"\n"

_TEXT, _THOUGHT = b'"}', b'","thought":true}'


class Encoder(StreamWriting):
    __slots__ = ("_after", "_asked", "_kept", "_parts", "_template")

    def __init__(self, asked: Asked) -> None:
        super().__init__(PING)
        self._asked = asked
        self._parts = Parts(asked)
        self._after = b'],"role":"model"},"index":0}],' + wire.dumps(about(asked))[1:] + b"\n\n"
        self._template: tuple[bytes, bytes] | None = None  # around the open part's text; None: it is told at its end
        self._kept: list[bytes] = []  # the open part's text so far

    def __repr__(self) -> str:
        return f"<gemini.Encoder {self._state} {type(self._part).__name__} {self._parts!r}>"

    def ping(self) -> bytes:
        return b"" if self._state == "over" else PING

    def emit(self, events: list[Event]) -> bytes:
        out = super().emit(events)
        if not out and self._state == "waiting" and events and type(events[-1]) is Start:  # only a sign of life is due
            out = self._event([{"text": "", "thought": True}])
        if out and self._state == "waiting":
            self._state = "writing"
        return wire.on_one_line(out)

    def _begin(self, out: list[bytes]) -> None:
        """Nothing comes before the first part."""

    def _delta(self, pieces: list[bytes], out: list[bytes]) -> None:
        self._kept += pieces
        if self._template is not None:
            before, after = self._template
            out += (before, (after + before).join(pieces), after)

    def _open(self, part: Part, out: list[bytes]) -> None:
        self._part, self._kept, self._template = part, [], None
        if isinstance(part, Text | Refusal):
            self._parts.count += 1
            self._template = self._around(_TEXT)
        elif isinstance(part, Thinking) and self._parts.shows:
            self._parts.count += 1
            self._template = self._around(_THOUGHT)

    def _around(self, end: bytes) -> tuple[bytes, bytes]:
        return b'data: {"candidates":[{"content":{"parts":[{"text":"', end + self._after

    def _close(self, close: Close, out: list[bytes]) -> None:
        part, self._part, self._template = self._part, None, None
        if part is not None:
            out += (self._event([late]) for late in self._parts.closed(part, wire.text_of(self._kept), close))
        self._kept = []

    def _event(self, parts: list[dict[str, Any]]) -> bytes:
        return b'data: {"candidates":[{"content":{"parts":%b%b' % (wire.dumps(parts)[:-1], self._after)

    def _stop(self, stop: Stop, out: list[bytes]) -> None:
        late = self._parts.last()
        candidate, rest = self._parts.ending(stop, stop.usage or self._usage)
        content = {"parts": late or [{"text": ""}], "role": "model"}
        said = {"candidates": [{"content": content} | candidate]} | rest | about(self._asked)
        out += (b"data: ", wire.dumps(said), b"\n\n")

    def _fail(self, error: errors.ApiError, out: list[bytes]) -> None:
        out.append(fault.event(error))
