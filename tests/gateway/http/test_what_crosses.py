"""Headers, queries and pages at the border: what of a client's goes to an upstream, and what of an upstream's back."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from gateway.http import header_names, header_rules
from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Upstream

MESSAGES, CHAT, RESPONSES = "/v1/messages", "/v1/chat/completions", "/v1/responses"
PATHS = {"messages": MESSAGES, "chat": CHAT, "responses": RESPONSES}
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "input": "x"}
OK = Answer.json({"id": "x"})
KEYS = (
    "x-goog-api-key", "x-amz-security-token", "ocp-apim-subscription-key", "x-auth-token", "api-key", "apikey",
    "cookie", "proxy-authorization", "private-token", "x-api-token", "x-functions-key", "x-vault-token", "x-secret",
    "authentication", "x-csrf-token", "cf-access-client-secret", "x-gitlab-token", "x-access-token", "x-password",
    "x-id-token", "x-amzn-oidc-accesstoken", "helicone-auth", "x-portkey-api-key", "x-signature",
)  # fmt: skip
ADDRESSES = ("x-client-ip", "true-client-ip", "cf-connecting-ip", "x-real-ip", "x-forwarded-port", "x-geo-city")
BROWSERS = (
    "access-control-allow-origin", "access-control-allow-credentials", "clear-site-data", "refresh", "location", "link",
    "www-authenticate", "set-cookie", "strict-transport-security", "alt-svc", "nel", "report-to", "reporting-endpoints",
    "content-disposition", "content-location", "sourcemap", "service-worker-allowed", "permissions-policy", "set-login",
    "cross-origin-opener-policy", "timing-allow-origin", "x-frame-options", "accept-ch", "x-powered-by", "server",
    "via", "x-internal-host", "x-debug-key", "x-accel-redirect", "proxy-authenticate", "referrer-policy",
    "expect-ct",
)  # fmt: skip


@pytest.mark.parametrize("lane", [*PATHS, ""])
def test_keys_and_addresses_of_clients_stay_behind(lane: str) -> None:
    for name in (*KEYS, *ADDRESSES, *header_names.ACCOUNT, "authorization", "x-http-method-override", "range"):
        if lane != "messages" or name not in header_names.ACCOUNT:
            assert not header_names.goes(name, lane, False), name


@pytest.mark.parametrize("lane", PATHS)
def test_what_the_apis_have_goes_along(lane: str) -> None:
    for name in ("user-agent", "x-stainless-os", "x-session-id", "session-id", "idempotency-key", "anthropic-beta",
                 "openai-beta", "x-codex-turn-metadata", "x-claude-code-session-id", "traceparent"):  # fmt: skip
        assert header_names.goes(name, lane, False), name
    assert header_names.goes("x-anything", "messages", False) and not header_names.goes("x-anything", "chat", False)
    assert header_names.goes("openai-organization", lane, True)
    assert header_names.goes("x-goog-api-key", lane, False, ("x-goog-api-key",))
    assert not header_names.goes("authorization", lane, False, ("authorization",))


@pytest.mark.parametrize("same", [True, False])
def test_headers_by_which_a_browser_acts_stay_behind(same: bool) -> None:
    for name in BROWSERS:
        assert not header_names.comes_back(name, same), name
    for name in ("x-ratelimit-remaining-tokens", "anthropic-ratelimit-unified-reset", "retry-after"):
        assert header_names.comes_back(name, same), name


def test_what_connection_names_stays_behind_on_the_way_back() -> None:
    theirs = [("connection", "X-Ratelimit-Hop, close"), ("x-ratelimit-hop", "1"), ("x-ratelimit-limit", "2\r3")]
    assert header_rules.back(theirs, same=True) == b"x-ratelimit-limit: 2?3\r\n"


@pytest.mark.parametrize("protocol", PATHS)
def test_settings_let_headers_and_parameters_through(protocol: str) -> None:
    more = "request_headers = X-Goog-Api-Key\nreply_headers = X-Debug-Key\nquery = x\n"
    answer = Answer.json({"id": "x"}, headers={"x-debug-key": "7", "link": "<http://evil.example>"})
    with Upstream([answer]) as up, House(one_upstream(up.url, protocol, more)) as house:
        path = f"{PATHS[protocol]}?x=a%20b&beta=true"
        status, headers, _ = house.post(path, ASKED, {"x-goog-api-key": "k", "cookie": "a=b"})
        (sent,) = up.requests
    assert status == 200 and headers["x-debug-key"] == "7" and "link" not in headers
    assert sent.headers["x-goog-api-key"] == "k" and "cookie" not in sent.headers and sent.path.endswith(path)


@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize("query", ["key=sk-secret", "x=%3Cscript%3E", "beta=a%0d%0aX:1", "&".join(["beta=1"] * 65),
                                   "a" * 9000])  # fmt: skip
def test_parameters_that_the_api_does_not_have_are_refused(protocol: str, query: str) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, protocol)) as house:
        assert house.post(f"{PATHS[protocol]}?{query}", ASKED)[0] == 400
        assert house.get(f"/v1/responses/resp_1?{query}")[0] == (400 if protocol == "responses" else 404)
        assert up.requests == []


SHIELDS = ("x-content-type-options", "nosniff"), ("content-security-policy", "sandbox")


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "image/svg+xml", "text/javascript", "text/xml", ""])
def test_an_upstreams_page_is_no_page_here(status: int, kind: str) -> None:
    page = b"<html><script>alert(1)</script></html>"
    answer = Answer(status, {"Content-Type": kind} if kind else {}, page)
    with Upstream([answer]) as up, House(one_upstream(up.url, "responses") + ONCE) as house:
        replies = [house.get("/v1/responses/resp_1"), house.get("/v1/responses/resp_1/input_items"),
                   house.post(RESPONSES, ASKED), house.post(MESSAGES, ASKED), house.get("/v1/models"),
                   house.get("/nowhere"), house.post("/debug/translate", ASKED)]  # fmt: skip
    for _, headers, _ in replies:
        assert headers["content-type"] == "application/json"
        assert all(headers[name] == value for name, value in SHIELDS), headers


def test_streams_are_no_pages_either() -> None:
    event = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'
    with Upstream([Answer.sse([event])]) as up, House(one_upstream(up.url, "chat")) as house:
        for path in (CHAT, MESSAGES):
            _, headers, _ = house.post(path, ASKED | {"stream": True})
            assert headers["content-type"].startswith("text/event-stream")
            assert all(headers[name] == value for name, value in SHIELDS)


@pytest.mark.parametrize("path", ["/v1/responses/resp_1", "/v1/models", "/v1/models/m", "/debug/upstreams", "/metrics"])
def test_a_page_of_another_site_has_no_get_sent(path: str) -> None:
    """By a link or a picture: no Origin comes with these."""
    with Upstream([OK]) as up, House(one_upstream(up.url, "responses")) as house:
        for mode in ("navigate", "no-cors"):
            status, _, body = house.get(path, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode})
            assert status == 403 and b"web page" in body
        assert up.requests == []
        assert house.get(path, {"Sec-Fetch-Site": "same-origin"})[0] != 403


@pytest.mark.parametrize("id", ["..", ".", "...", "..%2fadmin", "%2e%2e", "a%2fb", "a%5cb", "%23", "%00", "a%3fb", "@x",
                                ".a", "a%0d%0ab", "a" * 1001, "%ef%bc%8e%ef%bc%8e"])  # fmt: skip
def test_an_id_stays_in_its_place(id: str) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "responses")) as house:
        for method, part in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
            with house.connect() as client:
                client.send(method, f"/v1/responses/{id}{part}", b"")
                assert client.reply()[0] in (400, 404)
        assert up.requests == []


_ASTRAY = [
    "up/..", "up/.", "up/x/..", "..", "up/...[1m]", "..%2F..%2Fadmin", "../../admin", "%2e%2e/x", "a/..;/b", "..\\x",
    "%252e%252e%252Fx", "..%252F..%252Fadmin", "a/%2e%2e%3Bb/c", "a%2f..", "m%0d%0ax", "m%2500", "..?x", "..%23",
]  # fmt: skip
_IN_ADDRESSES = {
    "azure": ("chat", "api_version = 2024-10-21\napi_key = k-0123456789\n"),
    "gemini": ("gemini", ""),
    "bedrock": ("messages", "envelope = bedrock\napi_key = k-0123456789\n"),
}


@pytest.mark.parametrize("kind", _IN_ADDRESSES)
def test_a_models_name_leads_nowhere_else(kind: str) -> None:
    """Nor where a server decodes its address, and once more behind that."""
    with Upstream([OK]) as up, House(one_upstream(up.url, *_IN_ADDRESSES[kind])) as house:
        for model in _ASTRAY:
            for path, shape in ((CHAT, {"error": "message"}), (MESSAGES, {"type": "error"})):
                status, _, body = house.post(path, ASKED | {"model": model})
                assert status == 400 and b"name of a model" in body and b"invalid_request_error" in body, model
                assert all(key in json.loads(body) for key in shape)
        for encoded in ("..%2F..%2Fadmin", "..%252F..%252Fadmin", "%252e%252e%252fx"):
            status, _, body = house.post(f"/v1beta/models/{encoded}:generateContent", {"contents": []})
            assert status == 400 and json.loads(body)["error"]["status"] == "INVALID_ARGUMENT"
        assert up.requests == []


def test_a_name_that_no_address_contains_is_the_upstreams_own() -> None:
    """Servers of local models call these by their folders."""
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post(CHAT, ASKED | {"model": "../models/llama"})[0] == 200
        assert up.requests[0].json["model"] == "../models/llama"


@pytest.mark.parametrize("model", ["publishers/x/gemini-3.1", "a.b/..c", "m:0", "100%", "a%20b", "arn:aws:x/us.m-v1:0"])
def test_other_names_go_as_they_are(model: str) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, *_IN_ADDRESSES["azure"])) as house:
        assert house.post(CHAT, ASKED | {"model": model})[0] == 200
        assert unquote(up.requests[0].path.split("/")[3]) == model


def both(first: str, second: str) -> str:
    section = "[upstream {}]\nprotocol = {}\nbase_url = {}\napi_key = sk-operators-{}-0123\nforward_client_key = true\n"
    text = section.format("a", "messages", first, "a") + section.format("b", "chat", second, "b")
    return text + "[models]\nm = a, b\n" + ONCE


def test_a_clients_key_does_not_follow_to_another_provider() -> None:
    down = Answer.json({"error": {"message": "down"}}, 503)
    with Upstream([down]) as a, Upstream([OK]) as b, House(both(a.url, b.url)) as house:
        assert house.post(MESSAGES, ASKED, {"x-api-key": "sk-the-clients-0123"})[0] in (503, 529)
        assert [r.headers["x-api-key"] for r in a.requests] == ["sk-the-clients-0123"] and b.requests == []
        house.post(MESSAGES, ASKED)
        assert b.requests[0].headers["authorization"] == "Bearer sk-operators-b-0123"
