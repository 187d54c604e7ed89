"""What every reply says of itself: its ids, who answered, after how many tries, and what the proxy took."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Gate, Upstream

CHAT, MESSAGES, COUNT = "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
OK = Answer.json({"id": "x", "choices": [CHOICE]})
EVENTS = [
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
]
TIMING = re.compile(r"queue;dur=([\d.]+), upstream;dur=([\d.]+), proxy;dur=([\d.]+)")
Headers = dict[str, str]


def timing(headers: Headers) -> tuple[float, ...]:
    """(queue, upstream, proxy) in ms."""
    found = TIMING.fullmatch(headers["server-timing"])
    assert found, headers
    times = tuple(map(float, found.groups()))
    assert float(headers["x-proxy-overhead-ms"]) == times[2]
    return times


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize(
    ("stream", "answer", "status"),
    [
        (False, OK, 200),
        (True, Answer.sse(EVENTS), 200),
        (True, OK, 200),
        (False, Answer.json({"error": {"message": "no"}}, 400), 400),
        (True, Answer.json({"error": {"message": "no"}}, 429), 429),
        (False, Answer.drop(), 502),
    ],
)
def test_every_reply_of_an_upstream(path: str, stream: bool, answer: Answer, status: int) -> None:
    with Upstream([answer]) as up, House(one_upstream(up.url, "chat") + ONCE) as house:
        got, headers, _ = house.post(path, ASKED | {"stream": stream})
    assert got == status and (headers["x-proxy-upstream"], headers["x-proxy-attempts"]) == ("up", "1")
    assert headers["request-id"] == headers["x-request-id"] and headers["request-id"].startswith("req_")
    queue, upstream, own = timing(headers)
    assert queue == 0 and upstream > 0 and own > 0


@pytest.mark.parametrize(
    ("path", "body"),
    [(MESSAGES, b"{"), (CHAT, {"messages": []}), ("/v1/responses", b"[]"), (CHAT, {"model": "nobody/knows"})],
)
def test_every_refusal_of_our_own(path: str, body: Any) -> None:
    text = "[upstream up]\nprotocol = chat\nbase_url = http://127.0.0.1:9\n[models]\nm = up\n"
    with House(text) as house:
        status, headers, _ = house.post(path, body)
    assert status in (400, 404) and headers["x-proxy-attempts"] == "0" and "x-proxy-upstream" not in headers
    assert headers["request-id"] == headers["x-request-id"]
    assert timing(headers)[:2] == (0, 0)


def test_estimates_and_pages() -> None:
    with House(one_upstream("http://127.0.0.1:9", "chat")) as house:
        _, headers, _ = house.post(COUNT, ASKED)
        assert headers["x-proxy-attempts"] == "0" and timing(headers)[1] == 0
        ids = {headers["request-id"]}
        for path in ("/", "/v1/models", "/nowhere", "/debug/upstreams", "/metrics", "/readyz"):
            _, headers, _ = house.get(path)
            assert headers["request-id"] == headers["x-request-id"]
            ids.add(headers["request-id"])
    assert len(ids) == 7


def test_a_shared_count_has_the_id_of_who_asked() -> None:
    gate = Gate()
    answer = Answer.json({"input_tokens": 7}, delay=gate)
    with Upstream([answer]) as up, House(one_upstream(up.url, "messages")) as house:
        with house.connect() as first, house.connect() as second:
            for client in (first, second):
                client.send("POST", COUNT, ASKED)
            house.wait(lambda p: p.service.counting.told["shared"] == 1)
            gate.open()
            replies = [client.reply() for client in (first, second)]
    assert [status for status, _, _ in replies] == [200, 200] and len(up.requests) == 1
    assert len({headers["request-id"] for _, headers, _ in replies}) == 2


def test_retries_are_counted_and_their_waits_are_the_queues() -> None:
    busy = Answer.json({"error": {"message": "busy"}}, 503)
    quick = "[retry]\nbackoff = 0.05\nmax_backoff = 0.05\n"
    with Upstream([busy, busy, OK]) as up, House(one_upstream(up.url, "chat") + quick) as house:
        status, headers, _ = house.post(CHAT, ASKED)
    assert (status, headers["x-proxy-attempts"]) == (200, "3") and timing(headers)[0] > 0


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({"request-id": "req_up"}, "req_up"),
        ({"x-request-id": "up-1"}, "up-1"),
        ({"request-id": "a", "x-request-id": "b"}, "a"),
        ({"x-request-id": "b", "request-id": "a"}, "a"),
    ],
)
def test_an_upstreams_own_id_is_request_id_and_ours_is_x_request_id(theirs: Headers, expected: str) -> None:
    answer = Answer.json({"id": "x", "choices": [CHOICE]}, headers=theirs)
    with Upstream([answer, answer]) as up, House(one_upstream(up.url, "chat")) as house:
        for path in (CHAT, MESSAGES):
            _, headers, _ = house.post(path, ASKED)
            assert headers["request-id"] == expected and headers["x-request-id"].startswith("req_")


def test_another_proxy_behind_us_does_not_speak_for_us() -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as inner:
        with House(one_upstream(inner.url, "chat")) as outer, outer.connect() as client:
            client.send("POST", CHAT, ASKED)
            while b"\r\n\r\n" not in client._held:
                client._more()
            head = client._held.partition(b"\r\n\r\n")[0].lower()
    for name in (b"x-proxy-upstream", b"x-proxy-attempts", b"x-proxy-overhead-ms"):
        assert head.count(b"\r\n" + name + b":") == 1
