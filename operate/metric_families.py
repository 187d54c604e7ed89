"""Every family of /metrics: its name, kind, labels and what it says. The one table of it.

gen_ai_*: OpenTelemetry's metrics of generative AI as Prometheus writes them; the provider is the upstream's name in
settings.ini. proxy_*: our own. All labels come from short lists: names in the settings, kinds of errors, models that
are known (metrics.py); what clients make up is "other".
"""

from __future__ import annotations

from typing import Literal, NamedTuple

LATENCY = tuple(0.01 * 2**n for n in range(17))  # seconds, to 11 minutes
PER_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
WAIT = (0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TOKENS = tuple(float(4**n) for n in range(14))  # as OpenTelemetry advises
LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Family(NamedTuple):
    """bounds: of a histogram's buckets."""

    kind: Literal["counter", "gauge", "histogram"]
    why: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


_GEN_AI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")

FAMILIES = {
    "gen_ai_server_request_duration_seconds": Family(
        "histogram", "From a request's first byte to the last of its reply.", (*_GEN_AI, "error_type"), LATENCY
    ),
    "gen_ai_server_time_to_first_token_seconds": Family(
        "histogram", "From a request's first byte to the first useful one of its reply.", _GEN_AI, LATENCY
    ),
    "gen_ai_server_time_per_output_token_seconds": Family(
        "histogram", "Of streams: the time for each token after the first.", _GEN_AI, PER_TOKEN
    ),
    "gen_ai_client_token_usage": Family(
        "histogram", "Tokens of a request, as its upstream counted them.", (*_GEN_AI, "gen_ai_token_type"), TOKENS
    ),
    "proxy_requests_total": Family(
        "counter",
        "Requests that are over. status: 2xx, 4xx, ...; code: 200, 429, ...; none: the client had left.",
        ("protocol", "upstream", "status", "code", "error_type"),
    ),
    "proxy_upstream_tries_total": Family(
        "counter",
        "Requests that were sent to an upstream, also those that failed and were made good elsewhere. outcome: "
        "answered, or the kind of error.",
        ("upstream", "model", "outcome", "status"),
    ),
    "proxy_upstream_key_usable": Family(
        "gauge", "0 while a key rests: it was refused, or has no credit. key: its number.", ("upstream", "key")
    ),
    "proxy_cost_usd_total": Family(
        "counter", "What requests have cost, where the price is known.", ("client", "upstream", "model")
    ),
    "proxy_client_requests_total": Family("counter", "The same by client.", ("client", "status")),
    "proxy_ended_total": Family(
        "counter", "The same by how they ended: finished, left by their client, aborted by us.", ("protocol", "ended")
    ),
    "proxy_retries_total": Family("counter", "Tries that failed and were followed by another.", ("upstream",)),
    "proxy_tokens_total": Family(
        "counter",
        "Tokens. input has cache_read and cache_write in it, output has reasoning.",
        ("client", "upstream", "model", "type"),
    ),
    "proxy_bytes_total": Family(
        "counter", "Bytes of bodies, in from clients and out to them.", ("protocol", "direction")
    ),
    "proxy_overhead_seconds": Family(
        "histogram", "What the proxy itself took, up to a reply's first byte.", ("protocol", "upstream"), OVERHEAD
    ),
    "proxy_queue_seconds": Family(
        "histogram", "What a request waited for a place, or for a back-off to pass.", ("upstream",), WAIT
    ),
    "proxy_requests_in_flight": Family("gauge", "Requests that are not over."),
    "proxy_streams_open": Family("gauge", "Of these, streams that have begun."),
    "proxy_websockets_open": Family("gauge", "Websockets."),
    "proxy_request_bytes_held": Family("gauge", "Bytes of request bodies in memory."),
    "proxy_admission_busy": Family("gauge", "Places taken, at all upstreams together."),
    "proxy_admission_waiting": Family("gauge", "Requests that wait for a place."),
    "proxy_admission_queued_total": Family("counter", "Requests that had to wait for one."),
    "proxy_admission_refused_total": Family("counter", "Requests that got none."),
    "proxy_upstream_busy": Family("gauge", "Places taken there.", ("upstream",)),
    "proxy_upstream_places": Family("gauge", "Places that there are.", ("upstream",)),
    "proxy_upstream_waiting": Family("gauge", "Requests that wait for one.", ("upstream",)),
    "proxy_breaker_state": Family(
        "gauge", "0 closed, 1 half-open, 2 open: the upstream is left alone.", ("upstream", "model")
    ),
    "proxy_breaker_opened_total": Family("counter", "How often one opened.", ("upstream",)),
    "proxy_pool_connections": Family("gauge", "Connections to upstreams: active or idle.", ("state",)),
    "proxy_pool_connections_opened_total": Family("counter", "Connections opened."),
    "proxy_pool_connections_reused_total": Family("counter", "Requests that took one that was there."),
    "proxy_pool_reused_ratio": Family("gauge", "Share of requests that took one that was there, since the start."),
    "proxy_pool_cancelled_total": Family("counter", "Upstream requests that we cancelled."),
    "proxy_pool_failed_total": Family("counter", "Upstream requests that failed below HTTP."),
    "proxy_dropped_fields_total": Family("counter", "Requests of which a field did not cross.", ("field",)),
    "proxy_token_counts_total": Family(
        "counter",
        "Counts of tokens: asked of an upstream, kept from an earlier asking, shared with one on its way; estimated, "
        "or kept from an earlier estimate.",
        ("answer",),
    ),
    "proxy_rejoined_total": Family("counter", "Requests that joined one which went on without its client."),
    "proxy_loop_lag_seconds": Family("histogram", "How late a timer came, twice a second.", (), LAG),
    "proxy_log_lines_lost_total": Family("counter", "Lines of logs that could not be written."),
    "proxy_build_info": Family("gauge", "Always 1.", ("version", "commit", "python", "libcurl")),
    "proxy_settings_loaded_time_seconds": Family("gauge", "When the settings in force were read, in Unix time."),
    "proxy_settings_reloads_total": Family("counter", "Settings that were taken over, or refused.", ("outcome",)),
    "process_cpu_seconds_total": Family("counter", "CPU time."),
    "process_resident_memory_bytes": Family("gauge", "Memory."),
    "process_open_fds": Family("gauge", "Open files."),
    "process_start_time_seconds": Family("gauge", "When it was started, in Unix time."),
}
