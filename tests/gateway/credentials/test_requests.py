"""Requests to an upstream whose key is made: they wait for it, carry it, have it anew if it is refused, or fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import pytest

from gateway.credentials import minted
from tests.support.house import ONCE, House
from tests.support.script import Answer, Request, Upstream

ASK: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
REPLY: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "ok"}],
    "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
FIRST, SECOND = "first-Key-0123456789", "second-Key-0123456789"


def settings(up: Upstream, helper: Path, more: str = "", protocol: str = "messages") -> str:
    return (
        f"[upstream up]\nprotocol = {protocol}\nbase_url = {up.url}\napi_key = cmd:/bin/sh {helper}\nkey_timeout = 5\n"
        f"{more}\n[models]\n* = up\n"
    )


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    """Prints the first key, then the second, and counts how often it ran."""
    file = tmp_path / "helper.sh"
    file.write_text(
        f"echo run >> {tmp_path}/runs\n"
        f"if [ $(wc -l < {tmp_path}/runs) = 1 ]; then echo {FIRST}; else echo {SECOND}; fi\n"
    )
    return file


def runs(helper: Path) -> int:
    return (helper.parent / "runs").read_text().count("run")


def only_second(request: Request) -> Answer:
    said = request.headers.get("x-api-key", "") + request.headers.get("authorization", "")
    if SECOND in said:
        return Answer.json(REPLY)
    error = {"type": "authentication_error", "message": f"invalid key {said}"}
    return Answer.json({"type": "error", "error": error}, 401)


def test_the_key_goes_into_the_header_of_the_protocol_and_is_made_once(helper: Path) -> None:
    with Upstream([Answer.json(REPLY)]) as up, House(settings(up, helper)) as house:
        assert [house.post("/v1/messages", ASK)[0] for _ in range(3)] == [200] * 3
    assert [request.headers["x-api-key"] for request in up.requests] == [FIRST] * 3 and runs(helper) == 1


def test_tokens_of_clouds_are_bearer_tokens(helper: Path) -> None:
    with Upstream([Answer.json(REPLY)]) as up, House(settings(up, helper, "key_header = authorization")) as house:
        house.post("/v1/chat/completions", ASK)
    assert up.requests[0].headers["authorization"] == f"Bearer {FIRST}" and "x-api-key" not in up.requests[0].headers


def test_at_a_401_the_key_is_had_anew_and_the_request_goes_again(helper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minted, "RETRY_S", 0.0)
    with Upstream(only_second) as up, House(settings(up, helper, "", "messages") + ONCE) as house:
        status, _, raw = house.post("/v1/messages", ASK)
        assert status == 200, raw
        assert house.post("/v1/messages", ASK)[0] == 200
    assert [request.headers["x-api-key"] for request in up.requests] == [FIRST, SECOND, SECOND]
    assert runs(helper) == 2


@pytest.mark.parametrize(
    ("message", "again"),
    [("Invalid Token", True), ("The access token has expired", True), ("model m is not permitted", False)],
)
def test_a_403_about_the_key_counts_like_a_401(
    helper: Path, monkeypatch: pytest.MonkeyPatch, message: str, *, again: bool
) -> None:
    """Databricks says so of a token that has expired. A 403 has other reasons, too."""
    monkeypatch.setattr(minted, "RETRY_S", 0.0)

    def answer(request: Request) -> Answer:
        good = SECOND in request.headers["x-api-key"]
        return Answer.json(REPLY) if good else Answer.json({"error_code": "403", "message": message}, 403)

    with Upstream(answer) as up, House(settings(up, helper, "", "messages") + ONCE) as house:
        assert house.post("/v1/messages", ASK)[0] == (200 if again else 403)
    assert runs(helper) == 1 + again


def test_a_key_that_was_just_made_is_not_made_again(helper: Path) -> None:
    with Upstream(only_second) as up, House(settings(up, helper) + ONCE) as house:
        status, _, raw = house.post("/v1/messages", ASK)
    assert status == 401 and len(up.requests) == 1 and runs(helper) == 1
    assert FIRST.encode() not in raw and b"[secret]" in raw, "the upstream repeats the key that it refuses"


def test_a_failing_source_is_told_in_the_clients_protocol_and_the_next_upstream_is_asked(tmp_path: Path) -> None:
    bad = tmp_path / "bad.sh"
    bad.write_text("echo 'not logged in' >&2; exit 1\n")
    with Upstream([Answer.json(REPLY)]) as up:
        with House(settings(up, bad) + ONCE) as house:
            status, headers, raw = house.post("/v1/messages", ASK)
            error = json.loads(raw)["error"]
            assert status == 503 and error["type"] == "api_error" and headers["retry-after"]
            assert "its key command ended with status 1" in error["message"] and "logged in" not in error["message"]
            status, _, raw = house.post("/v1/chat/completions", ASK)
            assert status == 503 and "its key command" in json.loads(raw)["error"]["message"]
        more = f"[upstream next]\nprotocol = messages\nbase_url = {up.url}\napi_key = sk-next-0123456789\n"
        text = settings(up, bad).replace("* = up", "* = up, next") + more
        with House(text) as house:
            assert house.post("/v1/messages", ASK)[0] == 200
    assert [request.headers["x-api-key"] for request in up.requests] == ["sk-next-0123456789"]


def test_the_list_of_models_and_a_dry_run_know_of_it(helper: Path) -> None:
    models = {"data": [{"id": "claude-x", "type": "model"}]}
    with Upstream([Answer.json(models)]) as up, House(settings(up, helper)) as house:
        assert b"claude-x" in house.get("/v1/models")[2]
        assert FIRST.encode() not in house.post("/debug/translate?to=messages", ASK)[2]
    assert up.requests[0].headers["x-api-key"] == FIRST


def test_the_sdk_gets_an_error_of_its_own(tmp_path: Path) -> None:
    bad = tmp_path / "bad.sh"
    bad.write_text("exit 1\n")
    with Upstream([]) as up, House(settings(up, bad) + ONCE) as house:
        with anthropic.Anthropic(base_url=house.url, api_key="k", max_retries=0) as client:
            with pytest.raises(anthropic.InternalServerError, match="its key command ended with status 1"):
                client.messages.create(**ASK)
