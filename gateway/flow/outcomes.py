"""How an attempt has ended, if not with a reply: its outcome, and the verdict with which its lease is given back."""

from __future__ import annotations

from gateway.flow import upstream_error
from gateway.flow.lease import Verdict
from gateway.limits import retry_policy
from gateway.limits.retry_policy import Outcome
from gateway.routing.router import Route
from translate import errors
from translate.dialect import Reply
from translate.errors import ApiError
from upstream.failure import UNSENT, Failure


def of_failure(failure: Failure, route: Route) -> Outcome:
    """libcurl got no whole reply."""
    return Outcome("failure", retry_policy.as_error(failure, route.upstream.name), failure)


def of_refusal(
    route: Route, status: int, headers: list[tuple[str, str]], body: bytes, asked: bytes, unix: float
) -> Outcome:
    """The upstream answered with an error. asked: the client's body. Raises ApiError for a status that is neither an
    error nor an answer."""
    if not 400 <= status < 600:  # HTTP has none above
        raise upstream_error.odd_status(route, status, headers)
    return upstream_error.outcome(status, body, headers, asked, unix)


def of_fault(error: ApiError, reply: Reply | None, *, whole: bool) -> Outcome:
    """The reply cannot be used, and the client has nothing of it. whole: it is no stream.

    An error that the upstream tells counts like a status. A reply without sense does not: it may have cost as much as a
    good one.
    """
    told = reply is not None and error is reply.fault and not isinstance(error, errors.BadReply)
    if not told:
        return Outcome("reply", error)
    return Outcome("status" if whole else "first event", error)


def declined() -> Outcome:
    """The model has refused to answer, and the settings let another one be asked then."""
    return Outcome("refusal", ApiError("permission", "the model refused to answer"))


def verdict(outcome: Outcome, status: int) -> Verdict:
    """What the outcome says of the upstream's health. status: of its reply, 0 = none."""
    failure = outcome.failure
    if not outcome.is_fault:  # a rate limit says nothing about the upstream's health
        return "answered" if failure is None and status != 429 else "unjudged"
    return "unreached" if failure is not None and failure.kind in UNSENT else "faulted"
