"""What a request asks of the cache, and what came of it."""

from __future__ import annotations

from typing import Literal, NamedTuple
from typing import Protocol as Interface

from gateway.routing.router import Route
from translate.conversation import Usage

Outcome = Literal["hit", "miss", "coalesced", "bypass"]


class Source(NamedTuple):
    """Where a reply comes from. dropped: the fields of its request that could not cross."""

    upstream: str
    protocol: str
    model: str
    dropped: tuple[str, ...] = ()


class Kept(NamedTuple):
    """A reply that may be given again, as a client has had it. at: the Unix time when it was complete. usage: what it
    took then. usd: what that cost, None = unknown."""

    source: Source
    streamed: bool
    body: bytes
    at: float
    usage: Usage | None
    usd: float | None = None

    @property
    def size(self) -> int:
        return len(self.body) + OWN_BYTES


OWN_BYTES = 1024  # about the memory of an entry besides its body


class Shared(Interface):
    """The place of a request among those that share one reply."""

    def begins(self) -> None:
        """The request is ready for what there is of the reply."""

    def leaves(self) -> None:
        """The request needs no more of the reply."""

    def took(self) -> tuple[Source | None, Usage | None, float | None]:
        """Returns where the reply came from, and what it took in tokens and in USD; None for what is not known."""


class Question:
    """The question of one request.

    key: of all that changes the answer; b"" if the request is not for the cache. kept: the answer, if it is known.
    is_shared: the answer was made just now, on another host. stores: the reply may be kept. shares: others that ask the
    same at the same time may get the reply. place: of a request that gets another's reply. said: how it was answered.
    saved: what the upstream would have taken for it, and in USD. source: where the answer came from, if no upstream was
    asked for it.
    """

    __slots__ = (
        "is_shared", "key", "kept", "place", "routes", "said", "saved", "saved_usd", "shares", "source", "stores",
    )  # fmt: skip

    def __init__(self, key: bytes, routes: list[Route], said: Outcome, *, stores: bool, shares: bool) -> None:
        self.key = key
        self.routes = routes
        self.said: Outcome = said
        self.stores = stores
        self.shares = shares
        self.kept: Kept | None = None
        self.is_shared = False
        self.place: Shared | None = None
        self.source: Source | None = None
        self.saved: Usage | None = None
        self.saved_usd: float | None = None

    def __repr__(self) -> str:
        return f"<Question {self.key.hex()[:8]} {self.said}>"

    @property
    def costs_nothing(self) -> bool:
        """Whether no upstream was asked for this request."""
        return self.said in ("hit", "coalesced")

    def permits(self, source: Source) -> bool:
        """Whether its client might have been answered from there."""
        return any(route.upstream.name == source.upstream and route.model == source.model for route in self.routes)

    def permits_all(self, routes: list[Route]) -> bool:
        """The same of each of these."""
        own = {(route.upstream.name, route.model) for route in self.routes}
        return all((route.upstream.name, route.model) in own for route in routes)
