"""What an attempt tells the request that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from gateway.flow.timing import Clock
from gateway.limits.retry_policy import Outcome
from translate.failures.errors import ApiError

A = TypeVar("A", contravariant=True)
"""The attempt. Its class is not named here, as attempt.py imports this file."""


class Owner(Protocol[A]):
    """What an attempt tells, and to whom. All methods are called in the event loop, and each may end the attempt."""

    @property
    def clock(self) -> Clock: ...

    @property
    def write(self) -> Callable[[bytes], None]:
        """Writes to the client, once the attempt leads."""

    def write_last(self, data: bytes) -> None:
        """Writes the last bytes; on_stream_end follows at once."""

    def on_first_byte(self, attempt: A, out: bytes) -> None:
        """Makes the attempt the lead. out: what the client gets first."""

    def on_wins(self, attempt: A) -> None:
        """Ends all other attempts: the reply of this one goes on with a further request, so that no other can take its
        place."""

    def on_whole_reply(self, attempt: A, head: bytes, out: bytes) -> None:
        """Sends a reply that is no stream. head: its Content-Type."""

    def on_stream_end(self, attempt: A, out: bytes, error: ApiError | None) -> None:
        """The client has the last byte of its stream. out: the end of the stream, if the proxy wrote its terminal
        event."""

    def on_lost(self, attempt: A, outcome: Outcome) -> None:
        """The attempt has ended without an answer."""

    def on_broken(self, error: Exception) -> None:
        """The reply cannot go on, or something inside the proxy has failed."""
