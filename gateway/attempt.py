"""What to do when a try failed: a pure decision, and the failure in the client's words.

A POST is sent again only where it cannot have been worked on: nothing of it had left, or a kept-alive
connection died under it with no byte of reply. Then the same route is tried once more on a fresh connection,
and after that the next route, each at most once. Everything else is the client's to know.
"""

from __future__ import annotations

from typing import Literal

from translate.errors import ApiError
from upstream.failure import Failure

Decision = Literal["same route", "next route", "give up"]

_TIMEOUTS = {
    "connect_timeout": "could not be connected to in time ([timeouts] connect)",
    "first_byte_timeout": "sent no first byte in time ([timeouts] first_byte)",
    "idle_timeout": "fell silent ([timeouts] idle)",
    "total_timeout": "was not done in time ([timeouts] request or stream)",
}


def decide(failure: Failure, tries_on_route: int, routes_left: int) -> Decision:
    """tries_on_route counts the failed one. Called only while nothing has gone to the client."""
    if not failure.replayable:
        return "give up"
    if failure.kind == "closed" and tries_on_route < 2:
        return "same route"
    return "next route" if routes_left else "give up"


def as_error(failure: Failure, upstream: str) -> ApiError:
    """For the client: which upstream, what happened, which setting bounds it."""
    if failure.kind == "pool_exhausted":
        return ApiError("overloaded", f"upstream '{upstream}': {failure.message}", 503, retry_after=1)
    if failure.kind in _TIMEOUTS:
        what = _TIMEOUTS[failure.kind]
        return ApiError("timeout", f"upstream '{upstream}' {what}: {failure.message}", 504)
    return ApiError("upstream", f"upstream '{upstream}' failed: {failure.message}", 502)
