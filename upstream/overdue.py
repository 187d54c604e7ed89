"""Which timeout of an exchange has expired, of those that are not libcurl's."""

from __future__ import annotations

from collections.abc import Callable

import pycurl

from upstream.exchange import Exchange
from upstream.failure import Failure, host_of

LINGER_S = 5.0  # the most time for the rest of a reply of which all that counts has come


def overdue(x: Exchange, now: float, exhausted: Callable[[Exchange, float], Failure]) -> Failure | None:
    """Returns the failure of the timeout that has expired at `now`, None if none has. exhausted: makes the failure of
    an exchange that got no connection within so many seconds."""
    limits = x.request.timeouts
    age = now - x.started
    if limits.total and age >= limits.total:
        return _late(x, "total_timeout", f"the reply was not complete after {limits.total:g} s")
    if x.status:
        if x.lingers_s(now) >= LINGER_S:
            return _late(x, "idle_timeout", "its reply was not ended")
        if limits.idle and not x.paused and now - x.touched >= limits.idle:
            return _late(x, "idle_timeout", f"no byte came for {limits.idle:g} s")
        return None
    if not x.added and limits.connect and age >= limits.connect:
        words = f"{host_of(x.request.url)}: the name was not resolved within {limits.connect:g} s"
        return Failure("connect_timeout", words, replayable=True, errno=pycurl.E_OPERATION_TIMEDOUT)
    if limits.first_byte and (age if _is_whole(x) else now - x.sent_at) >= limits.first_byte:
        if x.waits_for_connection():
            return exhausted(x, age)
        return _late(x, "first_byte_timeout", f"no reply came within {limits.first_byte:g} s")
    # libcurl's own connect timeout should expire first, since its failure says more; hence the margin.
    if limits.connect and age >= limits.connect + 0.5 and x.waits_for_connection():
        return exhausted(x, age)
    return None


def _is_whole(x: Exchange) -> bool:
    """Whether the request's body was there when it was sent: else the wait for a reply begins with its end."""
    return x.request.body is None or isinstance(x.request.body, bytes)


def _late(x: Exchange, kind: str, words: str) -> Failure:
    return Failure(kind, f"{host_of(x.request.url)}: {words}")
