"""Model name -> where the request goes: an ordered list of routes.

Exact names come before the aliases, aliases before globs, longer globs before shorter; a name of the form
UPSTREAM/MODEL picks its upstream itself. What is settled per upstream (URLs, the protocol's order, translation
policy, credentials) is worked out once, here; a lookup on the hot path is one dictionary hit.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from dataclasses import dataclass, field, replace

from operate.settings import Settings, TargetRef, Upstream
from translate import pair
from translate.errors import ApiError
from translate.target import Policy, Protocol, Target
from upstream.exchange import Timeouts

log = logging.getLogger("gateway")

MAX_REMEMBERED = 4096  # names whose routes are kept: clients choose them, so they must not pile up
MAX_TOLD = 100  # names without a route that the operator is told of, each once

FAMILIES = {"big_model": ("opus", "sonnet"), "small_model": ("haiku",)}  # key of [aliases] -> words in names

ENDPOINT = {"messages": "messages", "chat": "chat/completions", "responses": "responses"}
SIDE = {
    ("messages", "count"): "messages/count_tokens",
    ("responses", "count"): "responses/input_tokens",
    ("responses", "compact"): "responses/compact",
}
ANTHROPIC_VERSION = "2023-06-01"  # said for clients that have no word for it; every field of ours is in it


@dataclass(slots=True)
class Peer:
    """An upstream that is on, made ready: what each request to it needs, worked out once."""

    name: str
    settings: Upstream
    base_url: str
    policy: Policy = field(init=False)
    urls: dict[str, str] = field(init=False)
    stream_timeouts: Timeouts = field(init=False)
    whole_timeouts: Timeouts = field(init=False)
    own_headers: dict[Protocol, dict[str, str]] = field(init=False)
    counts: set[Protocol] = field(init=False)  # protocols whose counting of tokens it has; what it lacks it shows

    def __post_init__(self) -> None:
        s = self.settings
        self.policy = Policy(
            max_tokens_field=s.max_tokens_field,
            reasoning=s.reasoning,
            reasoning_history=s.reasoning_history,
            developer_role=s.developer_role,
            stream_options=s.stream_options,
            drop=s.drop,
            rename=s.rename,
            tool_schema=s.tool_schema,
            images=s.images,
            reasoning_effort=s.reasoning_effort,
            max_stops=s.max_stops,
        )
        self.urls = {name: s.url(name) for name in (*ENDPOINT.values(), *SIDE.values(), "models")}
        self.stream_timeouts = _timeouts(s, True)
        self.whole_timeouts = _timeouts(s, False)
        self.own_headers = {protocol: self._headers(protocol) for protocol in ENDPOINT}
        self.counts = set()
        if "messages" in s.protocol and s.count_tokens:
            self.counts.add("messages")
        if "responses" in s.protocol:
            self.counts.add("responses")

    def __repr__(self) -> str:
        return f"<Peer {self.name} {','.join(self.settings.protocol)} {self.base_url}>"

    def protocol_for(self, client: Protocol) -> Protocol | None:
        """The client's own where the upstream speaks it, else the first that it can be translated to."""
        if client in self.settings.protocol:
            return client
        for protocol in self.settings.protocol:
            if pair.can_cross(client, protocol):  # type: ignore[arg-type]
                return protocol  # type: ignore[return-value]
        return None

    def _headers(self, protocol: Protocol) -> dict[str, str]:
        own = {"content-type": "application/json", "accept-encoding": "identity"}
        if protocol == "messages":
            own["anthropic-version"] = ANTHROPIC_VERSION
        if self.settings.api_key:
            name = self.settings.key_header
            if name == "auto":
                name = "x-api-key" if protocol == "messages" else "authorization"
            own[name] = f"Bearer {self.settings.api_key}" if name == "authorization" else self.settings.api_key
        own |= {name.lower(): value for name, value in self.settings.headers}
        return own


def _timeouts(settings: Upstream, stream: bool) -> Timeouts:
    t = settings.timeouts
    return Timeouts(
        connect=t.connect, first_byte=t.until_first_byte(stream), idle=t.idle if stream else 0.0, total=t.total(stream)
    )


@dataclass(frozen=True, slots=True)
class Route:
    """One place where a request may go. model is the upstream's name for it; target and url say it once for all."""

    peer: Peer
    protocol: Protocol
    model: str
    target: Target = field(init=False, repr=False, compare=False)
    url: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        up = self.peer.settings
        policy = replace(self.peer.policy, max_tokens=up.most_tokens(self.model))
        object.__setattr__(self, "target", Target(self.model, policy))
        object.__setattr__(self, "url", up.url(ENDPOINT[self.protocol], self.model))


class Router:
    """settings -> routes. `base_urls` tells where upstreams listen that the settings do not (the demo)."""

    def __init__(self, settings: Settings, base_urls: dict[str, Upstream] | None = None) -> None:
        on = {name: (base_urls or {}).get(name, up) for name, up in settings.upstreams.items() if up.enabled}
        self.peers = {name: Peer(name, up, up.base_url) for name, up in on.items()}
        self.off = {name: up.off_because for name, up in settings.upstreams.items() if not up.enabled}
        self._exact = {r.pattern: r.targets for r in settings.models if not _is_glob(r.pattern)}
        globs = [r for r in settings.models if _is_glob(r.pattern)]
        globs.sort(key=lambda r: -len(r.pattern))
        self._globs = [(r.pattern, re.compile(fnmatch.translate(r.pattern)), r.targets) for r in globs]
        self._aliases = dict(settings.aliases.map_json)
        self._families = [
            (FAMILIES["big_model"], settings.aliases.big_model),
            (FAMILIES["small_model"], settings.aliases.small_model),
        ]
        self._demos = {name for name, up in settings.upstreams.items() if up.is_demo}
        self._found: dict[tuple[str, Protocol], list[Route]] = {}
        self._told: set[str] = set()

    def __repr__(self) -> str:
        return f"<Router {list(self.peers)} exact={list(self._exact)} globs={len(self._globs)}>"

    def routes(self, model: str, client: Protocol) -> list[Route]:
        """At least one route, best first. Raises ApiError (404) that lists what there is."""
        found = self._found.get((model, client))
        if found is None:
            try:
                found = self._resolve(model, client)
            except ApiError as error:
                self._tell(model, error.message)
                raise
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            self._found[model, client] = found
        return found

    def why_not(self, model: str, client: Protocol) -> str:
        """Empty if such a client gets a route for the model, else the words of the 404."""
        try:
            self._resolve(model, client)
        except ApiError as error:
            return error.message
        return ""

    def _tell(self, model: str, why: str) -> None:
        """In the log too: some clients keep the words of a 404 from their users."""
        if model not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(model)
            log.warning("%s", "".join(c if c.isprintable() else "?" for c in why[:600]))

    def names(self) -> list[tuple[str, str]]:
        """(model name, upstream) of every name that the settings say outright: exact patterns and aliases."""
        out = [(name, targets[0].upstream) for name, targets in self._exact.items() if self._lit(targets)]
        out += [(name, "alias") for name in self._aliases]
        return out

    def listed_as(self, model: str, peer: Peer) -> str:
        """The name under which a client reaches `model` of `peer`: its own, if that routes there."""
        refs = self._refs(model)
        if refs and any(ref.upstream == peer.name and (ref.model or model) == model for ref in refs):
            return model
        return f"{peer.name}/{model}"

    # ---------------------------------------------------------------------------------------- resolving

    def _resolve(self, model: str, client: Protocol) -> list[Route]:
        refs = self._refs(model)
        if not refs:
            raise ApiError("not_found", self._unknown(model), code="model_not_found", param="model")
        routes = []
        for ref in refs:
            peer = self.peers.get(ref.upstream)
            protocol = peer.protocol_for(client) if peer else None
            if peer and protocol:
                routes.append(Route(peer, protocol, ref.model or model))
        if routes:
            return routes
        lit = [ref.upstream for ref in refs if ref.upstream in self.peers]
        if lit:
            speaks = ", ".join(self.peers[lit[0]].settings.protocol)
            raise ApiError(
                "not_found",
                f"model '{model}' goes to upstream '{lit[0]}', which speaks {speaks}; this proxy does not translate "
                f"{client} to that yet",
                param="model",
            )
        why = "; ".join(f"{ref.upstream} is off ({self.off.get(ref.upstream, 'unknown')})" for ref in refs)
        raise ApiError(
            "not_found", f"model '{model}' has no upstream: {why}. {_instead(model)}{self._there_is()}", param="model"
        )

    def _refs(self, model: str) -> list[TargetRef]:
        if self._lit(targets := self._exact.get(model, ())):
            return list(targets)
        meant = self._aliases.get(model)
        if meant is None and not (targets := self._named(model)):
            low = model.lower()
            meant = next((m for words, m in self._families if m and any(w in low for w in words)), None)
        if meant:
            return self._named(meant) or [TargetRef(r.upstream, r.model or meant) for r in self._plain(meant)]
        return list(targets) or self._named(model) or self._plain(model)

    def _named(self, model: str) -> list[TargetRef]:
        """UPSTREAM/MODEL."""
        name, slash, rest = model.partition("/")
        return [TargetRef(name, rest)] if slash and rest and name in self.peers else []

    def _plain(self, model: str) -> list[TargetRef]:
        if self._lit(targets := self._exact.get(model, ())):
            return list(targets)
        off = list(self._exact.get(model, ()))
        for _, pattern, targets in self._globs:
            if pattern.match(model):
                if self._lit(targets):
                    return list(targets)
                off = off or list(targets)
        if self.peers and self.peers.keys() <= self._demos:  # nothing else is on: the demo answers to any name
            return [TargetRef(next(iter(self.peers)), None)]
        return off

    def _lit(self, targets: tuple[TargetRef, ...] | list[TargetRef]) -> bool:
        return any(target.upstream in self.peers for target in targets)

    def _unknown(self, model: str) -> str:
        asked = model.partition("/")[0]
        if asked in self.off:
            return f"upstream '{asked}' is off ({self.off[asked]}). {self._there_is()}"
        return f"model '{model}' is not known here. {_instead(model)}{self._there_is()}"

    def _there_is(self) -> str:
        names = [name for name, _ in self.names()]
        names += [pattern for pattern, _, targets in self._globs if self._lit(targets)]
        ups = ", ".join(f"{name}/MODEL" for name in self.peers)
        known = ", ".join(names[:40]) or "none"
        return f"Known: {known}; or name an upstream: {ups}. See [models] in settings.ini."


def _instead(model: str) -> str:
    """What to set so that another model answers to one of Claude's names, which clients ask for by themselves."""
    low = model.lower()
    for key, words in FAMILIES.items():
        if any(word in low for word in words):
            return f"To let another model answer: [aliases] {key} = UPSTREAM/MODEL (environment: {key.upper()}). "
    return ""


def _is_glob(pattern: str) -> bool:
    return any(mark in pattern for mark in "*?[")
