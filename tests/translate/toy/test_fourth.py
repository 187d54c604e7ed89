"""A protocol is a package and a row: one that nothing else knows of crosses to the others, and through the gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream
from tests.translate.toy.dialect import TOY
from translate import dialects, pair
from translate.failures.errors import BadRequest
from translate.json import wire
from translate.pair import Crossing
from translate.target import Asked, Policy, Target

OTHERS = ("messages", "chat", "responses")
ASKS: dict[str, Any] = {
    "toy": {"ask": ["Hi", "Hello", "How are you?"]},
    "messages": {"messages": [{"role": "user", "content": "Hi"}]},
    "chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "responses": {"input": "Hi"},
}
TOLD = 'Fine, "thank" you \U0001f600'


@pytest.fixture(autouse=True)
def a_row() -> Iterator[None]:
    dialects.add(TOY)
    yield
    dialects.remove(TOY.name)


def reply(protocol: str) -> tuple[bytes, bytes]:
    """(whole, as a stream), in the protocol."""
    dialect, asked = dialects.of(protocol), Asked("m", "k", include_usage=True)
    events = TOY.explode({"answer": TOLD, "end": "said", "cost": [7, 3]}, Policy())
    return wire.dumps(dialect.collect(events, asked)), dialect.encoder(asked).emit(events)


@pytest.mark.parametrize("other", OTHERS)
def test_requests_cross_both_ways(other: str) -> None:
    sent = pair.request("toy", other, {"model": "m", "most": 99, "stream": True, "mood": 1} | ASKS["toy"], Target("up"))
    assert sent.dropped == ["mood"]
    back = dialects.of(other).decode_request(sent.body)
    assert [turn.role for turn in back.turns] == ["user", "assistant", "user"]
    assert (back.model, back.max_tokens, back.stream) == ("up", 99, True)
    asked = pair.request(other, "toy", {"model": "m", "max_tokens": 5} | ASKS[other], Target("up"))
    assert asked.body["ask"] == ["Hi"] and asked.body["model"] == "up"
    with pytest.raises(BadRequest, match=r"^ask: "):
        pair.request("toy", other, {"model": "m", "ask": 1}, Target("up"))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("other", OTHERS)
def test_replies_cross_both_ways(other: str, streamed: bool) -> None:
    for client, upstream in (("toy", other), (other, "toy")):
        raw = reply(upstream)[streamed]
        crossing = Crossing(client, upstream, Asked("m", "k", include_usage=True))
        if not streamed:
            events = dialects.of(client).explode(json.loads(crossing.whole(raw)), Policy())
        else:
            out = b"".join(crossing.feed(raw[at : at + 7]) for at in range(0, len(raw), 7)) + crossing.end()
            decoder = dialects.of(client).decoder(Policy())
            events = decoder.feed(out) + decoder.end()
            assert crossing.ended and dialects.of(client).marks.terminal.search(out)
        assert TOY.collect(events, Asked("m")) == {"answer": TOLD, "end": "said", "cost": [7, 3]}
        assert crossing.usage is not None and (crossing.usage.prompt, crossing.usage.output) == (7, 3)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("client", "upstream"), [(c, "toy") for c in (*OTHERS, "toy")] + [("toy", u) for u in OTHERS])
def test_through_the_gateway(client: str, upstream: str, streamed: bool) -> None:
    whole, stream = reply(upstream)
    answer = Answer.sse(stream) if streamed else Answer.json(json.loads(whole))
    with Upstream([answer]) as up:
        with House(one_upstream(up.url, upstream, "api_key = sk-toy-0123456789")) as house:
            body = {"model": "m", "stream": streamed, "max_tokens": 9} | ASKS[client]
            status, _, raw = house.post(dialects.of(client).endpoints[0].path, body)
            assert status == 200, raw
    request = up.requests[0]
    uses = dialects.of(upstream).http
    assert request.path.endswith(dialects.of(upstream).path)
    assert request.headers[uses.auth[0]] == uses.auth[1] + "sk-toy-0123456789"
    decoder = dialects.of(client).decoder(Policy())
    events = decoder.feed(raw) + decoder.end() if streamed else dialects.of(client).explode(json.loads(raw), Policy())
    assert TOY.collect(events, Asked("m"))["answer"] == TOLD


@pytest.mark.parametrize("streamed", [False, True])
def test_errors_are_in_its_words(streamed: bool) -> None:
    with Upstream([Answer.json({"error": {"message": "no such thing"}}, 400)]) as up:
        with House(one_upstream(up.url, "chat")) as house:
            status, _, raw = house.post("/toy/ask", {"model": "m", "stream": streamed} | ASKS["toy"])
            assert status == 400 and json.loads(raw)["wrong"] == "no such thing"
            assert house.post("/toy/ask", {"model": "m"})[0] == 400
            assert house.request("GET", "/toy/ask", None)[0] == 405


@pytest.mark.parametrize("upstream", ["toy", "chat"])
@pytest.mark.parametrize(("verb", "form"), [("ask", ""), ("tell", ""), ("tell", "?as=lines")])
def test_the_address_may_name_the_model_and_whether_the_reply_streams(upstream: str, verb: str, form: str) -> None:
    whole, stream = reply(upstream)
    answer = Answer.sse(stream) if verb == "tell" else Answer.json(json.loads(whole))
    with Upstream([answer]) as up:
        with House(one_upstream(up.url, upstream, "query = as")) as house:
            status, headers, raw = house.post(f"/toy/v7/models/up%2Fan/m%C3%BC:1:{verb}{form}", {"ask": ["Hi"]})
            assert status == 200, raw
            assert house.post(f"/toy/v7/models/up%2Fa%00:{verb}", {"ask": ["Hi"]})[0] == 400
            assert house.request("GET", f"/toy/v7/models/m:{verb}", None)[0] == 405
    sent = up.requests[0].json
    assert sent.get("model") == (None if upstream == "toy" else "an/m\u00fc:1")
    if form:
        assert headers["content-type"] == "application/x-toys"
        *lines, last, rest = raw.split(b"\n")
        assert (last, rest) == (b"over", b"")
        raw = b"".join(b"data: %b\n\n" % line for line in lines)
    decoder = TOY.decoder(Policy())
    events = decoder.feed(raw) + decoder.end() if verb == "tell" else TOY.explode(json.loads(raw), Policy())
    assert TOY.collect(events, Asked("m"))["answer"] == TOLD
