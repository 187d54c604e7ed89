"""The sections of settings.ini as frozen structs, whose fields have the names of the keys.

All values have been checked before. No repr shows a secret. [upstream NAME] has a file of its own, upstreams.py, as it
has rules of its own, and so have the lines of [models], model_rules.py.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from typing import ClassVar

from msgspec import Struct

from operate import client_keys
from operate.settings.list_types import Header
from operate.settings.schema_logging import LOGGERS

UNIX = "unix:"
"""Before the path of a Unix socket, where an address may stand."""

STREAMS = ("stdout", "stderr")


class Section(Struct, frozen=True):
    """A section. unsaid: the names of its fields that no repr shows."""

    unsaid: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        said = [f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in self.unsaid]
        return f"{type(self).__name__}({', '.join(said)})"


class Server(Section, frozen=True):
    """The section [server]. Times are in seconds."""

    unsaid: ClassVar[tuple[str, ...]] = ("tls_key_password",)

    host: str
    port: int
    max_body_mb: int
    max_connections: int
    idle_timeout: float
    body_timeout: float
    ping_seconds: float
    head_seconds: float
    drain_seconds: float
    drain_delay: float
    upgrade_seconds: float
    websockets: bool
    metrics: str
    origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    workers: int = 1
    user: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_key_password: str = ""
    tls_client_ca: str = ""
    socket_mode: int = 0o660
    codex_instructions: str = ""

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"

    @property
    def tls_files(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.tls_cert, self.tls_key, self.tls_client_ca)))

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses to listen on. `::` means 0.0.0.0 too, as it does for other servers on Linux."""
        named = tuple(self.host.split(", "))
        return (*named, "0.0.0.0") if "::" in named and "0.0.0.0" not in named else named

    @property
    def tcp_hosts(self) -> tuple[str, ...]:
        """The hosts without the Unix sockets."""
        return tuple(host for host in self.hosts if not host.startswith(UNIX))

    @property
    def max_body_bytes(self) -> int:
        return self.max_body_mb << 20


class Limits(Section, frozen=True):
    """The section [limits]: what a client may send, and have at once, and what an upstream may. 0 of an address = no
    limit."""

    header_seconds: float = 20
    header_kb: int = 128
    values: int = 250_000
    messages: int = 20_000
    parts: int = 100_000
    tools: int = 5_000
    depth: int = 1000
    remembered_mb: int = 64
    headers: int = 200
    upload_mb: int = 512
    connections_per_address: int = 1000
    requests_per_address: int = 1000
    websocket_messages: int = 600
    write_buffer_kb: int = 64
    upstream_header_kb: int = 128
    reply_mb: int = 64
    error_kb: int = 256
    event_mb: int = 16


class Timeouts(Section, frozen=True):
    """The section [timeouts], in seconds; 0 = no limit. connect: for DNS, TCP and TLS together. idle: for the silence
    between two bytes of a reply."""

    connect: float
    first_byte: float
    idle: float
    request: float
    stream: float

    def total(self, stream: bool) -> float:
        """The limit for one exchange from its start to its end."""
        return self.stream if stream else self.request

    def until_first_byte(self, stream: bool) -> float:
        """The limit for the wait until the first byte. A reply that is not streamed comes only when it is finished, so
        that it has only the limit for the whole exchange."""
        return (self.first_byte or self.stream) if stream else self.request


class Responses(Section, frozen=True):
    """The section [responses]: the limits of the response store."""

    store_entries: int
    store_mb: int
    store_seconds: float
    owners: str = ""
    owners_days: int = 30


class CacheSettings(Section, frozen=True):
    """The section [cache]. models, always, coalesce: globs of the names that clients ask for."""

    models: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    coalesce: tuple[str, ...] = ()
    seconds: float = 3600
    mb: int = 64
    entry_kb: int = 1024
    private: bool = True
    tool_calls: bool = False


class CountingSettings(Section, frozen=True):
    """The section [counting]."""

    exact: bool = False


class BatchSettings(Section, frozen=True):
    """The section [batches]. file: "" = the proxy runs none. queue: "shared" or "host"."""

    file: str = ""
    queue: str = "shared"
    concurrent: int = 4
    keep_days: int = 29
    client_files: int = 500
    client_batches: int = 200
    client_mb: int = 2048
    embeddings_ms: int = 0
    embeddings_inputs: int = 256


class Usage(Section, frozen=True):
    """The section [usage]: where the sums of tokens and cost are kept."""

    file: str
    keep_days: int


class Shared(Section, frozen=True):
    """The section [shared]: where the workers of a host, or of a fleet, keep what they know together. patience: in
    seconds. budgets: "open" or "closed" while that is away."""

    unsaid: ClassVar[tuple[str, ...]] = ("url",)

    url: str = ""
    prefix: str = "anthropic-proxy"
    file: str = ""
    patience: float = 0.05
    budgets: str = "open"


class Pool(Section, frozen=True):
    """The section [pool]. keepalive_connections: for each upstream. pools: for how many upstreams. Times are in
    seconds."""

    unsaid: ClassVar[tuple[str, ...]] = ("proxy",)

    max_connections: int
    max_connections_per_upstream: int
    keepalive_connections: int
    pools: int
    keepalive_expiry: float
    keepalive_max_age: float
    prewarm: bool
    http2: bool
    proxy: str
    ca_file: str = ""
    family: str = "any"

    @property
    def per_upstream(self) -> int:
        """The most connections to one upstream at once; never 0."""
        return self.max_connections_per_upstream or self.max_connections


class Logging(Section, frozen=True):
    """The section [logging]. The keys with the names of loggers have a level or "". request_bodies, response_bodies:
    see operate/logs/capture.py."""

    level: str
    debug: bool
    proxy: str
    access: str
    gateway: str
    translate: str
    upstream: str
    request_bodies: str
    response_bodies: str
    body_kb: int
    rotate_mb: int
    rotate_hours: int
    keep_files: int
    cache_watch: bool
    dir: str
    to: str = "files"
    tags: tuple[str, ...] = ()

    @property
    def stream(self) -> str:
        """The stream that gets all lines: stdout, stderr or ""."""
        if self.to in (*STREAMS, "both"):
            return "stdout" if self.to == "both" else self.to
        return self.dir if self.dir in STREAMS else ""

    @property
    def to_files(self) -> bool:
        return self.to == "both" or not self.stream

    @property
    def folder(self) -> str:
        return "logs" if self.dir in STREAMS else self.dir

    def level_of(self, name: str) -> int:
        """The level of a logger as a number of `logging`: its own level, else the general one."""
        own: str = getattr(self, name) if name in LOGGERS else ""
        return logging.getLevelNamesMapping()[(own or ("debug" if self.debug else self.level)).upper()]


class Translate(Section, frozen=True):
    """The section [translate]."""

    strict: bool
    learn: bool
    deferred_tools: int
    max_continuations: int


class Telemetry(Section, frozen=True):
    """The section [telemetry]. otlp_endpoint: "" = nothing is sent."""

    unsaid: ClassVar[tuple[str, ...]] = ("headers",)

    otlp_endpoint: str = ""
    headers: tuple[Header, ...] = ()
    sample_percent: float = 100.0
    metrics: bool = False
    metrics_seconds: float = 60.0
    service_name: str = "anthropic-proxy"


class Include(Section, frozen=True):
    """The section [include], whose files are read already."""

    files: tuple[str, ...] = ()


class Aliases(Section, frozen=True):
    """The section [aliases]. Values are MODEL or UPSTREAM/MODEL, or "" for none."""

    map_json: Mapping[str, str]
    big_model: str
    small_model: str


class Retry(Section, frozen=True):
    """The section [retry]; times are in seconds. max_attempts: the first one included. also: statuses; 200 = a reply
    that makes no sense. hedge: globs of the names that clients ask for. rejoin_seconds: 0 = off."""

    max_attempts: int = 3
    backoff: float = 0.5
    max_backoff: float = 8
    max_retry_after: float = 10
    also: tuple[int, ...] = ()
    budget_percent: int = 20
    budget_per_second: float = 3
    deadline: float = 120
    on_overflow: bool = True
    on_refusal: bool = False
    hedge: tuple[str, ...] = ()
    rejoin_seconds: float = 0
    rejoin_mb: int = 16


class Breaker(Section, frozen=True):
    """The section [breaker]; times are in seconds. consecutive: failures in a row that open the breaker."""

    enabled: bool = True
    failure_percent: int = 50
    window: float = 30
    min_requests: int = 10
    consecutive: int = 5
    cooldown: float = 5
    max_cooldown: float = 120


class Admission(Section, frozen=True):
    """The section [admission], for all upstreams together. max_concurrent: 0 = [pool] max_connections."""

    max_concurrent: int = 0
    queue: int = 200
    queue_seconds: float = 10


class Client(Section, frozen=True):
    """A section [client NAME]: the keys of a client, or their hashes, and what it may do. admin: it may read the
    dashboard and the /debug pages. models, upstreams: what it may use, empty = all. expires: the last day on which its
    keys are valid. The bounds by minute, day and month: 0 = no limit."""

    unsaid: ClassVar[tuple[str, ...]] = ("key",)

    name: str
    key: tuple[str, ...]
    admin: bool
    models: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()
    expires: date | None = None
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    usd_per_day: float = 0.0
    usd_per_month: float = 0.0
    tokens_per_day: int = 0
    tokens_per_month: int = 0

    @property
    def plain_keys(self) -> tuple[str, ...]:
        """The keys that are known: of the others there is only the hash."""
        return tuple(key for key in self.key if not client_keys.is_hash(key))


class Hook(Section, frozen=True):
    """A section [hook NAME], which checks or changes requests and replies. url or python: where it is. on: request,
    reply. streams: hold or after. fail: closed or open."""

    unsaid: ClassVar[tuple[str, ...]] = ("headers",)

    name: str
    url: str = ""
    python: str = ""
    on: tuple[str, ...] = ("request", "reply")
    timeout: float = 5.0
    fail: str = "closed"
    streams: str = "hold"
    models: tuple[str, ...] = ()
    headers: tuple[Header, ...] = ()


class Value(Section, frozen=True):
    """A value for --print-config. text: the value, with secrets masked. origin: "settings.ini:12", "--set", "preset
    NAME" or "default", and the environment variables that are in the value."""

    section: str
    key: str
    text: str
    origin: str
