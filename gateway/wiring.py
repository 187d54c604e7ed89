"""Makes the limits, policies and quotas of a Service from the settings.

They are made at the start and after each change of the settings. A part that has a state (a quota, or detached requests
that wait for their clients) is made from the one before it.
"""

from __future__ import annotations

import collections
import contextlib
import importlib
import logging
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.batches.host_queue import HostQueue
from gateway.batches.queue import Queue
from gateway.cache.cache import Cache
from gateway.cache.fleet import Fleet
from gateway.counting.exact_counts import ExactCounts
from gateway.flow.ports import Hooks
from gateway.flow.reattach import Reattach
from gateway.http.listener import files_for_upstreams
from gateway.limits import breaker
from gateway.limits.admission import CHEAP_SLOTS, AdmissionLimits
from gateway.limits.budget import DAY_S, Bounds, Budgets
from gateway.limits.limiter import Limiter
from gateway.limits.retry_policy import Policy
from gateway.observe.prices import Price
from gateway.routing.router import Router
from gateway.shared.shared import Shared
from gateway.shared.shared_budgets import SharedBudgets
from gateway.shared.shared_quota import Quotas
from gateway.shared.store import digest
from gateway.stored.fleet_responses import FleetResponses
from gateway.stored.store import ResponseStore
from operate import sqlite_file
from operate.batch_store import BatchStore
from operate.settings.load import Settings
from upstream.client import UpstreamClient
from upstream.pool import Pool

log = logging.getLogger("gateway")


def shared(settings: Settings, folder: Path, workers: int) -> Shared:
    """folder: where relative files lie. workers: of this host."""
    chosen = settings.shared
    file = folder / chosen.file if chosen.file and workers > 1 else None
    return Shared(chosen.url, chosen.prefix, file, chosen.patience)


def batch_queue(settings: Settings, folder: Path, shared: Shared, before: Queue | None, *, tells: bool) -> Queue | None:
    """before: the present one, which stays if it fits. tells: whether this worker tells of a fleet's batches."""
    chosen = settings.batches
    if not chosen.file:
        return None
    file = folder / chosen.file
    if chosen.queue == "shared" and shared.store.kind == "redis":
        from gateway.batches.fleet_queue import FleetQueue
        from gateway.shared.redis_store import RedisStore

        assert isinstance(shared.store, RedisStore)
        if isinstance(before, FleetQueue):
            return before
        _warn_of_those_left(file)
        return FleetQueue(shared.store, chosen.keep_days * DAY_S, tells=tells)
    return before if isinstance(before, HostQueue) and before.file == file else HostQueue(file)


def _warn_of_those_left(file: Path) -> None:
    with contextlib.suppress(*sqlite_file.errors()):
        store = BatchStore(file)
        left = store.open_batches()
        store.close()
        if left:
            log.warning("%d batches that have not ended are in %s, and batches are in the shared store now: to end "
                        "them, start a proxy with [batches] queue = host", len(left), file)  # fmt: skip


def retry_policy(settings: Settings) -> Policy:
    s = settings.retry
    return Policy(
        s.max_attempts, s.backoff, s.max_backoff, s.max_retry_after, frozenset(s.also), s.on_overflow, s.on_refusal
    )


def breaker_limits(settings: Settings) -> breaker.BreakerLimits:
    s = settings.breaker
    return breaker.BreakerLimits(
        s.failure_percent / 100, s.window, s.min_requests, s.consecutive, s.cooldown, s.max_cooldown, s.enabled
    )


def client_quotas(settings: Settings, before: Mapping[str, Limiter], quotas: Quotas) -> dict[str, Limiter]:
    """The quotas of the clients that have limits, by name. before: the present ones; what they have used stays used."""
    found = {}
    for client in settings.clients:
        bounds = client.requests_per_minute, client.tokens_per_minute
        quota = quotas.of(f"client:{client.name}", bounds, before.get(client.name), is_promise=True)
        if quota is not None:
            found[client.name] = quota
    return found


def budgets(settings: Settings, shared: Shared, folder: Path) -> Budgets:
    """folder: of the usage store, whose sums are those of a host."""
    host = digest(socket.gethostname(), str(folder / settings.usage.file))[:12]
    if not shared.several:
        return Budgets()
    return SharedBudgets(shared, host, closed=settings.shared.budgets == "closed")


def hooks(
    settings: Settings, client: UpstreamClient, most_bytes: int, told: collections.Counter[tuple[str, str, str]]
) -> Hooks | None:
    """None where there are no hooks."""
    if not settings.hooks:
        return None
    from gateway.hooks import hooks

    return hooks.of_settings(settings, client, most_bytes, told)


def client_budgets(settings: Settings) -> dict[str, Bounds]:
    """By the client's name."""
    return {client.name: Bounds(*(getattr(client, name) for name in Bounds._fields)) for client in settings.clients}


def admission_limits(settings: Settings) -> AdmissionLimits:
    queue = settings.admission
    key = "[admission] max_concurrent" if queue.max_concurrent else "[pool] max_connections"
    return AdmissionLimits(queue.max_concurrent or settings.pool.max_connections, queue.queue, queue.queue_seconds, key)


def response_store(settings: Settings, shared: Shared) -> ResponseStore:
    kept = settings.responses
    store = ResponseStore(kept.store_entries, kept.store_mb << 20, kept.store_seconds)
    if shared.store.kind == "redis":  # without it, the workers of one host ask each other
        store.fleet = FleetResponses(shared.store, kept.store_seconds)
    return store


def pool(settings: Settings, router: Router) -> Pool:
    pool = settings.pool
    hosts = len({upstream.base_url for upstream in router.upstreams.values()})
    wanted = pool.max_connections + CHEAP_SLOTS * max(1, len(router.upstreams))
    return Pool(
        max_connections=min(wanted, files_for_upstreams(settings)),
        max_connections_per_upstream=pool.per_upstream + CHEAP_SLOTS,
        keepalive_connections=pool.keepalive_connections * min(pool.pools, max(1, hosts)),
        keepalive_expiry=pool.keepalive_expiry,
        http2=pool.http2,
        proxy=pool.proxy,
        keepalive_max_age=pool.keepalive_max_age,
        ca_file=pool.ca_file,
        family=pool.family,
        max_head_bytes=settings.limits.upstream_header_kb << 10,
    )


def reattach(settings: Settings, before: Reattach | None) -> Reattach | None:
    s = settings.retry
    if not s.rejoin_seconds:
        return None  # detached requests still wait in the object before it, for the time that it was made with
    if before is None:
        return Reattach(s.rejoin_seconds, s.rejoin_mb << 20)
    before.resize(s.rejoin_seconds, s.rejoin_mb << 20)
    return before


def exact_counts(settings: Settings, before: ExactCounts | None) -> ExactCounts | None:
    """None where they are off. before: the present one, which stays. The vocabulary is loaded only if it is needed."""
    if not settings.counting.exact:
        return None
    if before is not None:
        return before
    try:
        return ExactCounts(importlib.import_module("gateway.counting.vocabulary").counter())
    except ModuleNotFoundError as why:  # the setting came with a reload
        log.error("[counting] needs the package %s: start the proxy again, or install extras/tokenizers.txt", why.name)
        return None


def cache(
    settings: Settings, before: Cache | None, price_of: Callable[[str, str], Price | None], shared: Shared
) -> Cache | None:
    """None where no model has one. before: the present one; what it keeps stays, as far as there is room."""
    s = settings.cache
    if not (s.models or s.always or s.coalesce):
        return None
    headers = tuple(sorted({name for upstream in settings.upstreams.values() for name in upstream.request_headers}))
    if before is None:
        return Cache(s, price_of, Fleet(shared), time.monotonic, time.time, headers)
    before.adopt(s, headers)
    return before
