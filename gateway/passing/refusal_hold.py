"""Holds a reply back until it shows that the model does not refuse: for [retry] on_refusal only.

A model that declines says so by its stop reason, at the end. To ask another model instead, the proxy has to know before
the client gets anything; so a stream waits for its first content. This works on the client's own bytes, whatever the
upstream speaks. A refusal that comes after content goes to the client.
"""

from __future__ import annotations

from translate import dialects
from translate.target import Protocol

MAX_HELD = 64 * 1024  # bytes; what has said nothing by then is passed on as it is


class Refusing:
    """Holds one reply. held: what the client has not got yet."""

    __slots__ = ("_marks", "_passes", "_protocol", "held")

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._marks = dialects.of(protocol).marks
        self._passes = False
        self.held = b""

    def __repr__(self) -> str:
        return f"<Refusing {self._protocol} {'passes' if self._passes else f'{len(self.held)} bytes held'}>"

    def feed(self, out: bytes) -> bytes:
        """Returns what may go to the client now."""
        if self._passes:
            return out
        self.held += out
        refuses = self._marks.refusal.search(self.held)
        content = self._marks.content.search(self.held)
        if (content and not (refuses and refuses.start() < content.start())) or len(self.held) > MAX_HELD:
            self._passes = True
            out, self.held = self.held, b""
            return out
        return b""

    def rest(self) -> bytes:
        """Returns at the end what was held, if it is no refusal; else nothing."""
        if self._passes or self._marks.refusal.search(self.held):
            return b""
        self._passes = True
        out, self.held = self.held, b""
        return out

    def whole(self, out: bytes) -> bool:
        """Returns whether a whole reply is a refusal; then it is held."""
        if self._marks.refusal.search(out):
            self.held = out
            return True
        return False
