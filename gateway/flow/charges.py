"""What a request is charged against the quotas of its client and of the upstreams that it is sent to.

When it goes, an estimate of its input and of what it asks for; when it is over, what it really took. A reply tells
that; of one that broke off, or whose client left, the part that was not told is estimated. What failed has taken
nothing, and is given back: a request that was sent is still one of the requests a minute, since somebody had to
answer it. So is one that the response cache answers, whose tokens cost nothing.

Budgets, sums and records have what it really took, too (`reckoned`): a client that hangs up before its upstream tells
the tokens has had them all the same.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.flow.attempt import Attempt
from gateway.flow.client_request import ClientRequest
from gateway.flow.ports import Ports
from gateway.limits import limiter
from gateway.limits.limiter import Limiter
from translate import tokens, top_level
from translate.conversation import Usage
from translate.dialect import Reply
from translate.errors import ApiError, BadRequest

_NUMBER = re.compile(rb"\s*:\s*([0-9]{1,9})(?![0-9.eE])")
_LETTER = re.compile(rb"\\u00[67]")
_OF_TEXT = ("", "completions")  # the endpoints whose replies are words


class Bill(NamedTuple):
    """A request that is over."""

    request: ClientRequest
    attempts: int
    status: int
    streamed: bool
    bytes_out: int
    used: Usage | None  # as far as the upstream has told it


def charge(quota: Limiter, request: ClientRequest, now: float) -> float | Awaitable[float]:
    """The request counts against its client's quota: 0.0, or the seconds until it may come."""
    tokens = _size(quota, request)
    wait = quota.take(tokens, now)
    if not isinstance(wait, int | float):
        return _later(wait, tokens, quota, request)
    if wait <= 0:
        request.charged = tokens
    return wait


def _later(answer: Awaitable[float], tokens: int, quota: Limiter, request: ClientRequest) -> asyncio.Future[float]:
    """The same by a limiter that counts elsewhere. Whoever has left meanwhile is charged nothing. This callback comes
    before that of whoever waits for the answer."""

    def known(answer: asyncio.Future[float]) -> None:
        if answer.cancelled() or answer.exception() is not None or answer.result() > 0:
            return
        if request.is_over:
            limiter.finish(quota.give_back(tokens))
        else:
            request.charged = tokens

    return limiter.when(answer, known)


def _size(quota: Limiter, request: ClientRequest) -> int:
    """Tokens that the request is charged: of its input, and of the reply that it asks for, up to a quarter of a
    minute's worth. Many at once would all be let in else, before the first of them has told what it took."""
    most = quota.tokens_per_minute // 4
    return request.size_in_tokens() + (min(_asked(request, most), most) if most else 0)


def _asked(request: ClientRequest, otherwise: int) -> int:
    """Tokens of the reply that it asks for; what only looks so, such as an argument of a tool, is not it."""
    body, asks = request.body, request.dialect.asks
    found: list[tuple[int, int, int]] = []
    for name in asks.names:
        places = top_level.places(body, name)
        if places is None:
            return otherwise
        said = ((at, _NUMBER.match(body, at + len(name))) for at in places)
        found += [(at, number.end(), int(number[1])) for at, number in said if number is not None]
    found.sort()
    depths = top_level.levels(body, [(at, end) for at, end, _ in found]) if found else ()
    own = [number for (_, _, number), depth in zip(found, depths, strict=True) if depth == asks.depth]
    return max(own, default=otherwise)


def may_be_in_the_background(body: bytes) -> bool:
    """Only a parse tells for sure. Honest clients do not write letters as escapes."""
    return body.rfind(b'"background"') >= 0 or (body.rfind(b"\\u00") >= 0 and _LETTER.search(body) is not None)


def check_counts(request: ClientRequest) -> None:
    """Of a client with a budget. What a reply in the background takes is known when it is asked for later, which may be
    never, or by another request that builds on it. Raises BadRequest."""
    if request.parsed().get("background") is True:
        raise BadRequest(
            f"background: client '{request.client}' has a budget ([client {request.client}] in settings.ini), which "
            "cannot count what goes on in the background; leave it out, or stream the reply", "background",
        )  # fmt: skip


def has_budget(client: str, ports: Ports) -> bool:
    """What a reply took counts for such a client, also where its upstream never tells it."""
    return ports.budgets is not None and client in ports.budgets.bound


def used_up(client: str, wait: float) -> ApiError:
    message = (
        f"client '{client}' has used up its requests_per_minute or tokens_per_minute ([client {client}]); the next "
        f"request may come in {wait:.0f} s"
    )
    return ApiError("rate_limit", message, 429, retry_after=wait)


def left(request: ClientRequest, ports: Ports) -> dict[str, str]:
    """Headers that tell the client what is left of its bounds, by name; {} where it has none."""
    quota = ports.quota_of(request.client)
    if quota is None:
        return {}
    told: dict[str, str] = {}
    for each in quota.left(ports.now()):
        at = datetime.fromtimestamp(ports.unix() + each.full_in_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        told |= request.dialect.http.rate_headers(each.unit, each.most, max(0, each.left), each.full_in_s, at)
    return told


def settle(quota: Limiter | None, bill: Bill, lead: Attempt | None) -> None:
    """The request is over. quota: its client's, if that has one; it may be another than the one that was charged,
    which settings have replaced since."""
    taken, charged = spent(bill, lead), bill.request.charged
    if quota is not None and charged:
        counts = bill.attempts or (bill.request.cached is not None and bill.request.cached.costs_nothing)
        limiter.finish(quota.correct(taken - charged) if counts else quota.give_back(charged))
    if lead is not None and lead.lease.charged:
        lead.lease.settle(taken)


def spent(bill: Bill, lead: Attempt | None) -> int:
    """Tokens, in and out."""
    reply = lead.reply if lead is not None else None
    used = reckoned(bill, reply) or Usage()
    taken = used.prompt + used.output
    if lead is not None and lead.more is not None and lead.more.made and bill.status != 200:
        return taken  # it failed in the middle of its turn
    if bill.status != 200 or bill.request.task == "count":
        return 0
    if reply is None:  # its part of one that several have together; nothing, of one that was kept
        return taken
    if bill.used is None and not bill.streamed:  # such as one that goes on in the background
        return max(bill.request.charged, bill.request.size_in_tokens(), taken)
    return (used.prompt or bill.request.size_in_tokens()) + used.output


def of_events(size: int, bytes_out: int) -> Usage:
    """Of a stream of events about pictures that came to no end, by their bytes: as of any stream without words. size:
    of the request, which is mostly pictures, too, that take no more tokens for more bytes."""
    return Usage(input=min(tokens.of_size(size), tokens.IMAGE_TOKENS), output=tokens.of_reply(b"", bytes_out))


def of_untold(task: str, size: int, bytes_out: int) -> Usage | None:
    """Of a whole reply that is no words and does not tell what it took, by the sizes of both. size: of the request.
    None = nothing, since it is free."""
    if task == "moderations":
        return None
    if task == "audio/speech":
        return Usage(input=tokens.of_size(size), output=round(size * tokens.SPOKEN))
    if task.startswith("audio/"):
        return Usage(input=max(1, size // tokens.SOUND_BYTES), output=tokens.of_size(bytes_out))
    if task.startswith("images/"):
        return Usage(input=min(tokens.of_size(size), tokens.IMAGE_TOKENS), output=tokens.IMAGE_TOKENS)
    return Usage(input=tokens.of_size(size))  # vectors and ranks, of which nobody is charged


def reckoned(bill: Bill, reply: Reply | None) -> Usage | None:
    """What the upstream says that a reply took; where it has not said so, or not yet all of it, since the stream broke
    off or its client left, what has come of it tells. None = nothing is known."""
    used = bill.used
    if reply is None or bill.status != 200 or bill.request.task == "count":
        return used
    if used is not None and (used.prompt or used.output) and (not bill.streamed or reply.complete):
        return used
    if not bill.streamed and bill.request.task not in _OF_TEXT:
        untold = bill.request.relayed and (used is None or not used.prompt)
        return of_untold(bill.request.task, bill.request.size, bill.bytes_out) if untold else used
    if used is None or not used.prompt:
        used = dataclasses.replace(used or Usage(), input=bill.request.size_in_tokens())
    size = bill.bytes_out
    output = tokens.of_reply(reply.sample, size) if bill.streamed else tokens.of_size(size)
    return dataclasses.replace(used, output=max(used.output, output))
