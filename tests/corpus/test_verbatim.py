"""Same protocol in and out: every recorded exchange passes the whole proxy to the byte, requests and replies.

Whole replies, error bodies and streams cut at random. A recorded stream that stops before its end gets one error event
behind its bytes and nothing else; one that begins with an error becomes that error with a real status.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.support import corpus, losses
from tests.support.corpus import Exchange
from tests.support.house import ONCE, House, one_upstream
from tests.support.meaning import events
from tests.support.script import Answer, Upstream
from translate.target import Protocol

PATHS: dict[Protocol, str] = {
    "messages": "/v1/messages",
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
}
FEWEST = 50  # exchanges of a protocol, to say that nearly all of them are complete
KEPT_HEADERS = ("request-id", "retry-after")


def asked(exchange: Exchange, rng: random.Random) -> bytes:
    """The recorded request, spelt as some client or other would."""
    body = exchange.request if isinstance(exchange.request, dict) else {"messages": []}
    body = {"model": "m"} | body | {"stream": exchange.stream}  # Azure's clients name the model in the path
    spelling: dict[str, Any] = rng.choice([{}, {"indent": 1}, {"separators": (",", ":"), "ensure_ascii": False}])
    return json.dumps(body, **spelling).encode()


def cut(data: bytes, seed: str) -> list[bytes | float]:
    return list(corpus.cuts(data, seed, 6))


@pytest.mark.parametrize("protocol", PATHS)
def test_to_the_byte(protocol: Protocol) -> None:
    rng = random.Random(protocol)
    exchanges = corpus.exchanges(losses.API[protocol], lambda e: e.status < 600)
    assert exchanges
    now: dict[str, Exchange] = {}

    def answer(_: object) -> Answer:
        exchange = now["exchange"]
        if exchange.sse and not exchange.failed:
            return Answer.sse(cut(exchange.raw, exchange.id), headers=exchange.headers)
        return Answer(exchange.status, {"Content-Type": "application/json"} | exchange.headers, exchange.raw)

    exact = 0
    with Upstream(answer) as up, House(one_upstream(up.url, "messages, chat, responses") + ONCE) as house:
        for exchange in exchanges:
            now["exchange"] = exchange
            body = asked(exchange, rng)
            status, headers, got = house.post(PATHS[protocol], body)
            assert up.requests[-1].body == body, exchange.id
            exact += judged(exchange, protocol, status, got)
            for name in KEPT_HEADERS:
                if name in exchange.headers:
                    assert headers[name] == exchange.headers[name], exchange.id
    assert len(up.requests) == len(exchanges), "each went up once"
    assert exact >= 0.9 * len(exchanges) or len(exchanges) < FEWEST


def judged(exchange: Exchange, protocol: Protocol, status: int, got: bytes) -> bool:
    """Was it the same to the byte? What is not must be a stream that its upstream did not end."""
    if (status, got) == (exchange.status, exchange.raw):
        return True
    if exchange.status == 200 and got == exchange.raw and b'"error"' in got[:20]:
        assert status >= 400, exchange.id  # an error under a 200 gets the status that it means, and keeps its bytes
        return True
    if exchange.status >= 400 and exchange.raw[:1] != b"{":  # a page: clients are told in their words
        assert status == exchange.status and json.loads(got)["error"]["message"], exchange.id
        return True
    assert exchange.sse and exchange.status == 200, exchange.id
    said = losses.READ_REPLY[protocol](exchange.raw)
    assert said.failed, f"{exchange.id}: a complete stream was changed"
    if status == 200:
        assert got.startswith(exchange.raw), exchange.id
        added = list(events(got[len(exchange.raw) :]))
        assert len(added) == 1 and "error" in json.dumps(added), exchange.id
    else:
        error = json.loads(got)["error"]
        assert status >= 400 and said.error[:40] in error["message"], exchange.id
    return False
