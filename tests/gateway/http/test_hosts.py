"""By which names a request may call the proxy, and bodies that a page could have a browser send unasked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operate.settings import load
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream

PATH = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
SAID = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
OK = Answer.json({"id": "x", "object": "chat.completion", "choices": [SAID]})
KEY = "admin-key-0123456789ab"
ADMIN = f"[client me]\nkey = {KEY}\nadmin = true\n"
PAGES = ["/dashboard/data/now", "/debug/upstreams", "/debug/quirks", "/metrics"]
OURS = ["localhost:80", "127.0.0.1", "[::1]:8082", "LOCALHOST.", "x.localhost"]
ADDRESSES = ["10.0.0.7:8082", "[fd00::7]"]
NOBODYS = ["proxy:8082", "llm.local", "proxy.svc.cluster.local", "box.internal", "nas.home.arpa", "x.lan"]
PUBLIC = ["evil.example.com", "llm.example.org:443", "1.0.0.127.nip.io", "localhost.evil.org", "127.0.0.1.evil.org"]


@pytest.mark.parametrize("allowed", ["", "llm.example.org, *.corp.example"])
@pytest.mark.parametrize("path", PAGES)
def test_what_admins_see_is_shown_under_the_names_that_the_settings_allow(path: str, allowed: str) -> None:
    """Without such a setting their key is proof enough: a page that calls us by a name of its own has none."""
    text = one_upstream("http://127.0.0.1:9", "chat", server=f"allowed_hosts = {allowed}") + ADMIN
    own = ["llm.example.org", "LLM.example.org:443", "a.corp.example"] if allowed else ADDRESSES + NOBODYS + PUBLIC
    with House(text) as house:
        for host in OURS + own:
            assert house.get(path, {"Host": host, "x-api-key": KEY})[0] == 200, host
        for host in ["evil.example.com", "xcorp.example", "localhost.evil.org"]:
            status, _, body = house.get(path, {"Host": host, "x-api-key": KEY})
            assert (status == 403 and b"allowed_hosts" in body) if allowed else status == 200, host
            assert house.get(path, {"Host": host})[0] in (401, 403), host


def test_requests_with_a_key_may_name_any_host_unless_the_settings_say_which() -> None:
    with Upstream([OK]) as up:
        with House(one_upstream(up.url, "chat") + ADMIN) as house:
            for host in OURS + ADDRESSES + NOBODYS + PUBLIC:
                assert house.post(PATH, ASKED, {"Host": host, "x-api-key": KEY})[0] == 200, host
        with House(one_upstream(up.url, "chat", server="allowed_hosts = llm.example.org") + ADMIN) as house:
            for host in [*OURS, "llm.example.org:443"]:
                assert house.post(PATH, ASKED, {"Host": host, "x-api-key": KEY})[0] == 200, host
            for host in ["evil.example.com", *ADDRESSES]:
                assert house.post(PATH, ASKED, {"Host": host, "x-api-key": KEY})[0] == 403, host


def test_without_clients_other_names_are_ours_where_the_settings_say_so() -> None:
    """As of a container that calls its host by a name."""
    with Upstream([OK]) as up:
        with House(one_upstream(up.url, "chat", server="allowed_hosts = host.docker.internal")) as house:
            for host in [*OURS, "host.docker.internal:8082"]:
                assert house.post(PATH, ASKED, {"Host": host})[0] == 200, host
            for host in [*NOBODYS, *PUBLIC, *ADDRESSES]:
                assert house.post(PATH, ASKED, {"Host": host})[0] == 403, host
            assert house.get("/debug/upstreams", {"Host": "host.docker.internal"})[0] == 200


@pytest.mark.parametrize("text", ["llm.example.org:443", "http://x.example", "*", "a b", "x.*.example", "x/y"])
def test_what_is_no_name_of_a_host(text: str) -> None:
    with pytest.raises(load.SettingsError, match="allowed_hosts"):
        load.read(one_upstream("http://127.0.0.1:9", "chat", server=f"allowed_hosts = {text}"), "s.ini", environ={})


# ------------------------------------------------------------------------------- types that no browser asks about

UNASKED = ["text/plain", "text/plain;charset=UTF-8", "TEXT/PLAIN", "application/x-www-form-urlencoded",
           "multipart/form-data; boundary=x"]  # fmt: skip
ASKED_FOR = ["application/json", "application/json; charset=utf-8", "application/x-ndjson", "application/octet-stream"]
PATHS = [PATH, "/v1/messages", "/v1/responses", "/v1/messages/count_tokens", "/debug/translate"]


def typed(kind: str, more: dict[str, str] | None = None) -> dict[str, str]:
    return {"Content-Type": kind} | (more or {})


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_a_page_could_send_unasked_is_refused(path: str) -> None:
    asked = ASKED | {"max_tokens": 9} if "responses" not in path else {"model": "m", "input": "x"}
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        for kind in UNASKED:
            status, _, body = house.post(path, asked, typed(kind))
            assert status == 415 and b"application/json" in body, kind
        assert not up.requests
        for kind in ASKED_FOR:
            assert house.post(path, asked, typed(kind))[0] == 200, kind


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, 200),
        ({"User-Agent": "curl/8.5.0"}, 200),
        ({"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}, 415),
        ({"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"}, 415),
        ({"Referer": "http://localhost:3000/"}, 415),
        ({"Origin": "http://localhost:3000"}, 403),
    ],
)
def test_without_a_type_no_browser_is_served(more: dict[str, str], status: int) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post(PATH, ASKED, typed("", more))[0] == status
        assert len(up.requests) == (status == 200)


@pytest.mark.parametrize("proof", [{"x-api-key": "any-key"}, {"Authorization": "Bearer any-key"}])
def test_with_a_key_it_is_served(proof: dict[str, str]) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        for kind in UNASKED:
            assert house.post(PATH, ASKED, typed(kind, proof))[0] == 200, kind


def test_a_client_has_a_key_anyway() -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat") + ADMIN) as house:
        for kind in UNASKED:
            assert house.post(PATH, ASKED, typed(kind, {"x-api-key": KEY}))[0] == 200, kind
            assert house.post(PATH, ASKED, typed(kind))[0] == 401, kind


ELSEWHERE = [
    "http://ollama.example:11434/v1/models",
    "http://localhost:1/api/tags",
    "https://api.example/",
    "http://[::1]:1/",
]


@pytest.mark.parametrize("target", [*ELSEWHERE, "CONNECT api.example:443"])
@pytest.mark.parametrize("more", ["", "[client a]\nkey = a-client-key-of-some-length\n"])
def test_who_takes_it_for_an_http_proxy_is_told(target: str, more: str) -> None:
    with House(one_upstream("http://127.0.0.1:9", "chat") + more) as house, house.connect() as client:
        method, _, target = target.rpartition(" ")
        host = target.removeprefix("https://").removeprefix("http://").partition("/")[0]
        client.send(method or "GET", target, headers={"Host": host})
        status, headers, body = client.reply()
        said = json.loads(body)["error"]["message"]
        assert status == (405 if method else 421) and headers["connection"] == "close"
        assert "this is no HTTP proxy" in said and host in said and "ANTHROPIC_BASE_URL" in said


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1:{0}", "LOCALHOST:{0}", "[::1]:{0}", "[::1]"])
def test_a_whole_url_of_its_own_is_served(host: str) -> None:
    with House(one_upstream("http://127.0.0.1:9", "chat")) as house, house.connect() as client:
        client.send("GET", f"http://{host.format(house.port)}/healthz", headers={"Host": "localhost"})
        assert client.reply()[0] == 200
