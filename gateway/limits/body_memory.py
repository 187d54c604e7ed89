"""How much memory the bodies of requests may take together: each of them is bounded, but so must be their sum."""

from __future__ import annotations

from translate.errors import ApiError

BODIES_AT_ONCE = 16  # times the largest body


class BodyMemory:
    """held: bytes of all bodies that may still be sent upstream."""

    __slots__ = ("_most_bytes", "held")

    def __init__(self, max_body_bytes: int) -> None:
        self.held = 0
        self.resize(max_body_bytes)

    def __repr__(self) -> str:
        return f"<BodyMemory {self.held} of {self._most_bytes} bytes>"

    def resize(self, max_body_bytes: int) -> None:
        self._most_bytes = BODIES_AT_ONCE * max_body_bytes

    def hold(self, size: int) -> None:
        """Raises ApiError (503) where there is no room for so many bytes more."""
        if self.held + size > self._most_bytes:
            raise ApiError("overloaded", "the proxy is busy: too many large requests at once", 503, retry_after=1)
        self.held += size

    def let_go(self, size: int) -> None:
        self.held -= size
