"""What a request is charged against the quotas of its client and of the upstreams that it is sent to.

Before the request is sent, it is charged an estimate: its input, and the output that it asks for. When it is over, this
is corrected to what it really took. The reply tells that. If the reply broke off, or the client left, the part that was
not told is estimated. A request that failed has taken no tokens, and gets them back; but if it was sent, it still
counts as one request of the minute, because somebody had to answer it. So does a request that the response cache
answers, whose tokens cost nothing.

Budgets, sums and records also hold what a request really took (`reckoned`): a client that hangs up before its upstream
tells the tokens has used them all the same.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable
from datetime import UTC, datetime

from msgspec import Struct, structs

from gateway.flow.attempt import Attempt
from gateway.flow.client_request import ClientRequest
from gateway.flow.ports import Ports
from gateway.limits import limiter
from gateway.limits.budget import Budgets, Spent
from gateway.limits.limiter import Limiter
from gateway.routing.router import Route
from translate.conversation import Usage
from translate.counting import tokens
from translate.counting.usage import terms_of
from translate.dialect import Reply
from translate.failures.errors import ApiError, BadRequest
from translate.json import top_level

_LETTER = re.compile(rb"\\u00[67]")
USUAL_REPLY = 4096  # tokens that a reply is taken to have for a budget, where its request does not bound it
_OF_PRICE = {name: f'"{name}"'.encode() for name in ("service_tier", "serviceTier", "speed", "inference_geo")}
_OF_TEXT = ("", "completions")  # the endpoints whose replies are words
_OF_MODELS = (*_OF_TEXT, "compact")  # those whose replies a model writes, so that they may be long


class Bill(Struct, frozen=True):
    """What a request that is over has had."""

    request: ClientRequest
    attempts: int
    status: int
    streamed: bool
    bytes_out: int
    used: Usage | None  # as far as the upstream has told


def charge(quota: Limiter, request: ClientRequest, now: float) -> float | Awaitable[float]:
    """Charges the client's quota for a request. Returns 0.0, or after how many seconds the request may come."""
    tokens = _size(quota, request)
    wait = quota.take(tokens, now)
    if not isinstance(wait, int | float):
        return _later(wait, tokens, quota, request)
    if wait <= 0:
        request.charged = tokens
    return wait


def _later(answer: Awaitable[float], tokens: int, quota: Limiter, request: ClientRequest) -> asyncio.Future[float]:
    """Does the same with a limiter that counts elsewhere. A client that has left meanwhile is charged nothing. This
    callback runs before the callback of whoever waits for the answer."""

    def known(answer: asyncio.Future[float]) -> None:
        if answer.cancelled() or answer.exception() is not None or answer.result() > 0:
            return
        if request.is_over:
            limiter.finish(quota.give_back(tokens))
        else:
            request.charged = tokens

    return limiter.when(answer, known)


def _size(quota: Limiter, request: ClientRequest) -> int:
    """Returns the tokens that the request is charged: for its input, and for the reply that it asks for, up to a
    quarter of the quota of a minute. Without the reply's part, many requests at once would be let in before the first
    has told what it took."""
    most = quota.tokens_per_minute // 4
    if request.task in _OF_MODELS:
        reply = _asked(request, most) if most else 0
    else:
        untold = of_untold(request, 0)
        reply = untold.output if untold is not None else 0
    return request.size_in_tokens() + min(reply, most)


def _asked(request: ClientRequest, otherwise: int) -> int:
    """Returns the tokens of the reply that the request asks for. 0 does not count, by which clients mean no limit."""
    asks = request.dialect.asks
    own = top_level.numbers(request.body, asks.names, asks.depth)
    return otherwise if own is None else max(filter(None, own), default=otherwise)


def may_be_in_the_background(body: bytes) -> bool:
    """Returns whether the body may ask for a reply in the background; only a parse tells for sure. Honest clients do
    not write letters as escapes."""
    return body.rfind(b'"background"') >= 0 or (body.rfind(b"\\u00") >= 0 and _LETTER.search(body) is not None)


def check_counts(request: ClientRequest) -> None:
    """Raises BadRequest if the request, of a client with a budget, asks for a reply in the background. The tokens of
    such a reply are known only when somebody asks for it later, perhaps never, or when another request builds on it.
    """
    if request.parsed().get("background") is True:
        raise BadRequest(
            f"background: client '{request.client}' has a budget ([client {request.client}] in settings.ini), which "
            "cannot count what goes on in the background; leave it out, or stream the reply", "background",
        )  # fmt: skip


def hold(request: ClientRequest, route: Route, ports: Ports, budgets: Budgets) -> None:
    """A request that is about to be sent holds of its client's budget what it may cost. Raises ApiError (429)."""
    if request.task == "count":
        return
    asked = _may_take(request)
    price = ports.price_of(route.upstream.name, route.model)
    if price is not None:
        request.terms = _terms(request.body)
    usd = price.of(structs.replace(asked, terms=request.terms)) if price is not None else 0.0
    budgets.hold(request.client, request.key, Spent(usd, asked.input + asked.output), ports.unix())


def _terms(body: bytes) -> tuple[str, ...]:
    """Returns what the request asks for that its price depends on."""
    if not any(name in body for name in _OF_PRICE.values()):
        return ()
    said = top_level.taken(body, _OF_PRICE)[1].values()
    return terms_of(value.decode("utf-8", "replace").strip('"').lower() for value in said)


def _may_take(request: ClientRequest) -> Usage:
    if request.task not in _OF_MODELS:
        return of_untold(request, 0) or Usage()
    return Usage(input=request.size_in_tokens(), output=_asked(request, USUAL_REPLY))


def has_budget(client: str, ports: Ports) -> bool:
    """Returns whether the client has a budget. Then what a reply took counts, even if its upstream never tells it."""
    return ports.budgets is not None and client in ports.budgets.bound


def used_up(client: str, wait: float) -> ApiError:
    message = (
        f"client '{client}' has used up its requests_per_minute or tokens_per_minute ([client {client}]); the next "
        f"request may come in {wait:.0f} s"
    )
    return ApiError("rate_limit", message, 429, retry_after=wait)


async def question(client: str, ports: Ports) -> None:
    """Charges a client for a request to an upstream that is not for a model's reply. Raises ApiError (429)."""
    if (quota := ports.quota_of(client)) is None:
        return
    wait = quota.take(0, ports.now())
    if not isinstance(wait, int | float):
        wait = await wait
    if wait > 0:
        raise used_up(client, wait)


def left(request: ClientRequest, ports: Ports) -> dict[str, str]:
    """Returns the headers that tell the client what is left of its limits; {} where it has none."""
    quota = ports.quota_of(request.client)
    if quota is None:
        return {}
    told: dict[str, str] = {}
    for each in quota.left(ports.now()):
        at = _to_the_second(int(ports.unix() + each.full_in_s))
        told |= request.dialect.http.rate_headers(each.unit, each.most, max(0, each.left), each.full_in_s, at)
    return told


@functools.lru_cache(maxsize=256)
def _to_the_second(unix: int) -> str:
    """A time as 2026-01-31T23:59:59Z."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def settle(quota: Limiter | None, bill: Bill, lead: Attempt | None) -> None:
    """Corrects the quotas when the request is over. quota: that of its client, if there is one. The settings may have
    changed since, so it may be another one than the one that was charged."""
    taken, charged = spent(bill, lead), bill.request.charged
    if quota is not None and charged:
        counts = bill.attempts or (bill.request.cached is not None and bill.request.cached.costs_nothing)
        limiter.finish(quota.correct(taken - charged) if counts else quota.give_back(charged))
    if lead is not None and lead.lease.charged:
        lead.lease.settle(taken)


def spent(bill: Bill, lead: Attempt | None) -> int:
    """Returns the tokens that the request took, in and out."""
    reply = lead.reply if lead is not None else None
    used = reckoned(bill, reply) or Usage()
    taken = used.prompt + used.output
    if lead is not None and lead.more is not None and lead.more.made and bill.status != 200:
        return taken  # the turn failed in a later request, but the first ones took tokens
    if bill.status != 200 or bill.request.task == "count":
        return 0
    if reply is None:  # a part of a reply that several share, or a cached reply, which took nothing
        return taken
    if bill.used is None and not bill.streamed and bill.request.dialect.stores and lead is not None and lead.verbatim:
        return max(bill.request.charged, bill.request.size_in_tokens(), taken)  # it may go on in the background
    return (used.prompt or bill.request.size_in_tokens()) + used.output


def of_events(size: int, bytes_out: int) -> Usage:
    """Estimates the usage of a stream of picture events that came to no end, by its bytes, like any stream without
    text. size: the bytes of the request. These are mostly pictures, too, whose tokens do not grow with their bytes."""
    return Usage(input=min(tokens.of_size(size), tokens.IMAGE_TOKENS), output=tokens.of_reply(b"", bytes_out))


def of_untold(request: ClientRequest, bytes_out: int) -> Usage | None:
    """Estimates the usage of a whole reply that is no text and does not tell its usage, by the sizes of request and
    reply. None = the request is free."""
    task, size = request.task, request.size
    if task == "moderations":
        return None
    if task == "audio/speech":
        return Usage(input=tokens.of_size(size), output=round(size * tokens.SPOKEN))
    if task.startswith("audio/"):
        return Usage(input=max(1, size // tokens.SOUND_BYTES), output=tokens.of_size(bytes_out))
    if task.startswith("images/"):
        output = tokens.IMAGE_TOKENS * request.pictures
        return Usage(input=min(tokens.of_size(size), tokens.IMAGE_TOKENS), output=output)
    return Usage(input=tokens.of_size(size))  # nobody charges for the output: vectors and ranks


def reckoned(bill: Bill, reply: Reply | None) -> Usage | None:
    """Returns the usage of a reply: what the upstream says. If it has not said all of it, because the stream broke off
    or the client left, the rest is estimated from what has come. None = nothing is known."""
    used = bill.used
    if reply is None or bill.status != 200 or bill.request.task == "count":
        return used
    if used is not None and (used.prompt or used.output) and (not bill.streamed or reply.complete):
        return used
    if not bill.streamed and bill.request.task not in _OF_TEXT:
        untold = bill.request.endpoint.untranslated and (used is None or not used.prompt)
        return of_untold(bill.request, bill.bytes_out) if untold else used
    if used is None or not used.prompt:
        used = structs.replace(used or Usage(), input=bill.request.size_in_tokens())
    size = bill.bytes_out
    output = tokens.of_reply(reply.sample, size) if bill.streamed else tokens.of_size(size)
    return structs.replace(used, output=max(used.output, output), terms=used.terms or bill.request.terms)
