"""What an upstream's error says: of the request, of its endpoint, of the key that it was asked with."""

from __future__ import annotations

import logging
import re

from gateway.flow import scrub
from gateway.flow.own_words import OwnWords
from gateway.http import header_rules
from gateway.limits import rate_limit
from gateway.limits.retry_policy import Outcome
from gateway.routing.router import Route
from operate.logs.fields import fields
from translate import errors, wire
from translate.errors import ApiError

log = logging.getLogger("gateway")


def outcome(status: int, body: bytes, headers: list[tuple[str, str]], asked: bytes, unix: float) -> Outcome:
    """asked: the client's body."""
    error = _honest(errors.parse(status, body, header_rules.find(headers, "content-type")), asked)
    wait = rate_limit.asked_wait(headers, unix)
    error.retry_after = wait = error.retry_after if wait is None else wait  # Google says it in the body
    again = header_rules.find(headers, "x-should-retry")
    return Outcome("status", error, retry_after=wait, keep_out=again == "false", invites=again == "true")


def is_readable(body: bytes) -> bool:
    """Whether a client can read it: its library takes any JSON object, and no page."""
    try:
        return isinstance(wire.loads(body), dict)
    except ValueError:
        return False


def says_no_endpoint(status: int, body: bytes, route: Route) -> bool:
    """Whether its answer says that there is no such endpoint, and not that there is no such model."""
    if status == 404:
        return not re.search(rb"(?<![\w.-])%b(?![\w.-])" % re.escape(route.model.encode()), body)
    return status in (405, 501)


def _honest(error: ApiError, asked: bytes) -> ApiError:
    """A refusal that repeats its request's own words says nothing of the account: else a client might lay a key to
    rest."""
    words = errors.no_credit(error.message)
    if error.kind == "billing" and error.status in (400, 404, 422) and OwnWords(asked).holds(words):
        error.kind = errors.kind_of(error.status)
    return error


def may_be_provoked(error: ApiError) -> bool:
    """Whether it may be about the request alone, where others of its kind are about the key or the model."""
    return error.status in (403, 404) or (error.kind == "billing" and error.status in (400, 422))


def rest(route: Route, told: Outcome, now: float, asked: bytes) -> None:
    """What a refusal says of the key, or of its limit. The operator hears of a key that is no good, once."""
    place, upstream, error = route.place, route.upstream, told.error
    no_credit = error.kind == "billing"
    place.refused(error.status, told.retry_after, now, no_credit)
    if place.key.bad_until > now and not place.key.told:
        place.key.told = True
        name = upstream.key_told(route.key)
        what = "has no credit" if no_credit else "was refused"
        log.error("upstream '%s': its key %s %s, and rests for %.0f s: %d %s", upstream.name, name, what,
                  place.key.bad_until - now, error.status, scrub.line(error, asked),
                  extra=fields(upstream=upstream.name, key=route.key + 1, status=error.status,
                               rest_s=round(place.key.bad_until - now)))  # fmt: skip
