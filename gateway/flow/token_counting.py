"""Counts tokens: upstreams are asked as seldom as possible; otherwise the count is estimated by what real usage has
taught.

Editors ask for the same counts dozens of times a second. An upstream's count is kept for a few minutes, and while one
request asks for it, all others with the same question wait for that answer. An estimate is kept by the body's hash. The
estimates themselves (translate/counting/tokens.py) know no vocabulary: each reply that reports real tokens corrects the
ratio of its upstream and model, and the calibration (calibration.py). Where a model's vocabulary is public and
[counting] exact is on, requests that are only text are counted exactly (exact_counts.py). Everything here has a limit,
and no client gets what was counted for the key of another."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Protocol

from gateway.counting.calibration import Calibration
from gateway.counting.exact_counts import ExactCounts
from gateway.flow import outline
from gateway.flow.client_request import ClientRequest
from gateway.flow.crossed import Estimated
from gateway.http import header_rules, query_string
from gateway.limits import limiter
from gateway.limits.limiter import Limiter
from gateway.routing.router import Route
from gateway.stored.previous_response import NAMED, PreviousResponse, owner_of
from translate import dialect, recurring
from translate.conversation import Usage
from translate.counting import token_features, tokens
from translate.failures.errors import ApiError

log = logging.getLogger("gateway")

MAX_KEPT = 1_000  # counts, of either kind
MAX_COUNT_BYTES = 4_096  # a longer answer of an upstream is not kept
KEPT_S = 300.0  # an upstream's count; the same question has the same answer while the model is the same
MAX_MODELS = 1_000  # models whose ratio is known; limited because clients choose the names of models
FIRST, EVERY = 4, 64  # of a model's requests, which ones are estimated in full: walking a body takes time

_JSON = header_rules.JSON_HEAD
_ESTIMATE = _JSON + b"X-Proxy-Estimate: true\r\n"
BY_UPSTREAM = b"X-Proxy-Token-Count: upstream\r\n"
_EXACT = b"X-Proxy-Token-Count: exact\r\n"
# Which of a model's requests calibrate it: the first ones, then one of so many up to a number, then one of so many. It
# takes half of what a small request does; each of sixteen would be what is seen at the 95th percentile.
TAUGHT_FIRST, TAUGHT_EVERY, TAUGHT_OFTEN, TAUGHT_LATER = 100, 16, 2_000, 256


class Asker(Protocol):
    """A request for a count that is on its way: the Sharing of its Flow (sharing.py)."""

    @property
    def request(self) -> ClientRequest: ...

    def shared(self, status: int, head: bytes, body: bytes, error: ApiError | None) -> None:
        """Another request for the same has this answer. If this request is over, nothing happens."""

    def unshared(self) -> None:
        """The other request is over without an answer."""


class WhoCounts(Enum):
    BY_UPSTREAM = "the upstream is to be asked"
    BY_ANOTHER = "another request asks the same: its answer is coming"
    HERE = "an estimate is all that there is"


class Ratios:
    """Real tokens for each estimated token, as a moving average, by (upstream, model). quick: which of the two
    estimates the ratio is about."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, bool], tuple[float, int]] = {}  # -> (ratio, replies that made it)

    def __repr__(self) -> str:
        return f"<Ratios of {len(self._known)}>"

    def of(self, upstream: str, model: str, *, quick: bool) -> float:
        """Returns the ratio. If only the other estimate has one, returns that; if nothing is known, 1.0."""
        known = self._known.get((upstream, model, quick)) or self._known.get((upstream, model, not quick))
        return known[0] if known else 1.0

    def learn(self, upstream: str, model: str, quick: bool, estimated: int, real: int) -> None:
        if not tokens.teaches(estimated, real):
            return
        key = upstream, model, quick
        ratio, seen = self._known.pop(key, (1.0, 0))  # moves to the end, as the oldest is forgotten first
        while len(self._known) >= 2 * MAX_MODELS:
            del self._known[next(iter(self._known))]
        self._known[key] = tokens.moved(ratio, seen, estimated, real), seen + 1

    def known(self) -> Iterator[tuple[tuple[str, str, bool], tuple[float, int]]]:
        """Yields all ratios, for other workers."""
        yield from self._known.items()

    def hears(self, key: tuple[str, str, bool], value: tuple[float, int]) -> None:
        """Takes over another worker's ratio, if it comes from more replies."""
        ratio, seen = value
        if seen > self._known.get(key, (1.0, 0))[1] and len(self._known) < 2 * MAX_MODELS:
            self._known[key] = ratio, seen


class Counting:
    """Counts for one process. seed() and learn() are called for every translated request, the rest for requests that
    ask for a count. clock: seconds that never go back. exact: None = no vocabulary is loaded. counted: the exact tokens
    of requests on their way, with the route, by the request's key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.ratios = Ratios()
        self.exact: ExactCounts | None = None
        self.counted: dict[str, tuple[Route, int]] = {}
        self.calibrations: OrderedDict[tuple[str, str, str], Calibration] = OrderedDict()
        told = ("asked", "kept", "shared", "estimated", "estimate kept", "calibrated", "exact")
        self.told = dict.fromkeys(told, 0)  # for the metrics
        self._estimates: dict[bytes, int] = {}
        self._counts: dict[bytes, tuple[float, bytes]] = {}  # -> (good until, the upstream's answer)
        self._asking: dict[bytes, list[Asker]] = {}  # who waits for the answer
        self._leads: dict[Asker, bytes] = {}  # who asks
        self._met: dict[tuple[str, str], int] = {}  # requests of each upstream and model

    def __repr__(self) -> str:
        return f"<Counting {len(self._counts)} counts, {len(self._estimates)} estimates, {len(self._asking)} asked>"

    # ------------------------------------------------------------------------------------- what was used

    def seed(self, route: Route, data: dict[str, Any], raw: bytes) -> tuple[int, Estimated]:
        """Returns the input tokens before the upstream tells them, and the estimates behind that number, which the
        reply will correct. raw: the body that `data` was read from."""
        name, model = route.upstream.name, route.model
        quick = tokens.quick(data, raw)
        count = max(1, round(quick * self.ratios.of(name, model, quick=True)))
        return count, self._estimated(route, data, quick, len(raw))

    def watched(self, request: ClientRequest, route: Route) -> Estimated:
        """Returns now and then the estimates for a body that passes through to an upstream that cannot count."""
        met = self._met.get((route.upstream.name, route.model), 0)
        if not _teaches(met, len(request.body)):
            self._meets(route)
            return Estimated()
        data = outline.parse(request.body, request.shape.values)
        return self.expects(route, data, self._estimated(route, data, 0, len(request.body)))

    def expects(self, route: Route, body: dict[str, Any], estimated: Estimated) -> Estimated:
        """Adds the exact count to the estimates by which a reply will teach. body: as the upstream gets it."""
        if self.exact is None or estimated.features is None:
            return estimated
        return estimated._replace(expected=self.exact.expected(route, body))

    def _estimated(self, route: Route, data: dict[str, Any], quick: int, size: int) -> Estimated:
        met = self._meets(route)
        full = tokens.estimate(data) if _is_due(met, FIRST, EVERY) else 0
        features = token_features.of_body(data) if _teaches(met, size) else None
        return Estimated(quick, full, features)

    def _meets(self, route: Route) -> int:
        """Returns how many requests of the model there were before this one."""
        key = route.upstream.name, route.model
        met = self._met.pop(key, 0)
        while len(self._met) >= MAX_MODELS:
            del self._met[next(iter(self._met))]
        self._met[key] = met + 1
        return met

    def learn(self, route: Route, estimated: Estimated, used: Usage | None) -> None:
        """Learns from a reply that is over. estimated: what was estimated for its request."""
        real = used.prompt if used is not None else 0
        for is_quick, tokens_then in ((True, estimated.quick), (False, estimated.full)):
            if tokens_then:
                self.ratios.learn(route.upstream.name, route.model, is_quick, tokens_then, real)
        if estimated.features is not None and real:
            self.calibration((route.upstream.name, route.model, route.client or "")).learn(estimated.features, real)
        if estimated.expected is not None and self.exact is not None and real:
            self.exact.learn(route, estimated.expected, real)

    def calibration(self, key: tuple[str, str, str]) -> Calibration:
        """Returns the calibration of an upstream's model for one protocol of clients: each puts another frame around
        the words."""
        found = self.calibrations.get(key)
        if found is None:
            found = self.calibrations[key] = Calibration()
            while len(self.calibrations) > MAX_MODELS:
                self.calibrations.popitem(last=False)
        return found

    # ------------------------------------------------------------------------------------ who asks for one

    def estimated(self, request: ClientRequest, route: Route) -> tuple[bytes, bytes]:
        """Returns (head, body) of an answer that is made here. Raises BadRequest."""
        counting = request.dialect.counting
        assert counting is not None  # a protocol without it has no address for counts
        counted = self.counted.get(request.key)
        if counted is not None and counted[0] is route:
            counting.check(request.parsed())
            self.told["exact"] += 1
            return _JSON + _EXACT, counting.body(counted[1])
        if (calibrated := self._calibrated(request, route, counting)) is not None:
            self.told["calibrated"] += 1
            return calibrated
        key = hashlib.sha256(request.protocol.encode() + request.body).digest()
        count = self._estimates.get(key)
        self.told["estimated" if count is None else "estimate kept"] += 1
        if count is None:
            count = _counted(request.data or outline.parse(request.body, request.shape.values), counting)
            _forget(self._estimates)
            self._estimates[key] = count
        count = max(1, round(count * self.ratios.of(route.upstream.name, route.model, quick=False)))
        return _ESTIMATE + b"X-Proxy-Token-Count: estimate\r\n", counting.body(count)

    def _calibrated(
        self, request: ClientRequest, route: Route, counting: dialect.TokenCounting
    ) -> tuple[bytes, bytes] | None:
        """Returns the same by what the model's replies have taught, if that is enough. Raises BadRequest."""
        calibration = self.calibrations.get((route.upstream.name, route.model, request.protocol))
        if calibration is None or not calibration.is_calibrated:
            return None
        body = request.data or outline.parse(request.body, request.shape.values)
        counting.check(body)
        features = token_features.of_body(body)
        if features.unseen:
            return None
        off = b"X-Proxy-Token-Count: calibrated +-%d %%\r\n" % max(1, math.ceil(calibration.error * 100))
        return _ESTIMATE + off, counting.body(calibration.count(features))

    def asks(self, flow: Asker, route: Route, quota: Limiter | None, now: float) -> WhoCounts | bytes:
        """Returns who counts for the request, or the answer that the upstream gave before. quota: its client's. Raises
        ApiError."""
        request = flow.request
        upstream = route.upstream
        rests = upstream.counts_from.get(route.model, 0.0) > now
        if rests or not (route.home and request.protocol in upstream.counts):
            if isinstance(request.previous, PreviousResponse) and not route.home and NAMED in request.body:
                request.previous.refuse(request.parsed(), route.upstream.name, route.protocol)
            return WhoCounts.HERE
        sidewards = route.upstream.side(request.protocol, request.task, route.model)
        url = query_string.onward(sidewards, request.query, route.upstream.settings.query)
        wait = quota.take(0, now) if quota is not None else 0.0
        if not isinstance(wait, int | float):
            limiter.when(wait, _nobody_waits)  # a count is cheap, and editors ask for many
        elif wait > 0:  # a client over its limits gets an estimate
            return WhoCounts.HERE
        said = self.ask(flow, url)
        if said is not WhoCounts.BY_UPSTREAM and quota is not None:
            limiter.finish(quota.give_back(0))
        return said

    def ask(self, flow: Asker, url: str) -> WhoCounts | bytes:
        """Returns whether the upstream is to be asked, or the answer that it gave before."""
        if flow in self._leads:  # this request already asks, and tries again
            return WhoCounts.BY_UPSTREAM
        key = _key(flow.request, url)
        until, known = self._counts.get(key, (0.0, b""))
        if until > self._clock():
            self.told["kept"] += 1
            return known
        if (waiting := self._asking.get(key)) is not None:
            self.told["shared"] += 1
            waiting.append(flow)
            return WhoCounts.BY_ANOTHER
        self.told["asked"] += 1
        self._asking[key] = []
        self._leads[flow] = key
        return WhoCounts.BY_UPSTREAM

    def answered(self, flow: Asker, reply: tuple[int, bytes, bytes] | None, error: ApiError | None) -> None:
        """A request has its answer (status, head, body), and so have the requests that wait for the same."""
        key = self._leads.pop(flow, None) if reply is not None else None
        if key is None or reply is None:
            return
        status, head, body = reply
        waiting = self._asking.pop(key)
        if status == 200 and b"X-Proxy-Estimate" not in head and _EXACT not in head and len(body) <= MAX_COUNT_BYTES:
            _forget(self._counts)
            self._counts[key] = self._clock() + KEPT_S, body
        own = flow.request.key.encode()
        for other in waiting:
            other.shared(status, head.replace(own, other.request.key.encode()), body, error)

    def left(self, flow: Asker) -> None:
        """A request is over, answered or not. If it was the one to ask, the next one asks in its place."""
        self.counted.pop(flow.request.key, None)
        if (key := self._leads.pop(flow, None)) is not None:
            for other in self._asking.pop(key):
                other.unshared()


def _is_due(met: int, first: int, every: int) -> bool:
    return met < first or met % every == 0


def _teaches(met: int, size: int) -> bool:
    """Returns whether a request calibrates. size: of its body. Looking at all of a large body takes longer than
    everything else, unless most of it is remembered."""
    if size >= recurring.LEAST_BODY and not recurring.MEMORY.most:
        return False
    return _is_due(met, TAUGHT_FIRST, TAUGHT_EVERY if met < TAUGHT_OFTEN else TAUGHT_LATER)


def _nobody_waits(answer: asyncio.Future[float]) -> None:
    if not answer.cancelled() and (why := answer.exception()) is not None:
        log.error("a limiter failed", exc_info=why)


def _forget(kept: dict[bytes, Any]) -> None:
    """Makes room for one more by dropping the oldest."""
    while len(kept) >= MAX_KEPT:
        del kept[next(iter(kept))]


def _key(request: ClientRequest, url: str) -> bytes:
    """Returns a hash of all that an upstream's count may depend on, and of whose it is."""
    told = (request.headers.get(name, "") for name in ("Anthropic-Beta", "Anthropic-Version"))
    said = "\n".join((owner_of(request.client, request.headers), url, *told))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass") + b"\n\n" + request.body).digest()


def _counted(body: dict[str, Any], counting: dialect.TokenCounting) -> int:
    """Returns the tokens of a request, estimated here. Raises BadRequest."""
    counting.check(body)
    return tokens.estimate(body)
