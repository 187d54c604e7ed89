"""What an upstream's refusal teaches: to ask in another protocol, with fewer fields, or without the usage of a stream.

After a refusal that taught something, the request is made once more. refused_fields.py reads which fields are refused.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from msgspec import Struct

from gateway.credentials.minted import Minted
from gateway.flow import outcomes, vectors
from gateway.flow.client_request import ClientRequest
from gateway.flow.ports import Ports
from gateway.refusals import refused_fields, scrub, told_limits
from gateway.refusals.learned_quirks import (
    NO_MARKS,
    NO_PROOFS,
    NO_USAGE,
    SETTING,
    THOUGHTS,
    LearnedQuirks,
    Quirk,
    crossed,
    is_another,
    leaves_bytes,
)  # fmt: skip
from gateway.refusals.own_words import OwnWords
from gateway.routing.router import Route
from operate.logs.fields import fields
from translate import dialects
from translate.envelopes import bridge
from translate.failures.errors import ApiError
from translate.target import Protocol

log = logging.getLogger("gateway")

_OF_A_KEY = re.compile(r"\b(?:token|credential|jwt|api[ _-]?key)s?\b", re.I)


class Taught(Struct, frozen=True):
    """What a refusal has taught, and its words."""

    route: Route
    quirks: list[Quirk]
    words: str


def speaks_otherwise(request: ClientRequest, route: Route, ports: Ports, status: int, body: bytes) -> bool:
    """Returns whether the upstream is asked in another protocol from now on: it has no endpoint for this one, but
    speaks another."""
    if request.task or not outcomes.says_no_endpoint(status, body, route) or b"model" in body.lower():
        return False
    if not ports.router.lacks(route):
        return False
    log.warning("request %s: upstream '%s' has no endpoint for %s (%s answered %d): it is asked in %s from now on; "
                "[upstream %s] protocol should name what it speaks", request.key, route.upstream.name, route.protocol,
                route.url.partition("?")[0], status, " or ".join(route.upstream.spoken), route.upstream.name,
                extra=fields(request_id=request.key, upstream=route.upstream.name, status=status))  # fmt: skip
    return True


def refuses_usage(request: ClientRequest, route: Route, ports: Ports, error: ApiError, body: bytes) -> bool:
    """Returns whether the upstream refused the wish for usage that only the proxy has added. The request may go there
    once more without it."""
    words = (b"stream_options", b"include_usage")
    refused = error.status in (400, 422) and any(word in body and word not in request.body for word in words)
    if not refused or not ports.learns:
        return False
    if not ports.quirks.of_client(request.client).learn(route.upstream.name, route.model, NO_USAGE):
        return False
    log.warning("request %s: upstream '%s', model '%s' answered %d to stream_options: for a day, the usage of its "
                "streams is not asked for", request.key, route.upstream.name, route.model, error.status,
                extra=_facts(request, route, error))  # fmt: skip
    return True


def refuses_key(route: Route, error: ApiError, minted: Minted) -> bool:
    """Returns whether the upstream refused a key that was good before, and another one can be made. AWS says so with a
    403, and so do others (Databricks: "Invalid Token"), who have further reasons for it."""
    forbids = error.status == 403 and (minted.aws is not None or _OF_A_KEY.search(error.message) is not None)
    refused = error.status == 401 or forbids
    return refused and route.mint is not None and route.mint.refused(minted)


def refuses_fields(
    request: ClientRequest, route: Route, ports: Ports, error: ApiError, body: bytes, *, again: bool
) -> Taught | None:
    """Returns the fields that the upstream does not take. The request may go there once more without them. again: the
    same words have come before."""
    if not ports.learns or not request.body:
        return None
    if vectors.refused(request, error):
        new = ports.quirks.of_client(request.client).learn(route.upstream.name, route.model, vectors.AS_LISTS)
        return _taught(request, route, error, [vectors.AS_LISTS]) if new else None
    if route.envelope is not None and (taught := _bridged(request, route, ports, error)) is not None:
        return taught
    if route.verbatim:
        return _of_another_model(request, route, ports, error, body, again=again)
    data = request.parsed()
    if request.previous is not None:
        data = request.previous.crossing(data, request.body, route.upstream.name, route.protocol)
    session = request.session.claude_code
    quirks = ports.quirks.of_client(request.client)
    found = _learned(request.protocol, route, data, quirks, error, body, session)
    if not found:
        known = not again and _met_meanwhile(route, data, quirks, error, body)
        return Taught(route, [], error.message) if known else None
    return _taught(request, route, error, found)


def _of_another_model(
    request: ClientRequest, route: Route, ports: Ports, error: ApiError, raw: bytes, *, again: bool
) -> Taught | None:
    """The same where the bytes pass through. What a client says of the model that it has named is its own business, but
    here another one is asked."""
    if request.task or error.status not in (400, 422) or not is_another(request.asked_model, route):
        return None
    if not refused_fields.names_any(error, raw, OwnWords(request.body)):
        return None
    try:
        said = request.parsed()
    except ApiError:  # it has passed all the same, and what its upstream says of it tells the client more
        return None
    refused = [quirk for quirk in refused_fields.read(error, raw, said) if leaves_bytes(quirk)]
    quirks = ports.quirks.of_client(request.client)
    new = [quirk for quirk in refused if quirks.learn(route.upstream.name, route.model, quirk)]
    if new:
        return _taught(request, route, error, new)
    return Taught(route, [], error.message) if refused and not again else None  # another request has met it meanwhile


def _learned(
    client: Protocol, route: Route, data: dict[str, Any], quirks: LearnedQuirks, error: ApiError, raw: bytes,
    session: str = "",
) -> list[Quirk]:  # fmt: skip
    """Learns from the error (its body is `raw`) with which the upstream has answered the crossed request. Returns what
    is new."""
    if error.status not in (400, 422):
        return []
    said = error.message[: refused_fields.MAX_READ]
    own = OwnWords(data)
    wanted = refused_fields.WANTS_THOUGHTS.search(said)
    if wanted is not None and dialects.of(route.protocol).open_reasoning and not own.holds(wanted.group()):
        return [THOUGHTS] if quirks.learn(route.upstream.name, route.model, THOUGHTS) else []
    refused = refused_fields.REFUSES_PROOFS.search(said)
    if refused is not None and dialects.of(route.protocol).open_reasoning and not own.holds(refused.group()):
        before = crossed(client, route, data, quirks, session=session).body
        if quirks.learn(route.upstream.name, route.model, NO_PROOFS):
            if crossed(client, route, data, quirks, session=session).body != before:
                return [NO_PROOFS]
            quirks.unlearn(route.upstream.name, route.model, [NO_PROOFS])
    about_marks = NO_MARKS.field in said and not own.holds(NO_MARKS.field)
    limits = next(told_limits.read(error), None) is not None
    if not (about_marks or limits or refused_fields.names_any(error, raw, own)):
        return []  # most errors name no field; then the request is not translated again to see what was sent
    sent = crossed(client, route, data, quirks, session=session)
    found = refused_fields.read(error, raw, sent.body)
    found += [Quirk(SETTING + name, value) for name, value in told_limits.beyond(error, sent.body, data, own)]
    if sent.cache_marks and about_marks:
        found.append(NO_MARKS)
    new = [quirk for quirk in found if quirks.learn(route.upstream.name, route.model, quirk)]
    if new and all(quirk.setting for quirk in new):  # which not every protocol and model heeds
        if crossed(client, route, data, quirks, session=session).body == sent.body:
            quirks.unlearn(route.upstream.name, route.model, new)
            return []
    return new


def _met_meanwhile(route: Route, data: dict[str, Any], quirks: LearnedQuirks, error: ApiError, raw: bytes) -> bool:
    """Returns whether the refusal is about something that is known: another request has met it while this one was on
    its way, so that this one may go once more, as it is made now."""
    known = quirks.of(route.upstream.name, route.model)
    if not known or error.status not in (400, 422):
        return False
    own = OwnWords(data)
    if (
        NO_PROOFS in known
        and (refused := refused_fields.REFUSES_PROOFS.search(error.message[: refused_fields.MAX_READ])) is not None
    ):
        return not own.holds(refused.group())
    settings = {told.setting for told in told_limits.read(error) if not own.holds(told.words)}
    fields = {each for name in refused_fields.named(error, raw, own) for each in (name, refused_fields.snake(name))}
    return any(quirk.setting in settings if quirk.setting else quirk.field in fields for quirk in known)


def _bridged(request: ClientRequest, route: Route, ports: Ports, error: ApiError) -> Taught | None:
    """Returns what a cloud does not take of Messages besides what its table says. Words from the request are not
    believed."""
    said = error.message[: refused_fields.MAX_READ]
    if error.status not in (400, 422) or not (names := bridge.refused(said)):
        return None
    own = OwnWords(request.body)
    if any(own.holds(words) for words in (said, "Extra inputs are not permitted", "invalid beta flag")):
        return None
    quirks = ports.quirks.of_client(request.client)
    new = [each for each in map(Quirk, names) if quirks.learn(route.upstream.name, route.model, each)]
    if not new:
        return None
    return _taught(request, route, error, new)


def _taught(request: ClientRequest, route: Route, error: ApiError, new: list[Quirk]) -> Taught:
    log.warning("request %s: upstream '%s', model '%s' answered %d (%s): from now on, for a day, %s", request.key,
                route.upstream.name, route.model, error.status, scrub.line(error, request.body),
                "; ".join(map(str, new)), extra=_facts(request, route, error))  # fmt: skip
    return Taught(route, new, error.message)


def _facts(request: ClientRequest, route: Route, error: ApiError) -> dict[str, Any]:
    return fields(request_id=request.key, upstream=route.upstream.name, model=route.model, status=error.status)
