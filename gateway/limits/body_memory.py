"""How much memory bodies may take: those of all requests together, and one reply that is gathered until its end.

The body of each request has a limit, too ([server] max_body_mb), but their sum needs one as well.
"""

from __future__ import annotations

from msgspec import Struct

from translate.failures.errors import ApiError

BODIES_AT_ONCE = 16  # times the largest body


class Gathered(Struct, frozen=True):
    """The most bytes that are held of a reply, and of an error: some errors repeat all of the request, or never end."""

    reply_bytes: int = 64 << 20
    error_bytes: int = 256 << 10


GATHERED = Gathered()


class BodyMemory:
    """Counts the bytes of bodies. held: bytes of all bodies that may still be sent upstream."""

    __slots__ = ("_most_bytes", "held")

    def __init__(self, max_body_bytes: int) -> None:
        self.held = 0
        self.resize(max_body_bytes)

    def __repr__(self) -> str:
        return f"<BodyMemory {self.held} of {self._most_bytes} bytes>"

    def resize(self, max_body_bytes: int) -> None:
        self._most_bytes = BODIES_AT_ONCE * max_body_bytes

    def hold(self, size: int) -> None:
        """Counts more bytes. Raises ApiError (503) if there is no room."""
        if self.held + size > self._most_bytes:
            raise ApiError("overloaded", "the proxy is busy: too many large requests at once", 503, retry_after=1)
        self.held += size

    def let_go(self, size: int) -> None:
        self.held -= size
