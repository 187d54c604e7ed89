"""What the sections of settings.ini become: frozen values, named like the keys.

Everything here has been checked and resolved before it is made; nothing here reads or decides. Secrets are
kept out of every repr. [upstream NAME] has a file of its own, upstreams.py, since it has rules of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from operate.settings.conditions import Condition
from operate.settings.schema import LOGGERS


@dataclass(frozen=True, slots=True)
class Server:
    """[server]. Seconds and MB as their names and the file say."""

    host: str
    port: int
    max_body_mb: int
    max_connections: int
    idle_timeout: float
    body_timeout: float
    ping_seconds: float
    drain_seconds: float
    drain_delay: float
    upgrade_seconds: float
    websockets: bool
    metrics: str
    origins: tuple[str, ...] = ()
    workers: int = 1

    @property
    def hosts(self) -> tuple[str, ...]:
        """:: stands for all addresses, as it does for other servers on Linux: 0.0.0.0 goes with it."""
        named = tuple(self.host.split(", "))
        return (*named, "0.0.0.0") if "::" in named and "0.0.0.0" not in named else named

    @property
    def max_body_bytes(self) -> int:
        return self.max_body_mb << 20


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; 0 = no limit. connect bounds DNS, TCP and TLS; idle the silence between two bytes of a
    reply."""

    connect: float
    first_byte: float
    idle: float
    request: float
    stream: float

    def total(self, stream: bool) -> float:
        """What bounds one exchange from its start to its end."""
        return self.stream if stream else self.request

    def until_first_byte(self, stream: bool) -> float:
        """A streamed reply starts soon; one that is not streamed comes when it is finished, so that only
        its total bounds it."""
        return (self.first_byte or self.stream) if stream else self.request


@dataclass(frozen=True, slots=True)
class Responses:
    """[responses]. What is kept of responses that no upstream keeps."""

    store_entries: int
    store_mb: int
    store_seconds: float


@dataclass(frozen=True, slots=True)
class Usage:
    """[usage]. Books on what is spent."""

    file: str
    keep_days: int


@dataclass(frozen=True, slots=True)
class Pool:
    """[pool]. keepalive_connections: for each upstream; pools: how many upstreams have such."""

    max_connections: int
    max_connections_per_upstream: int
    keepalive_connections: int
    pools: int
    keepalive_expiry: float
    keepalive_max_age: float
    prewarm: bool
    http2: bool
    proxy: str = field(repr=False)
    ca_file: str = ""
    family: str = "any"

    @property
    def per_upstream(self) -> int:
        """Connections to one upstream at once, 0 resolved."""
        return self.max_connections_per_upstream or self.max_connections


@dataclass(frozen=True, slots=True)
class Logging:
    """[logging]. The keys named like loggers hold a level or "". request_bodies, response_bodies: see capture.py."""

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

    def level_of(self, name: str) -> int:
        """The level of a logger, as `logging` numbers them: its own, else the general one."""
        own: str = getattr(self, name) if name in LOGGERS else ""
        return logging.getLevelNamesMapping()[(own or ("debug" if self.debug else self.level)).upper()]


@dataclass(frozen=True, slots=True)
class Translate:
    """[translate]."""

    strict: bool
    learn: bool
    deferred_tools: int
    max_continuations: int


@dataclass(frozen=True, slots=True)
class Aliases:
    """[aliases]. Values are MODEL or UPSTREAM/MODEL, or "" for none."""

    map_json: Mapping[str, str]
    big_model: str
    small_model: str


@dataclass(frozen=True, slots=True)
class Retry:
    """[retry]. Seconds. max_attempts: the first try included. also: statuses, 200 for a reply that makes no sense.
    hedge: globs of the names that clients ask for. rejoin_seconds: 0 = off."""

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


@dataclass(frozen=True, slots=True)
class Breaker:
    """[breaker]. Seconds. consecutive: faults in a row that open it, however few the requests."""

    enabled: bool = True
    failure_percent: int = 50
    window: float = 30
    min_requests: int = 10
    consecutive: int = 5
    cooldown: float = 5
    max_cooldown: float = 120


@dataclass(frozen=True, slots=True)
class Admission:
    """[admission], over all upstreams. max_concurrent: 0 = [pool] max_connections."""

    max_concurrent: int = 0
    queue: int = 200
    queue_seconds: float = 10


@dataclass(frozen=True, slots=True)
class TargetRef:
    """Where a model's requests go. model: its name there; None = the name that was asked for. stage: 0 is tried
    first; those of one stage are equals, and share by weight."""

    upstream: str
    model: str | None
    stage: int = 0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ModelRule:
    """A line of [models]. pattern: an exact name or a glob (* ? [..]). targets: stage by stage.
    line: in the file; 0 = from an option. condition: None = for every request."""

    pattern: str
    targets: tuple[TargetRef, ...]
    line: int
    condition: Condition | None = None

    @property
    def glob(self) -> str:
        """The pattern for fnmatch; "" where it is an exact name. A final [1m] is that suffix, no class of letters."""
        stem = self.pattern.removesuffix("[1m]")
        if not any(mark in stem for mark in "*?["):
            return ""
        return self.pattern if stem == self.pattern else stem + "[[]1m]"


@dataclass(frozen=True, slots=True)
class Client:
    """A [client NAME] section: who may come in, and by which key. admin: it may look into the proxy.
    requests_per_minute, tokens_per_minute: 0 = no bound."""

    name: str
    key: str = field(repr=False)
    admin: bool
    requests_per_minute: int = 0
    tokens_per_minute: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """A value for --print-config: text has its secrets masked; origin is "settings.ini:12", "--set" or
    "default", and names the environment variables that are in it."""

    section: str
    key: str
    text: str
    origin: str
