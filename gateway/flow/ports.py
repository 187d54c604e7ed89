"""What a Flow is handed of the world: time, the outside, and what lives longer than one request.

The Service makes new Ports with each change of the settings; a request keeps those that it began with. A test makes its
own, and drives a Flow without a socket and without real time. A field that is None is switched off, and the Flow does
not know what it would be.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, TypeVar
from typing import Protocol as Interface

from msgspec import Struct
from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream

from gateway.cache.cache import Cache
from gateway.flow.client_request import ClientRequest
from gateway.flow.info import Finished, Info, Standing
from gateway.flow.token_counting import Counting
from gateway.flow.trace import Trace
from gateway.flow.waves import ALONE, Waves
from gateway.http.auth import Access
from gateway.http.loop_guard import Hops
from gateway.http.response_writer import ResponseWriter, Writer
from gateway.limits.admission import Admission
from gateway.limits.blame import Blame
from gateway.limits.body_memory import GATHERED, BodyMemory, Gathered
from gateway.limits.budget import Budgets
from gateway.limits.limiter import Limiter
from gateway.limits.retry_policy import Policy
from gateway.limits.shape import SHAPE, Shape
from gateway.observe.record import PriceOf
from gateway.process.drains import Drains
from gateway.process.worker_rpc import WorkerRpc
from gateway.refusals.learned_quirks import LearnedQuirks
from gateway.routing.client_rules import ClientRules
from gateway.routing.router import Route, Router
from gateway.stored.store import ResponseStore
from translate.failures.errors import ApiError
from translate.target import Protocol
from upstream.exchange import Exchange
from upstream.request import Request, Sink

T = TypeVar("T")


class Hooks(Interface):
    """What hooks have to say about requests and replies (gateway/hooks)."""

    def request(self, request: ClientRequest) -> Generator[Awaitable[Any], Any, None]:
        """Lets hooks read the request, and replace it. Raises ApiError."""

    def see_reply(self, request: ClientRequest) -> bool:
        """Whether the reply is shown to one, before its client gets it or after that."""

    def held(
        self, writer: Writer, request: ClientRequest, refused: Callable[[ApiError, bool], None],
        is_late: Callable[[], bool], unframed: Callable[[], bytes | None], keep: Callable[[asyncio.Future[None]], None],
    ) -> Writer:  # fmt: skip
        """Returns a writer for a reply that hooks see before the client does. refused ... keep: see HeldReply."""


class Timer(Interface):
    def cancel(self) -> None: ...

    def when(self) -> float: ...


class CallLater(Interface):
    def __call__(self, delay: float, callback: Callable[..., object], *args: object) -> Timer: ...


class Beside(Interface):
    """Runs work of milliseconds in a thread, so that the loop goes on with others."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]: ...


class Connection(Interface):
    """The client's connection: HTTP, or the session of a websocket. Only the response writer touches it."""

    @property
    def context(self) -> object:
        """An object with the other side's address in `remote_ip`, as in Tornado."""

    @property
    def stream(self) -> IOStream: ...


class Hold(Interface):
    """Keeps a reply back until it shows that it is worth sending to the client (refusal_hold.py)."""

    held: bytes

    def feed(self, out: bytes) -> bytes: ...

    def rest(self) -> bytes: ...

    def whole(self, out: bytes) -> bool: ...


class Running(Interface):
    """What the process may do with a request in flight."""

    @property
    def request(self) -> ClientRequest: ...

    @property
    def streaming(self) -> bool: ...

    writer: Writer

    def tick(self, seconds: float, patience_s: float) -> None: ...

    def shut_down(self) -> None: ...

    def stop(self, why: ApiError) -> None: ...

    def standing(self) -> Standing: ...


class Gather(Interface):
    """Puts small requests together into one (batches/embeddings.py)."""

    def takes(self, member: Any, routes: list[Route]) -> bool:
        """Returns whether the request waits for others; its Flow is then told how that went. Raises BadRequest."""


class InFlight(Interface):
    def begins(self, flow: Running) -> None:
        """A request has come. Raises ApiError (503) if no more requests are taken."""

    def asks(self, asking: asyncio.Future[Any]) -> None:
        """Keeps a future for which a request waits, until it is done."""

    def ends(self, flow: Running) -> None: ...


class Observer(Interface):
    def sent(self, info: Info, body: bytes) -> None:
        """An attempt is sent. body: as the upstream gets it."""

    def finished(self, info: Finished, writer: Writer) -> None:
        """A request is over. writer: has the beginning of its reply, if somebody wants that."""


class Ports(Struct, frozen=True):
    """quota_of: of a client; tells_bounds: whether any client has one. price_of: what the tokens of an upstream's model
    cost, None = unknown. masked: what goes to a client, less secrets. deadline_s: how long attempts may begin.
    head_after_s: after so long a stream's head does not wait for an upstream any more, 0.0 = it always does. hedges:
    whether a second attempt is made for a model when the first is late. rules_of: what a client may use. address_of:
    the client's, of the other side's and what its headers say. joins: gives the connection of a new request to an
    earlier equal one that has lost its own."""

    # time and the outside
    now: Callable[[], float]
    unix: Callable[[], float]
    call_later: CallLater
    random: random.Random
    beside: Beside
    send: Callable[[Request, Sink], Exchange]
    writer: Callable[[Connection, str], ResponseWriter]
    # what lives as long as the process
    next_key: Callable[[], str]
    in_flight: InFlight
    observer: Observer
    access: Access
    hops: Hops
    router: Router
    drained: Drains
    admission: Admission
    body_memory: BodyMemory
    quota_of: Callable[[str], Limiter | None]
    price_of: PriceOf
    masked: Callable[[bytes], bytes]
    quirks: LearnedQuirks
    counting: Counting
    response_store: ResponseStore
    worker_rpc: WorkerRpc
    # what the settings say
    retry: Policy
    deadline_s: float
    max_body_bytes: int
    body_timeout_s: float
    learns: bool
    strict: bool
    head_after_s: float = 0.0
    shape: Shape = SHAPE
    gathered: Gathered = GATHERED
    waves: Waves = ALONE
    # what may be off
    hedges: Callable[[str], bool] | None = None
    joins: Callable[[Writer, ClientRequest], Callable[[], None] | None] | None = None
    blame: Blame | None = None
    hold: Callable[[Protocol], Hold] | None = None
    budgets: Budgets | None = None
    rules_of: Callable[[str], ClientRules | None] | None = None
    address_of: Callable[[str, HTTPHeaders], str] | None = None
    hooks: Hooks | None = None
    traces: Callable[[HTTPHeaders], Trace] | None = None
    tells_bounds: bool = True
    tags: Callable[[ClientRequest], Mapping[str, str]] | None = None
    cache: Cache | None = None
    gather: Gather | None = None
