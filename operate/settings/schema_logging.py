"""The rows of what is told of requests: [logging] and [telemetry]."""

from __future__ import annotations

from operate.settings import list_types, url_types, value_types
from operate.settings.rows import Key

LOGGERS = ("proxy", "access", "gateway", "translate", "upstream")

_LEVELS = ("debug", "info", "warning", "error")

LOGGING = {
    "level": Key(value_types.choice(*_LEVELS), "info", "The lowest level that is logged."),
    "debug": Key(
        value_types.switch(),
        "false",
        "true is the same as level = debug, and log lines are also written to the terminal.",
    ),
    **{
        name: Key(
            value_types.choice(*_LEVELS, empty=True),
            "",
            f"The lowest level that the {name} logger logs; empty = `level`.",
        )
        for name in LOGGERS
    },
    "request_bodies": Key(
        value_types.bodies(),
        "none",
        "Which request bodies are logged. errors: only those of failed requests. They hold what users wrote.",
    ),
    "response_bodies": Key(
        value_types.bodies(),
        "none",
        "Which reply bodies are logged. errors: only those of failed requests. They hold what models answered.",
    ),
    "body_kb": Key(value_types.whole(1, 16384), "64", "The most of each body that is logged, in KB."),
    "rotate_mb": Key(
        value_types.whole(1, 1 << 20),
        "50",
        "The largest size of a log file, in MB. The next line starts a new file, and the old one is renamed to NAME.1.",
    ),
    "rotate_hours": Key(
        value_types.whole(0, 8784),
        "24",
        "A new log file is also started after this many hours, counted from midnight. 0 = never.",
    ),
    "keep_files": Key(value_types.whole(0, 10_000), "7", "How many old files are kept of each log."),
    "cache_watch": Key(
        value_types.switch(),
        "false",
        "Also parse requests that pass through unchanged, to find what breaks the upstream's prompt cache; the "
        "dashboard shows it. Translated requests are parsed anyway.",
    ),
    "tags": Key(
        list_types.names(what="names of tags"),
        "",
        "Tags that go into the record of a request: from the header X-Proxy-Tags (team=a, project=b), else from the "
        "metadata of its body, for which the body is parsed. * = all tags of the header, up to 16; empty = none.",
    ),
    "to": Key(
        value_types.choice("files", "stdout", "stderr", "both"),
        "files",
        "Where log lines go: to files in `dir`, to a stream, or to both, which is files and stdout. In a container and "
        "under journald, take stdout. On a stream each line says which log it is of (`log`).",
    ),
    "dir": Key(
        value_types.folder(),
        "logs",
        "The folder for log files and the file of [usage]; a relative path starts at the proxy's folder. The words "
        "stdout and stderr mean the folder logs, and `to` with that word.",
    ),
}

TELEMETRY = {
    "otlp_endpoint": Key(
        url_types.collector(),
        "",
        "The address of an OpenTelemetry collector that takes OTLP over HTTP; /v1/traces is added. It gets a span of "
        "each request, and one of each attempt at an upstream, whose id goes to the upstream in traceparent. Empty = "
        "off. It needs the packages of extras/otel.txt, which the start installs.",
    ),
    "headers": Key(
        list_types.headers(),
        "",
        "Headers for the collector, such as a key, one on each indented line. They are secret.",
    ),
    "sample_percent": Key(
        value_types.number(0, 100),
        "100",
        "Which part of the requests is traced, in percent. If the client's traceparent says whether its trace is "
        "recorded, that decides instead.",
    ),
    "metrics": Key(value_types.switch(), "false", "Send also what /metrics has."),
    "metrics_seconds": Key(value_types.seconds(1, 3600), "60", "How often metrics are sent."),
    "service_name": Key(value_types.word("a name"), "anthropic-proxy", "The name of this service in the traces."),
}
