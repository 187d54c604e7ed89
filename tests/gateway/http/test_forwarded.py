"""Behind a reverse proxy: who is let in, what is passed on, and under which address the dashboard finds itself."""

from __future__ import annotations

import json
import re

import pytest
from tornado.httputil import HTTPHeaders

from console.dashboard import page
from gateway.http import forwarded
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream

KEY = "a-client-key-of-some-length"
CLIENT = f"\n[client a]\nkey = {KEY}\nadmin = true\n"
NAMED = "allowed_hosts = llm.example.org"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
OK = Answer.json({"id": "x", "choices": [CHOICE]})
TOLD = [
    ("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Unheard-Of", "1"),
    ("Forwarded", "for=203.0.113.7;proto=https"), ("X-Real-IP", "203.0.113.7"), ("Via", "1.1 caddy"),
    ("CF-Connecting-IP", "203.0.113.7"), ("True-Client-IP", "203.0.113.7"), ("CDN-Loop", "cloudflare"),
    ("Fly-Client-IP", "::1"), ("X-FORWARDED-FOR", "127.0.0.1"), ("x-real-ip", ""),
]  # fmt: skip
PATHS = ["/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions", "/v1/responses", "/debug/translate"]
PAGES = [
    "/v1/models", "/v1/models/m", "/v1/responses/resp_1", "/debug/quirks", "/debug/upstreams", "/metrics",
    "/dashboard/data/now", "/dashboard/data/settings",
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), TOLD)
def test_without_clients_nothing_that_was_forwarded_is_served(name: str, value: str) -> None:
    """Its address and its Host are this machine's: they are those of the reverse proxy."""
    with Upstream([OK] * 20) as up, House(one_upstream(up.url, "chat")) as house:
        for method, paths in (("POST", [*PATHS, "/dashboard/probe/up"]), ("GET", PAGES)):
            for path in paths:
                status, headers, body = house.request(method, path, ASKED if method == "POST" else None, {name: value})
                assert status == 403 and b"[client me]" in body and b"reverse proxy" in body, path
                if path in PATHS[:-1]:
                    assert headers["x-should-retry"] == "false"
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x"}
        assert house.get("/v1/responses", upgrade | {"Sec-WebSocket-Version": "13", name: value})[0] == 403
        assert house.get("/healthz", {name: value})[0] == 200
        assert not up.requests
        assert house.post(PATHS[2], ASKED)[0] == 200


def test_with_a_key_what_was_forwarded_is_served_and_goes_no_further() -> None:
    brought = dict(TOLD) | {"x-api-key": KEY, "openai-kept": "1"}
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat") + CLIENT) as house:
        assert house.post(PATHS[2], ASKED, brought)[0] == 200
        sent = up.requests[0].headers
    assert sent["openai-kept"] == "1"
    assert not {name.lower() for name, _ in TOLD} & sent.keys()


@pytest.mark.parametrize(
    ("headers", "asked", "url"),
    [
        ({"Host": "localhost:8082"}, "", "http://localhost:8082"),
        ({"Host": "a.example", "X-Forwarded-Proto": "https"}, "", "https://a.example"),
        ({"Host": "a.example", "X-Forwarded-Proto": "https, http"}, "", "https://a.example"),
        ({"Host": "a.example", "X-Forwarded-Proto": "gopher"}, "", "http://a.example"),
        ({"Host": "in:1", "X-Forwarded-Host": "a.example:8443, b"}, "", "http://a.example:8443"),
        ({"Host": "in:1", "Forwarded": 'for=1.2.3.4; proto=HTTPS; host="a.example"'}, "", "https://a.example"),
        ({"Host": "a.example", "X-Forwarded-Prefix": "/llm/"}, "", "http://a.example/llm"),
        ({"Host": "a.example", "X-Forwarded-Prefix": "llm/x"}, "", "http://a.example/llm/x"),
        ({"Host": "a.example", "X-Forwarded-Prefix": "/llm; rm -rf /"}, "", "http://a.example"),
        ({"Host": "a.example", "X-Forwarded-Host": "b$(id)"}, "", "http://a.example"),
        ({"Host": "[::1]:8082", "X-Forwarded-Prefix": "//x"}, "", "http://[::1]:8082/x"),
        ({"Host": "$(id)"}, "", "http://localhost"),
        ({}, "", "http://localhost"),
        ({"Host": "a.example"}, "https://b.example/llm", "https://b.example/llm"),
        ({"Host": "a.example"}, "javascript:alert(1)", "http://a.example"),
        ({"Host": "a.example"}, "https://b.example/`id`", "http://a.example"),
    ],
)
def test_the_public_address(headers: dict[str, str], asked: str, url: str) -> None:
    assert forwarded.public_url(HTTPHeaders(headers), asked) == url


def test_the_dashboard_below_a_path_of_its_own_and_behind_tls() -> None:
    """Everything that the page asks for stands beside it; the lines to paste name the address that clients see."""
    script = page.made().whole.decode()
    assert re.findall(r"fetch\(([^,]+),", script) == ["`${here}/${path}`"]
    nginx = {"Host": "llm.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/llm", "x-api-key": KEY}
    with Upstream([]) as up, House(one_upstream(up.url, "chat", server=NAMED) + CLIENT) as house:
        said = json.loads(house.get("/dashboard/data/connect", nginx)[2])
        assert said["url"] == "https://llm.example.org/llm"
        assert any("https://llm.example.org/llm/v1" in line for line in said["lines"])
        own = "?public_url=https%3A%2F%2Fllm.example.org%2Fdeep%2Fer"
        said = json.loads(house.get("/dashboard/data/connect" + own, nginx)[2])
        assert said["url"] == "https://llm.example.org/deep/er"


@pytest.mark.parametrize(
    ("host", "site", "status"),
    [
        ("llm.example.org", None, 200),
        ("127.0.0.1:8082", "same-origin", 200),  # a reverse proxy that writes a Host of its own
        ("127.0.0.1:8082", None, 403),
        ("llm.example.org", "cross-site", 403),
        ("llm.example.org", "same-site", 403),
    ],
)
def test_the_dashboards_own_posts_behind_a_reverse_proxy(host: str, site: str | None, status: int) -> None:
    headers = {"Host": host, "Origin": "https://llm.example.org", "x-api-key": KEY, "X-Forwarded-Proto": "https"}
    if site is not None:
        headers["Sec-Fetch-Site"] = site
    listing = Answer.json({"data": []})
    with Upstream([listing]) as up, House(one_upstream(up.url, "chat", server=NAMED) + CLIENT) as house:
        assert house.post("/dashboard/probe/up", b"", headers)[0] == status


EVENTS = [
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
]
OWN = {"X-Accel-Buffering": "yes", "Cache-Control": "private"}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize(
    "answer",
    [
        Answer.sse(EVENTS, headers=OWN),
        Answer.sse([EVENTS[0], b'data: {"error":{"message":"broke"}}\n\n']),
        Answer.sse(EVENTS[:1]),
        OK,
    ],
)
def test_no_stream_is_kept_by_a_reverse_proxy(path: str, answer: Answer) -> None:
    asked = {"model": "m", "max_tokens": 9, "input": "x", "stream": True} | ASKED
    asked.pop("input" if path != "/v1/responses" else "messages")
    with Upstream([answer]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        client.send("POST", path, asked)
        status, headers = client.head()
    assert status == 200
    if headers["content-type"].startswith("text/event-stream"):
        assert headers["x-accel-buffering"] == "no" and headers["cache-control"] == "no-cache, no-transform"
    else:
        assert answer is OK and path == "/v1/chat/completions"  # passed through: it was not streamed


def test_a_kept_response_as_a_stream() -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        kept = json.loads(house.post("/v1/responses", {"model": "m", "input": "x"})[2])["id"]
        status, headers, _ = house.get(f"/v1/responses/{kept}?stream=true")
    assert status == 200 and headers["x-accel-buffering"] == "no"
