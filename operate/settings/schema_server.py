"""The rows of what clients meet: [server], how the proxy listens, and [limits], how much one may send and take."""

from __future__ import annotations

from operate.settings import secret_types, url_types, value_types
from operate.settings.rows import DAY, MANY, Key

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
    "head_seconds": Key(
        value_types.seconds(0, 3600),
        "45",
        "When no upstream has begun to answer a stream for this long, the client gets the head of its reply and pings, "
        "because reverse proxies, load balancers and some clients wait 60 seconds for a head. A request that fails "
        "before that is answered with its real status, and one that fails later with an error in its stream. So it is "
        "with a stream that a hook holds. 0 = the head waits for an upstream.",
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
        "they name is the client's, for [limits]. From all other addresses these headers are ignored.",
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
        "How long the head of a request may take from its first byte, and how long the TLS handshake. A slower one is "
        "refused with a 408, and its connection is closed.",
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
    "remembered_mb": Key(
        value_types.whole(0, 65_536),
        "64",
        "The memory, in MB, of each process for the messages and tools of translated conversations. An agent sends "
        "its whole conversation with each turn; the proxy remembers what it has translated, and translates only what "
        "is new. What no turn has used for ten minutes is forgotten. 0 = nothing is remembered.",
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
        "The most connections at once from one address, except this machine and [server] trusted_proxies. A further "
        "one gets a 429. All addresses of a /64 network of IPv6 count as one. 0 = no limit.",
    ),
    "requests_per_address": Key(
        value_types.whole(0, MANY),
        "1000",
        "The most requests in flight at once of one address, streams among them, with the same exceptions. Behind "
        "trusted_proxies the address that they name counts. A further one is refused with a 429. A /64 network of IPv6 "
        "counts as one. 0 = no limit.",
    ),
    "websocket_messages": Key(
        value_types.whole(1, 1_000_000),
        "600",
        "The most messages a minute of one websocket. A further one is answered with an error, and not read.",
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
        "The largest reply of an upstream that is not streamed, in MB, as it is held until it is complete. Instead of "
        "a larger one, the client gets a 502.",
    ),
    "error_kb": Key(
        value_types.whole(4, 65536),
        "256",
        "How many KB of an upstream's error are read. The proxy passes them on, and does not wait for the rest.",
    ),
    "event_mb": Key(
        value_types.whole(1, 1024),
        "16",
        "The largest event of an upstream's stream that is translated, in MB. Some servers send a whole image in one "
        "event. A larger one ends the stream with an error.",
    ),
}
