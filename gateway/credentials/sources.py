"""The Mint of each key of an upstream whose settings say where it comes from (operate/key_sources.py)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.credentials.asking import Ask
from gateway.credentials.minted import Mint, Minted
from operate import key_sources
from operate.settings.upstreams import Upstream


def mint(upstream: Upstream, text: str, ask: Callable[[], Ask]) -> Mint | None:
    """None for a key that is written down. ask: how requests are made, once they can be."""
    if not key_sources.is_source(text):
        return None
    return Mint(upstream.name, key_sources.shown(text), _maker(upstream, text, ask), upstream.key_ttl)


def _maker(upstream: Upstream, text: str, ask: Callable[[], Ask]) -> Callable[[], Awaitable[Minted]]:
    from gateway.credentials import aws, command, google_account  # for few upstreams

    scheme, _, rest = text.partition(":")
    timeout_s = upstream.key_timeout
    if scheme == "cmd":
        argv = key_sources.argv(text)
        return lambda: command.run(argv, timeout_s)
    if scheme == "google":
        return lambda: google_account.token(rest, timeout_s, ask())
    bearer = upstream.aws_service.startswith("bedrock")
    return lambda: aws.Chain(rest, ask(), timeout_s, bearer=bearer).keys()
