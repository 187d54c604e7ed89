"""The table of all keys that settings.ini may hold: the kind, default and explanation of each.

The reading of settings, the messages of --check-config, --print-config and the comments of the shipped file all follow
these rows. A test compares the shipped file, and the classes in sections.py and upstreams.py, with them. Defaults are
written as in a settings file and are read in the same way. CONTRIBUTING.md shows how to add a key. The rows of
[upstream NAME] and [client NAME] are in schema_upstream.py; those of [retry], [breaker] and [admission] are in
resilience.py, those of [cache], [counting] and [batches] in schema_cache.py.
"""

from __future__ import annotations

from operate.settings import list_types, secret_types, url_types, value_types
from operate.settings.resilience import ADMISSION, BREAKER, RETRY
from operate.settings.rows import DAY, MANY, Key
from operate.settings.schema_cache import BATCHES, CACHE, COUNTING
from operate.settings.schema_upstream import CLIENT, HOOK, UPSTREAM

LOGGERS = ("proxy", "access", "gateway", "translate", "upstream")

_LEVELS = ("debug", "info", "warning", "error")

SERVER = {
    "host": Key(
        url_types.hosts(),
        "127.0.0.1",
        "The address to listen on, or several. `::` means all IPv6 and IPv4 addresses. An address that other "
        "machines can reach needs at least one [client] section. unix:/PATH is a Unix socket, whose clients count as "
        "127.0.0.1.",
    ),
    "socket_mode": Key(
        value_types.mode(),
        "660",
        "The rights of a Unix socket: who may connect to it. 660: its owner and its group.",
    ),
    "port": Key(value_types.whole(0, 65535), "8082", "The TCP port to listen on. 0 takes any free port."),
    "tls_cert": Key(
        url_types.pem("a certificate and its chain"),
        "",
        "The PEM file of the certificate to show to clients. With it, the port speaks only TLS, version 1.2 or higher. "
        "A renewed file takes effect within seconds, and no connection is closed for it.",
    ),
    "tls_key": Key(
        url_types.pem("a key"), "", "The PEM file of the key of that certificate. Empty: tls_cert holds the key too."
    ),
    "tls_key_password": Key(secret_types.password(), "", "The password of that key, such as ${KEY_PASSWORD}."),
    "tls_client_ca": Key(
        url_types.pem("certificates"),
        "",
        "The PEM file of the CA that signs the certificates of clients (mTLS). A client that shows no such certificate "
        "gets no connection.",
    ),
    "user": Key(
        value_types.account(),
        "",
        "The user to become once the ports are open, if root starts the proxy. This user must be able to read this "
        "file and the files that it names, and to write the logs. Empty: stay the user who started it.",
    ),
    "workers": Key(
        value_types.processes(64),
        "1",
        "The number of processes that serve; auto = one for each CPU. All workers together keep the limits, and what "
        "one learns the others know ([shared]).",
    ),
    "max_body_mb": Key(
        value_types.whole(1, 2048), "64", "The largest request body, in MB. A larger one is refused with a 413."
    ),
    "max_connections": Key(
        value_types.whole(1, MANY),
        "2000",
        "The most client connections at once. This limits memory and open files. Beyond it, the pages of operators are "
        "still served.",
    ),
    "idle_timeout": Key(
        value_types.seconds(1, DAY),
        "75",
        "A client connection is closed when it has carried no request for this long, or when its client has read "
        "nothing of a reply for this long.",
    ),
    "body_timeout": Key(
        value_types.seconds(1, DAY),
        "60",
        "A request body must arrive within this time, else the request is refused with a 408.",
    ),
    "ping_seconds": Key(
        value_types.seconds(0.1, 3600),
        "10",
        "When a stream has been silent for this long, the proxy sends the client a ping, because many clients "
        "give up on a silent stream.",
    ),
    "drain_seconds": Key(
        value_types.seconds(0, 3600),
        "10",
        "At shutdown, running requests may go on for this long; then they are ended. A second signal ends them at "
        "once.",
    ),
    "drain_delay": Key(
        value_types.seconds(0, 3600),
        "0",
        "At shutdown, /readyz answers 503 for this long before the proxy stops accepting. It gives a load "
        "balancer time to send requests elsewhere.",
    ),
    "upgrade_seconds": Key(
        value_types.seconds(0, DAY),
        "900",
        "At an upgrade in place (SIGUSR2), the new process takes all new requests, and the old one may go on for "
        "this long with the requests that it has.",
    ),
    "websockets": Key(
        value_types.switch(),
        "true",
        "Serve GET /v1/responses as a websocket. It needs the response store ([responses]). When it is off, the "
        "answer is a 426, and clients use POST instead.",
    ),
    "origins": Key(
        url_types.origins(),
        "*",
        "The web pages that may send requests with a client's key, by their origin, such as "
        "https://chat.example.org, app://obsidian.md or chrome-extension://*. `*` = any page, except for what "
        "only admins may see; empty = none. Without any [client], no page may.",
    ),
    "allowed_hosts": Key(
        url_types.host_names(),
        "",
        "The names by which requests may call the proxy in their Host header, besides this machine's own. Empty: any "
        "name with a [client], since its requests bring a key, and no other name without one.",
    ),
    "trusted_proxies": Key(
        url_types.networks(),
        "",
        "The reverse proxies in front of this one whose X-Forwarded-For or Forwarded is believed: the address that "
        "they name is the client's, for [limits]. What others say in these headers counts for nothing.",
    ),
    "metrics": Key(
        value_types.choice("admin", "open", "off"),
        "admin",
        "Who may read GET /metrics, the page for Prometheus. admin: clients with admin = true, or, without any "
        "[client], this machine; open: everybody; off: nobody.",
    ),
    "codex_instructions": Key(
        value_types.readable(),
        "",
        "The file with the prompt that Codex is given for models which it does not know by itself. Empty: the proxy's "
        "own. It is read anew whenever Codex asks.",
    ),
}

LIMITS = {
    "header_seconds": Key(
        value_types.seconds(1, 3600),
        "20",
        "How long the head of a request may take from its first byte, and how long the TLS handshake. What takes "
        "longer is a 408, and its connection is closed.",
    ),
    "header_kb": Key(
        value_types.whole(8, 512), "128", "The largest head of a request, in KB. A larger one is refused with a 431."
    ),
    "values": Key(
        value_types.whole(1000, 100_000_000),
        "250000",
        "The most JSON values of a request that is read here: one that is translated, or that [models] has conditions "
        "for. In memory they take many times their bytes. More are refused with a 413.",
    ),
    "messages": Key(
        value_types.whole(1, 10_000_000),
        "20000",
        "The most messages, or items of input, of a request that is read here. More are refused with a 400.",
    ),
    "parts": Key(
        value_types.whole(1, 10_000_000), "100000", "The same for the parts of the content of all messages together."
    ),
    "tools": Key(value_types.whole(1, 1_000_000), "5000", "The same for tools."),
    "depth": Key(
        value_types.whole(10, 1000),
        "1000",
        "The most levels of JSON of a request that is read here, one within the other. More are refused with a 400.",
    ),
    "headers": Key(
        value_types.whole(20, 10_000), "200", "The most header lines of a request. More are refused with a 431."
    ),
    "upload_mb": Key(
        value_types.whole(1, 1 << 20),
        "512",
        "The largest body, in MB, of requests with files, which pass through and are not held: /v1/files, /v1/audio "
        "and /v1/images. A larger one is refused with a 413.",
    ),
    "connections_per_address": Key(
        value_types.whole(0, MANY),
        "1000",
        "The most connections at once from one address, but for this machine and [server] trusted_proxies. A further "
        "one is told 429. 0 = no limit.",
    ),
    "requests_per_address": Key(
        value_types.whole(0, MANY),
        "1000",
        "The most requests in flight at once of one address, streams among them, with the same exceptions. Behind "
        "trusted_proxies the address that they name counts. A further one is refused with a 429. 0 = no limit.",
    ),
    "websocket_messages": Key(
        value_types.whole(1, 1_000_000),
        "600",
        "The most messages a minute of one websocket. A further one is answered with an error, and not looked at.",
    ),
    "write_buffer_kb": Key(
        value_types.whole(1, 65536),
        "64",
        "How many KB of a stream may wait for a client that reads slowly. With more, the upstream is not read until "
        "they are gone.",
    ),
    "upstream_header_kb": Key(
        value_types.whole(32, 512), "128", "The largest head of an upstream's reply, in KB. A larger one is a failure."
    ),
    "reply_mb": Key(
        value_types.whole(1, 2048),
        "64",
        "The largest reply of an upstream that is not streamed, in MB, as it is held until it is complete. Of a larger "
        "one the client is told so by a 502.",
    ),
    "error_kb": Key(
        value_types.whole(4, 65536),
        "256",
        "How many KB of an upstream's error are read. Its beginning is passed on, and the rest is not waited for.",
    ),
    "event_mb": Key(
        value_types.whole(1, 1024),
        "16",
        "The largest event of an upstream's stream that is translated, in MB. Some servers send a whole image in one "
        "event. A larger one ends the stream with an error.",
    ),
}

RESPONSES = {
    "store_entries": Key(
        value_types.whole(0, MANY),
        "1000",
        "The most responses that are kept. 0 = none: then each request must hold its whole history.",
    ),
    "store_mb": Key(
        value_types.whole(1, 65536),
        "64",
        "The memory that all kept responses may use, in MB. A response that alone is larger than this is not kept.",
    ),
    "store_seconds": Key(value_types.seconds(1, 30 * DAY), "3600", "How long a response is kept."),
    "owners": Key(
        value_types.word("a file without blanks in its name"),
        "owners.sqlite3",
        "The SQLite file that remembers which client got which response of an upstream that keeps its responses. No "
        "other client can read it, delete it or build on it, also after a restart. All workers share the file; a "
        "relative one lies in the log folder. Empty: after a restart of the proxy, none of several clients can.",
    ),
    "owners_days": Key(
        value_types.whole(1, 3650), "30", "How many days that is remembered, which is as long as upstreams keep them."
    ),
}

TIMEOUTS = {
    "connect": Key(
        value_types.seconds(0.1, 600), "5", "The longest time for name lookup, TCP and TLS to an upstream together."
    ),
    "first_byte": Key(
        value_types.seconds(0, DAY),
        "300",
        "The longest wait for the first byte of a stream; 0 = only `stream` limits it. Models may read and think "
        "for minutes before they send anything. A reply that is not streamed has only the limit `request`.",
    ),
    "idle": Key(
        value_types.seconds(0, DAY),
        "300",
        "The longest silence in a stream before the upstream's next byte; its pings count as bytes; 0 = no limit. "
        "It ends a dead stream long before `stream` does. Models may pause for minutes while they think; the "
        "client gets pings meanwhile.",
    ),
    "request": Key(
        value_types.seconds(0, DAY),
        "600",
        "The longest time for a request that is not streamed, from start to end; 0 = no limit. The default is "
        "what the SDKs wait.",
    ),
    "stream": Key(
        value_types.seconds(0, DAY),
        "3600",
        "The longest time for a streamed request, from start to end; 0 = no limit. It also ends a stream that "
        "still flows, and all that was written until then is paid for.",
    ),
}

POOL = {
    "max_connections": Key(
        value_types.whole(1, MANY),
        "100",
        "The most connections to all upstreams together. Further requests wait for a free one.",
    ),
    "max_connections_per_upstream": Key(
        value_types.whole(0, MANY),
        "0",
        "The most connections to one upstream, so that no upstream takes them all. 0 = the same as max_connections.",
    ),
    "keepalive_connections": Key(
        value_types.whole(0, MANY),
        "15",
        "How many idle connections are kept open for each upstream; they lie in one pool for all. A kept "
        "connection saves DNS, TCP and TLS.",
    ),
    "pools": Key(value_types.whole(1, MANY), "20", "For how many upstreams idle connections are kept."),
    "keepalive_expiry": Key(
        value_types.seconds(0, DAY),
        "30",
        "An idle connection is used again within this time only. It should be less than the time after which the "
        "upstream closes it.",
    ),
    "keepalive_max_age": Key(
        value_types.seconds(0, DAY),
        "60",
        "A connection takes no new request when it is older than this, so that the proxy follows an upstream "
        "whose name gets another address. 0 = no limit.",
    ),
    "prewarm": Key(
        value_types.switch(),
        "false",
        "Connect to the upstreams at the start, so that the first request does not wait for it.",
    ),
    "http2": Key(
        value_types.switch(),
        "false",
        "Use HTTP/2 with upstreams that offer it over TLS: one connection carries many streams.",
    ),
    "proxy": Key(
        url_types.proxy_url(),
        "",
        "The HTTP or SOCKS proxy between here and the upstreams; it is not used for upstreams on this machine. "
        "The variables http_proxy, no_proxy and their like are ignored.",
    ),
    "ca_file": Key(
        url_types.pem("certificates"),
        "",
        "A PEM file with the root certificates that upstreams' certificates must lead to. Empty = $SSL_CERT_FILE, "
        "or the roots of the system. SIGHUP reads it again.",
    ),
    "family": Key(
        value_types.choice("any", "ipv4", "ipv6", "prefer_ipv4", "prefer_ipv6"),
        "any",
        "Which IP addresses of an upstream are used. any: both families at once, and the one that answers first "
        "is used; then all addresses in turn.",
    ),
}

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
        value_types.line("a folder"),
        "logs",
        "The folder for log files and the file of [usage]; a relative path starts at the proxy's folder. The words "
        "stdout and stderr mean the folder logs, and `to` with that word.",
    ),
}

USAGE = {
    "file": Key(
        value_types.word("a file without blanks in its name"),
        "usage.sqlite3",
        "The SQLite file with the sums; all workers share it. A relative path starts at the log folder. Empty = "
        "no sums are kept. With [shared] url the hosts of a fleet tell each other theirs.",
    ),
    "keep_days": Key(value_types.whole(1, 3650), "400", "For how many days sums are kept. Older ones are deleted."),
}

SHARED = {
    "url": Key(
        url_types.shared_url(),
        "",
        "The Redis or Valkey server that holds what all proxies of a fleet know together: redis://, rediss:// (TLS), "
        "unix://, redis+sentinel://HOST,HOST/SERVICE or redis+cluster://HOST,HOST. Empty: the workers of this machine "
        "share a file, and a single worker needs none.",
    ),
    "prefix": Key(
        value_types.word("a word without braces", empty=False),
        "anthropic-proxy",
        "How all keys on that server begin. Proxies with the same prefix share their state.",
    ),
    "file": Key(
        value_types.word("a file without blanks in its name"),
        "shared.sqlite3",
        "The SQLite file that several workers share where there is no url. A relative path starts at the log folder. "
        "Empty = each worker has its own limits, breakers and learned quirks.",
    ),
    "patience": Key(
        value_types.seconds(0.005, 5),
        "0.05",
        "The longest that a request waits for the store. After that it goes on with what its worker knows.",
    ),
    "budgets": Key(
        value_types.choice("open", "closed"),
        "open",
        "What happens to the requests of a client with a budget while the store cannot be reached. open: they go on, "
        "by what this worker knows; closed: they are refused with a 503. All other bounds go on with what each worker "
        "knows.",
    ),
}

TRANSLATE = {
    "strict": Key(
        value_types.switch(),
        "false",
        "Refuse a request when one of its fields cannot be translated, with a 400 that names the fields. When it "
        "is off, they are dropped and named in X-Proxy-Dropped. Claude Code sends cache_control, which only "
        "Messages upstreams take: with strict, all other upstreams refuse it.",
    ),
    "learn": Key(
        value_types.switch(),
        "true",
        "When an upstream answers 400 because of a field that it does not take, send the request again without "
        "that field, and leave it out for a day.",
    ),
    "deferred_tools": Key(
        value_types.whole(0, MANY),
        "20",
        "For deferred tools (defer_loading) when the upstream has no tool search: if a request has at least this "
        "many, the proxy searches them and shows the model what it finds; if it has fewer, the model is offered "
        "all of them at once.",
    ),
    "max_continuations": Key(
        value_types.whole(0, 100),
        "8",
        "How many further upstream requests one turn may take: after a tool search of the proxy, or when a "
        "provider pauses a turn (pause_turn) and the client speaks another protocol. 0 = none.",
    ),
}

ALIASES = {
    "map_json": Key(
        list_types.name_map(),
        "",
        "Exact names that clients ask for, each with the MODEL or UPSTREAM/MODEL that it means.",
    ),
    "big_model": Key(
        value_types.word("MODEL or UPSTREAM/MODEL"), "", "What every name that contains opus or sonnet means."
    ),
    "small_model": Key(value_types.word("MODEL or UPSTREAM/MODEL"), "", "What every name that contains haiku means."),
}

TELEMETRY = {
    "otlp_endpoint": Key(
        url_types.collector(),
        "",
        "The address of an OpenTelemetry collector that takes OTLP over HTTP; /v1/traces is added. It gets a span of "
        "each request, and one of each attempt at an upstream, which is told to the upstream in traceparent. Empty = "
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
        "Which part of the requests is traced, in percent. Where the client's traceparent says whether its trace is "
        "recorded, that counts.",
    ),
    "metrics": Key(value_types.switch(), "false", "Send also what /metrics has."),
    "metrics_seconds": Key(value_types.seconds(1, 3600), "60", "How often metrics are sent."),
    "service_name": Key(value_types.word("a name"), "anthropic-proxy", "The name of this service in the traces."),
}

INCLUDE = {
    "files": Key(
        list_types.files(),
        "",
        "Further settings files, or patterns such as conf.d/*.ini, with commas between. A relative name starts at the "
        "folder of the file that has it; so do all relative paths. They are read after this file, in the order of "
        "their names, and watched likewise. Sections may go on in another file; a key stands in one file only.",
    ),
}

MODELS = "models"
"""The name of the section whose keys are patterns of model names."""

PRICES = "prices"
"""The name of the section that says what tokens cost; its keys are patterns of model names, too."""

SIZES = "sizes"
"""The name of the section that says how many tokens models take and write; its keys are such patterns, too."""

LINES = (MODELS, PRICES, SIZES)
"""The sections whose keys the user makes."""

PLAIN = {
    "server": SERVER,
    "limits": LIMITS,
    "timeouts": TIMEOUTS,
    "pool": POOL,
    "retry": RETRY,
    "breaker": BREAKER,
    "admission": ADMISSION,
    "responses": RESPONSES,
    "cache": CACHE,
    "counting": COUNTING,
    "batches": BATCHES,
    "usage": USAGE,
    "shared": SHARED,
    "translate": TRANSLATE,
    "logging": LOGGING,
    "aliases": ALIASES,
    "telemetry": TELEMETRY,
    "include": INCLUDE,
}
"""The sections that a file has at most once, by name."""

NAMED = {"upstream": UPSTREAM, "client": CLIENT, "hook": HOOK}
"""The kinds of sections of which a file may have many, such as [upstream NAME]."""
