"""What is to be measured, as the user names it: the upstream that the bench brings along, one of the settings, an
address, or a proxy that runs."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import servers
from bench.client import Client, Reply, Request
from bench.plan import Target
from bench.speech import Speech, credentials, named
from operate import installation
from operate.settings import load
from operate.settings.load import Settings, Upstream
from operate.settings.url_types import DEMO

SERVICE = b'"anthropic-proxy"'  # in what its /healthz says

ONCE = ("retry.max_attempts=1",)  # what may cost is not asked for again


class Unusable(Exception):
    """Says why it cannot be measured."""


@dataclass(frozen=True)
class Asked:
    """What the user has named. protocol: "" = chat, or that of the settings."""

    url: str = ""
    upstream: str = ""
    config: str = ""
    key: str = ""
    model: str = ""
    protocol: str = ""


def check(asked: Asked) -> None:
    """Looks at the user's words alone, before anything is started for them. Raises Unusable, SettingsError."""
    if asked.upstream:
        _upstream(load.load(asked.config or None, []), asked.upstream)
        return
    try:
        parts = urlsplit(asked.url)
        good = not asked.url or (parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0)
    except ValueError:  # such as a port that is no number
        good = False
    if not good:
        raise Unusable(
            f"{asked.url} is no address: it begins with http:// or https://, and names a host. An upstream of the "
            "settings is named by --upstream NAME"
        )


@contextlib.asynccontextmanager
async def chosen(asked: Asked, brought: str, production: servers.Child) -> AsyncIterator[Target]:
    """brought: the address of the upstream that the bench brings along. production: a proxy in front of it. Raises
    Unusable."""
    if asked.upstream:
        with _of_the_settings(asked) as found:
            yield found if asked.model else await _with_a_model(found)
    elif not asked.url:
        yield _brought_along(brought, production)
    elif await _is_proxy(asked.url):
        yield await _running(asked)
    else:
        with _at_an_address(asked) as found:
            yield found if asked.model else await _with_a_model(found)


def _brought_along(url: str, proxy: servers.Child) -> Target:
    def models(speech: Speech) -> Mapping[str, str]:
        other = next(name for name in ("chat", "messages") if name != speech.name)
        return {"passed through": f"{speech.name}/bench", f"to {other}": f"{other}/bench"}

    return Target(
        "the upstream that the bench brings along", named("chat"), url, servers.KEY, "bench", proxy.urls[0], "none",
        models, proxy.cpu, is_paid=False,
    )  # fmt: skip


async def _running(asked: Asked) -> Target:
    model = asked.model or await _first_model(asked.url, named("chat"), asked.key)
    speech = named(asked.protocol or "messages")
    return Target(
        f"the proxy at {asked.url}", speech, "", "", model, asked.url.rstrip("/"), asked.key,
        lambda _: {"proxy": model}, lambda: None, is_paid=True,
    )  # fmt: skip


@contextlib.contextmanager
def _at_an_address(asked: Asked) -> Iterator[Target]:
    speech = named(asked.protocol or "chat")
    base = asked.url.rstrip("/").removesuffix("/v1").removesuffix("/v1beta")
    text = (
        f"[upstream bench]\nprotocol = {speech.name}\nbase_url = {asked.url}\napi_key = ${{BENCH_UPSTREAM_KEY:none}}\n"
    )
    with servers.proxy(text, ONCE, secrets={"BENCH_UPSTREAM_KEY": asked.key or "none"}) as proxy:
        yield _before(proxy, asked.url, speech, base, asked.key, asked.model, "bench", "none")


@contextlib.contextmanager
def _of_the_settings(asked: Asked) -> Iterator[Target]:
    settings = load.load(asked.config or None, [])
    upstream = _upstream(settings, asked.upstream)
    speech = named(next((name for name in upstream.protocol if not asked.protocol or name == asked.protocol), "chat"))
    key = (upstream.keys or (upstream.api_key,))[0]
    client_key = os.environ.get("PROXY_KEY") or next((k for c in settings.clients for k in c.plain_keys), "")
    if settings.clients and not client_key:
        raise Unusable("the settings have only hashes of keys; set $PROXY_KEY to the key of a client")
    with servers.proxy(Path(asked.config) if asked.config else installation.settings_file(), ONCE) as proxy:
        base = upstream.url("models").removesuffix("/models").removesuffix("/v1").removesuffix("/v1beta")
        yield _before(proxy, upstream.name, speech, base, key, asked.model, upstream.name, client_key)


def _upstream(settings: Settings, name: str) -> Upstream:
    upstream = settings.upstreams.get(name)
    if upstream is None or not upstream.enabled:
        usable = ", ".join(each.name for each in settings.upstreams.values() if each.enabled)
        why = "there is no such upstream" if upstream is None else upstream.off_because
        raise Unusable(f"{name}: {why}. There are: {usable}")
    if upstream.base_url == DEMO:
        raise Unusable(f"{name} is the built-in demo, which only its proxy reaches: leave --upstream out")
    return upstream


def _before(
    proxy: servers.Child, name: str, speech: Speech, base: str, key: str, model: str, upstream: str, client_key: str
) -> Target:
    def models(asked: Speech) -> Mapping[str, str]:
        return {"passed through" if asked is speech else f"to {speech.name}": f"{upstream}/{model}"}

    return Target(name, speech, base, key, model, proxy.urls[0], client_key, models, proxy.cpu, is_paid=True)


async def _with_a_model(target: Target) -> Target:
    raise Unusable(f"--model NAME tells which to ask; {target.name} has {await _listed(target)}")


async def _listed(target: Target) -> str:
    names = await _names(target.direct, target.direct_key)
    return ", ".join(names[:8]) or "no list of them"


async def _first_model(url: str, speech: Speech, key: str) -> str:
    names = await _names(url, key)
    if not names:
        raise Unusable(f"{url} lists no models: --model NAME tells which to ask")
    return names[0]


async def _names(url: str, key: str) -> list[str]:
    reply = await _get(url, "/v1/models", key)
    try:
        return [str(row["id"]) for row in json.loads(reply.body)["data"]]
    except (ValueError, KeyError, TypeError):
        return []


async def _is_proxy(url: str) -> bool:
    return SERVICE in (await _get(url, "/healthz", "")).body


async def _get(url: str, path: str, key: str) -> Reply:
    client = Client(url.rstrip("/").removesuffix("/v1"), fresh=True)
    try:
        return await client.ask(Request("GET", path, credentials(key)))
    finally:
        await client.close()
