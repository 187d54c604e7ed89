"""The further requests of one turn: the same endpoint is asked again, and the client's reply goes on.

A turn may take several requests (translate/continued_turn.py says which, and what is appended). To the client it stays
one reply of one attempt: the attempt's next exchange takes the place of its last one, under the same slot and key. So a
client that leaves, a slow reader and the end of the process need no special case. A request that surely was not worked
on is sent once more, like any other. Whatever else goes wrong ends the reply with an error, since half of it may be
out.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from msgspec import structs

from gateway.credentials.minted import Minted
from gateway.credentials.signing import signed
from gateway.flow.client_request import ClientRequest
from gateway.flow.incoming import Incoming
from gateway.flow.ports import Ports, Timer
from gateway.flow.sealing import Seal
from gateway.limits import limiter, retry_policy
from gateway.limits.retry_policy import Chances, Outcome
from gateway.refusals import learned_quirks
from gateway.routing.router import Route
from translate.failures.errors import ApiError
from translate.pair import Crossing
from translate.target import Asked, Encoded
from upstream.request import Request

log = logging.getLogger("gateway")


class Continued(Protocol):
    """The part of an attempt that is used here."""

    route: Route

    @property
    def incoming(self) -> Incoming: ...

    def lets_go(self) -> None:
        """Leaves the exchange that has said all."""

    def asks(self, request: Request) -> None:
        """Sends the request in the place of the last one."""

    def broke(self, error: Exception) -> None:
        """The request cannot be sent."""


class Continuing:
    """What an attempt keeps for its further requests. made: how many there were so far."""

    __slots__ = ("_answer", "_asked", "_attempt", "_attempts", "_client", "_data", "_deadline", "_minted", "_ports",
                 "_request", "_seal", "_timer", "made")  # fmt: skip

    def __init__(self, of: Continued, ports: Ports, request: ClientRequest, asked: Asked) -> None:
        self._attempt = of
        self._ports = ports
        self._client = request
        self._asked = asked
        self._data = request.parsed()
        self._request: Request | None = None
        self._seal: Seal | None = None
        self._minted: Minted | None = None
        self._deadline = 0.0
        self._timer: Timer | None = None
        self._answer: asyncio.Future[float] | None = None  # while a limiter that counts elsewhere has not answered
        self._attempts = 0  # attempts at the present request
        self.made = 0

    def __repr__(self) -> str:
        return f"<Continuing {self.made} made, attempt {self._attempts}>"

    @property
    def waits(self) -> bool:
        return self._timer is not None or self._answer is not None

    def sent(self, request: Request, deadline: float, seal: Seal | None, minted: Minted | None) -> None:
        """The attempt has sent the first request of the turn. seal: its cloud's envelope. minted: the key that it was
        sent with, if the key comes from a command or a cloud. The further requests have the same ones."""
        self._request = request
        self._deadline = deadline
        self._seal, self._minted = seal, minted

    def go_on(self, reply: Any) -> None:
        """Goes on with another request. Raises ApiError."""
        self._attempt.lets_go()
        self.made += 1
        self._attempts = 0
        encoded = self._encoded(reply)
        reply.next_round(structs.replace(self._asked, **_names_of(encoded)))
        self._request = self._anew(encoded.json())
        if (quota := self._ports.quota_of(self._client.client)) is not None:
            limiter.finish(quota.owe())
        self._ask()

    def _anew(self, body: bytes) -> Request:
        """Returns the last request with another body, which is in the upstream's own protocol."""
        request = self._request
        assert request is not None
        if self._seal is not None:
            body, _ = self._seal.body(body)
        lines, signing = signed(self._attempt.route.upstream.settings, self._minted, request.headers, body)
        return structs.replace(request, headers=lines, body=body, fresh=False, signing=signing)

    def _encoded(self, reply: Crossing) -> Encoded:
        ports, client = self._ports, self._client
        session, quirks = client.session.claude_code, ports.quirks.of_client(client.client)
        return learned_quirks.crossed(
            client.protocol, self._attempt.route, self._data, quirks, ports.strict, session, more=reply.turns
        )

    def _ask(self) -> None:
        """Sends the next request, once the upstream's quota allows it. Raises ApiError if that takes too long."""
        self._timer = None
        quota = self._attempt.route.upstream.quota
        wait = quota.take(0, self._ports.now()) if quota is not None and not self._attempts else 0.0
        if isinstance(wait, int | float):
            self._counted(wait)
        else:
            self._answer = limiter.when(wait, self._told)

    def _told(self, answer: asyncio.Future[float]) -> None:
        wanted, self._answer = self._answer is not None, None
        quota = self._attempt.route.upstream.quota
        try:
            wait = answer.result()
            if wanted:
                self._counted(wait)
            elif wait <= 0 and quota is not None:
                limiter.finish(quota.give_back(0))
        except Exception as error:  # nobody above could answer for it
            if wanted:
                self._attempt.broke(error)

    def _counted(self, wait: float) -> None:
        if wait > self._ports.retry.max_retry_after:
            name = self._attempt.route.upstream.name
            message = f"upstream '{name}' takes no more for {wait:.1f} s, in the middle of a turn"
            raise ApiError("rate_limit", message, 429, retry_after=wait)
        if wait > 0:
            self._later(wait)
            return
        self._attempts += 1
        request = self._request
        assert request is not None and isinstance(request.body, bytes)
        self._attempt.asks(request)
        self._ports.observer.sent(self._client.info(self.made + 1), request.body)
        log.debug("request %s: its turn goes on, request %d of it", self._client.key, self.made + 1)

    def again(self, outcome: Outcome) -> bool:
        """Returns whether a further request that failed is sent once more. Nothing of its reply has come."""
        of, now = self._attempt, self._ports.now()
        if not self.made or of.incoming.mode == "streaming" or self._request is None:
            return False
        fresh = self._request.fresh
        if outcome.stale and not fresh:
            self._attempts -= 1
        take = of.route.upstream.budget.take
        decision = retry_policy.decide(
            self._ports.retry, outcome, Chances(self._attempts, 0, lambda: take(now), fresh), self._deadline - now
        )
        if decision.act != "again":
            return False
        self._request = structs.replace(self._request, fresh=outcome.stale)
        if decision.wait:
            self._later(decision.wait)
        else:
            self._ask()
        return True

    def _later(self, wait: float) -> None:
        self._timer = self._ports.call_later(wait, self._now)

    def _now(self) -> None:
        try:
            self._ask()
        except Exception as error:  # nobody above could answer for it
            self._attempt.broke(error)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._answer = None


def _names_of(encoded: Encoded) -> dict[str, Any]:
    """Returns the names of the tools that are found, which differ from request to request of a turn."""
    return {
        "tool_names": encoded.tool_names,
        "custom": encoded.custom,
        "namespaces": encoded.namespaces,
        "answer_tool": encoded.answer_tool,
        "offered": encoded.offered,
    }
