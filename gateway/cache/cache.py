"""The response cache, and the sharing of one upstream request by all who ask the same at the same time.

A Flow asks three times:
- `looks_up`, when its client's limits and rules are known and before anything is taken for it: is this request for the
  cache, and is its answer kept?
- `asks`, when it would go on to an upstream: it gets the kept reply, or waits for that of another request, or goes;
  then what it writes goes through a Broadcast.
- `answered`, when all is written.
If the settings name no model, there is no Cache, and none of this is called.

An error goes to everyone who has joined: the request that was sent has tried everything, and a hundred more attempts
would not help an upstream that fails. Their clients retry, and share that request again.
"""

from __future__ import annotations

import asyncio
import fnmatch
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any, NamedTuple

from msgspec import Struct

from gateway.cache import judgement, keys
from gateway.cache.broadcast import Broadcast, Reply, Sharer
from gateway.cache.entries import Entries
from gateway.cache.fleet import Fleet
from gateway.cache.keys import Directives
from gateway.cache.question import Kept, Outcome, Question
from gateway.flow.client_request import ClientRequest
from gateway.http.response_writer import Writer
from gateway.observe.prices import Price
from gateway.routing.router import Route
from operate.settings.load import CacheSettings
from translate.conversation import Usage
from translate.failures.errors import ApiError

MAX_SEEN = 10_000  # requests that are known by their bytes
MAX_UNREAD = 64 * 1024  # bytes of a body that is looked up before its model is known
MAX_MODELS = 1_000  # names of models whose rules are known, since clients may ask for any
_TASKS = ("", "completions")  # the endpoints of which some requests have one answer

Steps = Generator[Awaitable[Any], Any, Question | None]


class Rules(Struct, frozen=True):
    """For a model: whether replies are kept, also at any temperature, and whether they are shared while they come."""

    keeps: bool = False
    always: bool = False
    coalesces: bool = False


class Seen(NamedTuple):
    """What was read from a request, for all requests with the same bytes."""

    model: str
    streams: bool
    span: tuple[int, int] | None
    key: bytes
    wants: Directives


class Saved(NamedTuple):
    """What did not have to be asked of an upstream."""

    input: int = 0
    output: int = 0
    usd: float = 0.0


_WHAT: dict[Outcome, bytes] = {
    outcome: b"X-Proxy-Cache: %b\r\n" % outcome.encode() for outcome in ("hit", "miss", "coalesced", "bypass")
}


class Cache:
    """The cache. told: requests by outcome. saved: by "hit" and "coalesced". asking: replies that may be joined, by
    what is asked."""

    def __init__(
        self,
        settings: CacheSettings,
        price_of: Callable[[str, str], Price | None],
        fleet: Fleet,
        now: Callable[[], float],
        unix: Callable[[], float],
        headers: tuple[str, ...] = (),
    ) -> None:
        self.fleet = fleet
        self._taking: dict[bytes, asyncio.Future[None]] = {}  # what a request of this worker asks the others for
        self._price_of = price_of
        self._unix = unix
        self._seen: OrderedDict[bytes, Seen] = OrderedDict()
        self.entries = Entries(settings.mb << 20, now)
        self.asking: dict[bytes, Broadcast] = {}
        self.told: dict[Outcome, int] = {"hit": 0, "miss": 0, "coalesced": 0, "bypass": 0}
        self.saved = {"hit": Saved(), "coalesced": Saved()}
        self.adopt(settings, headers)

    def __repr__(self) -> str:
        return f"<Cache {self.entries!r}, {len(self.asking)} asked>"

    def adopt(self, settings: CacheSettings, headers: tuple[str, ...] = ()) -> None:
        """Takes over changed settings. headers: the names of headers that some upstream gets because of its
        settings."""
        self.settings = settings
        self._headers = headers
        self._rules: dict[str, Rules] = {}
        self._keeps, self._always, self._coalesces = (
            [re.compile(fnmatch.translate(glob)) for glob in globs]
            for globs in (settings.models, settings.always, settings.coalesce)
        )
        self._seen.clear()
        self.entries.resize(settings.mb << 20)

    # ------------------------------------------------------------------------------------------- before it goes

    def as_sent(self, request: ClientRequest) -> keys.AsSent | None:
        """Returns how the request may be recognized before it is read. None = it is not for the cache, or it is so long
        that its model must be known first: most long requests are for models of which nothing is kept."""
        if len(request.body) > MAX_UNREAD or request.front is not None or not _may_be_kept(request):
            return None
        return keys.as_sent(request, self._headers)

    def recognizes(self, request: ClientRequest, sent: keys.AsSent) -> bool:
        """Returns whether the same bytes have been read before, so that they need not be read again."""
        seen = self._seen.get(sent.raw)
        if seen is None:
            return False
        request.asked_model, request.streams, request.span = seen.model, seen.streams, seen.span
        return True

    def looks_up(self, request: ClientRequest, routes: list[Route], sent: keys.AsSent | None) -> Steps:
        """Returns the request's question to the cache; None if the cache has nothing to do with it. sent: from as_sent.
        Raises ApiError."""
        rules = self._rules.get(request.asked_model) or self._rules_of(request.asked_model)
        if not (rules.keeps or rules.coalesces) or request.front is not None:
            return None
        wants, key = _NO_WORD, b""
        if _may_be_kept(request):
            wants, key = self._read(request, rules, sent or keys.as_sent(request, self._headers))
        question = Question(key, routes, "miss" if key else "bypass", stores=rules.keeps, shares=rules.coalesces)
        if key and wants.no_cache:
            question.said = "bypass"
            question.shares = False
        elif key and rules.keeps and (kept := self.entries.get(key)) is not None:
            question.kept = self._good(kept, question, wants)
        if key and question.kept is None and self.fleet.is_on and not wants.no_cache:
            yield from self._asks_others(request, question, wants)
        if question.kept is None and wants.only_if_cached:
            raise keys.not_kept()
        return question

    def _asks_others(self, request: ClientRequest, question: Question, wants: Directives) -> Generator[Awaitable[Any]]:
        """Asks other workers and hosts. One request of this worker asks for all that are equal."""
        key, came = question.key, self._unix()
        if question.stores:
            question.kept = self._good((yield self.fleet.find(key)), question, wants)
        if question.kept is not None or not question.shares or wants.only_if_cached:
            return
        while (taking := self._taking.get(key)) is not None:
            yield asyncio.shield(taking)
        if key in self.asking or self.fleet.holds(key):
            return
        self._taking[key] = taken = asyncio.get_running_loop().create_future()
        try:
            turn = self.fleet.turn(key, came, lambda: request.is_over)
            question.kept = self._good((yield turn), question, wants)
            question.is_shared = question.kept is not None
        finally:
            del self._taking[key]
            taken.set_result(None)

    def _rules_of(self, model: str) -> Rules:
        while len(self._rules) >= MAX_MODELS:
            del self._rules[next(iter(self._rules))]
        keeps, always = _matches(self._keeps, model), _matches(self._always, model)
        self._rules[model] = rules = Rules(keeps or always, always, _matches(self._coalesces, model))
        return rules

    def _read(self, request: ClientRequest, rules: Rules, sent: keys.AsSent) -> tuple[Directives, bytes]:
        """Reads what the client says to the cache, and makes the key. Raises BadRequest."""
        seen = self._seen.get(sent.raw)
        if seen is not None:
            self._seen.move_to_end(sent.raw)
            return seen.wants, seen.key
        private, always = self.settings.private, rules.always
        if not always and keys.ALLOW in request.headers:
            always = request.headers[keys.ALLOW].strip().lower() == "allow"
        wants, key = keys.directives(request.headers.get("Cache-Control", "")), b""
        if not wants.no_store:
            told = keys.told(request, sent, private=private)
            key = keys.canonical(request, told, at_any_temperature=always, private=private)
        while len(self._seen) >= MAX_SEEN:
            self._seen.popitem(last=False)
        self._seen[sent.raw] = Seen(request.asked_model, request.streams, request.span, key, wants)
        return wants, key

    def _good(self, kept: Kept | None, question: Question, wants: Directives) -> Kept | None:
        if kept is None or not question.permits(kept.source):
            return None
        too_old = wants.max_age_s is not None and self._unix() - kept.at > wants.max_age_s
        return None if too_old else kept

    def sums(self) -> dict[str, float]:
        """Returns what the cache has done, in numbers that can be added to those of other workers."""
        sums: dict[str, float] = dict(self.told)  # type: ignore[arg-type]  # a Literal is a str
        for outcome, saved in self.saved.items():
            sums |= {f"{outcome}_tokens": saved.input + saved.output, f"{outcome}_usd": saved.usd}
        return sums | {"entries": len(self.entries), "bytes": self.entries.bytes}

    # -------------------------------------------------------------------------------------------- when it goes

    def asks(self, flow: Sharer, question: Question) -> Kept | Writer | None:
        """Returns the kept reply; or what the reply is written through, if an upstream is to be asked; or None, if
        another request was sent for the same and its reply is on its way."""
        kept, leader = question.kept, None
        if kept is None and question.key and question.shares:
            leader = self.asking.get(question.key)
            if leader is not None and not (leader.joinable and question.permits_all(leader.routes)):
                leader = None
        if kept is not None:
            question.said, question.source = "coalesced" if question.is_shared else "hit", kept.source
            question.saved, question.saved_usd = kept.usage, kept.usd
            self._saves(question)
            if not question.is_shared:
                flow.writer.more += b"Age: %d\r\n" % max(0, self._unix() - kept.at)
        elif leader is not None:
            question.said = "coalesced"
        self.told[question.said] += 1
        flow.writer.more += _WHAT[question.said]
        if leader is not None:
            leader.joins(flow, question)
            return None
        return kept or self._leads(flow, question)

    def _leads(self, flow: Sharer, question: Question) -> Writer:
        if not question.key or not (question.stores or question.shares):
            return flow.writer
        broadcast = Broadcast(flow, question, self.settings.entry_kb << 10, flow.request.dialect.pings)
        if question.shares and question.key not in self.asking:
            self.asking[question.key] = broadcast
        return broadcast

    # -------------------------------------------------------------------------------------------- when it is over

    def answered(self, flow: Sharer, reply: Reply | None, error: ApiError | None, used: Usage | None) -> None:
        """All is written. reply: a whole one. used: the usage, as the upstream says it."""
        question, broadcast = flow.request.cached, flow.writer
        if question is None:
            return
        if not isinstance(broadcast, Broadcast):
            if question.place is not None:
                question.source, question.saved, question.saved_usd = question.place.took()
                place, question.place = question.place, None
                place.leaves()
                self._saves(question)
            return
        self._forget(broadcast)
        source = flow.source()
        usd = None
        if source is not None and used is not None and (price := self._price_of(source.upstream, source.model)):
            usd = price.of(used)
        made = None
        if error is None and source is not None and (question.stores or self.fleet.holds(question.key)):
            body = broadcast.body() if reply is None else reply[2]
            if broadcast.joinable if reply is None else reply[0] == 200:
                made = Kept(source, reply is None, body, self._unix(), used, usd)
        if made is not None and question.stores:
            made = self._puts(flow, question.key, made)
        self.fleet.hands_over(question.key, made)
        broadcast.settle(source, reply, error, used, usd)

    def _puts(self, flow: Sharer, key: bytes, made: Kept) -> Kept:
        """Keeps the reply, if it is worth it. Returns it without what only its first client needed."""
        request, said = flow.request, made.body
        if request.framed is not None and not request.task:
            said = flow.unframed() or b""
            if made.streamed and said:
                made = made._replace(body=request.framed.all_of(said))
        if said and self._is_worth(request, said, streamed=made.streamed):
            self.entries.put(key, made, self.settings.seconds)
            if self.fleet.is_on:
                self.fleet.keep(key, made, self.settings.seconds)
        return made

    def left(self, flow: Sharer) -> None:
        """The client has left, or has all of its reply."""
        question = flow.request.cached
        if isinstance(flow.writer, Broadcast):
            self._forget(flow.writer)
            self.fleet.hands_over(flow.writer.key, None)
        elif question is not None and question.place is not None:
            place, question.place = question.place, None
            place.leaves()

    def _forget(self, broadcast: Broadcast) -> None:
        if self.asking.get(broadcast.key) is broadcast:
            del self.asking[broadcast.key]

    @property
    def most_bytes(self) -> int:
        """The most bytes of a reply that is kept."""
        return self.settings.entry_kb << 10

    def _is_worth(self, request: ClientRequest, body: bytes, *, streamed: bool) -> bool:
        if len(body) > self.most_bytes:
            return False
        return judgement.is_worth_keeping(
            request.dialect, request.task, body, streamed=streamed, tool_calls=self.settings.tool_calls
        )

    def _saves(self, question: Question) -> None:
        used = question.saved
        if used is not None:
            before, said = self.saved[question.said], question.said
            self.saved[said] = Saved(
                before.input + used.prompt, before.output + used.output, before.usd + (question.saved_usd or 0.0)
            )


_NO_WORD = Directives()


def _may_be_kept(request: ClientRequest) -> bool:
    return request.task in _TASKS or request.endpoint.deterministic


def _matches(globs: Iterable[re.Pattern[str]], model: str) -> bool:
    return any(glob.match(model) for glob in globs)
