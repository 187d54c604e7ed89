"""Every path, who may come in, and the proxy's own answers."""

from __future__ import annotations

import json

import pytest

from tests.support.house import House, one_upstream
from tests.support.script import Answer, Request, Upstream

OK = Answer.json({"id": "x", "type": "message", "content": []})
DEMO = "[upstream demo]\nprotocol = messages, chat, responses\nbase_url = demo:\n"
KEY = "a-client-key-of-some-length"
ANTHROPIC = {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/hello", "/api/version"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_probes_need_no_key(path: str, method: str) -> None:
    with House(DEMO + f"[client a]\nkey = {KEY}") as house, house.connect() as client:
        client.send(method, path)
        assert client.head()[0] == 200


def test_paths_that_are_none_are_told_apart() -> None:
    with House(DEMO) as house:
        status, _, body = house.post("/v1/v1/messages", {}, ANTHROPIC)
        assert status == 404 and b"base URL" in body and json.loads(body)["type"] == "error"
        status, _, body = house.post("/v1/fine_tuning/jobs", {})
        assert status == 404 and b"/v1/chat/completions" in body and "code" in json.loads(body)["error"]
        status, headers, body = house.get("/v1/messages")
        assert status == 405 and headers["allow"] == "POST" and json.loads(body)["type"] == "error"
        for path in ("/v1/models", "/v1/models/m", "/healthz", "/api/tags", "/api/version"):
            status, headers, body = house.request("DELETE", path)
            assert (status, headers["allow"]) == (405, "GET, HEAD") and f"DELETE {path}: only GET".encode() in body
        for verb in ("predict", "predictLongRunning"):  # Google's, for pictures and films
            status, _, body = house.post(f"/v1beta/models/m:{verb}", {})
            said = json.loads(body)["error"]
            assert (status, said["status"]) == (404, "NOT_FOUND") and ":generateContent" in said["message"]
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "openai-beta": "responses_websockets=2026-02-06"}
        assert house.get("/v1/responses", upgrade)[0] == 426


FORM = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
TYPES = [
    ("multipart/form-data; boundary=x", FORM), ("application/x-www-form-urlencoded", b"a=1&b=2"), ("text/plain", b"x"),
]  # fmt: skip
ENDPOINTS = [
    "/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions", "/v1/responses", "/v1/responses/compact",
    "/v1/responses/input_tokens", "/debug/translate",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body"), TYPES)
def test_a_body_that_is_no_json_is_answered_with_the_type_that_is(kind: str, body: bytes) -> None:
    """In the client's dialect; and a path that is none says which there are, whatever is sent to it."""
    with House(DEMO) as house:
        for path in ENDPOINTS:
            status, _, raw = house.post(path, body, {"Content-Type": kind})
            said = json.loads(raw)
            assert status == 415 and "application/json" in said["error"]["message"], path
            assert kind.partition(";")[0] in said["error"]["message"]
            assert (said.get("type") == "error") == path.startswith(("/v1/messages", "/debug"))
        for path in ("/v1/uploads", "/v1/audio", "/v1/images/nothing"):
            status, _, raw = house.post(path, body, {"Content-Type": kind} | ANTHROPIC)
            assert status == 404 and b"/v1/messages" in raw and json.loads(raw)["type"] == "error", path


@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded", "text/plain", "application/vnd.x+json"])
def test_json_may_call_itself_what_it_likes(kind: str) -> None:
    """With any key, as every client sends one: tests/gateway/http/test_hosts.py has what comes without."""
    asked = {"model": "claude-x", "max_tokens": 20, "messages": [{"role": "user", "content": "x"}]}
    with House(DEMO) as house:
        headers = {"x-api-key": "any-key"} | ({"Content-Type": kind} if kind else {})
        status, _, _ = house.post("/v1/messages", json.dumps(asked).encode(), headers)
        assert status == 200


def test_query_strings_do_not_matter_to_the_path() -> None:
    with House(DEMO) as house:
        asked = {"model": "claude-x", "max_tokens": 20, "messages": [{"role": "user", "content": "x"}]}
        assert house.post("/v1/messages?beta=true", asked)[0] == 200


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
@pytest.mark.parametrize(
    "brought",
    [{"x-api-key": KEY}, {"Authorization": f"Bearer {KEY}"}, {"x-api-key": "other", "Authorization": f"bearer {KEY}"}],
)
def test_either_key_header_opens_every_endpoint(version: str, brought: dict[str, str]) -> None:
    headers = brought | {"anthropic-version": version}
    asked = {"model": "demo", "max_tokens": 20, "messages": [{"role": "user", "content": "x"}]}
    with House(DEMO + f"[client a]\nkey = {KEY}") as house:
        for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions"):
            assert house.post(path, asked, headers)[0] == 200
        assert house.get("/v1/models", headers)[0] == 200
        assert house.get("/v1/models/demo", headers)[0] == 200


@pytest.mark.parametrize(
    "brought", [{}, {"x-api-key": "wrong"}, {"Authorization": "Basic " + KEY}, {"Authorization": ""}]
)
@pytest.mark.parametrize(
    "path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions", "/v1/models", "/v1/models/x"]
)
def test_without_the_key_nothing_opens(path: str, brought: dict[str, str]) -> None:
    with House(DEMO + f"[client a]\nkey = {KEY}") as house:
        method, body = ("GET", None) if "models" in path else ("POST", {"model": "demo"})
        status, headers, got = house.request(method, path, body, brought)
    assert status == 401
    if method == "POST":
        assert headers["x-should-retry"] == "false"
    assert KEY.encode() not in got


def test_the_clients_key_is_not_sent_on() -> None:
    settings = (
        one_upstream("{}", "messages", "api_key = sk-up\nforward_client_key = true") + f"\n[client a]\nkey = {KEY}"
    )
    with Upstream([OK]) as up, House(settings.format(up.url)) as house:
        assert house.post("/v1/messages", {"model": "m"}, {"x-api-key": KEY})[0] == 200
        assert up.requests[0].headers["x-api-key"] == "sk-up"


def test_forward_client_key_sends_what_the_client_brought() -> None:
    settings = one_upstream("{}", "messages", "api_key = sk-up\nforward_client_key = true")
    with Upstream([OK]) as up, House(settings.format(up.url)) as house:
        house.post("/v1/messages", {"model": "m"}, {"Authorization": "Bearer oauth-token"})
        house.post("/v1/messages", {"model": "m"}, {"x-api-key": "sk-client"})
        house.post("/v1/messages", {"model": "m"})
        chat = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        house.post("/v1/chat/completions", chat, {"Authorization": "Bearer sk-client"})
        bearer, key, none, crossed = (request.headers for request in up.requests)
    assert bearer["authorization"] == "Bearer oauth-token" and "x-api-key" not in bearer
    assert key["x-api-key"] == "sk-client"
    assert none["x-api-key"] == "sk-up"
    assert crossed["x-api-key"] == "sk-client" and "authorization" not in crossed


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),  # another server on this machine is a stranger, too
        ({"Origin": "http://127.0.0.1:8082"}, 403),
        ({"Origin": "http://localhost:8082", "Host": "localhost:8082"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8082"}, 403),
        ({"Host": "localhost:8082"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "[::1]:8082"}, 200),
    ],
)
def test_web_pages_stay_outside(headers: dict[str, str], status: int) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "messages")) as house:
        assert house.post("/v1/messages", {"model": "m"}, headers)[0] == status
        assert len(up.requests) == (status == 200)


# ------------------------------------------------------------------------------------------------ models


LISTS = {
    "a": {"data": [{"id": "claude-a", "display_name": "A", "created_at": "2025-01-01T00:00:00Z", "type": "model"}]},
    "b": {"object": "list", "data": [{"id": "gpt-b", "object": "model", "created": 5}, {"id": "odd/name"}]},
}


def listing_house(asked: list[str]) -> tuple[Upstream, Upstream]:
    def of(name: str) -> Upstream:
        def answer(request: Request) -> Answer:
            asked.append(f"{name} {request.path}")
            return Answer.json(LISTS[name])

        return Upstream(answer)

    return of("a"), of("b")


def test_models_in_both_shapes() -> None:
    asked: list[str] = []
    first, second = listing_house(asked)
    with first, second:
        text = (
            f"[upstream a]\nprotocol = messages\nbase_url = {first.url}\n"
            f"[upstream b]\nprotocol = chat\nbase_url = {second.url}\n"
            '[models]\nclaude-* = a\ngpt-* = b\nfast = b/gpt-b\n[aliases]\nmap_json = {"nick":"gpt-b"}\n'
        )
        with House(text) as house:
            _, _, body = house.get("/v1/models")
            openai = json.loads(body)
            _, _, body = house.get("/v1/models?limit=1000", ANTHROPIC)
            anthropic = json.loads(body)
            _, _, body = house.get("/v1/models?limit=2&after_id=fast", {"x-api-key": "k"})
            page = json.loads(body)
            for id in ("gpt-b", "b/odd/name", "b%2Fodd%2Fname", "fast", "gpt-unlisted"):
                status, _, body = house.get(f"/v1/models/{id}")
                assert (status, json.loads(body)["object"]) == (200, "model"), id
            assert house.get("/v1/models/nowhere", ANTHROPIC)[0] == 404
    ids = ["fast", "nick", "claude-a", "gpt-b", "b/odd/name"]
    assert openai["object"] == "list" and [row["id"] for row in openai["data"]] == ids
    assert openai["data"][3] == {"id": "gpt-b", "object": "model", "created": 5, "owned_by": "b"}
    assert [row["id"] for row in anthropic["data"]] == ids and anthropic["has_more"] is False
    assert anthropic["data"][2]["display_name"] == "A" and anthropic["data"][2]["type"] == "model"
    assert [row["id"] for row in page["data"]] == ["nick", "claude-a"] and page["has_more"] is True
    assert sorted(asked) == ["a /v1/models?limit=1000", "b /v1/models"], "asked once, then kept"


def test_a_dead_upstream_does_not_take_the_list_along() -> None:
    with Upstream([Answer.json(LISTS["b"])]) as up, Upstream([Answer.json({}, 500)]) as down:
        text = f"[upstream a]\nprotocol=chat\nbase_url={down.url}\n[upstream b]\nprotocol=chat\nbase_url={up.url}\n"
        with House(text) as house:
            _, _, body = house.get("/v1/models")
    assert [row["id"] for row in json.loads(body)["data"]] == ["b/gpt-b", "b/odd/name"]


# ---------------------------------------------------------------------------------------- count_tokens


COUNT = {"model": "m", "messages": [{"role": "user", "content": "how many are these? " * 10}], "tools": []}


def test_count_tokens_is_the_upstreams_where_it_has_one() -> None:
    with Upstream([Answer.json({"input_tokens": 7})]) as up, House(one_upstream(up.url, "messages")) as house:
        status, headers, body = house.post("/v1/messages/count_tokens?beta=true", COUNT)
        assert (status, json.loads(body)) == (200, {"input_tokens": 7}) and "x-proxy-estimate" not in headers
        assert up.requests[0].path == "/v1/messages/count_tokens?beta=true"


def test_count_tokens_is_estimated_and_says_so() -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        status, headers, body = house.post("/v1/messages/count_tokens", COUNT)
        assert status == 200 and headers["x-proxy-estimate"] == "true"
        assert 30 < json.loads(body)["input_tokens"] < 100
        assert house.post("/v1/messages/count_tokens", {"model": "m"})[0] == 400
        assert up.requests == []


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_upstream_that_cannot_count_is_asked_once(status: int) -> None:
    with Upstream([Answer.json({"error": "no"}, status)]) as up, House(one_upstream(up.url, "messages")) as house:
        for _ in range(3):
            got, headers, _ = house.post("/v1/messages/count_tokens", COUNT)
            assert got == 200 and headers["x-proxy-estimate"] == "true"
        assert len(up.requests) == 1


# --------------------------------------------------------------------------------------------- routing


def test_an_unknown_model_lists_what_there_is() -> None:
    text = "[upstream a]\nprotocol=chat\nbase_url=http://127.0.0.1:9\n[models]\nfast = a/x\nclaude-* = a\n"
    with House(text) as house:
        asked = {"model": "nope", "max_tokens": 3, "messages": []}
        for path, kind in (("/v1/messages", "not_found_error"), ("/v1/chat/completions", "invalid_request_error")):
            status, _, body = house.post(path, asked)
            error = json.loads(body)["error"]
            assert status == 404 and error["type"] == kind
            for word in ("nope", "fast", "claude-*", "a/MODEL"):
                assert word in error["message"]


def test_responses_to_an_upstream_that_does_not_speak_it_cross() -> None:
    with House("[upstream a]\nprotocol=chat\nbase_url=http://127.0.0.1:9\n[models]\n* = a\n") as house:
        status, _, body = house.post("/v1/responses", {"model": "m", "input": "x"})
    assert status == 502 and b"cannot translate responses" not in body


def test_the_demo_answers_to_every_name_only_where_nothing_else_is_on() -> None:
    asked = {"model": "claude-opus-5-5", "max_tokens": 20, "messages": [{"role": "user", "content": "x"}]}
    with House(DEMO) as house:
        assert house.post("/v1/messages", asked)[0] == 200
    with House(DEMO + "[upstream a]\nprotocol=chat\nbase_url=http://127.0.0.1:9\n") as house:
        assert house.post("/v1/messages", asked)[0] == 404
        assert house.post("/v1/messages", asked | {"model": "demo/anything"})[0] == 200


def test_an_address_that_is_not_served_is_refused_in_the_words_of_its_protocol() -> None:
    with House(one_upstream("http://127.0.0.1:9", "chat")) as house:
        status, _, body = house.get("/v1beta/no-such-path")
        error = json.loads(body)["error"]
        assert (status, error["code"], error["status"]) == (404, 404, "NOT_FOUND")  # Google's
        status, _, body = house.get("/v1/no-such-path")
        assert status == 404 and "status" not in json.loads(body)["error"]
