"""Which target is asked: fallbacks, keys, sessions, conditions, breakers."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from gateway.flow import upstream_request
from gateway.routing import balancing
from tests.support.house import House
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.two_upstreams import ASK, PATH, QUICK, STREAM, error, held, house_text, said, says, section, streams

DEAD = "http://127.0.0.1:9"


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 409, 425, 429, 502, 503, 504, 529])
def test_the_next_target_is_asked_at_once(status: int) -> None:
    with Upstream([error(status)]) as a, Upstream([says("b")]) as b:
        with House(house_text("m = a/x, b/y", a=a.url, b=b.url)) as house:
            assert said(house.post(PATH, ASK)) == "b"
            assert len(a.requests) == len(b.requests) == 1
            assert b.requests[0].json["model"] == "y"


def test_a_dead_target_costs_its_clients_nothing() -> None:
    with Upstream([Answer.sse(streams("b"))]) as b, House(house_text("m = a/x, b/y", a=DEAD, b=b.url)) as house:
        assert said(house.post(PATH, STREAM)) == "b"


def test_the_last_target_is_tried_again_too() -> None:
    with Upstream([error(503)]) as a, Upstream([error(529), says("b")]) as b:
        with House(house_text("m = a, b", QUICK, a=a.url, b=b.url)) as house:
            assert said(house.post(PATH, ASK)) == "b"
            assert (len(a.requests), len(b.requests)) == (1, 2)


@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_what_may_have_been_worked_on_goes_nowhere_else(status: int) -> None:
    with Upstream([error(status)]) as a, Upstream([says("b")]) as b:
        with House(house_text("m = a, b", QUICK, a=a.url, b=b.url)) as house:
            assert house.post(PATH, ASK)[0] == status and not b.requests


@pytest.mark.parametrize(("on", "who"), [("true", "b"), ("false", None)])
def test_too_long_a_context_goes_to_the_next_target(on: str, who: str | None) -> None:
    full = error(400, "maximum context length is 8192 tokens", code="context_length_exceeded")
    with Upstream([full]) as a, Upstream([says("b")]) as b:
        with House(house_text("m = a, b", f"[retry]\non_overflow = {on}\n", a=a.url, b=b.url)) as house:
            reply = house.post(PATH, ASK)
            assert said(reply) == "b" if who else reply[0] == 400


@pytest.mark.parametrize("ask", [ASK, STREAM])
@pytest.mark.parametrize(("on", "who"), [("true", "b"), ("false", "a")])
def test_a_refusal_goes_to_the_next_target_where_the_settings_say_so(ask: dict, on: str, who: str) -> None:
    refusal = json.loads(says("").body)
    refusal["choices"][0] |= {"finish_reason": "content_filter"}
    last = streams("")[0], streams("")[2].replace(b'"stop"', b'"content_filter"'), b"data: [DONE]\n\n"
    declines = Answer.sse(list(last)) if ask is STREAM else Answer.json(refusal)
    good = Answer.sse(streams("b")) if ask is STREAM else says("b")
    with Upstream([declines]) as a, Upstream([good]) as b:
        with House(house_text("m = a, b", f"[retry]\non_refusal = {on}\n", a=a.url, b=b.url)) as house:
            assert said(house.post(PATH, ask)) == (who if who == "b" else "")
            assert len(b.requests) == (who == "b")


def test_a_refusal_of_the_last_target_is_the_answer() -> None:
    refusal = Answer.sse([streams("")[0], streams("")[2].replace(b'"stop"', b'"content_filter"'), b"data: [DONE]\n\n"])
    with Upstream([refusal]) as a, Upstream([refusal]) as b:
        with House(house_text("m = a, b", "[retry]\non_refusal = true\n", a=a.url, b=b.url)) as house:
            status, _, body = house.post(PATH, STREAM)
            assert status == 200 and b"content_filter" in body and body.endswith(b"data: [DONE]\n\n")
            assert (len(a.requests), len(b.requests)) == (1, 1)


def test_who_could_not_take_it_is_no_rival_of_the_next() -> None:
    """Else that one's end would be waited for in vain."""
    body = {"model": "m", "input": "x", "previous_response_id": "resp_unknown"}
    with Upstream() as a, Upstream([error(503)]) as b:
        with House(house_text("* = a, b", QUICK, a=a.url, b=section(b.url, "", "responses"))) as house:
            assert house.post("/v1/responses", body)[0] == 503
            assert not a.requests and len(b.requests) == 3


def test_the_first_target_compacts_too_since_it_must_read_what_comes_of_it() -> None:
    """A cipher of the second's would be of no use to it."""
    compacted = Answer.json({"id": "r", "object": "response.compaction", "output": []})
    with Upstream([says("a")]) as a, Upstream([compacted]) as b:
        with House(house_text("* = a, b", a=a.url, b=section(b.url, "", "responses"))) as house:
            assert house.post("/v1/responses/compact", {"model": "m", "input": "x"})[0] == 200
            assert len(a.requests) == 1 and not b.requests


def test_who_cannot_count_for_an_unknown_model_still_counts_for_others() -> None:
    """A 404 that names the model says nothing of the endpoint."""

    def answer(request: Request) -> Answer:
        return error(404, "model: wrong") if request.json["model"] == "wrong" else Answer.json({"input_tokens": 4711})

    with Upstream(answer) as up, House(house_text("* = a", a=section(up.url, "", "messages"))) as house:
        house.post("/v1/messages/count_tokens", ASK | {"model": "wrong"})
        assert json.loads(house.post("/v1/messages/count_tokens", ASK | {"model": "good"})[2]) == {"input_tokens": 4711}


# ------------------------------------------------------------------------------------------- keys, weights


def keyed(request: Request) -> Answer:
    """The key decides: bad1 is refused, tired has had enough."""
    key = request.headers["authorization"].removeprefix("Bearer ")
    refused = {"bad1": 401, "tired": 429}
    return error(refused[key]) if key in refused else says(key)


@pytest.mark.parametrize("bad", ["bad1", "tired"])
def test_a_key_that_is_refused_rests_alone(bad: str) -> None:
    with Upstream(keyed) as up:
        section = f"base_url = {up.url}\nkeys = {bad}, good\n"
        with House(house_text("* = a", a=section)) as house:
            for _ in range(20):
                assert said(house.post(PATH, ASK)) == "good"
        used = Counter(request.headers["authorization"] for request in up.requests)
        assert used[f"Bearer {bad}"] <= 1 and used["Bearer good"] == 20


def declined(request: Request) -> Answer:
    reply = json.loads(says("").body)
    reply["choices"][0]["message"] |= {"content": None, "refusal": "no way"}
    return Answer.json(reply)


def full(request: Request) -> Answer:
    return error(400, "This model's maximum context length is 8192 tokens", code="context_length_exceeded")


@pytest.mark.parametrize(("answer", "status"), [(declined, 200), (full, 400)])
def test_what_a_model_will_not_do_it_will_not_under_another_key(answer: object, status: int) -> None:
    with Upstream(answer) as up:  # type: ignore[arg-type]
        keys = "keys = k1-0123456789, k2-0123456789, k3-0123456789\n"
        with House(house_text("* = a", "[retry]\non_refusal = true\n", a=section(up.url, keys))) as house:
            assert house.post(PATH, ASK)[0] == status
            assert len(up.requests) == 1


def test_a_place_that_knows_no_such_model_is_not_asked_for_ever() -> None:
    """It answers quicker than any that works, and would have all the requests."""
    slow = Answer.sse(streams("b"), delay=0.01)
    with Upstream(lambda r: error(404, "no such model")) as a, Upstream(lambda r: slow) as b:
        with House(house_text("* = a | b", QUICK, a=a.url, b=b.url)) as house:
            began = time.monotonic()
            for _ in range(40):
                assert said(house.post(PATH, STREAM)) == "b"
            rests = (time.monotonic() - began) // balancing.TIRED_S
            assert 1 <= len(a.requests) <= 1 + rests


def test_equals_share_by_weight() -> None:
    with Upstream(lambda r: says("a")) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("m = a *9 | b", a=a.url, b=b.url)) as house, house.connect() as client:
            for _ in range(100):
                client.send("POST", PATH, ASK)
                said(client.reply())
        assert len(a.requests) + len(b.requests) == 100
        assert len(a.requests) > len(b.requests) > 0  # nine to one; chance fails this once in 37,000 runs


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({"X-Claude-Code-Session-Id": "SID"}, {}),
        ({}, {"prompt_cache_key": "SID"}),
        ({}, {"metadata": {"user_id": "SID"}}),
    ],
)
def test_a_session_stays_where_its_prompt_is_cached(headers: dict[str, str], fields: dict) -> None:
    with Upstream(lambda r: says("a")) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("m = a | b", a=a.url, b=b.url)) as house:
            homes = []
            for session in range(8):
                told = json.loads(json.dumps([headers, fields]).replace("SID", f"session-{session}"))
                who = {said(house.post(PATH, ASK | told[1], told[0])) for _ in range(5)}
                assert len(who) == 1
                homes += who
            assert set(homes) == {"a", "b"}  # 1 in 128 that chance has them all in one; the names are fixed


def test_what_a_tool_is_called_with_names_no_session() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"user_id": "42"}}
    one = {"metadata": {"user_id": "session-1"}, "messages": [{"role": "user", "content": "hi"}]}
    two = one | {"messages": [*one["messages"], {"role": "assistant", "content": [call]}]}
    first, second = (upstream_request.conversation_key("", json.dumps(body).encode()) for body in (one, two))
    assert first == second != ""


def test_a_stored_response_is_gone_on_from_where_it_is_stored() -> None:
    def script(own: str) -> object:
        def answer(request: Request) -> Answer:
            before = request.json.get("previous_response_id") or f"resp_{own}"
            if not before.startswith(f"resp_{own}"):
                return error(400, f"Previous response '{before}' not found.", code="previous_response_not_found")
            response_id = f"resp_{own}{len(before)}"
            reply = {"id": response_id, "object": "response", "status": "completed", "model": "m", "output": []}
            return Answer.json(reply)

        return answer

    with Upstream(script("a")) as a, Upstream(script("b")) as b:  # type: ignore[arg-type]
        equals = {name: section(up.url, "", "responses") for name, up in (("a", a), ("b", b))}
        with House(house_text("* = a | b", QUICK, **equals)) as house:
            body = {"model": "m", "input": "x"}
            for _ in range(10):
                before = json.loads(house.post("/v1/responses", body)[2])["id"]
                assert house.post("/v1/responses", body | {"previous_response_id": before})[0] == 200


def test_a_session_moves_when_its_place_is_gone() -> None:
    ill = [says("a")]
    with Upstream(lambda r: ill[0]) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("m = a | b", a=a.url, b=b.url)) as house:
            sessions = [f"s{n}" for n in range(20)]
            at_a = [s for s in sessions if said(house.post(PATH, ASK, {"X-Session-Id": s})) == "a"]
            assert at_a
            ill[0] = error(503)
            assert {said(house.post(PATH, ASK, {"X-Session-Id": s})) for s in at_a} == {"b"}


# ------------------------------------------------------------------------------------------------- hints

IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]


@pytest.mark.parametrize(
    ("headers", "fields", "who"),
    [
        ({}, {}, "a"),
        ({"X-Claude-Code-Request-Class": "auxiliary"}, {}, "small"),
        ({"X-Claude-Code-Request-Class": "main"}, {}, "a"),
        ({}, {"messages": IMAGE}, "eyes"),
        ({}, {"reasoning_effort": "high"}, "thinker"),
        ({}, {"reasoning_effort": "none"}, "a"),
        ({}, {"messages": [{"role": "user", "content": "word " * 3000}]}, "long"),
        ({}, {"model": "m[1m]"}, "long"),
    ],
)
def test_hints_choose_the_target(headers: dict[str, str], fields: dict, who: str) -> None:
    lines = (
        "m if class auxiliary|compaction = up/small\n* if images = up/eyes\nm if thinking = up/thinker\n"
        "m* if input > 2k = up/long\nm* if 1m = up/long\nm = up/a"
    )
    with Upstream(lambda request: says(request.json["model"])) as up, House(house_text(lines, up=up.url)) as house:
        assert said(house.post(PATH, ASK | fields, headers)) == who


@pytest.mark.parametrize("hint", ["1m", "class auxiliary"])
def test_a_rule_for_an_exact_name_holds_for_its_long_contexts_too(hint: str) -> None:
    lines = f"opus if {hint} = up/hinted\nopus = up/plain"
    headers = {"X-Claude-Code-Request-Class": "auxiliary"}
    with Upstream(lambda request: says(request.json["model"])) as up, House(house_text(lines, up=up.url)) as house:
        assert said(house.post(PATH, ASK | {"model": "opus[1m]"}, headers)) == "hinted"


def test_the_long_contexts_mark_is_not_sent() -> None:
    with Upstream(lambda request: says(request.json["model"])) as up, House(house_text("* = up", up=up.url)) as house:
        reply = house.post(PATH, ASK | {"model": "claude-opus-5-5[1m]"})
        assert said(reply) == "claude-opus-5-5"
        assert json.loads(reply[2])["model"] == "claude-opus-5-5[1m]"


# ----------------------------------------------------------------------------------------------- breakers

BREAKS = "[breaker]\nconsecutive = 5\ncooldown = 0.5\n"


def test_a_dying_upstream_costs_the_windows_worth_then_the_probe() -> None:
    """500 is not sent again: each one is a client's failure, until the breaker opens."""
    now = [error(500)]
    with Upstream(lambda r: now[0]) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("m = a, b", BREAKS, a=a.url, b=b.url)) as house, house.connect() as client:
            statuses = []
            for _ in range(60):
                client.send("POST", PATH, ASK)
                statuses.append(client.reply()[0])
            assert statuses.count(500) == 5 and set(statuses[5:]) == {200}
            assert len(a.requests) == 5
            now[0] = says("a")
            house.wait(lambda p: all(place.breaker.would_allow(time.monotonic()) for place in p.service.places), 1.5)
            client.send("POST", PATH, ASK)
            assert said(client.reply()) == "a"  # the probe is a client's own request, and is answered
            assert len(a.requests) == 6


def test_a_failed_probe_costs_its_client_nothing() -> None:
    with Upstream(lambda r: error(503)) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("m = a, b", BREAKS, a=a.url, b=b.url)) as house:
            for _ in range(20):
                assert said(house.post(PATH, ASK)) == "b"
            assert len(a.requests) == 5
            house.wait(lambda p: all(place.breaker.would_allow(time.monotonic()) for place in p.service.places), 1.5)
            assert said(house.post(PATH, ASK)) == said(house.post(PATH, ASK)) == "b"
            assert len(a.requests) == 6


def test_the_last_target_is_asked_whatever_its_breaker_says() -> None:
    with Upstream([error(500)] * 20 + [says("a")]) as up, House(house_text("m = a", BREAKS, a=up.url)) as house:
        for _ in range(20):
            assert house.post(PATH, ASK)[0] == 500
        assert said(house.post(PATH, ASK)) == "a"


def test_a_probe_that_streams_for_long_has_done_its_part_with_its_first_bytes() -> None:
    gate = Gate()
    more = "[breaker]\nconsecutive = 1\ncooldown = 0.1\n" + QUICK
    with Upstream([error(500), held(gate), says("a")]) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("* = a, b", more, a=a.url, b=b.url)) as house, house.connect() as probe:
            assert house.post(PATH, ASK)[0] == 500
            house.wait(lambda p: all(place.breaker.would_allow(time.monotonic()) for place in p.service.places))
            probe.send("POST", PATH, STREAM)
            probe.head()
            assert said(house.post(PATH, ASK)) == "a"
            gate.open()
            probe.body()
