"""The router: from the name of a model to an ordered list of routes.

Exact names come before aliases, aliases before globs, and longer globs before shorter ones. A name of the form
UPSTREAM/MODEL chooses its upstream itself. Everything that is the same for all requests of a route (URL, protocol,
translation policy, credentials) is worked out once; then a look-up for a request is one access to a dict.
"""

from __future__ import annotations

import fnmatch
import logging
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from gateway.credentials.minted import Mint
from gateway.limits.breaker import BreakerLimits
from gateway.routing import model_names, protocol_choice
from gateway.routing.balancing import Choices, Place, Places
from gateway.routing.model_sizes import ModelLimits
from gateway.routing.request_facts import LONG_CONTEXT, Facts
from gateway.routing.upstreams import LiveUpstream, ready
from gateway.shared.shared_quota import Quotas
from operate.settings.load import ModelRule, Settings, TargetRef, Upstream
from translate import dialects
from translate.envelopes.envelope import Envelope
from translate.failures.errors import ApiError, BadRequest
from translate.target import Protocol, Target

log = logging.getLogger("gateway")

PICKED = "anthropic-proxy/"  # the prefix of names for Claude Code's /model; the name of a model follows it
MAX_REMEMBERED = 4096  # for how many names routes are kept, since clients may send any name
MAX_TOLD = 100  # how many names without a route are logged, each once

FAMILIES = {"big_model": ("opus", "sonnet"), "small_model": ("haiku",)}  # by key of [aliases]: words in names of models

_SCHEMA_WORDS = (b'"json_schema"', b'"json_object"')
_TOOL_WORDS = _SCHEMA_WORDS[:1]  # a tool needs a schema, so it cannot ask for just any object


@dataclass(frozen=True, slots=True)
class Route:
    """One way that a request of a `client` may take. model: its name at the upstream. schema: the route is only for
    requests that ask for a reply by a JSON schema. opened: the client has spoken another form of its protocol, so the
    body is not its own. home: the upstream speaks the client's protocol. verbatim: and the bytes pass through
    unchanged. key: the number of the upstream's key. stage: routes of a lower stage are tried
    first. weight: the share among the routes of the same stage. mint: where its key comes from, if that is not written
    down."""

    upstream: LiveUpstream
    protocol: Protocol
    model: str
    client: Protocol | None = None
    schema: bool = False
    opened: bool = False
    key: int = 0
    stage: int = 0
    weight: float = 1.0
    place: Place = field(init=False, repr=False, compare=False)
    target: Target = field(init=False, repr=False, compare=False)
    mint: Mint | None = field(init=False, repr=False, compare=False)
    url: str = field(init=False, repr=False, compare=False)
    stream_url: str = field(init=False, repr=False, compare=False)
    envelope: Envelope | None = field(init=False, repr=False, compare=False)
    home: bool = field(init=False, repr=False, compare=False)
    verbatim: bool = field(init=False, repr=False, compare=False)
    _by_schema: Route | None = field(init=False, repr=False, compare=False)
    _for_more: Route | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        up = self.upstream.settings
        object.__setattr__(self, "place", self.upstream.place(self.model, self.key))
        object.__setattr__(self, "mint", self.upstream.mints[self.key])
        policy = structs.replace(
            self.upstream.policy,
            max_tokens=up.most_tokens(self.model) or self.upstream.limits_of(self.model).output,
            cache_marks=up.marks_cache(self.model),
        )
        object.__setattr__(self, "target", Target(self.model, policy))
        dialect = dialects.of(self.protocol)
        envelope = self.upstream.envelope_of(self.protocol)
        object.__setattr__(self, "envelope", envelope)
        if envelope is None:
            url = up.url(dialect.path, self.model, self.protocol)
            stream_url = up.url(dialect.stream_path, self.model, self.protocol)
        else:
            url = self.upstream.wrapped_url(envelope, "", self.model)
            stream_url = self.upstream.wrapped_url(envelope, "", self.model, streams=True)
        object.__setattr__(self, "url", url)
        object.__setattr__(self, "stream_url", stream_url)
        home = self.client == self.protocol
        object.__setattr__(self, "home", home)
        by_tool = self.schema and up.output_schema == "tool"
        object.__setattr__(self, "verbatim", home and not (up.rebuild or by_tool or self.opened))
        object.__setattr__(self, "_by_schema", None if self.schema else self._other())
        object.__setattr__(self, "_for_more", self._other_side())

    @property
    def own_headers(self) -> dict[str, str]:
        return self.upstream.headers_with(self.key)[self.protocol]

    def _other(self) -> Route | None:
        """The route of requests with a schema; None if it is this one."""
        how = self.upstream.settings.output_schema
        if how in dialects.names():
            return self._with_schema(how) if how != self.protocol else None
        return self._with_schema(self.protocol) if how == "tool" and self.verbatim else None

    def _other_side(self) -> Route | None:
        """The route of requests with tools or thinking; None if it is this one."""
        if self.client is None or self.schema or self.home:
            return None
        spoken = self.upstream.spoken_for(self.model)
        best = protocol_choice.choose(self.client, spoken, more=True)
        if best is None or best == self.protocol or self.protocol not in spoken:
            return None
        return replace(self, protocol=best, schema=False)

    def _with_schema(self, protocol: Protocol) -> Route:
        return replace(self, protocol=protocol, schema=True)

    def in_another_protocol(self) -> Route:
        """The route in another protocol, if the upstream turned out not to serve this one (see Router.lacks)."""
        protocol = self.client and self.upstream.protocol_for(self.client, self.model)
        if protocol is None or self.protocol not in self.upstream.lacks:
            return self
        return replace(self, protocol=protocol, schema=False)

    def of(self, body: bytes) -> Route:
        """The route that a request with this body takes. It looks for words in the body, which is enough, because
        inside a text their quotes would be escaped."""
        if self._for_more is not None and protocol_choice.asks_more(body):
            return self._for_more.of(body)
        other = self._by_schema
        if other is None:
            return self
        words = _TOOL_WORDS if self.upstream.settings.output_schema == "tool" else _SCHEMA_WORDS
        return other if any(word in body for word in words) else self


class Router:
    """The routes of the settings. base_urls: upstreams whose address is not in the settings (the demo), by name."""

    def __init__(
        self,
        settings: Settings,
        base_urls: dict[str, Upstream] | None = None,
        places: Places | None = None,
        before: Router | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        """places: the state of the endpoints; None = nothing is known yet. before: the router that this one replaces.
        quotas: makes those of upstreams; None = each counts for itself."""
        places = places or Places(BreakerLimits())
        on = {name: (base_urls or {}).get(name, up) for name, up in settings.upstreams.items() if up.enabled}
        old = before.upstreams if before else {}
        quotas = quotas or Quotas()
        self.upstreams: dict[str, LiveUpstream] = {
            name: ready(settings, up, places, quotas, old.get(name)) for name, up in on.items()
        }
        self.off = {name: up.off_because for name, up in settings.upstreams.items() if not up.enabled}
        plain = [rule for rule in settings.models if rule.condition is None]
        self._exact = {rule.pattern: rule.targets for rule in plain if not rule.glob}
        self._globs = [(rule.pattern, _matcher(rule), rule.targets) for rule in _by_length(plain) if rule.glob]
        conditional = [rule for rule in settings.models if rule.condition is not None]
        self._conditional = [(_matcher(rule), rule) for rule in _by_length(conditional)]
        self._aliases = dict(settings.aliases.map_json)
        self._families = [
            (FAMILIES["big_model"], settings.aliases.big_model),
            (FAMILIES["small_model"], settings.aliases.small_model),
        ]
        self._demos = {name for name, up in settings.upstreams.items() if up.is_demo}
        self._found: dict[tuple[str, Protocol, ModelRule | None, bool], list[Route]] = {}
        self._told: set[str] = set()
        self.choices = Choices()

    def __repr__(self) -> str:
        return f"<Router {list(self.upstreams)} exact={list(self._exact)} globs={len(self._globs)}>"

    def is_demo(self, upstream: str) -> bool:
        return upstream in self._demos

    def routes(
        self, model: str, client: Protocol, facts: Callable[[], Facts] | None = None, *, opened: bool = False
    ) -> list[Route]:
        """The routes for a model, the best first; at least one. facts: is called only if lines with conditions fit the
        name. opened: see Route. Raises ApiError (404) that lists the known models."""
        if model.startswith(PICKED):
            model = self._picked(model)
        rule = self._rule(model, facts) if self._conditional and facts else None
        found = self._found.get((model, client, rule, opened))
        if found is None:
            try:
                found = self._resolve(model, client, rule)
            except ApiError as error:
                self._tell(model, error.message)
                raise
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            if opened:
                found = [replace(route, opened=True) for route in found]
            self._found[model, client, rule, opened] = found
        return found

    def _picked(self, model: str) -> str:
        """The name of the model behind a name from Claude Code's /model. The settings for that name apply."""
        name = model.removeprefix(PICKED)
        upstream, _, rest = name.partition("/")
        targets = self._exact.get(rest.removesuffix(LONG_CONTEXT), ())
        return rest if targets and targets[0].upstream == upstream else name

    def _rule(self, model: str, facts: Callable[[], Facts]) -> ModelRule | None:
        """The line whose condition the request meets; None if there is none. Such a line comes before all lines without
        a condition."""
        plain = model.removesuffix(LONG_CONTEXT)
        fitting = [
            rule
            for fits, rule in self._conditional
            if (fits(model) or (plain != model and fits(plain))) and self._lit(rule.targets)
        ]
        if not fitting:
            return None
        known = facts()
        return next((rule for rule in fitting if rule.condition and known.meet(rule.condition)), None)

    def lacks(self, failed: Route) -> bool:
        """Records that an upstream does not serve the protocol of a route. Returns False if it speaks no other protocol
        that could be used."""
        upstream, client = failed.upstream, failed.client
        if client is None or failed.home:
            return False
        others = [name for name in upstream.spoken_for(failed.model) if name != failed.protocol]
        if protocol_choice.choose(client, others, more=True) is None:
            return False
        upstream.lacks.add(failed.protocol)
        self._found.clear()
        return True

    def told(self, upstream: LiveUpstream, limits: dict[str, ModelLimits]) -> None:
        """An upstream's list has come. Routes are made anew where it says something new of its models."""
        if limits != upstream.sizes.told:
            upstream.sizes.told = limits
            self._found.clear()

    def model_of(self, name: str) -> str:
        """The model behind an exact name of the settings, at its first upstream."""
        targets = self._exact.get(name, ())
        return (targets[0].model if targets else "") or name

    def why_not(self, model: str, client: Protocol) -> str:
        """The message of the 404 that a client would get for a model; "" if there is a route."""
        try:
            self._resolve(model, client)
        except ApiError as error:
            return error.message
        return ""

    def _tell(self, model: str, why: str) -> None:
        """Logs the message of a 404, because some clients do not show it."""
        if model not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(model)
            log.warning("%s", "".join(c if c.isprintable() else "?" for c in why[:600]))

    def names(self) -> list[tuple[str, str]]:
        """Pairs (name of a model, upstream) for every exact name in the settings: exact patterns and aliases."""
        out = [(name, targets[0].upstream) for name, targets in self._exact.items() if self._lit(targets)]
        out += [(name, "alias") for name in self._aliases]
        return out

    def listed_as(self, model: str, upstream: LiveUpstream) -> str:
        """The name with which a client reaches `model` of `upstream`: the model's own name if it leads there, else
        UPSTREAM/MODEL."""
        refs = self._refs(model)
        if refs and any(ref.upstream == upstream.name and (ref.model or model) == model for ref in refs):
            return model
        return f"{upstream.name}/{model}"

    # ---------------------------------------------------------------------------------------- resolving

    def _resolve(self, model: str, client: Protocol, rule: ModelRule | None = None) -> list[Route]:
        if model.endswith(LONG_CONTEXT) and model not in self._exact:
            model = model.removesuffix(LONG_CONTEXT)  # clients ask for the long context of a model in this way
        refs = list(rule.targets) if rule else self._refs(model)
        if not refs and (plain := model_names.plain(model)):
            refs = [TargetRef(ref.upstream, ref.model or plain) for ref in self._refs(plain)]
        if not refs:
            raise ApiError("not_found", self._unknown(model), code="model_not_found", param="model")
        routes = []
        astray = False
        for ref in refs:
            upstream = self.upstreams.get(ref.upstream)
            protocol = upstream.protocol_for(client, ref.model or model) if upstream else None
            if upstream and protocol:
                keys = len(upstream.settings.credentials)
                name, weight = ref.model or model, ref.weight / keys
                if upstream.names_in_address and model_names.leads_astray(name):
                    astray = True
                    continue
                routes += [
                    Route(upstream, protocol, name, client, key=key, stage=ref.stage, weight=weight)
                    for key in range(keys)
                ]
        if routes:
            return routes
        if astray:
            raise BadRequest(f"model: '{model[:100]}' cannot be the name of a model: it would be part of an address, "
                             "and lead elsewhere", "model")  # fmt: skip
        lit = [ref.upstream for ref in refs if ref.upstream in self.upstreams]
        if lit:
            speaks = ", ".join(self.upstreams[lit[0]].settings.protocol)
            raise ApiError(
                "not_found",
                f"model '{model}' goes to upstream '{lit[0]}', which speaks {speaks}; this proxy cannot translate "
                f"{client} "
                "to that",
                param="model",
            )
        why = "; ".join(f"{ref.upstream} is off ({self.off.get(ref.upstream, 'unknown')})" for ref in refs)
        raise ApiError(
            "not_found", f"model '{model}' has no upstream: {why}. {_instead(model)}{self._there_is()}", param="model"
        )

    def _refs(self, model: str) -> list[TargetRef]:
        targets: Sequence[TargetRef] = self._exact.get(model, ())
        if self._lit(targets):
            return list(targets)
        meant = self._aliases.get(model)
        if meant is None and not (targets := self._named(model)):
            low = model.lower()
            meant = next((m for words, m in self._families if m and any(w in low for w in words)), None)
        if meant:
            return self._named(meant) or [TargetRef(r.upstream, r.model or meant) for r in self._plain(meant)]
        return list(targets) or self._named(model) or self._plain(model)

    def _named(self, model: str) -> list[TargetRef]:
        """The target of a name of the form UPSTREAM/MODEL, or []."""
        name, slash, rest = model.partition("/")
        return [TargetRef(name, rest)] if slash and rest and name in self.upstreams else []

    def _plain(self, model: str) -> list[TargetRef]:
        targets: Sequence[TargetRef] = self._exact.get(model, ())
        if self._lit(targets):
            return list(targets)
        off = list(self._exact.get(model, ()))
        for _, pattern, targets in self._globs:
            if pattern(model):
                if self._lit(targets):
                    return list(targets)
                off = off or list(targets)
        if self.upstreams and self.upstreams.keys() <= self._demos:  # if only the demo is on, it answers for every name
            return [TargetRef(next(iter(self.upstreams)), None)]
        return off

    def _lit(self, targets: Sequence[TargetRef]) -> bool:
        return any(target.upstream in self.upstreams for target in targets)

    def _unknown(self, model: str) -> str:
        asked = model.partition("/")[0]
        if asked in self.off:
            return f"upstream '{asked}' is off ({self.off[asked]}). {self._there_is()}"
        return f"model '{model}' is not known to this proxy. {_instead(model)}{self._there_is()}"

    def _there_is(self) -> str:
        names = [name for name, _ in self.names()]
        names += [pattern for pattern, _, targets in self._globs if self._lit(targets)]
        ups = ", ".join(f"{name}/MODEL" for name in self.upstreams)
        known = ", ".join(names[:40]) or "none"
        return f"Known models: {known}; or write UPSTREAM/MODEL: {ups}. See [models] in settings.ini."


def _instead(model: str) -> str:
    """For a Claude model, which clients choose by themselves: a hint at the setting by which another model answers for
    it."""
    low = model.lower()
    for key, words in FAMILIES.items():
        if any(word in low for word in words):
            return f"To let another answer, set [aliases] {key} = UPSTREAM/MODEL (environment: {key.upper()}). "
    return ""


def _by_length(rules: Iterable[ModelRule]) -> list[ModelRule]:
    """Sorts rules: exact names first, then longer globs before shorter ones, else in the order of the file."""
    return sorted(rules, key=lambda rule: -len(rule.pattern) if rule.glob else -math.inf)


def _matcher(rule: ModelRule) -> Callable[[str], object]:
    if not rule.glob:
        return rule.pattern.__eq__
    return re.compile(fnmatch.translate(rule.glob)).match
