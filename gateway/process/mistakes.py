"""What is most likely a mistake in settings that are right in themselves: the banner and --check-config tell of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from gateway.http.loop_guard import Hops, ips
from gateway.observe.prices import Prices
from gateway.routing.client_rules import ClientRules
from gateway.routing.router import Router
from operate.settings.list_types import Header
from operate.settings.load import Client, Settings
from translate import late
from upstream.pool import ca_places, system_ca_file

MOST_NAMED = 5  # models in one sentence

_COMMENT = late.pattern(r"\s[#;]\s")


def mistakes(settings: Settings, router: Router, today: date | None = None) -> list[str]:
    """Returns a sentence for each. today: None = the day that it is, in UTC."""
    day = today or datetime.now(UTC).date()
    return [
        *_expired(settings, day),
        *_unpriced(settings),
        *_lost_names(settings),
        *_lost_aliases(settings, router),
        *_loops(settings),
        *_comments(settings),
        *_roots(settings),
    ]


def _expired(settings: Settings, today: date) -> Iterator[str]:
    for client in settings.clients:
        if client.expires is not None and client.expires < today:
            yield f"[client {client.name}] has expired: its keys were valid until {client.expires}."


def _unpriced(settings: Settings) -> Iterator[str]:
    """The lines about budgets in USD of which some models take nothing."""
    bound = [client for client in settings.clients if client.usd_per_day or client.usd_per_month]
    if not bound:
        return
    prices = Prices(settings)
    for client in bound:
        free = list(dict.fromkeys(_free(settings, client, prices)))
        if free:
            named = ", ".join(free[:MOST_NAMED]) + f" and {len(free) - MOST_NAMED} more" * (len(free) > MOST_NAMED)
            yield (
                f"[client {client.name}] has a budget in USD, but the price of {named} is not known, and so they take "
                "nothing of it: see [prices]."
            )


def _free(settings: Settings, client: Client, prices: Prices) -> Iterator[str]:
    """The models without a price that [models] leads the client to: their names, or UPSTREAM/* for any."""
    rules = ClientRules(client.name, client.models, client.upstreams)
    for rule in settings.models:
        for target in rule.targets:
            upstream = settings.upstreams[target.upstream]
            model = target.model or ("*" if rule.glob else rule.pattern)
            if not upstream.enabled or upstream.is_demo or not rules.allow(target.upstream, rule.pattern, model):
                continue
            if prices.of(target.upstream, model) is None and (model != "*" or prices.lacks_all(target.upstream)):
                yield f"{target.upstream}/{model}"


def _lost_names(settings: Settings) -> Iterator[str]:
    """The lines about names that somebody has given to models, all of whose upstreams are off. A family of models that
    waits for the key of its provider, such as gpt-*, is none."""
    for rule in settings.models:
        off = [target.upstream for target in rule.targets if not settings.upstreams[target.upstream].enabled]
        if len(off) == len(rule.targets) and (not rule.glob or any(target.model for target in rule.targets)):
            whys = dict.fromkeys(f"'{each}' is off ({settings.upstreams[each].off_because})" for each in off)
            yield f"[models] {rule.pattern}: nobody of it is on: {' and '.join(whys)}."


def _lost_aliases(settings: Settings, router: Router) -> Iterator[str]:
    """The lines about aliases whose models no upstream has."""
    aliases = settings.aliases
    meanings = {"big_model": aliases.big_model, "small_model": aliases.small_model, **aliases.map_json}
    for key, meant in meanings.items():
        if meant and router.why_not(meant, "messages") and router.why_not(meant, "chat"):
            yield f"[aliases]: '{key}' means '{meant}', but no upstream that is on answers for that model."


def _loops(settings: Settings) -> Iterator[str]:
    server = settings.server
    hops = Hops("", [(ip, server.port) for host in server.tcp_hosts for ip in _listening(host)])
    for upstream in settings.upstreams.values():
        if upstream.enabled and not upstream.is_demo and not upstream.socket and hops.lead_here(upstream.base_url):
            yield f"[upstream {upstream.name}] base_url is the proxy's own address: its requests will be refused."


def _listening(host: str) -> tuple[str, ...]:
    return (host,) if host in ("0.0.0.0", "::") else ips(host)


def _comments(settings: Settings) -> Iterator[str]:
    """The lines about headers that seem to end with a comment, which goes to the upstream."""
    of: list[tuple[str, tuple[Header, ...]]] = [("telemetry", settings.telemetry.headers)]
    of += [(f"upstream {upstream.name}", upstream.headers) for upstream in settings.upstreams.values()]
    of += [(f"hook {hook.name}", hook.headers) for hook in settings.hooks]
    for section, headers in of:
        for header in headers:
            if _COMMENT.search(header.value):
                yield (
                    f"[{section}] headers: what looks like a comment is a part of the value of {header.name}; a "
                    "comment must have a line of its own."
                )


def _roots(settings: Settings) -> Iterator[str]:
    """The line about certificates of upstreams that cannot be found: each of their requests would fail."""
    named = os.environ.get("SSL_CERT_FILE")
    if named and not os.path.isfile(named):
        yield f"SSL_CERT_FILE names {named}, which is not there."
    wanting = [
        up.name for up in settings.upstreams.values()
        if up.enabled and up.verify_tls and not up.ca_file and urlsplit(up.base_url).scheme == "https"
    ]  # fmt: skip
    if wanting and not settings.pool.ca_file and not system_ca_file():
        yield (
            f"No root certificates are here, so that no certificate of {', '.join(wanting)} can be checked: install "
            f"ca-certificates, or name a PEM file in [pool] ca_file. Looked for: {', '.join(ca_places())}."
        )
