"""What /metrics tells of the present, read off the live objects when somebody asks; nothing is kept for it.

The samples of a worker are these and what it has counted of finished requests (operate/metrics.py). `states` has those
of all workers, by way of worker_rpc.py.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.limits.breaker import Breaker
from operate.metrics import OTHER, Sample, sample
from upstream.client import UpstreamClient

if TYPE_CHECKING:
    from gateway.runtime import Service

PATH = "/metrics"
MAX_FIELDS = 50  # that did not cross: clients make up names
_STATES = {"closed": 0, "half-open": 1, "open": 2}


def follow(service: Service) -> None:
    """The settings are new."""
    settings, metrics = service.settings, service.metrics
    refs = [ref.model for rule in settings.models for ref in rule.targets if ref.model]
    exact = [rule.pattern for rule in settings.models if not rule.glob]
    aliases = settings.aliases
    meant = (*aliases.map_json.values(), aliases.big_model, aliases.small_model)
    metrics.models = frozenset((*exact, *refs, *aliases.map_json, *filter(None, meant)))
    on = settings.server.metrics != "off"
    if on and metrics.saw not in service.watchers:
        service.watchers.append(metrics.saw)
    elif not on and metrics.saw in service.watchers:
        service.watchers.remove(metrics.saw)


async def states(service: Service) -> list[tuple[str, list[Sample]]]:
    """Of each worker its number and its samples; a worker that is alone has no number."""
    told = await service.siblings.ask(PATH)
    alone = service.siblings.alone
    return [("" if alone else str(one["worker"]), one["samples"]) for one in told]


def told(service: Service) -> dict[str, Any]:
    """What this worker answers when it is asked."""
    return {"worker": service.siblings.number, "samples": [*service.metrics.samples(), *_live(service)]}


def _live(service: Service) -> Iterator[Sample]:
    relays, admission, counting = service.relays, service.admission, service.counting
    simple: dict[str, float] = {
        "proxy_requests_in_flight": len(relays),
        "proxy_streams_open": sum(relay.state == "streaming" for relay in relays),
        "proxy_websockets_open": len(service.sessions),
        "proxy_request_bytes_held": service.held_bytes,
        "proxy_admission_busy": admission.busy,
        "proxy_admission_waiting": admission.waiting,
        "proxy_admission_queued_total": admission.queued,
        "proxy_admission_refused_total": admission.turned_away,
        "proxy_rejoined_total": service.rejoin.joined if service.rejoin else 0,
        "proxy_log_lines_lost_total": service.journal.lost,
    }
    for family, value in simple.items():
        yield sample(family, (), value)
    yield sample("proxy_loop_lag_seconds", (), service.lag.late)
    yield from _dropped(service.dropped)
    for answer, count in counting.told.items():
        yield sample("proxy_token_counts_total", (answer,), count)
    yield from _upstreams(service)
    yield from _pool(service.client)
    yield from _process(service.metrics.began)


def _dropped(fields: Mapping[str, int]) -> Iterator[Sample]:
    """In the order in which they were first met, so that none goes from one name to another."""
    others = 0
    for number, (field, requests) in enumerate(fields.items()):
        if number < MAX_FIELDS and field != OTHER:
            yield sample("proxy_dropped_fields_total", (field,), requests)
        else:
            others += requests
    if others:
        yield sample("proxy_dropped_fields_total", (OTHER,), others)


def _upstreams(service: Service) -> Iterator[Sample]:
    for name, peer in service.router.peers.items():
        yield sample("proxy_upstream_busy", (name,), peer.gate.busy)
        yield sample("proxy_upstream_places", (name,), peer.gate.places)
        yield sample("proxy_upstream_waiting", (name,), len(peer.gate.waiting))
    worst: dict[tuple[str, str], int] = {}
    opened: dict[str, int] = dict.fromkeys(service.router.peers, 0)
    seen: set[Breaker] = set()
    for (upstream, model, _), place in service.places.items():
        if upstream not in opened:
            continue  # of earlier settings
        labels = upstream, service.metrics.model(model)
        worst[labels] = max(worst.get(labels, 0), _STATES[place.breaker.state])
        if place.breaker not in seen:  # keys share it
            seen.add(place.breaker)
            opened[upstream] += place.breaker.opened_times
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
        return  # no /proc on this system: then nothing is said
