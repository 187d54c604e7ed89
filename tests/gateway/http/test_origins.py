"""Web pages that bring a client's key, and browsers that ask before they send."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operate.settings.errors import SettingsError
from operate.settings.load import read
from tests.support.house import House
from tests.support.script import Answer, Upstream

KEY = "a-client-key-of-some-length"
BEARER = {"Authorization": f"Bearer {KEY}"}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
OWN = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true", "Vary": "Accept-Encoding"}
OK = Answer.json({"id": "x", "choices": [CHOICE]}, headers=OWN)
EVENTS = [
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
]
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
PATHS = ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/models", "/v1/models/m", "/metrics", "/nowhere"]
LISTED = "https://chat.example.org, app://obsidian.md, chrome-extension://*, http://localhost:3000, https://[::1]:8443"


def settings(url: str, origins: str, client: str = f"[client a]\nkey = {KEY}\nadmin = true\n") -> str:
    return (
        f"[server]\norigins = {origins}\n[upstream up]\nprotocol = chat\nbase_url = {url}\n[models]\n* = up\n{client}"
    )


def preflight(house: House, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """A 204 says nothing of a length, and has none."""
    with house.connect() as client:
        client.send("OPTIONS", path, None, headers)
        status, got = client.head()
        return status, got, b"" if status == 204 else client.body()


def before(origin: str, **more: str) -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os"} | more  # fmt: skip


def shared(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (LISTED, "https://chat.example.org", True),
        (LISTED, "HTTPS://Chat.Example.org", True),
        (LISTED, "app://obsidian.md", True),
        (LISTED, "chrome-extension://bpoadfkcbjbfhfod", True),
        (LISTED, "http://localhost:3000", True),
        (LISTED, "https://[::1]:8443", True),
        (LISTED, "http://chat.example.org", False),
        (LISTED, "https://chat.example.org:8443", False),
        (LISTED, "https://chat.example.org.evil.example", False),
        (LISTED, "https://evil.example/https://chat.example.org", False),
        (LISTED, "null", False),
        (LISTED, "chrome-extension", False),
        ("*", "https://anybody.example", True),
        ("*", "null", True),
        ("", "https://chat.example.org", False),
        ("", "null", False),
    ],
)
def test_who_may_come_in(origins: str, origin: str, allowed: bool) -> None:
    with Upstream([OK] * 3) as up, House(settings(up.url, origins)) as house:
        status, headers, body = preflight(house, PATHS[0], before(origin))
        assert status == (204 if allowed else 403) and (not body if allowed else b"[server] origins" in body)
        assert ("access-control-allow-methods" in headers) is allowed
        status, headers, body = house.post(PATHS[0], ASKED, BEARER | {"Origin": origin})
        assert status == (200 if allowed else 403) and (allowed or b"[server] origins" in body)
        assert headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert "access-control-allow-credentials" not in headers


def test_what_a_browser_is_told_before_it_sends() -> None:
    with House(settings("http://127.0.0.1:9", LISTED)) as house:
        for path in PATHS:
            status, headers, body = preflight(house, path, before("app://obsidian.md"))
            assert status == 204 and not body and headers["vary"] == "Origin"
            told = shared(headers)
            assert told.pop("access-control-allow-methods") == "GET, HEAD, POST, PATCH, DELETE"
            assert told.pop("access-control-allow-headers") == "authorization,content-type,x-stainless-os"
            assert told.pop("access-control-allow-origin") == "app://obsidian.md"
            assert int(told.pop("access-control-max-age")) > 0 and told.pop("access-control-expose-headers")
            assert not told
        private = before("app://obsidian.md", **{"Access-Control-Request-Private-Network": "true"})
        headers = preflight(house, PATHS[0], private)[1]
        assert headers["access-control-allow-private-network"] == "true"
        odd = before("app://obsidian.md", **{"Access-Control-Request-Headers": "a, b c"})
        assert "access-control-allow-headers" not in preflight(house, PATHS[0], odd)[1]
        assert house.request("OPTIONS", PATHS[0], None)[0] == 405  # nobody's question


@pytest.mark.parametrize(
    "answer", [OK, Answer.sse(EVENTS, headers=OWN), Answer.json({"error": {"message": "no"}}, 400)]
)
@pytest.mark.parametrize("path", PATHS[:3])
def test_pages_may_read_every_reply(path: str, answer: Answer) -> None:
    asked = ASKED | {"stream": answer is not OK} | ({"input": "x"} if path == PATHS[2] else {})
    asked = {key: value for key, value in asked.items() if key != "messages" or path != PATHS[2]}
    with Upstream([answer]) as up, House(settings(up.url, LISTED)) as house:
        _, headers, _ = house.post(path, asked, BEARER | {"Origin": "app://obsidian.md"})
    assert headers["access-control-allow-origin"] == "app://obsidian.md" and headers["vary"] == "Origin"
    assert "x-request-id" in headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in headers


def test_refusals_may_be_read_too_and_the_key_is_asked_for() -> None:
    with House(settings("http://127.0.0.1:9", "https://a.example")) as house:
        for method, path, status in (
            ("POST", PATHS[0], 401), ("GET", "/v1/models", 401), ("GET", "/v1/responses/resp_1", 401),
            ("GET", "/metrics", 401), ("POST", "/debug/translate", 401), ("GET", "/nowhere", 404),
        ):  # fmt: skip
            got, headers, _ = house.request(
                method, path, {} if method == "POST" else None, {"Origin": "https://a.example"}
            )
            assert got == status and headers["access-control-allow-origin"] == "https://a.example", path


def test_what_admins_see_is_not_for_any_page() -> None:
    """A page that is let in by "*" has not been named by anybody."""
    own = {"Origin": "https://a.example", "x-api-key": KEY}
    with House(settings("http://127.0.0.1:9", "*")) as house:
        assert [house.get(path, own)[0] for path in ("/v1/models", "/metrics", "/debug/upstreams")] == [200, 403, 403]
    with House(settings("http://127.0.0.1:9", "https://a.example")) as house:
        assert [house.get(path, own)[0] for path in ("/metrics", "/debug/upstreams")] == [200, 200]


SAME = {"Host": "localhost:8080"}
OURS = SAME | {"Origin": "http://localhost:8080"}


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        (SAME, True), (OURS, True), (OURS | {"Sec-Fetch-Site": "same-origin"}, True),
        (SAME | {"Sec-Fetch-Site": "none"}, True), ({"Host": "127.0.0.1", "Origin": "http://127.0.0.1"}, True),
        (SAME | {"Origin": "http://localhost:3000"}, False), (SAME | {"Origin": "http://localhost"}, False),
        (SAME | {"Origin": "http://127.0.0.1:8080"}, False), (SAME | {"Origin": "http://[::1]:8080"}, False),
        (SAME | {"Origin": "null"}, False), (SAME | {"Origin": "http://x.localhost:8080"}, False),
        (SAME | {"Origin": "http://a@localhost:8080"}, False), (SAME | {"Sec-Fetch-Site": "same-site"}, False),
        (SAME | {"Sec-Fetch-Site": "cross-site"}, False), (OURS | {"Sec-Fetch-Site": "same-site"}, False),
        (SAME | {"Sec-Fetch-Site": "none", "Origin": "http://localhost:3000"}, False),
    ],
)  # fmt: skip
def test_without_clients_only_the_proxys_own_pages_come_in(headers: dict[str, str], ours: bool) -> None:
    """Another port of this machine is another server, which may run the scripts of strangers."""
    with Upstream([OK]) as up, House(settings(up.url, "*", "")) as house:
        for path in ("/v1/models", "/debug/upstreams", "/metrics"):
            assert house.get(path, headers)[0] == (200 if ours else 403), path
        assert house.post(PATHS[0], ASKED, headers)[0] == (200 if ours else 403)
        assert bool(up.requests) == ours


@pytest.mark.parametrize("origins", ["*", LISTED])
def test_without_clients_no_page_comes_in(origins: str) -> None:
    with Upstream([OK]) as up, House(settings(up.url, origins, "")) as house:
        status, headers, _ = house.post(PATHS[0], ASKED, {"Origin": "app://obsidian.md"})
        assert status == 403 and not shared(headers) and not up.requests
        assert preflight(house, PATHS[0], before("app://obsidian.md"))[0] == 403
        assert not shared(house.get("/healthz", {"Origin": "app://obsidian.md"})[1])


def test_an_upstreams_own_words_to_browsers_stay_behind() -> None:
    with Upstream([OK]) as up, House(settings(up.url, "")) as house:
        status, headers, _ = house.post("/v1/chat/completions", ASKED, BEARER)
    assert status == 200 and not shared(headers) and "vary" not in headers


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("", ()), ("*", ("*",)), (" https://A.example/ , app://x,,", ("https://a.example", "app://x")),
        ("https://a.example:8443", ("https://a.example:8443",)), ("moz-extension://*", ("moz-extension://*",)),
    ],
)  # fmt: skip
def test_the_setting(written: str, found: tuple[str, ...]) -> None:
    assert read(settings("http://127.0.0.1:9", written)).server.origins == found


@pytest.mark.parametrize(
    "written", ["a.example", "https://a.example/path", "https://*.a.example", "null", "https://", "x y"]
)
def test_what_is_no_origin(written: str) -> None:
    with pytest.raises(SettingsError, match="origins"):
        read(settings("http://127.0.0.1:9", written))


def test_a_change_holds_at_once(tmp_path: Any) -> None:
    file = tmp_path / "s.ini"
    with House(settings("http://127.0.0.1:9", ""), file=file) as house:
        assert preflight(house, PATHS[0], before("app://obsidian.md"))[0] == 403
        file.write_text(settings("http://127.0.0.1:9", "app://obsidian.md"))
        house.on_loop(lambda: house.proxy.reload.now())  # type: ignore[union-attr]
        house.wait(lambda p: bool(p.service.settings.server.origins))
        assert preflight(house, PATHS[0], before("app://obsidian.md"))[0] == 204
        assert json.loads(house.get("/v1/models", BEARER | {"Origin": "app://obsidian.md"})[2])
