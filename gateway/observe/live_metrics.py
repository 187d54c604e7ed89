"""The present values for /metrics, which are read from the live objects when Prometheus asks.

The samples of a worker are these and the counts of finished requests (operate/metrics.py). `states` gets those of all
workers through worker_rpc.py. console/mount.py makes the one LiveMetrics of a process.
"""

from __future__ import annotations

import functools
import os
import platform
import resource
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pycurl

from gateway.batches.desk import Desk
from gateway.cache.cache import Cache
from gateway.limits.breaker import Breaker
from gateway.observe.loop_lag import Lag
from gateway.runtime import Service
from operate import installation
from operate.batch_store import ERRORED, SUCCEEDED
from operate.metrics import OTHER, Metrics, Sample, sample
from operate.settings.load import Settings
from operate.version import VERSION
from translate import recurring
from upstream.client import UpstreamClient

PATH = "/metrics"
MAX_FIELDS = 50  # how many names of dropped fields are labels, since clients may send any name
_STATES = {"closed": 0, "half-open": 1, "open": 2}


class LiveMetrics:
    """The metrics of one process. counted: the counts of finished requests. start() needs a running loop."""

    def __init__(self, service: Service) -> None:
        self.counted = Metrics()
        self.lag = Lag()
        self._service = service
        service.worker_rpc.answers[PATH] = lambda query: self._told()

    def __repr__(self) -> str:
        return f"<LiveMetrics {self.counted!r} {self.lag!r}>"

    def start(self) -> None:
        self.lag.start()

    def stop(self) -> None:
        self.lag.stop()

    def adopt(self, settings: Settings) -> None:
        """Takes over changed settings: requests are counted, unless metrics are off."""
        refs = [ref.model for rule in settings.models for ref in rule.targets if ref.model]
        exact = [rule.pattern for rule in settings.models if not rule.glob]
        aliases = settings.aliases
        meant = (*aliases.map_json.values(), aliases.big_model, aliases.small_model)
        self.counted.models = frozenset((*exact, *refs, *aliases.map_json, *filter(None, meant)))
        told, on = self._service.observers.on_finished, settings.server.metrics != "off"
        if on and self.counted.saw not in told:
            told.append(self.counted.saw)
        elif not on and self.counted.saw in told:
            told.remove(self.counted.saw)

    async def states(self) -> list[tuple[str, list[Sample]]]:
        """The samples of each worker with its number; the number is "" if there is only one worker."""
        worker_rpc = self._service.worker_rpc
        told = await worker_rpc.ask(PATH)
        return [("" if worker_rpc.alone else str(one["worker"]), one["samples"]) for one in told]

    def samples(self) -> list[Sample]:
        """The samples of this worker."""
        return [*self.counted.samples(), *_live(self._service, self.counted, self.lag)]

    def _told(self) -> dict[str, Any]:
        """The answer of this worker to the others."""
        return {"worker": self._service.worker_rpc.number, "samples": self.samples()}


def _live(service: Service, counted: Metrics, lag: Lag) -> Iterator[Sample]:
    flows, admission, counting = service.flows, service.admission, service.counting
    simple: dict[str, float] = {
        "proxy_requests_in_flight": len(flows),
        "proxy_streams_open": sum(flow.streaming for flow in flows),
        "proxy_websockets_open": len(service.in_flight.sessions),
        "proxy_request_bytes_held": service.held_bytes,
        "proxy_remembered_bytes": recurring.MEMORY.taken,
        "proxy_admission_busy": admission.busy,
        "proxy_admission_waiting": admission.waiting,
        "proxy_admission_queued_total": admission.queued,
        "proxy_admission_refused_total": admission.turned_away,
        "proxy_rejoined_total": service.reattach.joined if service.reattach else 0,
        "proxy_log_lines_lost_total": service.journal.lost,
        "proxy_worker_restarts_total": service.restarts,
        "proxy_spans_sent_total": service.tracing.sent,
        "proxy_spans_dropped_total": service.tracing.dropped,
        "proxy_settings_loaded_time_seconds": round(service.loaded_at, 3),
    }
    for family, value in simple.items():
        yield sample(family, (), value)
    yield sample("proxy_build_info", _build(), 1)
    if (connections := service.connections) is not None:
        yield sample("proxy_client_connections_max", (), connections.max_connections)
        for state, count in connections.states().items():
            yield sample("proxy_client_connections", (state,), count)
        for why, times in connections.refused.items():
            yield sample("proxy_client_connections_refused_total", (why,), times)
    for labels, times in service.hooked.items():
        yield sample("proxy_hook_answers_total", labels, times)
    for outcome, times in service.reloads.items():
        yield sample("proxy_settings_reloads_total", (outcome,), times)
    yield sample("proxy_shared_store_up", (service.shared.store.kind,), int(not service.shared.away))
    yield sample("proxy_shared_store_outages_total", (), service.shared.outages)
    yield sample("proxy_shared_store_fallbacks_total", (), service.shared.fallbacks)
    yield sample("proxy_loop_lag_seconds", (), lag.late)
    yield from _dropped(service.observers.dropped)
    for answer, count in counting.told.items():
        yield sample("proxy_token_counts_total", (answer,), count)
    if service.cache is not None:
        yield from _cache(service.cache)
    yield from _batches(service.batches)
    yield from _upstreams(service, counted)
    yield from _pool(service.client)
    yield from _process(counted.began)


def _batches(desk: Desk) -> Iterator[Sample]:
    yield sample("proxy_batches_open", (), len(desk.progress))
    yield sample("proxy_batch_requests_open", (), sum(each["total"] - each["done"] for each in desk.progress))
    yield sample("proxy_batch_requests_running", (), sum(each["running"] for each in desk.progress))
    for outcome in (SUCCEEDED, ERRORED):
        yield sample("proxy_batch_requests_total", (outcome,), desk.told.get(outcome, 0))


def _cache(cache: Cache) -> Iterator[Sample]:
    for outcome, times in cache.told.items():
        yield sample("proxy_cache_requests_total", (outcome,), times)
    for how, saved in cache.saved.items():
        yield sample("proxy_cache_saved_tokens_total", (how, "input"), saved.input)
        yield sample("proxy_cache_saved_tokens_total", (how, "output"), saved.output)
        yield sample("proxy_cache_saved_usd_total", (how,), round(saved.usd, 6))
    yield sample("proxy_cache_entries", (), len(cache.entries))
    yield sample("proxy_cache_bytes", (), cache.entries.bytes)


def _dropped(fields: Mapping[str, int]) -> Iterator[Sample]:
    """In the order in which the fields were first counted, so that no count moves to another label."""
    others = 0
    for number, (field, requests) in enumerate(fields.items()):
        if number < MAX_FIELDS and field != OTHER:
            yield sample("proxy_dropped_fields_total", (field,), requests)
        else:
            others += requests
    if others:
        yield sample("proxy_dropped_fields_total", (OTHER,), others)


@functools.cache
def _build() -> tuple[str, str, str, str]:
    libcurl = pycurl.version.partition("libcurl/")[2].partition(" ")[0]
    return VERSION, installation.commit(), platform.python_version(), libcurl


def _upstreams(service: Service, counted: Metrics) -> Iterator[Sample]:
    now = time.monotonic()
    for name, live in service.router.upstreams.items():
        yield sample("proxy_upstream_busy", (name,), live.gate.busy)
        yield sample("proxy_upstream_places", (name,), live.gate.slots)
        yield sample("proxy_upstream_waiting", (name,), len(live.gate.waiting))
        yield sample("proxy_upstream_drained", (name,), int(name in service.drained))
        for number in range(len(live.settings.credentials)):
            rests = service.places.key(name, number).bad_until > now
            yield sample("proxy_upstream_key_usable", (name, str(number + 1)), 0 if rests else 1)
    worst: dict[tuple[str, str], int] = {}
    opened: dict[str, int] = dict.fromkeys(service.router.upstreams, 0)
    seen: set[Breaker] = set()
    for (upstream, model, _), known in service.places.items():
        if upstream not in opened:
            continue  # it belongs to earlier settings
        labels = upstream, counted.model(model)
        worst[labels] = max(worst.get(labels, 0), _STATES[known.breaker.state])
        if known.breaker not in seen:  # the keys of an upstream share a breaker
            seen.add(known.breaker)
            opened[upstream] += known.breaker.opened_times
    for labels, state in worst.items():
        yield sample("proxy_breaker_state", labels, state)
    for name, times in opened.items():
        yield sample("proxy_breaker_opened_total", (name,), times)


def _pool(client: UpstreamClient) -> Iterator[Sample]:
    stats, (active, idle) = client.stats(), client.connections()
    opened, reused = stats["connections_opened"], stats["connections_reused"]
    yield sample("proxy_pool_connections", ("active",), active)
    yield sample("proxy_pool_connections", ("idle",), idle)
    yield sample("proxy_pool_connections_opened_total", (), opened)
    yield sample("proxy_pool_connections_reused_total", (), reused)
    if opened + reused:
        yield sample("proxy_pool_reused_ratio", (), round(reused / (opened + reused), 4))
    yield sample("proxy_pool_cancelled_total", (), stats["cancelled"])
    yield sample("proxy_pool_failed_total", (), stats["failed"])


def _process(began: float) -> Iterator[Sample]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield sample("process_cpu_seconds_total", (), round(used.ru_utime + used.ru_stime, 3))
    yield sample("process_start_time_seconds", (), round(began, 3))
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        yield sample("process_resident_memory_bytes", (), pages * resource.getpagesize())
        yield sample("process_open_fds", (), len(os.listdir("/proc/self/fd")))
    except OSError:
        return  # this system has no /proc
