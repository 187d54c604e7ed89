"""Which requests may be answered with another's reply, and the key under which that is found.

The key is a digest of all that changes an answer: the request in a canonical form (the order of fields and blanks do
not count, nor do fields that are not for the model), the protocol, the address, the query, the headers that an upstream
gets and that are not about the caller, and for which program the reply is written, if not for any; and the client, if
replies are not shared among clients. Only requests with one right answer have a key, and those that the settings or the
client count among them. Two kinds of requests have no key: those that build on a conversation which is kept elsewhere,
and those whose response can be asked for later.
"""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

import ujson
from msgspec import Struct

from gateway.flow.client_request import ClientRequest
from gateway.http import header_names
from gateway.http.auth import CREDENTIALS
from gateway.stored.previous_response import owner_of
from translate import late
from translate.dialect import Dialect
from translate.failures.errors import ApiError

ALLOW = "X-Proxy-Cache"
"""The header by which a client has its request count as deterministic (`allow`)."""

_ABOUT_THE_CALLER = late.pattern(
    r"user-agent$|x-stainless-|traceparent$|tracestate$|baggage$|(?:x-)?(?:client-)?request-id$|x-correlation-id$"
    r"|x-client-request-id$|(?:x-)?idempotency-key$|(?:.*[-_])?(?:session|conversation|thread)[-_]id$|x-session-"
    r"|x-conversation-|x-claude-code-(?!request-class)|accept$|accept-language$|content-type$|x-app$|x-title$"
    r"|http-referer$|originator$|version$|x-parent-|x-subagent|copilot-|editor-|x-initiator$|x-codex-|codex-"
    r"|x-ms-client-request-id$|x-goog-api-client$|x-grok-conv-id$|authorization$|x-api-key$|anthropic-dangerous-"
)
_TEMPERATURE = b'"temperature"'
_STATEFUL = ("previous_response_id", "conversation", "container", "thread", "background")


class Directives(Struct, frozen=True):
    """The client's Cache-Control. max_age_s: how old a kept reply may be."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age_s: float | None = None


def directives(said: str) -> Directives:
    """Reads the header. What is not known, or is no number, is left out."""
    words = {name.strip().lower(): value.strip().strip('"') for name, _, value in
             (part.partition("=") for part in said.split(","))}  # fmt: skip
    age = words.get("max-age", "")
    most = float(age[:15]) if age.isascii() and age.isdigit() else None
    return Directives("no-cache" in words or most == 0, "no-store" in words, "only-if-cached" in words, most)


class AsSent(Struct, frozen=True):
    """A request as its bytes show it, before anybody has read them. told: what changes the answer, except for the body
    and the client. raw: a digest of all that the cache looks at, by which equal requests are recognized."""

    told: str
    raw: bytes


def as_sent(request: ClientRequest, extra: tuple[str, ...]) -> AsSent:
    """extra: names of more headers that upstreams get."""
    protocol, endpoint = request.protocol, request.endpoint
    path = f"{len(request.in_path)} {request.in_path}" if request.in_path else ""  # it may hold whatever follows
    form = "" if request.framed is None else request.framed.content_type  # two forms may have one address
    told = [protocol, endpoint.path, form, path, _STREAMS[endpoint.streams], request.query]
    told.append(request.dialect.told_apart(request.headers))
    whose = ["", request.client]
    kinds = _kinds(protocol, extra)
    for name, value in request.headers.get_all():
        kind = kinds.get(name)
        if kind is None:
            if len(kinds) >= MAX_NAMES:
                kinds.clear()
            kind = kinds[name] = _kind(name, protocol, extra)
        if kind:
            (told if kind is _TOLD else whose).append(f"{name}: {value}")
    said = "\n".join(told)
    whose += ("", "")
    raw = said + "\n".join(whose)
    return AsSent(said, hashlib.sha256(raw.encode("utf-8", "surrogatepass") + request.body).digest())


def told(request: ClientRequest, sent: AsSent, *, private: bool) -> bytes:
    """Returns all that changes the answer besides the body."""
    # The upstream may be asked with the client's own key.
    owner = owner_of(request.client, request.headers) if private or not request.client else ""
    said = (sent.told, request.asked_model, str(request.streams), owner, "", "")
    return "\n".join(said).encode("utf-8", "surrogatepass")


_TOLD, _WHOSE = "it changes the answer", "it tells whose the request is, or what the cache is to do"
_STREAMS = {True: "streams", False: "whole", None: ""}
MAX_NAMES = 1_000  # names of headers, of which a client may invent any
_OF_THE_CACHE = frozenset(("cache-control", ALLOW.lower()))


@functools.lru_cache(maxsize=64)
def _kinds(protocol: str, extra: tuple[str, ...]) -> dict[str, str]:
    """The kinds of the protocol's headers, by name; a name is added when it first comes."""
    return {}


def _kind(name: str, protocol: str, extra: tuple[str, ...]) -> str:
    low = name.lower()
    if low in _OF_THE_CACHE or low in CREDENTIALS:
        return _WHOSE
    if low in extra or low in header_names.ACCOUNT:
        return _TOLD
    return _TOLD if header_names.goes(low, protocol, own_key=True) and _ABOUT_THE_CALLER.match(low) is None else ""


def canonical(request: ClientRequest, told: bytes, *, at_any_temperature: bool, private: bool) -> bytes:
    """Returns the key, or b"" if the request has no single answer. Raises BadRequest."""
    dialect, data = request.dialect, request.parsed()
    if _leaves_something(dialect, data) or not (at_any_temperature or _has_one_answer(request, data)):
        return b""
    if request.previous is not None and not dialect.stores:
        return b""
    if not private and not _is_plain(request.body):
        return b""
    left = {name: value for name, value in data.items() if name not in dialect.aside}
    try:
        text = ujson.dumps(left, sort_keys=True, ensure_ascii=True)
    except (ValueError, OverflowError, TypeError):
        return b""
    return hashlib.sha256(told + text.encode()).digest()


def _leaves_something(dialect: Dialect, data: dict[str, Any]) -> bool:
    """Returns whether the request builds on what is kept elsewhere, or its reply is kept there, so that two requests
    must not share one reply."""
    store = data.get("store")
    return bool(dialect.stores if store is None else store) or any(data.get(field) for field in _STATEFUL)


def _has_one_answer(request: ClientRequest, data: dict[str, Any]) -> bool:
    if request.endpoint.deterministic:
        return True
    if _TEMPERATURE not in request.body:
        return False
    temperature = data.get("temperature")
    if temperature is None and not request.task:  # this protocol has it in another place
        try:
            temperature = request.dialect.decode_request(data).sampling.temperature
        except ApiError:
            return False
    return isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0


def _is_plain(body: bytes) -> bool:
    """Returns whether no object has a field twice. Of two readers one may take the first field and one the last, so an
    answer to one reading is no answer to the other."""
    try:
        json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a field is there twice")
    return made


def not_kept() -> ApiError:
    """Returns the error for a client that wants only a kept reply."""
    return ApiError("not_found", "no reply to this request is kept (Cache-Control: only-if-cached)", 504)
