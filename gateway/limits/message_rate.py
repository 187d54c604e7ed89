"""How many messages a minute one websocket may send."""

from __future__ import annotations

from translate.errors import ApiError


class MessageRate:
    """Call came() for each message. A burst may take all messages of a minute at once; then they come back evenly."""

    __slots__ = ("_at", "_left", "_most")

    def __init__(self, most: int) -> None:
        """most: messages a minute."""
        self._most = most
        self._left = float(most)
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<MessageRate {self._left:.0f} of {self._most}>"

    def came(self, now: float) -> None:
        """Counts a message. now: seconds. Raises ApiError (429)."""
        if self._at:
            self._left = min(self._most, self._left + (now - self._at) * self._most / 60)
        self._at = now
        if self._left < 1:
            message = f"more than {self._most} messages a minute on this websocket ([limits] websocket_messages)"
            raise ApiError("rate_limit", message, 429, retry_after=60 / self._most)
        self._left -= 1
