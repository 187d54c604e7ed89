"""A `LiveUpstream`: an upstream that is on, with everything that requests to it need, worked out once.

It has the URLs, the headers for each key, the timeouts and the translation policy. It also has the state that all its
requests share: its slots (limits/admission.py), its retry budget and its quota. The state of one model with one key is
in balancing.py.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from msgspec import structs

from gateway.credentials import sources
from gateway.credentials.asking import Ask
from gateway.credentials.minted import Mint, Minted
from gateway.limits.admission import Gate
from gateway.limits.concurrency_limit import Adaptive
from gateway.limits.limiter import Limiter
from gateway.limits.retry_budget import Budget
from gateway.routing import protocol_choice
from gateway.routing.balancing import Place, Places
from gateway.routing.model_sizes import ModelLimits, ModelSizes
from gateway.shared.shared_quota import Quotas
from operate.logs.spellings import Spellings
from operate.settings.load import Settings, Translate, Upstream, is_loopback
from translate import dialects
from translate.dialect import Dialect, Http
from translate.envelopes import table as envelopes
from translate.envelopes.envelope import Envelope, Location
from translate.target import Policy, Protocol
from upstream.request import Timeouts
from upstream.way import Way

COUNT_S = 10.0  # the longest wait for a count of tokens: clients ask while somebody waits, and an estimate is at hand
LEAST_SHOWN = 12  # characters of a key whose last four are told


@dataclass(slots=True)
class LiveUpstream:
    """An upstream that is on.

    counts: the protocols in which it can count tokens, as far as is known; counts_from: models that were late with a
    count, and when they may be asked for one again. lacks: protocols of its settings that it does not serve, as its
    replies have shown. is_proxy: it is a proxy like this one, as its replies say. sizes: of its models. mints: one for
    each of its keys; None if the key is written down. ask: how minted keys are asked for by HTTP, once the process has
    a client. on_key: is told the secrets of such a key. key_names: a digest of each key, or of where it comes from,
    which stays the same when the settings change, and in other workers.
    """

    name: str
    settings: Upstream
    base_url: str
    places: Places
    gate: Gate
    budget: Budget
    quota: Limiter | None
    translate: Translate
    sizes: ModelSizes
    policy: Policy = field(init=False)
    urls: dict[str, str] = field(init=False)
    stream_timeouts: Timeouts = field(init=False)
    whole_timeouts: Timeouts = field(init=False)
    count_timeouts: Timeouts = field(init=False)
    counts_from: dict[str, float] = field(init=False, default_factory=dict)
    way: Way = field(init=False)
    mints: list[Mint | None] = field(init=False)
    ask: Ask | None = field(init=False, default=None)
    on_key: Callable[[str, list[str]], None] = field(init=False, default=lambda source, secrets: None)
    _headers: list[tuple[Minted | None, dict[Protocol, dict[str, str]]]] = field(init=False)
    counts: set[Protocol] = field(init=False)
    lacks: set[Protocol] = field(init=False, default_factory=set)
    is_proxy: bool = field(init=False, default=False)
    key_names: list[str] = field(init=False)
    secrets: Spellings = field(init=False)

    def __post_init__(self) -> None:
        s = self.settings
        self.policy = _policy(s, self.translate)
        paths = {each.upstream: dialect.name for dialect in dialects.every() for each in dialect.endpoints}
        paths["models"] = self.lists_in.name
        self.urls = {path: s.url(path, protocol=name) for path, name in paths.items()}
        self.stream_timeouts = _timeouts(s, stream=True)
        self.whole_timeouts = _timeouts(s, stream=False)
        self.count_timeouts = _for_counts(self.whole_timeouts)
        self.way = _way(s)
        self.mints = [sources.mint(s, key, self._asked) for key in s.credentials]
        written = ["" if mint is not None else key for key, mint in zip(s.credentials, self.mints, strict=True)]
        self._headers = [(None, self._with(key)) for key in written]
        for number, mint in enumerate(self.mints):
            if mint is not None:
                mint.on_new = functools.partial(self._takes, number)
        self.key_names = [hashlib.sha256(key.encode()).hexdigest()[:16] if key else "" for key in s.credentials]
        self.secrets = Spellings(s.secrets())
        counting = ((name, dialects.of(name).endpoint("count")) for name in s.protocol)
        self.counts = {name for name, count in counting if count is not None and (s.count_tokens or not count.optional)}

    def __repr__(self) -> str:
        return f"<LiveUpstream {self.name} {','.join(self.settings.protocol)} {self.base_url}>"

    def protocol_for(self, client: Protocol, model: str = "") -> Protocol | None:
        """The protocol for requests of a client, unless a request asks for more (see protocol_choice.py)."""
        return protocol_choice.choose(client, self.spoken_for(model), protocol_choice.reasons(model))

    @property
    def spoken(self) -> tuple[str, ...]:
        """The protocols that it serves, in the order of the settings."""
        if not self.lacks:
            return self.settings.protocol
        return tuple(protocol for protocol in self.settings.protocol if protocol not in self.lacks)

    def spoken_for(self, model: str) -> tuple[str, ...]:
        """The protocols in which it has a model; "" = any model."""
        return envelopes.spoken(self.settings.envelope, model, self.spoken) if model else self.spoken

    def headers_with(self, key: int) -> dict[Protocol, dict[str, str]]:
        """The headers with one of its keys, by protocol. A minted key is missing until it is there."""
        mint = self.mints[key]
        if mint is not None and mint.minted is not self._headers[key][0]:
            self._headers[key] = mint.minted, self._with(mint.minted.key if mint.minted is not None else "")
        return self._headers[key][1]

    @property
    def names_in_address(self) -> bool:
        """Whether an address of it contains the name of a model."""
        s = self.settings
        theirs = any("{model}" in dialects.of(name).path for name in s.protocol)
        return theirs or bool(s.api_version) or s.envelope != "none"

    def limits_of(self, model: str) -> ModelLimits:
        return self.sizes.of(model)

    def minted(self, key: int) -> Minted | None:
        """Returns a minted key; None if the key is written down, or is not there yet."""
        mint = self.mints[key]
        return mint.minted if mint is not None else None

    async def ready(self, key: int) -> None:
        """Waits until a key is there. Raises ApiError if none can be made."""
        mint = self.mints[key]
        if mint is not None:
            await mint.have()

    def stop(self) -> None:
        """Ends what runs for its keys."""
        for mint in self.mints:
            if mint is not None:
                mint.stop()

    def _asked(self) -> Ask:
        assert self.ask is not None
        return self.ask

    def _takes(self, key: int, minted: Minted) -> None:
        """A new key: nothing that is written may contain it, nor the one before, which running requests still use."""
        before = self._headers[key][0]
        mints = [mint.minted for mint in self.mints if mint is not None]
        live = [each.secrets for each in (*mints, before, minted) if each is not None]
        self.secrets = Spellings({*self.settings.secrets(), *itertools.chain.from_iterable(live)})
        self.on_key(f"{self.name} {key}", minted.secrets)

    def key_told(self, number: int) -> str:
        """How a key is told to operators: by its position and, where it is written down, its last four letters."""
        key = self.settings.credentials[number] if self.mints[number] is None else ""  # else a command
        return f"{number + 1}" + f" (...{key[-4:]})" * (len(key) >= LEAST_SHOWN)

    def key_number(self, name: str) -> int:
        """The number of the key with this name in key_names; 0, the first one, if no key has the name any more."""
        return self.key_names.index(name) if name in self.key_names else 0

    def first_key(self, now: float) -> int:
        """The number of the first key that is not at rest; 0 if all are."""
        return next((number for number in range(len(self.key_names)) if self.key_works(number, now)), 0)

    def key_works(self, number: int, now: float) -> bool:
        """Whether a key is not at rest, as far as is known."""
        return self.places.key(self.name, number).bad_until <= now

    def place(self, model: str, key: int) -> Place:
        return self.places.of(self.name, model, key)

    def side(self, protocol: Protocol, task: str, model: str = "") -> str:
        """The URL of a task that is no reply, or "" if the protocol has none for it. model: some addresses contain
        it."""
        endpoint = dialects.of(protocol).endpoint(task)
        if endpoint is None:
            return ""
        if (envelope := self.envelope_of(protocol)) is not None:
            return self.wrapped_url(envelope, task, model)
        if self.settings.api_version or "{model}" in endpoint.upstream:
            return self.settings.url(endpoint.upstream, model, protocol)
        return self.urls[endpoint.upstream]

    def envelope_of(self, protocol: Protocol) -> Envelope | None:
        """How it has requests of a protocol wrapped; None where they go as they are."""
        return envelopes.of(self.settings.envelope, dialects.of(protocol))

    def wrapped_url(self, envelope: Envelope, task: str, model: str, *, streams: bool = False) -> str:
        own = self.settings
        return f"{own.base_url}/{envelope.path(task, model, streams, Location(own.project, own.region))}"

    @property
    def models_url(self) -> str:
        """The URL of its list of models, "" if it has none."""
        return self.urls["models"] + self.lists_in.models.query if self.settings.list_models else ""

    @property
    def lists_in(self) -> Dialect:
        """The dialect in which it is asked for its list of models: one whose list has no pages, if it speaks one."""
        spoken = [dialects.of(name) for name in self.settings.protocol]
        return next((each for each in spoken if not each.models.query), spoken[0])

    def _with(self, key: str) -> dict[Protocol, dict[str, str]]:
        return {dialect.name: self._headers_of(dialect, key) for dialect in dialects.every()}

    def key_line(self, http: Http, key: str) -> tuple[str, str]:
        """Returns the header that carries a key to it, and its value."""
        said = self.settings.key_header
        usual, scheme = http.auth
        if said in ("auto", usual):
            return usual, scheme + key
        return said, f"Bearer {key}" if said == "authorization" else key

    def _headers_of(self, dialect: Dialect, key: str) -> dict[str, str]:
        own = {"content-type": "application/json", "accept-encoding": "identity", **dialect.http.headers}
        if key:
            own |= [self.key_line(dialect.http, key)]
        if self.settings.workspace:
            own["anthropic-workspace-id"] = self.settings.workspace
        own |= {header.name.lower(): header.value for header in self.settings.headers}
        return own


def ready(
    settings: Settings, upstream: Upstream, places: Places, quotas: Quotas, before: LiveUpstream | None = None
) -> LiveUpstream:
    """Makes the LiveUpstream of an upstream. before: the one until now; its requests in flight, its budget and what is
    known of it are kept."""
    most = upstream.max_concurrent or settings.pool.per_upstream
    share, per_second = settings.retry.budget_percent / 100, settings.retry.budget_per_second
    if before is None:
        gate = Gate(upstream.name, most, Adaptive(most) if upstream.adaptive else None)
        budget = Budget(share, per_second)
    else:
        gate, budget = before.gate, before.budget
        gate.resize(most, upstream.adaptive)
        budget.resize(share, per_second)
        gate.key = _bound(settings, upstream)  # [pool] may have changed
        same_sizes = before.sizes.own == settings.sizes
        if before.settings == upstream and before.translate == settings.translate and same_sizes:
            return before
        if _who(before.settings) != _who(upstream):
            places.forget(upstream.name)
    gate.key = _bound(settings, upstream)
    bounds = upstream.requests_per_minute, upstream.tokens_per_minute
    quota = quotas.of(f"upstream:{upstream.name}", bounds, before.quota if before else None)
    sizes = ModelSizes(upstream.name, upstream.base_url, settings.sizes)
    if before is not None and before.base_url == upstream.base_url:
        sizes.told = before.sizes.told
    return LiveUpstream(
        upstream.name, upstream, upstream.base_url, places, gate, budget, quota, settings.translate, sizes
    )


def _bound(settings: Settings, upstream: Upstream) -> str:
    """The name of the setting that limits its requests at once, for messages."""
    if upstream.max_concurrent:
        return f"[upstream {upstream.name}] max_concurrent"
    each = settings.pool.max_connections_per_upstream
    return "[pool] max_connections_per_upstream" if each else "[pool] max_connections"


def _who(upstream: Upstream) -> tuple[object, ...]:
    """The identity of the server. If it stays the same after a change of the settings, all that is known about the
    server still holds."""
    return upstream.base_url, upstream.credentials, upstream.headers


def _way(s: Upstream) -> Way:
    """How it is reached. A proxy cannot reach the loopback of this machine, so for an upstream there only the proxy of
    its own section is used."""
    proxy = None if s.proxy == "" else "" if s.proxy == "none" else s.proxy
    if proxy is None and is_loopback(urlsplit(s.base_url).hostname or ""):
        proxy = ""
    if s.socket:
        proxy = ""
    return Way(s.verify_tls, s.ca_file, s.client_cert, s.client_key, s.client_key_password, proxy, s.family, s.socket)


HABITS = tuple(name for name, kind in Policy.__annotations__.items() if Upstream.__annotations__.get(name) == kind)
"""The settings of an upstream that its Policy takes over: those with a field of the same name and type there."""


def _policy(upstream: Upstream, translate: Translate) -> Policy:
    return Policy(
        **{name: getattr(upstream, name) for name in HABITS},
        prompt_cache_key=upstream.takes_cache_key,
        deferred_tools=translate.deferred_tools,
        max_continuations=translate.max_continuations,
    )


def _for_counts(usual: Timeouts) -> Timeouts:
    total = min(usual.total or COUNT_S, COUNT_S)
    return structs.replace(usual, first_byte=total, total=total)


def _timeouts(settings: Upstream, *, stream: bool) -> Timeouts:
    t = settings.timeouts
    return Timeouts(
        connect=t.connect, first_byte=t.until_first_byte(stream), idle=t.idle if stream else 0.0, total=t.total(stream)
    )
