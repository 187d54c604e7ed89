"""Finds out what must be known before an endpoint is asked, in the order in which it is needed.

A request may build on a reply that another worker keeps, or name a file that must be its client's own; its client's
quota may be counted elsewhere; and a large body is read and translated in a thread. `routes` is one walk through all
that. It yields whatever it waits for, an answer or seconds; most requests wait for nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any, NamedTuple

from gateway.counting.exact_counts import ExactCounts
from gateway.flow import charges, prepare
from gateway.flow.client_request import LARGE, ClientRequest
from gateway.flow.crossed import Crossed
from gateway.flow.ports import Ports
from gateway.http.response_writer import Writer
from gateway.refusals import learned_quirks
from gateway.routing import client_rules, model_names
from gateway.routing.client_rules import ClientRules
from gateway.routing.router import Route
from gateway.stored import references, store_sync, threads
from gateway.stored.previous_response import PreviousResponse, owner_of
from gateway.stored.threads import Thread
from translate.counting import tokens
from translate.failures.errors import ApiError

Steps = Generator[Awaitable[Any] | float, Any, list[Route]]


def routes(request: ClientRequest, ports: Ports, writer: Writer) -> Steps:
    """Returns where the request may go: at least one route. Raises ApiError."""
    previous = request.previous = _previous(request, ports)
    if previous is not None:
        yield from _extend(previous, request, ports)
    sent = ports.cache.as_sent(request) if ports.cache is not None else None
    is_known = sent is not None and ports.cache is not None and ports.cache.recognizes(request, sent)
    if not is_known:
        if len(request.body) < LARGE:
            request.read_outline()
        else:
            yield ports.beside(request.read_outline)
    if ports.tags is not None:
        yield from _read(request, ports)  # tags are read from its metadata
        request.tags = ports.tags(request)
    if request.task != "count":
        if len(request.body) >= LARGE and ports.quota_of(request.client) is not None and tokens.has_media(request.body):
            yield from _read(request, ports)
        if ports.budgets is not None or ports.quota_of(request.client) is not None:
            yield from _within_bounds(request, ports, writer)
    if ports.hooks is not None:
        yield from ports.hooks.request(request)
        sent, is_known = None, False  # hooks may have replaced the request
    if ports.response_store.shared and not request.endpoint.untranslated and references.may_be_in(request.body):
        yield from names_its_own(request, ports)
    opened = request.endpoint.opened is not None
    found = ports.router.routes(request.asked_model, request.protocol, request.facts, opened=opened)
    if request.endpoint.unsealed is not None:
        found = _by_plain_name(found, request, ports)
    if ports.rules_of is not None and (rules := ports.rules_of(request.client)) is not None:
        found = yield from permitted(rules, found, request, ports)
    if request.endpoint.untranslated:
        found = that_have_it(found, request, ports)
    if len(found) > 1:
        found = client_rules.of_one_provider(found, request.headers, is_open=ports.access.open)
        if references.are_plainly_in(request.body):
            yield from finds_keeper(request, ports)
    if ports.cache is not None:
        if not is_known:
            yield from _read(request, ports)
        request.cached = yield from ports.cache.looks_up(request, found, sent)
        if request.cached is not None and request.cached.kept is not None:
            return found
    if ports.budgets is not None and request.client in ports.budgets.bound:
        charges.hold(request, found[0], ports, ports.budgets)
    if len(request.body) >= LARGE and not found[0].verbatim and not request.endpoint.untranslated:
        yield from _beside_the_loop(request, found[0], ports)
    if request.task == "count" and ports.counting.exact is not None:
        yield from _counts(request, found[0], ports, ports.counting.exact)
    return found


def _extend(
    previous: PreviousResponse | Thread, request: ClientRequest, ports: Ports
) -> Generator[Awaitable[Any], Any, None]:
    """Puts the earlier conversation before a request that builds on it. Raises ApiError."""
    refers = previous.refers(request.body)
    if refers or previous.builds_on(request.body):
        yield from _read(request, ports)
    if refers and (not ports.worker_rpc.alone or ports.response_store.fleet is not None):
        yield from _fetch(previous, request, ports)
    request.extend()


def names_its_own(request: ClientRequest, ports: Ports) -> Generator[Awaitable[Any], Any]:
    """Yields what has to be awaited. Raises ApiError (404) for a file of another client."""
    owner = owner_of(request.client, request.headers)
    for id in (yield from _named_files(request, ports, owner)):
        if ports.response_store.is_anothers(id, owner):
            raise references.unknown(id)


def finds_keeper(request: ClientRequest, ports: Ports) -> Generator[Awaitable[Any], Any]:
    """Notes which upstream keeps a file that the request names, and with which of its keys: no other one has it.
    Yields what has to be awaited."""
    named = yield from _named_files(request, ports, owner_of(request.client, request.headers))
    places = (ports.response_store.noted(id) for id in named)
    request.keeper = next((place for place in places if place is not None), None)


class Keeper(NamedTuple):
    """Which upstream keeps what a request needs, "" = it is not known; with which key; and whether it is a file."""

    upstream: str
    key: str
    is_file: bool


def keeper(request: ClientRequest) -> Keeper:
    previous, body, of_file = request.previous, request.body, request.keeper
    if previous is not None and previous.builds_on(body) and (name := previous.keeper(body)):
        return Keeper(name, previous.keepers_key(body), is_file=False)
    return Keeper(of_file.upstream, of_file.key, is_file=True) if of_file is not None else _NOBODY


_NOBODY = Keeper("", "", is_file=False)


def keepers_first(keeper: Keeper, routes: list[Route], ordered: list[Route]) -> list[Route]:
    """If the request builds on a response, or names a file, puts first the upstream that keeps it, with the key that
    made it. No other will do, even if this one had better be left alone. What is in a file nobody else knows: its
    refusal would hide that the keeper is overloaded, say. ordered: the routes that may be used, the best first."""
    name, key, is_file = keeper
    its_own = [route for route in routes if route.upstream.name == name] if name else []
    if not its_own:
        return ordered
    made_it = [route for route in its_own if key and route.upstream.key_names[route.key] == key]
    others = [route for route in ordered if route.upstream.name != name]
    if is_file:  # the same account may be there under another name
        others = [route for route in others if key and route.upstream.key_names[route.key] == key]
    return (made_it or [route for route in ordered if route.upstream.name == name]) + others or its_own


def _named_files(request: ClientRequest, ports: Ports, owner: str) -> Generator[Awaitable[Any], Any, list[str]]:
    """Returns the ids of the files that the request names, once it is known here what others know of them."""
    yield from _read(request, ports)
    named = references.named(request.parsed())
    if lacking := store_sync.unknown(ports.worker_rpc, ports.response_store, [owner], named):
        yield store_sync.fetch(ports.worker_rpc, ports.response_store, owner, lacking)
    return named


def _within_bounds(request: ClientRequest, ports: Ports, writer: Writer) -> Generator[Awaitable[Any] | float, Any]:
    """Checks the client's budget and quota. Where both are kept elsewhere, both are asked at once. What the quota was
    charged is given back when the request is over. Raises ApiError."""
    budgets, quota = ports.budgets, ports.quota_of(request.client)
    if budgets is not None and request.client in budgets.bound:
        if request.dialect.stores and charges.may_be_in_the_background(request.body):
            yield from _read(request, ports)
            charges.check_counts(request)
        request.size_in_tokens()  # counted while the body is here, as a reply may not tell its usage
    spent = budgets.ask(request.client, ports.unix()) if budgets is not None else None
    if budgets is not None and spent is None:
        budgets.check(request.client, ports.unix())
    wait = charges.charge(quota, request, ports.now()) if quota is not None else 0.0
    if budgets is not None and spent is not None:
        if (why := (yield spent)) is not None:
            raise why
        budgets.check(request.client, ports.unix())
    if not isinstance(wait, int | float):
        wait = yield wait
    if wait > 0:
        if request.front is None:  # a websocket holds the responses on which the client's next turns build
            writer.last()  # a client over its limits need not keep a connection as well
        raise charges.used_up(request.client, wait)


def _read(request: ClientRequest, ports: Ports) -> Generator[Awaitable[Any], Any, None]:
    """Reads a large body in a thread beside the loop. Raises ApiError."""
    if request.data is None and len(request.body) >= LARGE:
        yield ports.beside(request.parsed)


def _beside_the_loop(request: ClientRequest, route: Route, ports: Ports) -> Generator[Awaitable[Any], Any, None]:
    """Translates a large body in a thread: in the loop, all other streams would pause for it."""
    yield from _read(request, ports)
    if request.task == "count":  # most counts are estimated and need no translation
        return
    try:
        request.crossed = yield ports.beside(attempted(prepare.crossed(request, route, ports)))
    except ApiError:
        return  # the attempt at this route will meet the same error, and may go on to the next route


def _counts(
    request: ClientRequest, route: Route, ports: Ports, exact: ExactCounts
) -> Generator[Awaitable[Any], Any, None]:
    """Counts the tokens exactly, where the upstream is known to count in the same way. Otherwise the count is found
    later, in another way."""
    if (route.home and request.protocol in route.upstream.counts) or not exact.knows(route):
        return
    yield from _read(request, ports)
    data = request.parsed()
    if data.get("tools") and not exact.counts_more(route):  # most requests of agents; they are not translated in vain
        return
    framed = exact.framed_alike(route, data, request.dialect)
    try:
        if framed is None:
            body = data if route.home else learned_quirks.crossed(request.protocol, route, data, ports.quirks).body
            framed = exact.framed(route, body)
    except ApiError:
        return
    more = exact.more(route, framed) if framed is not None else None
    if framed is None or more is None:
        return
    if exact.is_large(framed):
        tokens = yield ports.beside(functools.partial(exact.tokens, framed))
    else:
        tokens = exact.tokens(framed)
    if tokens:
        ports.counting.counted[request.key] = route, tokens + more


def _fetch(
    previous: PreviousResponse | Thread, request: ClientRequest, ports: Ports
) -> Generator[Awaitable[Any], Any, None]:
    """Gets what the request refers to from the worker or the proxy that keeps it, if this worker does not."""
    known = previous.owners
    named = previous.named(request.parsed())
    if ids := store_sync.unknown(ports.worker_rpc, ports.response_store, known, named):
        yield store_sync.fetch(ports.worker_rpc, ports.response_store, known[0], ids)


def permitted(
    rules: ClientRules, found: list[Route], request: ClientRequest, ports: Ports
) -> Generator[Awaitable[Any], Any, list[Route]]:
    """The routes that the client's rules permit. Raises ApiError where there is none."""
    further: Iterable[str] = ()
    if rules.models and client_rules.may_name_further(request.body, in_path=bool(request.in_path)):
        yield from _read(request, ports)
        further = client_rules.further_models(request.parsed())
    left = rules.permitted(found, request.asked_model, further)
    return found if len(left) == len(found) else left  # the same list, by which balancing.Choices knows it


def attempted(make: Callable[[], Crossed]) -> Callable[[], Crossed | None]:
    """Lets `make` return None where the request cannot cross: the attempt will find that out, and another route may
    take it."""

    def made() -> Crossed | None:
        try:
            return make()
        except ApiError:
            return None

    return made


def _by_plain_name(found: list[Route], request: ClientRequest, ports: Ports) -> list[Route]:
    """Returns routes for the model's own name. A client of a cloud uses the cloud's name for a model, which an upstream
    that is no cloud does not know."""
    first = found[0]
    plain = model_names.plain(request.asked_model)
    if not plain or first.model != request.asked_model:
        return found
    if first.envelope is not None or first.upstream.settings.aws_service:
        return found
    return ports.router.routes(plain, request.protocol, request.facts)


def that_have_it(found: list[Route], request: ClientRequest, ports: Ports) -> list[Route]:
    """Returns the routes to upstreams of the client's own protocol. Raises ApiError (404) where there is none; the
    error says which upstreams speak the protocol."""
    home = [route for route in found if route.home]
    if not home:
        path, names = request.dialect.served(request.task), ", ".join(sorted({route.upstream.name for route in found}))
        upstreams = ports.router.upstreams.items()
        having = [name for name, upstream in upstreams if request.protocol in upstream.settings.protocol]
        hint = f"{', '.join(having)}: ask for UPSTREAM/MODEL, or add a line to [models]" if having else "none is on"
        raise ApiError(
            "not_found",
            f"{path} is passed on only to upstreams with protocol = {request.protocol}, and model "
            f"'{request.asked_model[:200]}' leads to {names}. Upstreams with it: {hint}",
            param="model",
        )
    return found if len(home) == len(found) else home  # see permitted


def _previous(request: ClientRequest, ports: Ports) -> PreviousResponse | Thread | None:
    """Returns what the request builds on. Raises BadRequest."""
    if request.dialect.stores:
        if request.front is not None:
            return request.front.previous(request)
        return PreviousResponse(ports.response_store, owner_of(request.client, request.headers))
    mark = request.dialect.thread_mark
    if mark and request.body.rfind(mark) >= 0 and not request.task and (thread := threads.asked(request.parsed())):
        return Thread(ports.response_store, owner_of(request.client, request.headers), thread)
    return None
