"""How an attempt has ended, if not with a reply: its outcome, and the verdict with which its lease is given back.

An upstream's error says something about the request, about its endpoint, and about the key that was used.
"""

from __future__ import annotations

import logging
import re

from gateway.flow.lease import Verdict
from gateway.http import header_rules
from gateway.limits import plan_limits, retry_policy
from gateway.limits.rate_limit import PROBE_S
from gateway.limits.retry_policy import Outcome
from gateway.refusals import scrub
from gateway.refusals.own_words import OwnWords
from gateway.routing.router import Route
from operate.logs.fields import fields
from translate.dialect import Reply
from translate.failures import errors
from translate.failures.errors import ApiError
from translate.failures.resets import UNTOLD
from translate.json import wire
from upstream.failure import UNSENT, Failure

log = logging.getLogger("gateway")


def of_failure(failure: Failure, route: Route) -> Outcome:
    """libcurl got no whole reply."""
    return Outcome("failure", retry_policy.as_error(failure, route.upstream.name), failure)


def of_refusal(
    route: Route, status: int, headers: list[tuple[str, str]], body: bytes, asked: bytes, unix: float
) -> Outcome:
    """The upstream answered with an error. asked: the client's body. Raises ApiError for a status that is neither an
    error nor an answer."""
    if not 400 <= status < 600:  # HTTP has none above
        raise _odd_status(route, status, headers)
    return of_status(status, body, headers, asked, unix)


def of_fault(error: ApiError, reply: Reply | None, asked: bytes, unix: float, *, whole: bool) -> Outcome:
    """The reply cannot be used, and the client has nothing of it. asked: the client's body. whole: it is no stream.

    An error that the upstream tells counts like a status. A reply without sense does not: it may have cost as much as a
    good one.
    """
    told = reply is not None and error is reply.fault and not isinstance(error, errors.BadReply)
    if not told:
        return Outcome("reply", error)
    error = _honest(error, 0, asked)
    error.retry_after = wait = plan_limits.wait((), error, unix)
    return Outcome("status" if whole else "first event", error, retry_after=wait)


def declined() -> Outcome:
    """The model has refused to answer, and the settings let another one be asked then."""
    return Outcome("refusal", ApiError("permission", "the model refused to answer"))


def verdict(outcome: Outcome, status: int) -> Verdict:
    """What the outcome says of the upstream's health. status: of its reply, 0 = none."""
    failure = outcome.failure
    if not outcome.is_fault:  # a rate limit says nothing about the upstream's health
        return "answered" if failure is None and status != 429 else "unjudged"
    return "unreached" if failure is not None and failure.kind in UNSENT else "faulted"


def of_status(status: int, body: bytes, headers: list[tuple[str, str]], asked: bytes, unix: float) -> Outcome:
    """Returns the outcome that a status of 400 or more means. asked: the client's body."""
    error = _honest(errors.parse(status, body, header_rules.find(headers, "content-type")), status, asked)
    error.retry_after = wait = plan_limits.wait(headers, error, unix)
    again = header_rules.find(headers, "x-should-retry")
    of_key = plan_limits.is_of_key(headers, error)
    return Outcome("status", error, retry_after=wait, keep_out=again == "false", invites=again == "true", of_key=of_key)


def _odd_status(route: Route, status: int, headers: list[tuple[str, str]]) -> ApiError:
    """Returns the error for a status that is neither 200 nor an error, such as a redirect."""
    where = header_rules.find(headers, "location")
    hint = f" to {route.upstream.secrets.text(where[:200])}; is base_url right?" if where else ""
    message = f"upstream '{route.upstream.name}' answered {status}{hint}"
    return errors.BadReply(message, is_page=300 <= status < 400, is_empty=status == 204)


def is_readable(body: bytes) -> bool:
    """Returns whether a client can read the body of an error: its library takes any JSON object, but no page."""
    try:
        return isinstance(wire.loads(body), dict)
    except ValueError:
        return False


def says_no_endpoint(status: int, body: bytes, route: Route) -> bool:
    """Returns whether the answer means an unknown path, and not an unknown model."""
    if status == 404:
        return not re.search(rb"(?<![\w.-])%b(?![\w.-])" % re.escape(route.model.encode()), body)
    return status in (405, 501)


def _honest(error: ApiError, status: int, asked: bytes) -> ApiError:
    """Returns the error. If it repeats the words of its request, it is neither about the account's credit nor about the
    model, a plan or an overload: otherwise a client could have a key or a model laid to rest. status: of the reply, 0 =
    the error came under a 200."""
    if error.reset.words and OwnWords(asked).holds(error.reset.words):
        error.reset, error.retry_after = UNTOLD, None
    if error.words and status in (0, 400, 404, 422, 500) and OwnWords(asked).holds(error.words):
        error.kind, error.status = error.otherwise, status or errors.KINDS[error.otherwise][0]
    return error


def may_be_provoked(error: ApiError) -> bool:
    """Returns whether the error may be about the request alone, although others like it are about the key or the
    model."""
    return error.status in (403, 404) or (error.kind == "billing" and error.status in (400, 422))


def rest(route: Route, told: Outcome, now: float, asked: bytes) -> None:
    """Notes what a refusal says about the key or its rate limit. The operator is told once of a key that is no good."""
    place, upstream, error = route.place, route.upstream, told.error
    no_credit = error.kind == "billing"
    wait, was_free = told.retry_after, place.resets_at <= now
    if wait is None and error.reset.is_long:
        wait = plan_limits.UNTOLD_S
    place.refused(error.status, wait, now, no_credit, of_key=told.of_key)
    if was_free and place.resets_at > now and not no_credit:
        _tell_limit(route, told, now, asked)
    if place.key.bad_until > now and not place.key.told:
        place.key.told = True
        name = upstream.key_told(route.key)
        what = "has no credit or a closed account" if no_credit else "was refused"
        log.error("upstream '%s': its key %s %s, and rests for %.0f s: %d %s", upstream.name, name, what,
                  place.key.bad_until - now, error.status, scrub.line(error, asked),
                  extra=fields(upstream=upstream.name, key=route.key + 1, status=error.status,
                               rest_s=round(place.key.bad_until - now)))  # fmt: skip


def _tell_limit(route: Route, told: Outcome, now: float, asked: bytes) -> None:
    """Tells the operator once of a limit of hours or days that is used up."""
    upstream, error, until = route.upstream, told.error, route.place.resets_at
    ends = "nobody says when it ends"
    if told.retry_after is not None:
        ends = f"it ends in {plan_limits.shown(until - now)}"
    of = "all its models" if told.of_key else f"'{route.model}'"
    log.warning("upstream '%s': its key %s has used up a limit for %s; %s. The key rests, and one request each %.0f s"
                " finds out whether it is over: %d %s", upstream.name, upstream.key_told(route.key), of, ends,
                PROBE_S, error.status, scrub.line(error, asked),
                extra=fields(upstream=upstream.name, key=route.key + 1, model=route.model, status=error.status,
                             rest_s=round(until - now)))  # fmt: skip
