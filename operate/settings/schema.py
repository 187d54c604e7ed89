"""Every key that settings.ini may hold: kind, default, unit and range, why. The one table of it.

Reading, the messages of --check-config, --print-config and the comments of the shipped file all follow
these rows; a test holds the shipped file and the classes of load.py and upstreams.py against them.
Defaults are written as a file would, and are read the same way. To add a key, see
CONTRIBUTING.md. The rows of [upstream NAME] and [client NAME] are in schema_upstream.py, those about upstreams in
trouble in resilience.py.
"""

from __future__ import annotations

from operate.settings import list_types, url_types, value_types
from operate.settings.resilience import ADMISSION, BREAKER, RETRY
from operate.settings.rows import DAY, MANY, Key
from operate.settings.schema_upstream import CLIENT, UPSTREAM

LOGGERS = ("proxy", "access", "gateway", "translate", "upstream")

_LEVELS = ("debug", "info", "warning", "error")

SERVER = {
    "host": Key(
        url_types.hosts(),
        "127.0.0.1",
        "Address to listen on, or several; :: stands for all, of both families. One that other machines reach needs a "
        "[client].",
    ),
    "port": Key(value_types.whole(0, 65535), "8082", "TCP port to listen on; 0 takes any free one."),
    "workers": Key(
        value_types.processes(64),
        "1",
        "Processes that serve; auto: one for each CPU. Bounds, quotas, breakers, queues and what is learned are each "
        "worker's own: with 4 of them a client may have up to 4 times its requests_per_minute.",
    ),
    "max_body_mb": Key(value_types.whole(1, 2048), "64", "MB of a request body, at most; more is answered 413."),
    "max_connections": Key(value_types.whole(1, MANY), "2000", "Client connections at once; bounds memory and files."),
    "idle_timeout": Key(
        value_types.seconds(1, DAY),
        "75",
        "A client's connection without a request, or that takes nothing of a reply, is closed after this long.",
    ),
    "body_timeout": Key(value_types.seconds(1, DAY), "60", "A request body must have arrived within this time."),
    "ping_seconds": Key(
        value_types.seconds(0.1, 3600),
        "10",
        "Silence in a stream before the client gets a ping; clients give up on silence.",
    ),
    "drain_seconds": Key(
        value_types.seconds(0, 3600),
        "10",
        "At shutdown, how long running requests may go on; a second signal ends at once.",
    ),
    "drain_delay": Key(
        value_types.seconds(0, 3600),
        "0",
        "At shutdown, how long /readyz says 503 before anything else changes: a balancer's time to look elsewhere.",
    ),
    "upgrade_seconds": Key(
        value_types.seconds(0, DAY),
        "900",
        "At an upgrade in place (SIGUSR2), how long the old process may go on with what it has; the new one serves.",
    ),
    "websockets": Key(
        value_types.switch(),
        "true",
        "Serve GET /v1/responses as a websocket, if [responses] keeps any; off: 426, and clients take POST.",
    ),
    "origins": Key(
        url_types.origins(),
        "*",
        "Web pages that may come in with a client's key, by their origin (https://chat.example.org, app://obsidian.md, "
        "chrome-extension://*; * = any, but for what admins see; empty = none). Without any [client]: none.",
    ),
    "metrics": Key(
        value_types.choice("admin", "open", "off"),
        "admin",
        "Who may read GET /metrics, Prometheus' page: an admin (without any [client]: this machine), or anybody.",
    ),
}

RESPONSES = {
    "store_entries": Key(
        value_types.whole(0, MANY),
        "1000",
        "Responses kept, at most; 0 = none, and each request holds its whole history.",
    ),
    "store_mb": Key(value_types.whole(1, 65536), "64", "MB that they take together; what is too large is not kept."),
    "store_seconds": Key(value_types.seconds(1, 30 * DAY), "3600", "How long one is kept."),
}

TIMEOUTS = {
    "connect": Key(value_types.seconds(0.1, 600), "5", "Name lookup, TCP and TLS to an upstream, together."),
    "first_byte": Key(
        value_types.seconds(0, DAY),
        "300",
        "Until a stream's first byte; 0 = until the end of `stream`. Models read and think for minutes before they "
        "say a word. A reply that is not streamed has only `request`.",
    ),
    "idle": Key(
        value_types.seconds(0, DAY),
        "300",
        "Silence in a stream until the upstream's next byte, its pings among them; 0 = no limit. This ends a dead "
        "stream, not `stream`; models pause for minutes while they think, and the client gets pings meanwhile.",
    ),
    "request": Key(
        value_types.seconds(0, DAY),
        "600",
        "A request that is not streamed, from start to end, as long as SDKs wait; 0 = no limit.",
    ),
    "stream": Key(
        value_types.seconds(0, DAY),
        "3600",
        "A streamed request, from start to end, however it flows: what it wrote until then is paid for; 0 = no limit.",
    ),
}

POOL = {
    "max_connections": Key(
        value_types.whole(1, MANY), "100", "Connections to all upstreams at once; further requests wait."
    ),
    "max_connections_per_upstream": Key(
        value_types.whole(0, MANY),
        "0",
        "The same for each upstream, so that none takes them all; 0 = max_connections.",
    ),
    "keepalive_connections": Key(
        value_types.whole(0, MANY),
        "15",
        "Idle connections kept for each upstream, in one pool for all; a kept one saves DNS, TCP and TLS.",
    ),
    "pools": Key(value_types.whole(1, MANY), "20", "Upstreams whose idle connections are kept."),
    "keepalive_expiry": Key(
        value_types.seconds(0, DAY),
        "30",
        "An idle connection is used again within this time; less than upstreams keep it.",
    ),
    "keepalive_max_age": Key(
        value_types.seconds(0, DAY),
        "60",
        "A connection is used for new requests so long after it was opened, so that an upstream whose name got another "
        "address is followed; 0 = as long as it is kept.",
    ),
    "prewarm": Key(
        value_types.switch(), "false", "Connect to the upstreams at start: the first request does not pay for it."
    ),
    "http2": Key(
        value_types.switch(), "false", "HTTP/2 to upstreams that offer it over TLS: many streams, one connection."
    ),
    "proxy": Key(
        url_types.proxy_url(),
        "",
        "Proxy on the way to the upstreams, but for those on this machine. Only this counts, never http_proxy, "
        "no_proxy and their like.",
    ),
    "ca_file": Key(
        url_types.pem("certificates"),
        "",
        "PEM file of the roots that upstreams' certificates must lead to; empty = $SSL_CERT_FILE, or the system's. One "
        "that is renewed counts from the next SIGHUP on.",
    ),
    "family": Key(
        value_types.choice("any", "ipv4", "ipv6", "prefer_ipv4", "prefer_ipv6"),
        "any",
        "Addresses of upstreams that are used; any: the first family that answers, all their addresses in turn.",
    ),
}

LOGGING = {
    "level": Key(value_types.choice(*_LEVELS), "info", "Log this and what is graver."),
    "debug": Key(
        value_types.switch(), "false", "The short way to level = debug; what is logged is on the terminal too."
    ),
    **{
        name: Key(value_types.choice(*_LEVELS, empty=True), "", f"Level of the {name} logger alone; empty = as above.")
        for name in LOGGERS
    },
    "request_bodies": Key(
        value_types.bodies(), "none", "Request bodies to log; errors: of those that fail. They hold what users wrote."
    ),
    "response_bodies": Key(value_types.bodies(), "none", "Reply bodies to log. They hold what models answered."),
    "body_kb": Key(value_types.whole(1, 16384), "64", "KB of each body that is logged, at most."),
    "rotate_mb": Key(
        value_types.whole(1, 1 << 20),
        "50",
        "A log file that would grow beyond this is moved on, to NAME.1 and so forth.",
    ),
    "rotate_hours": Key(
        value_types.whole(0, 8784),
        "24",
        "The same at the end of every period so long, counted from midnight; 0 = never.",
    ),
    "keep_files": Key(value_types.whole(0, 10_000), "7", "Older files of each log that are kept."),
    "cache_watch": Key(
        value_types.switch(),
        "false",
        "Also parse requests that pass through untouched, to see what breaks the upstream's prompt cache; the "
        "dashboard shows it. Others are parsed in any case.",
    ),
    "dir": Key(
        value_types.line("a folder"),
        "logs",
        "Where log files go; a relative one counts from the proxy's folder. stdout or stderr: all lines go there.",
    ),
}

USAGE = {
    "file": Key(
        value_types.word("a file without blanks in its name"),
        "usage.sqlite3",
        "SQLite file of the sums, which all workers share; a relative one lies in the log folder; empty = none.",
    ),
    "keep_days": Key(value_types.whole(1, 3650), "400", "Days that are kept; older ones are forgotten."),
}

TRANSLATE = {
    "strict": Key(
        value_types.switch(),
        "false",
        "Refuse a request whose fields do not all cross, by a 400 that names them; off: X-Proxy-Dropped tells. Claude "
        "Code sends cache_control, which only Messages upstreams take: strict refuses it everywhere else.",
    ),
    "learn": Key(
        value_types.switch(),
        "true",
        "A 400 about a field that an upstream does not take: send again without it, and remember that for a day.",
    ),
    "deferred_tools": Key(
        value_types.whole(0, MANY),
        "20",
        "Tools that a provider would search for (defer_loading), where the upstream has no such search: from this "
        "number on the proxy searches, and the model is shown what it finds; fewer are all offered at once.",
    ),
    "max_continuations": Key(
        value_types.whole(0, 100),
        "8",
        "Further requests that one turn may take, where the proxy searches for tools, or a provider pauses a turn of "
        "its own tools (pause_turn) and the client speaks another protocol; 0 = none.",
    ),
}

ALIASES = {
    "map_json": Key(
        list_types.name_map(),
        "",
        "Exact names that clients ask for, and the MODEL or UPSTREAM/MODEL that each means.",
    ),
    "big_model": Key(
        value_types.word("MODEL or UPSTREAM/MODEL"), "", "What every name that contains opus or sonnet means."
    ),
    "small_model": Key(value_types.word("MODEL or UPSTREAM/MODEL"), "", "What every name that contains haiku means."),
}

MODELS = "models"
"""The section whose keys are patterns of model names, not settings."""

PRICES = "prices"
"""Another one: what their tokens cost."""

PLAIN = {
    "server": SERVER,
    "timeouts": TIMEOUTS,
    "pool": POOL,
    "retry": RETRY,
    "breaker": BREAKER,
    "admission": ADMISSION,
    "responses": RESPONSES,
    "usage": USAGE,
    "translate": TRANSLATE,
    "logging": LOGGING,
    "aliases": ALIASES,
}
"""Sections that are there once."""

NAMED = {"upstream": UPSTREAM, "client": CLIENT}
"""Kinds of sections of which there may be many: [upstream NAME]."""
