"""A call of Gemini's whose arguments come in pieces, each for a place of its own, over several events.

Vertex AI does so where a request wants it (streamFunctionCallArguments), which gateways switch on by themselves, too. A
client of another protocol would run the call with what its first event has: no arguments. So all is gathered, and the
call is told once it has ended.
"""

from __future__ import annotations

from typing import Any

from translate import late
from translate.gemini.fields import camel
from translate.json import wire
from translate.json.json_fields import objects_of, text_of

Raw = dict[str, Any]
Way = tuple[str | int, ...]

MAX_DEPTH = 64
_STEP = late.pattern(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\[(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")\]")
_ESCAPED = late.pattern(r"\\(.)")
_VALUES = ("stringValue", "numberValue", "boolValue")


def is_piece(call: Raw) -> bool:
    """Tells whether a call comes in pieces: its arguments are not there as they are to be."""
    return not call.get("args") and (call.get("willContinue") is True or "partialArgs" in call)


class PartialCall:
    """One call, by `add`. ended: all of it is there."""

    __slots__ = ("_args", "_texts", "ended", "id", "name", "signature")

    def __init__(self) -> None:
        self._args: Raw = {}
        self._texts: dict[Way, list[str]] = {}  # pieces of what goes on in the same place
        self.ended = False
        self.id = self.name = self.signature = ""

    def __repr__(self) -> str:
        return f"<PartialCall {self.name} {'ended' if self.ended else 'open'}>"

    def goes_on_with(self, call: Raw) -> bool:
        """Tells whether it is this call's next piece, and not another call."""
        id, name = text_of(call, "id"), text_of(call, "name")
        return (not id or self.id in ("", id)) and (not name or self.name in ("", name))

    def add(self, call: Raw, signature: str) -> None:
        self.id, self.name = self.id or text_of(call, "id"), self.name or text_of(call, "name")
        self.signature = self.signature or signature
        for piece in map(camel, objects_of(call, "partialArgs")):
            way, value = _way(text_of(piece, "jsonPath")), next((piece[key] for key in _VALUES if key in piece), None)
            if isinstance(value, str):
                self._texts.setdefault(way, []).append(value)
            if not isinstance(value, str) or len(self._texts[way]) == 1:
                _put(self._args, way, value)
        self.ended = call.get("willContinue") is not True

    @property
    def arguments(self) -> str:
        """The arguments as JSON; what has not ended is cut, so that nobody takes it for whole."""
        for way, pieces in self._texts.items():
            if len(pieces) > 1:
                _put(self._args, way, "".join(pieces))
        text = wire.dumps_text(self._args)
        return text if self.ended else text[:-1]


def _way(path: str) -> Way:
    """Returns the keys and places on the way of a JSON path ("$.files[0]['a b']")."""
    found = _STEP.finditer(path.removeprefix("$"))
    steps = (int(step[2]) if step[2] else step[1] or _ESCAPED.sub(r"\1", step[3] or step[4] or "") for step in found)
    return tuple(steps)


def _put(args: Raw, way: Way, value: Any) -> None:
    """Puts a value in its place. A way that leads nowhere is left out: a list has no gaps."""
    if not way or len(way) > MAX_DEPTH:
        return
    here: Any = args
    for step, following in zip(way[:-1], way[1:], strict=True):
        inner: Any = [] if isinstance(following, int) else {}
        if not _has(here, step) and not _set(here, step, inner):
            return
        here = here[step]
    _set(here, way[-1], value)


def _has(holder: Any, step: str | int) -> bool:
    if isinstance(holder, list):
        return isinstance(step, int) and step < len(holder)
    return isinstance(holder, dict) and step in holder


def _set(holder: Any, step: str | int, value: Any) -> bool:
    if isinstance(holder, dict) and isinstance(step, str):
        holder[step] = value
    elif isinstance(holder, list) and isinstance(step, int) and step <= len(holder):
        holder[step : step + 1] = [value]
    else:
        return False
    return True
