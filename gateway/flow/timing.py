"""Where the time of one request goes: to its client, to a queue, to the upstream, to the proxy itself.

There is one reading of one clock per phase. While an attempt is on its way, the time is the upstream's. While none is,
and the request waits (for a slot, for a back-off to pass, for another's answer), it is the queue's. What remains, from
the last byte of the request to the first byte of the reply, is the proxy's overhead. The proxy's time during a stream
is not measured: the upstream is on its way all that time, and a reading per event would cost more than it tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable

now = time.monotonic


class Clock:
    """The times of a request, in seconds. These are instants of a clock that never goes back, 0.0 = not yet: began;
    read, when the body was here; came, when the upstream's bytes came that are being worked on; first, the first byte
    of the reply that is more than a sign of life; said, when the last byte was written; done, when the client had it.
    These are spans: upstream, queue, overhead."""

    __slots__ = ("_asked", "_now", "_waits", "began", "came", "done", "first", "overhead", "queue", "read", "said",
                 "upstream")  # fmt: skip

    def __init__(self, clock: Callable[[], float] = now) -> None:
        self._now = clock
        self.began = self.read = clock()
        self.came = self.first = self.said = self.done = 0.0
        self.upstream = self.queue = self.overhead = 0.0
        self._asked = 0.0  # since when an attempt is on its way
        self._waits = 0.0  # since when none is, and the request waits

    def __repr__(self) -> str:
        return f"<Clock upstream {self.upstream:.3f} s, queue {self.queue:.3f} s, overhead {self.overhead:.3f} s>"

    @property
    def age_s(self) -> float:
        return self._now() - self.began

    @property
    def asking_s(self) -> float:
        """How long an attempt has been on its way without an answer, 0.0 = none is."""
        return self._now() - self._asked if self._asked else 0.0

    def waits(self) -> None:
        """No attempt is on its way, and none will be sent at once."""
        if not self._waits and not self._asked:
            self._waits = self._now()

    def asks(self, at: float) -> None:
        """An attempt is on its way, perhaps beside another."""
        if self._waits:
            self._stop_waiting(at)
        if not self._asked:
            self._asked = at

    def lost(self) -> None:
        """The last attempt on its way has ended without an answer."""
        self._heard(self._now())
        self._asked = 0.0

    def given(self, *, whole: bool) -> None:
        """The head of the reply is being made. whole: the body is there, too."""
        if self.first:
            return
        at = self.first = self._now()
        if self._waits:
            self._stop_waiting(at)
        self._heard(at)
        if whole:
            self._asked = 0.0
        self.overhead = max(0.0, at - self.read - self.upstream - self.queue)

    def over(self) -> None:
        """All is written, or the client has left."""
        at = self.said = self._now()
        if self._waits:
            self._stop_waiting(at)
        if self._asked:
            self.upstream += at - self._asked
            self._asked = 0.0

    def _heard(self, at: float) -> None:
        """Counts the upstream's time until its bytes came; if none came, until now."""
        if self._asked:
            until = self.came if self.came > self._asked else at
            self.upstream += until - self._asked
            self._asked = until

    def _stop_waiting(self, at: float) -> None:
        self.queue += at - self._waits
        self._waits = 0.0
