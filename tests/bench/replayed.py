"""What recorded exchanges cost: CPU time of the proxy for each, with the upstream's very reply. The dearest come last.

    RECORDED_TRAFFIC=... python -m tests.bench.replayed [--client own|messages|chat|responses] [--requests 12]

A made-up upstream says little beside the text. Real ones say "usage": null in each chunk, "error": null in each
snapshot, "%" and "&" in their texts, the same thought twice: what falls off a fast path for it is found here. The
client asks in the recorded protocol (own), so that replies pass, or in another one, so that they are translated.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.bench.observing import cpu_s
from tests.support.corpus import CHAT, MESSAGES, RESPONSES, Exchange, exchanges
from tests.support.house import Client
from tests.support.script import Answer, Item, Upstream
from tests.test_proxy import started
from translate import pair
from translate.failures import errors
from translate.target import Protocol, Target

APIS: dict[str, Protocol] = {CHAT: "chat", MESSAGES: "messages", RESPONSES: "responses"}
PATHS: dict[str, str] = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
PIECE = 4096  # bytes of a stream that come at once
KEY = "sk-proj-" + "Zk3xQ9vT7bL1mN5pR8sW" * 7  # as long as OpenAI's


class Cost(NamedTuple):
    us: float
    exchange: Exchange

    def __str__(self) -> str:
        raw = self.exchange.raw
        events = f", {raw.count(b'data:')} events" if self.exchange.sse else ""
        return f"{self.us:8.0f} us  {self.exchange.id}: {len(raw)} bytes{events}"


def asked(exchange: Exchange, client: Protocol | None) -> dict[str, Any] | None:
    """The request as the client says it; None where it cannot say it."""
    own = APIS[exchange.api]
    body = {"max_tokens": 500} | dict(exchange.request) if own == "messages" else dict(exchange.request)
    if client is not None:
        try:
            body = dict(pair.request(own, client, {"model": "m"} | body, Target("m")).body)
        except errors.ApiError:
            return None
    return body | {"model": f"{own}/m", "stream": bool(exchange.sse)}


def reply(exchange: Exchange) -> Answer:
    if not exchange.sse:
        return Answer(200, {"Content-Type": "application/json"}, exchange.raw)
    raw = exchange.raw
    pieces: list[Item] = [raw[at : at + PIECE] for at in range(0, len(raw), PIECE)]
    return Answer.sse(pieces)


def measured(client: Protocol | None, requests: int) -> Iterator[Cost]:
    """The cost of each exchange that was answered. client: whose protocol it is; None: the exchange's own."""
    now: list[Answer] = [Answer()]
    with tempfile.TemporaryDirectory() as folder, Upstream(lambda _: now[0]) as up:
        file = Path(folder) / "settings.ini"
        upstreams = "".join(
            f"[upstream {each}]\nprotocol = {each}\nbase_url = {up.url}/v1\napi_key = {KEY}\n" for each in PATHS
        )
        names = "".join(f"{each}/* = {each}\n" for each in PATHS)
        file.write_text(f"[server]\nport = 0\n{upstreams}[models]\n{names}[logging]\ndir = {folder}\n")
        with started("--config", str(file)) as (process, url, _), Client(urlsplit(url).port or 0) as sent:
            for exchange in (each for api in APIS for each in exchanges(api)):
                own = APIS[exchange.api]
                if exchange.status != 200 or not isinstance(exchange.request, dict) or client == own:
                    continue
                if (body := asked(exchange, client)) is None:
                    continue
                now[0] = reply(exchange)
                before, answered = 0.0, True
                for number in range(-3, requests):  # the first ones warm up
                    if number == 0:
                        before = cpu_s(process.pid)
                    sent.send("POST", PATHS[client or own], body)
                    answered = sent.reply()[0] == 200 and answered
                if answered:
                    yield Cost((cpu_s(process.pid) - before) / requests * 1e6, exchange)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.bench.replayed", description=__doc__.partition("\n")[0])
    options.add_argument("--client", choices=["own", *PATHS], default="own", help="whose protocol the client speaks")
    options.add_argument("--requests", type=int, default=12, help="of each exchange")
    options.add_argument("--top", type=int, default=12, help="so many of the dearest are named")
    given = options.parse_args()
    found = list(measured(None if given.client == "own" else given.client, given.requests))
    if not found:
        raise SystemExit("there is no recorded traffic: set RECORDED_TRAFFIC to its folder")
    print(f"{len(found)} exchanges, {sum(cost.us for cost in found) / 1e3:.0f} ms of CPU time for one of each")
    for name, streamed in (("whole", False), ("streamed", True)):
        costs = sorted((each for each in found if bool(each.exchange.sse) is streamed), key=lambda each: each.us)
        if costs:
            print(f"\n{name}: {len(costs)}, median {statistics.median(cost.us for cost in costs):.0f} us")
            print(*costs[-given.top :], sep="\n")


if __name__ == "__main__":
    main()
