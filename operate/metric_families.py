"""The table of all families of /metrics: the name, kind, help text and labels of each.

gen_ai_* are OpenTelemetry's metrics of generative AI, in Prometheus' spelling; the provider is the upstream's name in
settings.ini. proxy_* are the proxy's own. All values of labels come from short lists: names in the settings, kinds of
errors, and known models (metrics.py). A name that a client makes up becomes "other".
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

# In seconds, except for TOKENS. Each bound is one more series for each set of labels, so there are few.
LATENCY = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
PER_TOKEN = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
OVERHEAD = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25)
WAIT = (0.0, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0)
TOKENS = tuple(float(4**n) for n in range(2, 11))  # of those that OpenTelemetry advises, up to a million
LAG = (0.005, 0.01, 0.025, 0.1, 0.25, 1.0)


class Family(Struct, frozen=True):
    """One family. why: its help text. bounds: the upper bounds of a histogram's buckets."""

    kind: Literal["counter", "gauge", "histogram"]
    why: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


_GEN_AI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")

FAMILIES = {
    "gen_ai_server_request_duration_seconds": Family(
        "histogram",
        "Seconds from the first byte of a request to the last byte of its reply.",
        (*_GEN_AI, "error_type"),
        LATENCY,
    ),
    "gen_ai_server_time_to_first_token_seconds": Family(
        "histogram", "Seconds from the first byte of a request to the first useful byte of its reply.", _GEN_AI, LATENCY
    ),
    "gen_ai_server_time_per_output_token_seconds": Family(
        "histogram", "Streams: seconds for each output token after the first.", _GEN_AI, PER_TOKEN
    ),
    "gen_ai_client_token_usage": Family(
        "histogram", "Tokens of a request, as counted by its upstream.", (*_GEN_AI, "gen_ai_token_type"), TOKENS
    ),
    "proxy_requests_total": Family(
        "counter",
        "Finished requests. status: 2xx, 4xx, ...; code: 200, 429, ...; none: the client had left.",
        ("protocol", "upstream", "status", "code", "error_type"),
    ),
    "proxy_upstream_attempts_total": Family(
        "counter",
        "Attempts at upstreams, also those that failed before another one succeeded. outcome: answered, or the kind "
        "of error.",
        ("upstream", "model", "outcome", "status"),
    ),
    "proxy_upstream_key_usable": Family(
        "gauge",
        "1, or 0 while a key is not used because it was refused or has no credit. key: its number.",
        ("upstream", "key"),
    ),
    "proxy_cost_usd_total": Family(
        "counter", "Cost of requests in USD, where the price is known.", ("client", "upstream", "model")
    ),
    "proxy_client_requests_total": Family("counter", "Finished requests by client.", ("client", "status")),
    "proxy_ended_total": Family(
        "counter",
        "Requests by how they ended: complete, left by the client, aborted by the proxy, or cancelled by an operator.",
        ("protocol", "ended"),
    ),
    "proxy_retries_total": Family("counter", "Attempts that failed and were followed by another.", ("upstream",)),
    "proxy_tokens_total": Family(
        "counter",
        "Tokens. input includes cache_read and cache_write; output includes reasoning.",
        ("client", "upstream", "model", "type"),
    ),
    "proxy_bytes_total": Family(
        "counter", "Bytes of bodies from clients (in) and to clients (out).", ("protocol", "direction")
    ),
    "proxy_overhead_seconds": Family(
        "histogram",
        "Seconds that the proxy itself took, up to the first byte of a reply.",
        ("protocol", "upstream"),
        OVERHEAD,
    ),
    "proxy_queue_seconds": Family(
        "histogram", "Seconds that a request waited for a slot or in a back-off.", ("upstream",), WAIT
    ),
    "proxy_requests_in_flight": Family("gauge", "Requests in flight."),
    "proxy_streams_open": Family("gauge", "Streams that have begun and not ended."),
    "proxy_websockets_open": Family("gauge", "Open websockets."),
    "proxy_client_connections": Family(
        "gauge", "Open connections of clients: they wait for a request, have one, or are websockets.", ("state",)
    ),
    "proxy_client_connections_max": Family("gauge", "The most connections of clients: [server] max_connections."),
    "proxy_client_connections_refused_total": Family(
        "counter",
        "Connections that were turned away. why: full (max_connections), address (connections_per_address), "
        "stranger (of another machine, without any [client]).",
        ("why",),
    ),
    "proxy_request_bytes_held": Family("gauge", "Bytes of request bodies in memory."),
    "proxy_remembered_bytes": Family("gauge", "Memory of the messages and tools that conversations repeat, at most."),
    "proxy_admission_busy": Family("gauge", "Slots in use, at all upstreams together."),
    "proxy_admission_waiting": Family("gauge", "Requests that wait for a slot, at all upstreams together."),
    "proxy_admission_queued_total": Family("counter", "Requests that have waited for a slot."),
    "proxy_admission_refused_total": Family("counter", "Requests that were refused because they got no slot."),
    "proxy_upstream_busy": Family("gauge", "Slots in use at an upstream.", ("upstream",)),
    "proxy_upstream_places": Family("gauge", "All slots of an upstream.", ("upstream",)),
    "proxy_upstream_waiting": Family("gauge", "Requests that wait for a slot at an upstream.", ("upstream",)),
    "proxy_upstream_drained": Family(
        "gauge", "1 while an operator has drained the upstream, so that it gets no new requests.", ("upstream",)
    ),
    "proxy_breaker_state": Family(
        "gauge", "State of a breaker: 0 closed, 1 half-open (one probe), 2 open (no requests).", ("upstream", "model")
    ),
    "proxy_breaker_opened_total": Family("counter", "How often a breaker has opened.", ("upstream",)),
    "proxy_pool_connections": Family("gauge", "Connections to upstreams, active or idle.", ("state",)),
    "proxy_pool_connections_opened_total": Family("counter", "Connections to upstreams that were opened."),
    "proxy_pool_connections_reused_total": Family("counter", "Upstream requests that used an open connection."),
    "proxy_pool_reused_ratio": Family(
        "gauge", "Share of upstream requests that used an open connection, since the start."
    ),
    "proxy_pool_cancelled_total": Family("counter", "Upstream requests that the proxy has cancelled."),
    "proxy_pool_failed_total": Family(
        "counter", "Upstream requests that failed below HTTP, such as in DNS, TCP or TLS."
    ),
    "proxy_dropped_fields_total": Family(
        "counter", "Requests in which a field was dropped by translation.", ("field",)
    ),
    "proxy_token_counts_total": Family(
        "counter",
        "Token counts by where they came from: asked of an upstream, kept from an earlier one, shared with one on its "
        "way, estimated, kept from an earlier estimate, or calibrated by the replies of its model.",
        ("answer",),
    ),
    "proxy_cache_requests_total": Family(
        "counter",
        "Requests for models with a response cache. outcome: hit, miss, coalesced (had another's reply), bypass (not "
        "for the cache).",
        ("outcome",),
    ),
    "proxy_cache_saved_tokens_total": Family(
        "counter", "Tokens that no upstream was asked for. outcome: hit, coalesced.", ("outcome", "type")
    ),
    "proxy_cache_saved_usd_total": Family(
        "counter", "What they would have cost, where the price is known.", ("outcome",)
    ),
    "proxy_cache_entries": Family("gauge", "Replies in the response cache."),
    "proxy_cache_bytes": Family("gauge", "Bytes of the replies in the response cache."),
    "proxy_batches_open": Family("gauge", "Batches that the proxy runs itself and that have not ended."),
    "proxy_batch_requests_open": Family("gauge", "Requests of these batches that have no result yet."),
    "proxy_batch_requests_running": Family("gauge", "Requests of these batches that are on their way."),
    "proxy_batch_requests_total": Family("counter", "Requests of batches that have got a result.", ("outcome",)),
    "proxy_rejoined_total": Family(
        "counter", "Requests that were attached to one that went on after its client had left."
    ),
    "proxy_shared_store_up": Family(
        "gauge", "1, or 0 while what the workers share cannot be reached. store: memory, sqlite or redis.", ("store",)
    ),
    "proxy_shared_store_outages_total": Family("counter", "How often the shared store went away."),
    "proxy_shared_store_fallbacks_total": Family(
        "counter", "Requests that were decided by what their worker knew, since the shared store was away or late."
    ),
    "proxy_loop_lag_seconds": Family(
        "histogram", "Seconds by which a timer came late, measured twice a second.", (), LAG
    ),
    "proxy_log_lines_lost_total": Family("counter", "Log lines that could not be written."),
    "proxy_worker_restarts_total": Family("counter", "How often a worker was started again because it had ended."),
    "proxy_hook_answers_total": Family(
        "counter",
        "What hooks said of requests and replies. outcome: allowed, changed, refused, failed (no answer).",
        ("hook", "event", "outcome"),
    ),
    "proxy_spans_sent_total": Family("counter", "Spans that the collector of [telemetry] has taken."),
    "proxy_spans_dropped_total": Family(
        "counter", "Spans that were not sent, because too many waited or the collector did not take them."
    ),
    "proxy_build_info": Family(
        "gauge", "Always 1; the labels say which build this is.", ("version", "commit", "python", "libcurl")
    ),
    "proxy_settings_loaded_time_seconds": Family(
        "gauge", "Time when the settings in force were read, in seconds since 1970."
    ),
    "proxy_settings_reloads_total": Family(
        "counter", "Changed settings that were taken over or refused.", ("outcome",)
    ),
    "process_cpu_seconds_total": Family("counter", "CPU time in seconds."),
    "process_resident_memory_bytes": Family("gauge", "Resident memory in bytes."),
    "process_open_fds": Family("gauge", "Open files."),
    "process_start_time_seconds": Family("gauge", "Start time of the process, in seconds since 1970."),
}
