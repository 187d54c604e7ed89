"""Upstreams that are the proxy itself, or lead back to it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from gateway.http.loop_guard import HEADER, Hops, is_told
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from translate.failures.errors import ApiError

PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
TURN = [{"role": "user", "content": "x"}]
ASKED: dict[str, dict[str, Any]] = {
    "messages": {"max_tokens": 9, "messages": TURN}, "chat": {"messages": TURN}, "responses": {"input": "x"},
}  # fmt: skip
LOCAL = ("127.0.0.1", 8082)
ANY = ("0.0.0.0", 8082)


@pytest.mark.parametrize(
    ("listens", "base_url", "here"),
    [
        (LOCAL, "http://127.0.0.1:8082", True),
        (LOCAL, "http://127.0.0.1:8082/v1", True),
        (LOCAL, "http://localhost:8082", True),
        (LOCAL, "http://LocalHost.:8082", True),
        (LOCAL, "http://x.localhost:8082", True),
        (LOCAL, "http://0.0.0.0:8082", True),
        (LOCAL, "http://[::ffff:127.0.0.1]:8082", True),
        (LOCAL, "https://127.0.0.1:8082", True),
        (LOCAL, "http://127.0.0.1:8083", False),
        (LOCAL, "http://127.0.0.2:8082", False),
        (LOCAL, "http://[::1]:8082", False),
        (LOCAL, "http://127.0.0.1", False),
        (LOCAL, "http://192.0.2.1:8082", False),
        (LOCAL, "https://api.example.com:8082", False),
        (("127.0.0.1", 80), "http://127.0.0.1", True),
        (("127.0.0.1", 443), "https://localhost", True),
        (("::1", 8082), "http://[::1]:8082", True),
        (("::1", 8082), "http://localhost:8082", True),
        (("::1", 8082), "http://[::]:8082", True),
        (("::1", 8082), "http://127.0.0.1:8082", False),
        (ANY, "http://127.0.0.1:8082", True),
        (ANY, "http://127.9.9.9:8082", True),
        (ANY, "http://192.0.2.1:8082", False),
        (ANY, f"http://{socket.gethostname()}:8082", True),
        (LOCAL, f"http://{socket.gethostname()}-2:8082", False),
    ],
)
def test_an_upstream_is_known_by_its_address(listens: tuple[str, int], base_url: str, here: bool) -> None:
    assert Hops("x", [listens]).lead_here(base_url) is here


def test_hops_are_told_apart_and_bounded() -> None:
    hops = Hops("abc")
    hops.check(HTTPHeaders({HEADER: "xabc, abcd"}))
    assert hops.onward(HTTPHeaders()) == "abc" and hops.onward(HTTPHeaders({HEADER: "x"})) == "x, abc"
    assert len(hops.onward(HTTPHeaders({HEADER: "x" * 90_000}))) < 1100
    for value in ("abc", "x, abc", "abc,x", " abc "):
        with pytest.raises(ApiError) as refused:
            hops.check(HTTPHeaders({HEADER: value}))
        assert refused.value.status == 508


@contextmanager
def houses(*texts: str) -> Iterator[list[House]]:
    """Proxies whose upstreams may be each other: URL0 and so forth stand for their addresses."""
    with ExitStack() as stack:
        ports = []
        for _ in texts:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                ports.append(free.getsockname()[1])
        made = []
        for number, text in enumerate(texts):
            for other, port in enumerate(ports):
                text = text.replace(f"URL{other}", f"http://127.0.0.1:{port}")
            made.append(stack.enter_context(House(text, port=ports[number])))
        yield made


def _upstream(name: str, protocol: str, url: str) -> str:
    return f"[upstream {name}]\nprotocol = {protocol}\nbase_url = {url}\n"


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_an_upstream_that_is_the_proxy_itself_is_named(
    client: str, protocol: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with houses(_upstream("loop", protocol, "URL0") + "[models]\n* = loop\n") as (house,):
        status, headers, body = house.post(PATHS[client], ASKED[client] | {"model": "m", "stream": stream})
        assert status == 508 and b"upstream 'loop' is this proxy itself" in body
        assert headers["x-should-retry"] == "false"
        assert json.loads(body).get("type") == ("error" if client == "messages" else None)
        assert house.get("/v1/models")[0] == 200
        assert json.loads(house.post("/dashboard/probe/loop", b"")[2])["ok"] is False
        assert house.get("/v1/responses/resp_1")[0] in (404, 508)
    assert len([r for r in caplog.records if "'loop' is this proxy itself" in r.getMessage()]) >= 1


OK = Answer.json({"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]})


def test_the_next_target_is_asked_instead() -> None:
    with Upstream([OK]) as up:
        text = _upstream("loop", "chat", "URL0") + _upstream("good", "chat", up.url) + "[models]\n* = loop, good\n"
        with houses(text) as (house,):
            assert house.post(PATHS["chat"], ASKED["chat"] | {"model": "m"})[0] == 200


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("protocols", [("chat", "chat"), ("messages", "chat"), ("responses", "messages")])
@pytest.mark.parametrize("many", [2, 3])
def test_a_chain_that_leads_back_ends_where_it_began(client: str, protocols: tuple[str, str], many: int) -> None:
    texts = [_upstream("next", protocols[n % 2], f"URL{(n + 1) % many}") + "[models]\n* = next\n" for n in range(many)]
    with houses(*texts) as all:
        status, headers, body = all[0].post(PATHS[client], ASKED[client] | {"model": "m"})
        assert status == 508 and b"come back" in body and headers["x-should-retry"] == "false"
        for house in all:
            assert house.on_loop(lambda house=house: house.proxy.service.client.stats()["connections_opened"]) <= 2
        assert all[0].get("/v1/models")[0] == 200


def test_a_chain_that_ends_is_none() -> None:
    def script(request: Request) -> Answer:
        return OK if request.path.endswith("completions") else Answer.json({"data": [{"id": "far"}]})

    with Upstream(script) as up:
        texts = [
            _upstream("next", "chat", "URL1") + "[models]\n* = next\n",
            _upstream("next", "chat", up.url) + "[models]\n* = next\n",
        ]
        with houses(*texts) as (first, second):
            assert first.post(PATHS["messages"], ASKED["messages"] | {"model": "m"})[0] == 200
            hops = [house.proxy.service.hops.own for house in (first, second)]
            assert up.requests[0].headers["x-proxy-hops"] == ", ".join(hops)
            assert b'"far"' in first.get("/v1/models")[2]
            assert up.requests[1].headers["x-proxy-hops"] == ", ".join(hops)


def test_services_of_the_net_hear_nothing_of_it() -> None:
    assert not is_told("https://api.anthropic.com") and not is_told("https://openrouter.ai/api/v1")
    assert is_told("http://127.0.0.1:11434") and is_told("https://gateway.example.com/v1")
