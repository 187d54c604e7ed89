"""What to do when an attempt has failed: a pure decision, and the failure in words for the client.

A POST is sent again only if the upstream cannot have worked on it: it was not sent, or not as a whole; or the upstream
said so by its status (too early, too many, not now), by its words or by x-should-retry; or its stream began with such
an error; or a page, a redirect or nothing came in place of a reply. Any other failure, also a time-out, goes to the
client, unless the settings ask for more. Other endpoints are asked first, at once. The same endpoint is asked again
only after a wait, as long as its retry budget lasts; with another key, where the failure may be about the key's
account, and at once after the first overload. A Retry-After is obeyed up to a limit; beyond that the client gets the
error at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from translate.failures.errors import ApiError, BadReply
from upstream.failure import Failure

UNWORKED = frozenset({408, 409, 421, 425, 429, 502, 503, 504, 529, *range(520, 528), 530})
"""Statuses by which an upstream says that it has not done the work. Those from 520 on, but for 529, are Cloudflare's in
place of 502 to 504: many APIs are behind it."""

ELSEWHERE = frozenset({401, 402, 403, 404, 508})
"""Statuses after which another endpoint, with a key of its own, may do the work, but the same one will not."""

_UNWORKED_KINDS = frozenset({"rate_limit", "overloaded"})
"""Kinds of errors that say the same, whatever the status: Anthropic also has overloaded_error under a 500."""

_RETRY_KINDS = frozenset({"rate_limit", "overloaded", "api", "upstream", "timeout"})  # of an error that begins a stream

_LATE = frozenset({"first_byte_timeout", "idle_timeout", "total_timeout"})
_TIMEOUTS = {
    "connect_timeout": "could not be connected to in time ([timeouts] connect)",
    "tls_timeout": "did not finish its TLS handshake in time ([timeouts] connect)",
    "first_byte_timeout": "sent no first byte in time ([timeouts] first_byte, or request for an upload)",
    "idle_timeout": "fell silent ([timeouts] idle)",
    "total_timeout": "was not done in time ([timeouts] request or stream)",
}


class Unasked(ApiError):
    """Why an upstream is not asked: it rests, or a limit of the proxy is reached. This says nothing about its
    health."""


class Full(Unasked):
    """The proxy itself has no slot for the request."""


class Outcome(Struct, frozen=True):
    """How an attempt ended without an answer.

    cause: "failure" (libcurl's: no whole reply), "status" (400 and above), "first event" (a stream that began with an
    error), "reply" (a 200 that makes no sense), "refusal" (the model declines). retry_after: seconds, as the upstream
    asked. keep_out: it said x-should-retry: false. invites: it said x-should-retry: true. of_key: the limit that is
    used up is one of all models of the key.
    """

    cause: Literal["failure", "status", "first event", "reply", "refusal"]
    error: ApiError
    failure: Failure | None = None
    retry_after: float | None = None
    keep_out: bool = False
    invites: bool = False
    of_key: bool = False

    @property
    def stale(self) -> bool:
        """Whether only the connection was bad, so that a new one may do: a kept connection had died meanwhile, or the
        upstream takes no more requests on it (HTTP/2's refused stream, 421). This happens every day and is no fault of
        the upstream."""
        if self.failure is None:
            return self.cause == "status" and self.error.status == 421
        return self.failure.replayable and self.failure.kind == "closed" and not self.failure.fresh

    @property
    def is_late(self) -> bool:
        """Whether the upstream has the request, and is silent."""
        return self.failure is not None and self.failure.kind in _LATE

    @property
    def may_be_the_keys(self) -> bool:
        """Whether another key of the same upstream may be answered: some give each account a part of their servers."""
        return self.cause in ("status", "first event") and 500 <= self.error.status < 600

    @property
    def is_fault(self) -> bool:
        """Whether the outcome speaks against the upstream's health, and not only against the request or the quota."""
        if self.error.kind in ("context_overflow", "billing"):
            return False
        if self.failure is not None:
            return not self.stale and self.failure.kind not in ("pool_exhausted", "bad_url", "cancelled_by_pool")
        if self.cause == "status":
            return self.error.status >= 500 and self.error.status != 501
        return self.cause == "reply" or (self.cause == "first event" and self.error.kind in _RETRY_KINDS
                                         and self.error.kind != "rate_limit")  # fmt: skip


class Policy(Struct, frozen=True):
    """[retry] of the settings, in seconds. also: statuses after which a request is repeated although it may have been
    worked on."""

    max_attempts: int = 3
    backoff: float = 0.5
    max_backoff: float = 8.0
    max_retry_after: float = 10.0
    also: frozenset[int] = frozenset()
    on_overflow: bool = True
    on_refusal: bool = False


class Chances(Struct, frozen=True):
    """What is left to a request. attempts: made so far; those on stale connections do not count. others: how many more
    endpoints may be asked. in_budget: takes one retry from the upstream's budget; False if the budget is empty.
    other_key: to ask "again" is to ask with another key."""

    attempts: int
    others: int
    in_budget: Callable[[], bool]
    was_fresh: bool = False  # the failed attempt was already on a fresh connection
    other_key: bool = False


class Decision(Struct, frozen=True):
    """act: "again" (the same endpoint, after `wait` seconds), "next" (the next endpoint, at once), "give up". why: for
    the log."""

    act: Literal["again", "next", "give up"]
    wait: float = 0.0
    why: str = ""


def decide(
    policy: Policy, outcome: Outcome, chances: Chances, seconds_left: float, rng: Callable[[], float] = random.random
) -> Decision:
    """Decides what comes next. It is called only while nothing has gone to the client. seconds_left: until the deadline
    of the request."""
    if not may_repeat(policy, outcome):
        return Decision("give up", why="it may have been worked on, or would fail again")
    if seconds_left <= 0:
        return Decision("give up", why="no time is left")
    if outcome.stale and not chances.was_fresh:
        return Decision("again", why="a kept-alive connection had died")
    if chances.others:
        return Decision("next")
    if chances.attempts >= policy.max_attempts:
        return Decision("give up", why=f"attempt {chances.attempts} was the last ([retry] max_attempts)")
    if not _same_endpoint_may_do(policy, outcome):
        return Decision("give up", why="the same target would fail again")
    asked = 0.0 if chances.other_key else outcome.retry_after or 0.0
    if asked > policy.max_retry_after:
        return Decision("give up", why=f"the upstream asks for {asked:g} s ([retry] max_retry_after)")
    wait = max(asked, pause(policy, chances.attempts, rng))  # some upstreams ask for 0 s
    if chances.other_key and chances.attempts == 1 and outcome.error.kind == "overloaded":
        wait = 0.0  # the first key's servers are full, and nobody has said so of the other's yet
    if wait >= seconds_left:
        return Decision("give up", why="no time is left to wait")
    if not chances.in_budget():
        return Decision("give up", why="the retry budget is spent ([retry] budget_percent)")
    return Decision("again", wait, "with another key" if chances.other_key else "")


def may_repeat(policy: Policy, outcome: Outcome) -> bool:
    """Returns whether another attempt, there or elsewhere, cannot make the upstream do the work twice (or the settings
    allow that)."""
    if outcome.failure is not None:
        return outcome.failure.replayable or outcome.error.status in policy.also
    if outcome.error.kind == "billing":
        return True
    if outcome.error.kind == "context_overflow":
        return policy.on_overflow
    if outcome.cause == "refusal":
        return policy.on_refusal
    if outcome.cause == "reply":
        error = outcome.error
        return 200 in policy.also or (isinstance(error, BadReply) and (error.is_page or error.is_empty))
    if outcome.invites or outcome.error.kind in _UNWORKED_KINDS:
        return True
    status = outcome.error.status
    if status in UNWORKED or status in ELSEWHERE or status in policy.also:
        return True
    return outcome.cause == "first event" and outcome.error.kind in _RETRY_KINDS


def _same_endpoint_may_do(policy: Policy, outcome: Outcome) -> bool:
    """Returns whether the same endpoint may answer later. A bad certificate or a wrong key stays bad; a full server may
    have a slot in a second."""
    if outcome.keep_out or outcome.cause == "refusal" or outcome.error.kind in ("context_overflow", "billing"):
        return False
    if outcome.error.reset.is_long and outcome.retry_after is None:  # a limit of hours, and nobody says of how many
        return False
    if isinstance(outcome.error, BadReply) and outcome.error.is_page:
        return False
    if outcome.failure is not None:
        return outcome.failure.kind not in ("bad_url", "certificate", "pool_exhausted")
    return outcome.error.status not in ELSEWHERE or outcome.error.status in policy.also


def pause(policy: Policy, attempts: int, rng: Callable[[], float]) -> float:
    """Returns an exponential pause with full jitter: anything from 0 to the bound, so that requests that failed
    together are not repeated together."""
    most: float = min(policy.max_backoff, policy.backoff * 2.0 ** min(attempts - 1, 30))
    return most * rng()


def as_error(failure: Failure, upstream: str) -> ApiError:
    """Returns the error for the client: which upstream, what happened, and which setting limits it."""
    if failure.kind == "pool_exhausted":
        message = f"upstream '{upstream}': {failure.message} ([pool] max_connections)"
        return Full("overloaded", message, 503, retry_after=1)
    if failure.kind in _TIMEOUTS:
        what = _TIMEOUTS[failure.kind]
        return ApiError("timeout", f"upstream '{upstream}' {what}: {failure.message}", 504)
    return ApiError("upstream", f"upstream '{upstream}' failed: {failure.message}", 502)
