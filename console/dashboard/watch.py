"""What the dashboard remembers: it observes each request that is sent, and each that is over.

This costs about ten microseconds a request: a bucket of the hour and one of the upstream's last minutes, a tally of the
model and one of the client, and the record itself, of which the latest few hundred are kept. All of it has limits.
Bodies are kept only if the settings log them; then the body that a client sent and the one that was made of it are
shown side by side.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from console.dashboard.cachewatch import CacheWatch
from console.dashboard.tallies import Tallies, Tally
from console.dashboard.window import Bins, Bucket, Window, bin_of
from gateway.flow import outline
from gateway.flow.info import Info
from operate.logs.capture import Capture
from operate.settings.load import Settings
from translate.failures.errors import ApiError

Record = dict[str, Any]

_encode = msgspec.json.Encoder().encode

BUCKET_S, HOUR_S = 5.0, 3600.0
UPSTREAM_BUCKET_S, UPSTREAM_S = 30.0, 300.0
MAX_RECENT = 500
MAX_UPSTREAMS = 200  # whose last minutes are counted: a reload may bring new names without end
MAX_CAPTURED_BYTES = 16 << 20  # of all bodies
MAX_BODY_BYTES = 1 << 20  # of one body; a larger one is not shown
LOOKING_SHARE = 0.02  # at most this share of the time is spent on what broke a prompt's cache
MOST_LOOKING_S = 0.1  # so much of it may come at once


class Entry(Struct, frozen=True):
    """A request that is over. said: its record, as JSON if possible: forty separate values would take four times the
    memory, and freeing those of an old request would cost one percent of the next one. cost: USD, None = unknown.
    session: of the prompt-cache watchdog, "" = none. change: what broke the cache, as the watchdog says."""

    at: float
    key: str
    said: bytes | Record
    cost: float | None
    session: str
    change: dict[str, Any] | None

    @property
    def record(self) -> Record:
        """The record, read anew each time."""
        said: Record = msgspec.json.decode(self.said) if isinstance(self.said, bytes) else self.said
        return said


class Captured(Struct, frozen=True):
    """protocol: the client's. original: what it sent; sent: what went upstream."""

    protocol: str
    original: bytes
    sent: bytes


class Watch:
    """sent() and finished() observe, tick() comes once a second or so; the rest is read by panels.py."""

    def __init__(
        self,
        settings: Settings,
        capture: Callable[[], Capture | None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """capture: which request bodies may be kept just now; None = none."""
        self.clock = clock
        self.began = clock()
        self.hour = Window(BUCKET_S, int(HOUR_S / BUCKET_S))
        self.upstreams: dict[str, Window] = {}
        self.models = Tallies()
        self.clients = Tallies()
        self.recent: deque[Entry] = deque(maxlen=MAX_RECENT)
        self.captured: OrderedDict[str, Captured] = OrderedDict()
        self.cache = CacheWatch(clock)
        self._capture_wanted = capture
        self._captured_bytes = 0
        self._only_failed = False  # whose bodies are kept
        self._parses = False
        self._allowance, self._allowed_at = MOST_LOOKING_S, self.began
        self.adopt(settings)

    def __repr__(self) -> str:
        return f"<Watch {len(self.recent)} requests, {len(self.captured)} with bodies, {self.cache!r}>"

    def adopt(self, settings: Settings) -> None:
        """Takes over changed settings."""
        self._parses = settings.logging.cache_watch

    # ----------------------------------------------------------------------------------------- the events

    def sent(self, info: Info, body: bytes) -> None:
        """An attempt is sent. body: as the upstream gets it."""
        if info.task or not info.attempt:
            return
        capture = self._capture_wanted()
        if capture is not None and capture.takes(info.key):
            self._only_failed = capture.only_failed
            self._capture(info.key, Captured(info.protocol, info.original, body))
        if info.attempt == 1:
            self._asked(info)

    def _asked(self, info: Info) -> None:
        if not info.session and not _session_in(info.data) and (info.data is not None or not self._parses):
            return  # nothing shows to which conversation it belongs
        if info.data is None and not self._parses:
            self._note(info, None)
            return
        if info.data is not None and not (info.session or _session_in(info.data)):
            return  # it belongs to no conversation; asking for the time twice would cost more than everything else here
        began = time.thread_time()
        data = None
        if self._may_look():
            try:
                data = outline.parse(info.original) if info.data is None else info.data
            except ApiError:  # the upstream will refuse it
                return
        self._note(info, data)
        self._allowance -= time.thread_time() - began

    def _note(self, info: Info, data: Mapping[str, object] | None) -> None:
        """data: None where it is not to be looked into."""
        session = info.session or _session_in(info.data if data is None else data)
        if session:
            self.cache.asked(info.key, session, info.client, info.model, data)

    def _may_look(self) -> bool:
        """Whether there is time left to look into a prompt, which takes a millisecond for each megabyte or so."""
        now = self.clock()
        self._allowance = min(MOST_LOOKING_S, self._allowance + max(0.0, now - self._allowed_at) * LOOKING_SHARE)
        self._allowed_at = now
        return self._allowance > 0

    def finished(self, record: Record) -> None:
        """A request is over; gateway/observe/record.py says what a record holds."""
        now = self.clock()
        prompt = record["gen_ai.usage.input_tokens"] or 0
        cached = record["gen_ai.usage.cache_read.input_tokens"] or 0
        failed = "error.type" in record
        watched = self.cache.used(record["request_id"], not failed, prompt, cached)
        session, change = watched or ("", None)
        cost = record["proxy.cost_usd"]
        self.recent.append(Entry(now, record["request_id"], _said(record), cost, session, change))
        if self.captured and self._only_failed and not failed:
            self._forget(record["request_id"])
        if record["gen_ai.operation.name"] == "count_tokens":
            return  # short questions without end, which would hide what is asked of models
        buckets, tallies = [self.hour.at(now)], [self.clients.of(record["client"])]
        upstream = record["upstream"]
        for attempt in record["tried"]:
            bucket = self._minutes(attempt["upstream"]).at(now)
            bucket["requests"] += 1
            bucket["errors"] += 1
            bucket[_class(attempt["status"])] += 1
        if upstream:
            if not _is_kept(record):  # else it was not asked
                buckets.append(self._minutes(upstream).at(now))
            tallies.append(self.models.of(f"{upstream}/{record['upstream_model']}"))
        _count(buckets, record, failed)
        _tally(tallies, now, record, cost, failed)

    def tick(self, open: int, streams: int, waiting: int) -> None:
        """Notes the present numbers: requests in flight, streams that have begun, requests that wait for a slot."""
        bucket = self.hour.at(self.clock())
        for name, number in (("open", open), ("streams", streams), ("waiting", waiting)):
            if number > bucket[name]:
                bucket[name] = number

    # ----------------------------------------------------------------------------------------- its parts

    def _minutes(self, upstream: str) -> Window:
        window = self.upstreams.get(upstream)
        if window is None:
            if len(self.upstreams) >= MAX_UPSTREAMS:
                del self.upstreams[next(iter(self.upstreams))]
            window = self.upstreams[upstream] = Window(UPSTREAM_BUCKET_S, int(UPSTREAM_S / UPSTREAM_BUCKET_S))
        return window

    def _capture(self, key: str, bodies: Captured) -> None:
        self._forget(key)  # of an earlier attempt
        if max(len(bodies.original), len(bodies.sent)) > MAX_BODY_BYTES:
            return
        self.captured[key] = bodies
        self._captured_bytes += len(bodies.original) + len(bodies.sent)
        while self._captured_bytes > MAX_CAPTURED_BYTES:
            self._forget(next(iter(self.captured)))

    def _forget(self, key: str) -> None:
        gone = self.captured.pop(key, None)
        if gone is not None:
            self._captured_bytes -= len(gone.original) + len(gone.sent)


def _said(record: Record) -> bytes | Record:
    try:
        return _encode(record)
    except UnicodeError:  # half a character in a name that a client has chosen
        return record


def _count(buckets: list[Bucket], record: Record, failed: bool) -> None:
    prompt = record["gen_ai.usage.input_tokens"] or 0
    cached = record["gen_ai.usage.cache_read.input_tokens"] or 0
    output, usd = record["gen_ai.usage.output_tokens"] or 0, record["proxy.cost_usd"] or 0.0
    streams, attempts, left = record["stream"], record["attempts"], record["ended"] == "left"
    first_ms, total = record["first_token_ms"], bin_of(record["total_ms"])
    first = bin_of(first_ms) if first_ms is not None and streams else None
    for bucket in buckets:
        bucket["requests"] += 1
        bucket["streamed"] += streams
        bucket["input"] += prompt
        bucket["cached"] += cached
        bucket["output"] += output
        bucket["usd"] += usd
        if failed:
            bucket["errors"] += 1
            bucket["refusals" if not attempts else _class(record["status"])] += 1
        if left:
            bucket["left"] += 1
        bucket["retries"] += len(record["tried"])  # as /metrics counts them
        if first is not None:
            _one_more(bucket["first"], first)
            _one_more(bucket["stream"], total)
        elif first_ms is not None:  # its first token comes with its last
            _one_more(bucket["whole"], total)


def _one_more(bins: Bins, at: int) -> None:
    bins[at] = bins.get(at, 0) + 1


def _class(status: int) -> str:
    """The count for an error. A stream that broke off has a status below 400, and is no client's fault."""
    return "client_errors" if 400 <= status < 500 else "server_errors"


def _is_kept(record: Record) -> bool:
    """Whether the response cache has answered, or another request's reply."""
    return record.get("proxy.cache") in ("hit", "coalesced")


def _tally(tallies: list[Tally], now: float, record: Record, cost: float | None, failed: bool) -> None:
    prompt = record["gen_ai.usage.input_tokens"] or 0
    cached = record["gen_ai.usage.cache_read.input_tokens"] or 0
    output = record["gen_ai.usage.output_tokens"] or 0
    reasoning = record["gen_ai.usage.reasoning.output_tokens"] or 0
    kept = _is_kept(record)
    for tally in tallies:
        tally["requests"] += 1
        tally["errors"] += failed
        tally["last"] = now
        tally["input"] += prompt
        tally["cached"] += cached
        tally["output"] += output
        tally["reasoning"] += reasoning
        if cost is not None:
            tally["cost"] = (tally["cost"] or 0.0) + cost
        elif not failed:
            tally["unpriced"] += 1
        if kept:
            tally["kept"] += 1
            tally["saved_tokens"] += record.get("proxy.cache.saved_tokens") or 0
            tally["saved"] += record.get("proxy.cache.saved_usd") or 0.0


def _session_in(data: Mapping[str, object] | None) -> str:
    """The name of the conversation in a body. A body that is not parsed is not searched."""
    if data is None:
        return ""
    metadata = data.get("metadata")
    named = data.get("prompt_cache_key") or (metadata.get("user_id") if isinstance(metadata, dict) else None)
    return named[:200] if isinstance(named, str) else ""
