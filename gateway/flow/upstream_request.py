"""Makes the upstream request, after some checks: the client's body and headers are made fit to go on.

The upstream's own header lines come first. The client's headers go along where they mean the same to the upstream; its
credentials go along only where the settings say that clients bring their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tornado.httputil import HTTPHeaders

from gateway.http import header_rules, loop_guard
from gateway.http.auth import keys_of
from gateway.http.loop_guard import Hops
from gateway.refusals import strip_fields
from gateway.routing.router import Route
from translate import dialects, late
from translate.failures.errors import ApiError, BadRequest
from translate.reasoning import foreign_reasoning, sealed_reasoning

_TEXT = late.pattern(rb'\s*:\s*"((?:[^"\\]|\\.){1,1000})"')  # a key's value
_USER = late.pattern(rb'\s*:\s*\{[^{}]{0,2000}?"user_id"\s*:\s*"((?:[^"\\]|\\.){1,1000})"')  # of an object
# A browser sends bodies of these types without asking the server first.
_UNASKED = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
_OF_BROWSERS = frozenset(("Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Cookie"))
# A page can add one of these only after the browser has asked the server.
_PROOF = frozenset(("Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Anthropic-Version"))
_AS_IT_CAME = ("Authorization", "X-Api-Key", "X-Goog-Api-Key")  # Api-Key is Azure's alone, and no other server reads it
_KEY_HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")


def too_slow(within_s: float, more: str = "") -> ApiError:
    """Returns the error for a slow body. more: how much of it has come."""
    message = f"the request body did not arrive within {within_s:g} s ([server] body_timeout){more}"
    return ApiError("timeout", message, 408)


def check_type(client: HTTPHeaders, body: bytes) -> None:
    """Raises ApiError (415) for a form or a text where JSON is expected. A body that is JSON may have any type, as
    curl's -d sends it."""
    kind = client.get("Content-Type", "").partition(";")[0].strip()
    if kind and "json" not in kind.lower() and (begins := body.lstrip()[:1]) and begins not in b"{[":
        message = f"Content-Type '{_shown(kind)}' is not served here: send JSON (Content-Type: application/json)"
        raise ApiError("invalid_request", message, 415)


def check_asked(client: HTTPHeaders) -> bool:
    """Raises ApiError (415) for a request that a web page may have sent without asking.

    A page can have a browser send a body of some types, or of no type, without a question to the server. So such a body
    must come with a key, even if no key is needed: a web page can add one only after that question. A body without a
    type is served if no browser has sent it.
    """
    kind = client.get("Content-Type", "")
    if kind == "application/json":
        return True
    kind = kind.partition(";")[0].strip()
    if (kind.lower() in _UNASKED or (not kind and _is_a_browser(client))) and _PROOF.isdisjoint(client):
        said = f"Content-Type '{_shown(kind)}'" if kind else "no Content-Type"
        message = f"{said} and no key: send Content-Type: application/json, or any key along with it"
        raise ApiError("invalid_request", message, 415)
    return True


def _is_a_browser(client: HTTPHeaders) -> bool:
    return client.get("User-Agent", "").startswith("Mozilla/") or not _OF_BROWSERS.isdisjoint(client)


def _shown(kind: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in kind[:100])


def patience(client: HTTPHeaders, most: float) -> float:
    """Returns for how many seconds attempts may begin: as the settings say, or less if the client gives up earlier."""
    said = client.get("X-Stainless-Timeout", "")
    try:
        own = float(said) if said else most
    except ValueError:
        return most
    return min(own, most) if own > 0 else most


def conversation_key(session: str, body: bytes) -> str:
    """Returns a key of the conversation, by which the same endpoint is chosen again, since its cache has the prompt; ""
    if nothing does. session: the session that the headers name."""
    if session:
        return session
    for mark, text in ((b'"prompt_cache_key"', _TEXT), (b'"metadata"', _USER)):
        at = body.rfind(mark)
        if at >= 0 and (found := text.match(body, at + len(mark))):
            return found.group(1).decode("utf-8", "replace")
    return ""


def header_lines(route: Route, client: HTTPHeaders, *, same: bool, open_door: bool, own_hops: Hops) -> list[str]:
    """Returns header lines, which nobody changes: for the same headers (Headers.facts) they are made once for each key
    of an upstream. client: its headers. same: upstream and client speak one protocol. open_door: there are no
    [client]s, so that a key that comes along is meant for the upstream."""
    facts: dict[object, Any] = getattr(client, "facts", {})
    upstream, own = route.upstream.settings, route.own_headers
    known = facts.get((upstream.name, route.protocol, route.key, same))
    if known is not None and known[0] is own and known[1] is upstream and known[2] is open_door:
        lines: list[str] = known[3]
        return lines
    lines = _header_lines(route, client, own_hops, same=same, open_door=open_door)
    facts[upstream.name, route.protocol, route.key, same] = own, upstream, open_door, lines
    return lines


def _header_lines(route: Route, client: HTTPHeaders, own_hops: Hops, *, same: bool, open_door: bool) -> list[str]:
    own = route.own_headers
    settings, uses = route.upstream.settings, dialects.of(route.protocol).http
    brought = keys_of(client) if settings.forward_client_key and open_door else []
    if brought:
        own = {name: value for name, value in own.items() if name not in _KEY_HEADERS}
        # Both headers as they came: an OAuth token is only good as a Bearer.
        came = {name.lower(): client[name] for name in _AS_IT_CAME if client.get(name)} if same else {}
        own |= came or dict([route.upstream.key_line(uses, brought[0])])
    if same and any(name in client for name in uses.headers):
        own = {name: value for name, value in own.items() if name not in uses.headers or name not in client}
    if same and uses.betas and (route.target.policy.drop or uses.betas in own):
        own = _with_betas(own, client.get("Anthropic-Beta", ""), route.target.policy.drop)
    if loop_guard.is_told(route.upstream.base_url):
        own = own | {loop_guard.HEADER.lower(): own_hops.onward(client)}
    named, passthrough = client.get("Connection", ""), route.protocol if same else ""
    return header_rules.upstream(client.get_all(), named, own, passthrough, bool(brought), settings.request_headers)


def _with_betas(own: dict[str, str], asked: str, drop: Iterable[str]) -> dict[str, str]:
    """Returns `own` with an anthropic-beta that has the names of the settings and of the client. If one replaced the
    other, a field of the body would go without its beta, which is a 400."""
    names = [name.strip() for name in f"{own.get('anthropic-beta', '')},{asked}".split(",")]
    return own | {"anthropic-beta": strip_fields.betas_left(",".join(dict.fromkeys(filter(None, names))), drop)}


def verbatim(body: bytes, route: Route, strict: bool) -> tuple[bytes, list[str]]:
    """Returns a body of the upstream's own protocol as it is sent, which is nearly always as it came, and the names of
    what is left out. Raises BadRequest if nothing may be left out."""
    dropped: list[str] = []
    if route.target.policy.drop:
        body, dropped = spared(body, route, strict)
    if sealed_reasoning.may_be_in(body, dialects.of(route.protocol).seal_mark):
        body, sealed = less_sealed(body, route, strict)
        dropped += sealed
    return body, dropped


def spared(body: bytes, route: Route, strict: bool) -> tuple[bytes, list[str]]:
    """Returns a body of the upstream's own protocol without the fields that the upstream refuses, and their names.
    Raises BadRequest if nothing may be left out."""
    body, dropped = strip_fields.without(body, route.target.policy.drop)
    return body, may_be_left_out(dropped, route, strict)


def less_sealed(body: bytes, route: Route, strict: bool) -> tuple[bytes, list[str]]:
    """Returns the body without thinking that another provider signed, or that nobody signed. An upstream that is a
    proxy like this one opens its own seals, so that it gets everything."""
    if route.upstream.is_proxy:
        return body, []
    body, dropped = foreign_reasoning.request(dialects.of(route.protocol), body)
    return body, may_be_left_out(dropped, route, strict)


def may_be_left_out(dropped: list[str], route: Route, strict: bool) -> list[str]:
    """Returns the names of what is left out. Raises BadRequest if nothing may be left out."""
    if dropped and strict:
        names = ", ".join(dropped)
        message = f"{names}: upstream '{route.upstream.name}' refuses it, and this proxy leaves nothing out"
        raise BadRequest(f"{message} ([translate] strict)", dropped[0])
    return dropped
