"""The rows of the way to upstreams, all of them: [timeouts] and [pool], its connections."""

from __future__ import annotations

from operate.settings import url_types, value_types
from operate.settings.rows import DAY, MANY, Key

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
        "1000",
        "The most connections to all upstreams together: as many requests and streams at once. Further ones wait.",
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
        "connection saves DNS, TCP and TLS. One that was in use within the last moments is not idle yet.",
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
