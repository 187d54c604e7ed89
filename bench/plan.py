"""The measurements, step by step, and the most that they may cost."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.client import Request
from bench.load import Way
from bench.servers import KEY
from bench.speech import MOST, SPEECHES, TOKENS_IN, Speech, credentials, named

ROUND_TRIP_S = 0.05
Cpu = Callable[[], float | None]


@dataclass(frozen=True)
class Target:
    """What is measured. direct: the upstream's address; "" = it is not known. proxy: the address of a proxy before it.
    model: its name at the upstream; at the proxy, models has it for each way (passed through, translated) of a speech.
    is_paid: requests leave this machine, or may cost."""

    name: str
    speech: Speech
    direct: str
    direct_key: str
    model: str
    proxy: str
    proxy_key: str
    models: Callable[[Speech], Mapping[str, str]]
    cpu: Cpu
    is_paid: bool
    context: ssl.SSLContext | None = None


@dataclass(frozen=True)
class Sizes:
    """How many requests each way gets: one after the other, of many clients at once, each on a new connection; and
    those that never cost."""

    one: int
    many: int
    clients: int
    fresh: int
    warm: int
    models: int = 50
    logging: int = 300
    far: int = 8


@dataclass(frozen=True)
class Step:
    """kind: what report.py knows it by."""

    kind: str
    words: str
    ways: tuple[Way, ...]
    requests: int
    clients: int = 1
    warm: int = 0
    is_paid: bool = False

    @property
    def costs(self) -> int:
        return (self.requests + self.warm) * len(self.ways) if self.is_paid else 0


@dataclass(frozen=True)
class Own:
    """Proxies before the upstream that the bench brings along. logging: those that differ in it, by name. far: the
    address of that upstream at the end of a long line; `proxy` has it as the upstream `far`, and so has `http2`, which
    speaks HTTP/2 with it."""

    proxy: str
    logging: Mapping[str, tuple[str, Cpu]] = field(default_factory=dict)
    far: str = ""
    far_context: ssl.SSLContext | None = None
    http2: str = ""


def steps(target: Target, own: Own, sizes: Sizes) -> list[Step]:
    found = [
        _step(
            target, f"{speech.name} {kind}", kind, sizes.one, [*_direct(target, speech, stream), *through], sizes.warm
        )
        for speech in SPEECHES
        for kind, stream in (("whole", False), ("stream", True))
        if (through := _through(target, speech, stream))
    ]
    speech = target.speech
    for kind, stream in (("many whole", False), ("many stream", True)):
        ways = [*_direct(target, speech, stream), *_through(target, speech, stream)]
        words = f"{speech.name} {kind.split()[1]}, {sizes.clients} clients"
        found.append(_step(target, words, kind, sizes.many, ways, 0, sizes.clients))
    ways = [*_direct(target, speech, stream=False, fresh=True), *_through(target, speech, stream=False, fresh=True)]
    found.append(_step(target, f"{speech.name} whole, a new connection each", "fresh", sizes.fresh, ways))
    return [*found, *own_steps(target, own, sizes)]


def own_steps(target: Target, own: Own, sizes: Sizes) -> list[Step]:
    """What costs nothing, whatever the target is."""
    key = target.proxy_key
    listed = Way("proxy", target.proxy, Request("GET", "/v1/models", credentials(key)), cpu=target.cpu)
    chat = named("chat").request("chat/bench", KEY, stream=False)
    found = [Step("models", "/v1/models", (listed,), sizes.models, warm=1)]
    if own.logging:
        ways = tuple(Way(f"logging {name}", url, chat, cpu=cpu) for name, (url, cpu) in own.logging.items())
        found.append(Step("logging", "chat whole, logging", ways, sizes.logging, warm=sizes.logging // 15))
    if own.far:
        asked = named("chat").request("bench", KEY, stream=False)
        direct = Way("direct, dialled anew", own.far, asked, fresh=True, context=own.far_context)
        kept = Way("direct, kept", own.far, asked, context=own.far_context)
        through = named("chat").request("far/bench", KEY, stream=False)
        proxied = Way("proxy, dialled anew", own.proxy, through, fresh=True)
        second = Way("proxy, dialled anew, HTTP/2", own.http2, through, fresh=True)
        words = f"chat whole over TLS, {ROUND_TRIP_S * 1e3:.0f} ms away"
        found.append(Step("far", words, (direct, kept, proxied, second), sizes.far, warm=1))
    return found


def cost(planned: Sequence[Step]) -> tuple[int, int, int]:
    """(requests, tokens in, tokens out) at most."""
    requests = sum(step.costs for step in planned)
    return requests, requests * TOKENS_IN, requests * MOST


def _step(
    target: Target, words: str, kind: str, requests: int, ways: Sequence[Way], warm: int = 0, clients: int = 1
) -> Step:
    return Step(kind, words, tuple(ways), requests, clients, warm, target.is_paid)


def _direct(target: Target, speech: Speech, stream: bool, fresh: bool = False) -> list[Way]:
    """The way without the proxy, if the upstream speaks that."""
    if not target.direct or (target.is_paid and speech is not target.speech):
        return []
    asked = speech.request(target.model, target.direct_key, stream=stream)
    return [Way("direct", target.direct, asked, fresh=fresh, context=target.context)]


def _through(target: Target, speech: Speech, stream: bool, fresh: bool = False) -> list[Way]:
    return [
        Way(name, target.proxy, speech.request(model, target.proxy_key, stream=stream), fresh=fresh, cpu=target.cpu)
        for name, model in target.models(speech).items()
    ]
