"""The further requests of one turn: the same place is asked again, and the client's reply goes on.

A turn may take several requests (translate/continued_turn.py says which, and what is appended). To the client it stays
one reply of one try: the try's next exchange takes the place of its last one, under the same slot and key, so that a
client that leaves, a slow reader and the end of the process find it where they look. A request that surely was not
worked on is sent once more, as any other; whatever else goes wrong ends the reply with an error, since half of it may
be out.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from typing import Any, Protocol

from gateway.flow import learned_quirks, upstream_request
from gateway.limits import retry_policy
from gateway.limits.retry_policy import Chances, Outcome
from gateway.routing.router import Route
from translate.errors import ApiError
from translate.pair import Crossing
from translate.target import Asked, Encoded
from upstream.exchange import Exchange
from upstream.request import Request

log = logging.getLogger("gateway")


class Continued(Protocol):
    """What is needed of a try. relay: its request."""

    relay: Any
    route: Route
    reply: Any
    mode: str
    exchange: Exchange | None

    def lets_go(self) -> None:
        """Of the exchange that has said all."""

    def asks(self, request: Request) -> None:
        """Sends it, in the place of that one."""


class Continuing:
    """What a try keeps for it. data: the client's request. made: further requests so far."""

    __slots__ = ("_asked", "_request", "_timer", "_tries", "_try", "data", "made")

    def __init__(self, of: Continued, data: dict[str, Any], asked: Asked) -> None:
        self._try = of
        self._asked = asked
        self.data = data
        self._request: Request | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tries = 0  # of the request that is on
        self.made = 0

    def __repr__(self) -> str:
        return f"<Continuing {self.made} made, try {self._tries}>"

    @property
    def waits(self) -> bool:
        return self._timer is not None

    def sent(self, request: Request) -> None:
        """The try has sent its first one."""
        self._request = request

    def go_on(self) -> None:
        """The reply goes on with another request. Raises ApiError."""
        of, relay = self._try, self._try.relay
        relay.cancel_tries(of)
        relay.lead = of
        relay.estimated = 0, 0  # what the turn takes teaches nothing about its first request
        of.lets_go()
        self.made += 1
        self._tries = 0
        assert self._request is not None
        encoded = self._encoded(of.reply)
        of.reply.next_round(dataclasses.replace(self._asked, **_names_of(encoded)))
        self._request = dataclasses.replace(self._request, body=encoded.json(), fresh=False)
        if (quota := relay.service.quotas.get(relay.client)) is not None:
            quota.owe()
        self._ask()

    def _encoded(self, reply: Crossing) -> Encoded:
        of, service = self._try, self._try.relay.service
        session = upstream_request.session_of(of.relay.headers)
        return learned_quirks.crossed(
            of.relay.protocol, of.route, self.data, service.lessons, service.strict, session, more=reply.turns
        )

    def _ask(self) -> None:
        """Raises ApiError where the upstream's quota is used up for too long."""
        self._timer = None
        of, relay, now = self._try, self._try.relay, time.monotonic()
        quota = of.route.peer.quota
        wait = quota.take(0, now) if quota is not None and not self._tries else 0.0
        if wait > relay.service.retry.max_retry_after:
            message = f"upstream '{of.route.peer.name}' takes no more for {wait:.1f} s, in the middle of a turn"
            raise ApiError("rate_limit", message, 429, retry_after=wait)
        if wait > 0:
            self._later(wait)
            return
        self._tries += 1
        assert self._request is not None and self._request.body is not None
        of.asks(self._request)
        relay.service.sent(relay, self._request.url, self._request.body)
        log.debug("request %s: its turn goes on, request %d of it", relay.key, self.made + 1)

    def again(self, outcome: Outcome) -> bool:
        """Whether a further request that failed is sent once more, there. Of its reply nothing has come."""
        of, relay, now = self._try, self._try.relay, time.monotonic()
        if not self.made or of.mode == "streaming" or self._request is None:
            return False
        fresh = self._request.fresh
        if outcome.stale and not fresh:
            self._tries -= 1
        take = of.route.peer.budget.take
        decision = retry_policy.decide(
            relay.service.retry, outcome, Chances(self._tries, 0, lambda: take(now), fresh), relay.deadline - now
        )
        if decision.act != "again":
            return False
        of.exchange = None
        self._request = dataclasses.replace(self._request, fresh=outcome.stale)
        if decision.wait:
            self._later(decision.wait)
        else:
            self._ask()
        return True

    def _later(self, wait: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(wait, self._now)

    def _now(self) -> None:
        try:
            self._ask()
        except Exception as error:  # nobody above could answer for it
            self._try.relay.broke(error)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _names_of(encoded: Encoded) -> dict[str, Any]:
    """What differs from request to request of a turn: tools are found, and have names."""
    return {
        "tool_names": encoded.tool_names,
        "custom": encoded.custom,
        "namespaces": encoded.namespaces,
        "answer_tool": encoded.answer_tool,
    }
