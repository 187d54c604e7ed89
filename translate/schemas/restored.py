"""Turns what the model writes by a fitted schema into what the client's own schema asks for, while it comes.

Names of properties are mapped back, and what was wrapped into an object of one property is unwrapped. `RestoredSchemas`
reads the JSON text once, keeps back no more than a name that is being written, and passes a text that is no JSON
unchanged. A string that the client reads as bare text is one of a few words, and is kept back until it is whole.
"""

from __future__ import annotations

import re
from typing import Literal

from translate.conversation import Close, Delta, Event, Open, Text, ToolCall
from translate.json import wire
from translate.schemas.root import WRAPPED
from translate.target import Asked, Reshaped

ANSWER = ("", "")  # stands for the reply's text; no tool has this key

_WHOLE = re.compile(rb"(?:[^\\]|\\(?:[^u]|u[0-9a-fA-F]{4}))*")  # pieces of a JSON string may end within an escape
_PLAIN = re.compile(r'[^"{}\[\],:]+')
_IN_STRING = re.compile(r'[^"\\]+')


class RestoredSchemas:
    """Takes the events of a reply and gives them as the client's own schemas ask for them."""

    __slots__ = ("_asked", "_now", "_rest")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._now: _Rewriting | _BareText | None = None  # of the open part
        self._rest = b""

    def __repr__(self) -> str:
        return f"<RestoredSchemas {'rewriting' if self._now else 'passing'}>"

    def passed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if isinstance(event, Open):
                known = self._shape_of(event)
                self._now = _rewriting(known) if known is not None else None
                self._rest = b""
            elif self._now is not None and isinstance(event, Delta):
                if text := self._now.fed(self._text(event.pieces)):
                    out.append(Delta([wire.inside(text)]))
                continue
            elif self._now is not None and isinstance(event, Close):
                if text := self._now.ended():
                    out.append(Delta([wire.inside(text)]))
                self._now = None
            out.append(event)
        return out

    def _shape_of(self, event: Open) -> Reshaped | None:
        part = event.part
        if isinstance(part, Text):
            return self._asked.reshaped.get(ANSWER)
        if not isinstance(part, ToolCall):
            return None
        known = self._asked.namespaces.get(part.name) or ("", self._asked.tool_names.get(part.name, part.name))
        return self._asked.reshaped.get(known)

    def _text(self, pieces: list[bytes]) -> str:
        raw = self._rest + b"".join(pieces)
        found = _WHOLE.match(raw)
        assert found is not None
        self._rest = raw[found.end() :]
        return wire.text_of([raw[: found.end()]])


def _rewriting(shape: Reshaped) -> _Rewriting | _BareText:
    return _BareText() if shape.bare else _Rewriting(shape)


class _BareText:
    """One JSON string, within an object of one property or not, that becomes the text that it stands for."""

    __slots__ = ("_held", "_is_json")

    def __init__(self) -> None:
        self._held: list[str] = []
        self._is_json: bool | None = None  # False: the model has written the bare word by itself; None: not known yet

    def __repr__(self) -> str:
        return f"<_BareText is_json={self._is_json} {self._held}>"

    def fed(self, text: str) -> str:
        if self._is_json is None and (begun := text.lstrip()):
            self._is_json = begun[0] in '{"'
            if not self._is_json:
                self._held = []
                return begun
        if self._is_json is False:
            return text
        self._held.append(text)
        return ""

    def ended(self) -> str:
        text = "".join(self._held)
        try:
            value = wire.loads(text) if self._is_json else text
        except ValueError:  # cut off
            return text
        inner = value.get(WRAPPED) if isinstance(value, dict) and len(value) == 1 else value
        return inner if isinstance(inner, str) else text


class _Rewriting:
    """One text. `_open`: the brackets that are open. `_phase`: for a wrapped value; nothing around the value is passed
    on, and a text that turns out not to be wrapped passes."""

    __slots__ = ("_escaped", "_held", "_key", "_key_next", "_longest", "_names", "_open", "_phase", "_size", "_string")

    def __init__(self, shape: Reshaped) -> None:
        self._names = shape.names
        self._longest = max(map(len, (*shape.names, WRAPPED))) * 6 + 2  # each character may be an escape
        self._open: list[str] = []
        self._key_next = False
        self._string: Literal["", "key", "value"] = ""
        self._escaped = False
        self._key: list[str] = []  # the name that is being written
        self._size = 0
        self._phase: Literal["plain", "before", "colon", "within", "after"] = "before" if shape.wrapped else "plain"
        self._held: list[str] = []  # what came while it was not clear whether the text is wrapped

    def __repr__(self) -> str:
        return f"<_Rewriting {self._phase}, within {self._open}>"

    def fed(self, text: str) -> str:
        out: list[str] = []
        at = 0
        while at < len(text):
            at = self._in_string(text, at, out) if self._string else self._outside(text, at, out)
        return "".join(out)

    def ended(self) -> str:
        """Returns what was kept back, for a text that breaks off."""
        said = "" if self._phase in ("colon", "after") else "".join(self._held + self._key)
        self._held, self._key = [], []
        return said

    def _outside(self, text: str, at: int, out: list[str]) -> int:
        if plain := _PLAIN.match(text, at):
            self._say(plain[0], out)
            return plain.end()
        char = text[at]
        if char == '"':
            is_key = self._key_next and self._open[-1] == "{"
            self._string, self._key_next = "key" if is_key else "value", False
            if is_key:
                self._key, self._size = [char], 1
            else:
                self._say(char, out)
            return at + 1
        if char in "}]" and self._open:
            self._open.pop()
        self._bracket(char, out)
        if char in "{[":
            self._open.append(char)
        self._key_next = char == "{" or (char == "," and bool(self._open) and self._open[-1] == "{")
        return at + 1

    def _bracket(self, char: str, out: list[str]) -> None:
        """A character of JSON's own; those of the wrapping object are not said."""
        if self._phase == "colon" and char == ":":
            self._phase = "within"
        elif self._phase == "within" and (not self._open if char == "}" else char == "," and len(self._open) == 1):
            self._phase = "after"
        else:
            self._say(char, out)

    def _in_string(self, text: str, at: int, out: list[str]) -> int:
        if self._escaped:
            self._escaped = False
            self._more(text[at], out)
            return at + 1
        if plain := _IN_STRING.match(text, at):
            self._more(plain[0], out)
            return plain.end()
        self._escaped = text[at] == "\\"
        self._more(text[at], out)
        if text[at] == '"':
            self._end(out)
        return at + 1

    def _more(self, text: str, out: list[str]) -> None:
        if self._string == "value":
            self._say(text, out)
            return
        self._key.append(text)
        self._size += len(text)
        if self._size > self._longest:  # it is none of our names, which are shorter
            self._string = "value"
            self._say("".join(self._key), out)
            self._key = []

    def _end(self, out: list[str]) -> None:
        kind, self._string = self._string, ""
        if kind == "value":
            return
        written, self._key = "".join(self._key), []
        try:
            name = wire.loads(written)
        except ValueError:  # a control character, which JSON does not allow
            name = None
        if self._phase == "before" and name == WRAPPED:
            self._phase, self._held = "colon", []
        else:
            self._say(wire.dumps_text(self._names[name]) if name in self._names else written, out)

    def _say(self, text: str, out: list[str]) -> None:
        if self._phase in ("plain", "within"):
            out.append(text)
        elif self._phase == "before":
            self._held.append(text)
            if text.strip() and text != "{":  # the model did not keep to the schema
                self._phase = "plain"
                out += self._held
                self._held = []
