"""Errors that are huge, endless or never whole: the client gets their beginning soon, and nobody else is held up."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from gateway.flow import incoming
from gateway.refusals import scrub
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream, drip
from translate.failures.errors import ApiError

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
ASKED: dict[str, Any] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    "messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
    "responses": {"model": "m", "input": "x"},
}
SAID = b"1 validation error: input_value="
HEAD = b'{"error":{"type":"invalid_request_error","message":"' + SAID
JSON = {"Content-Type": "application/json"}
ENDLESS = [HEAD, *[b"x" * 65536] * 200]  # 13 MB
LANES = [(client, stream) for client in PATHS for stream in (False, True)]


def message(reply: bytes) -> str:
    return str(json.loads(reply)["error"]["message"])


@pytest.mark.parametrize(("client", "stream"), LANES)
@pytest.mark.parametrize("framing", ["length", "chunked", "eof"])
def test_the_beginning_is_enough(client: str, stream: bool, framing: Any) -> None:
    with (
        Upstream([Answer(400, JSON, ENDLESS, framing=framing)]) as up,
        House(one_upstream(up.url, "chat")) as house,
    ):
        status, headers, reply = house.post(PATHS[client], ASKED[client] | {"stream": stream})
        assert status == 400 and len(reply) < 100_000 and message(reply).startswith(SAID.decode())
        assert "json" in headers["content-type"] and len(up.requests) == 1
        up.wait(lambda u: u.requests[0].state == "gone")  # it is not asked for the rest


def test_a_small_one_passes_as_it_came() -> None:
    body = HEAD + b"x" * 100_000 + b'"}}'
    with Upstream([Answer(422, JSON, body)]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post(PATHS["chat"], ASKED["chat"])[::2] == (422, body)


@pytest.mark.parametrize("client", PATHS)
def test_one_that_trickles_is_not_waited_for(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "ERROR_S", 0.3)
    with (
        Upstream([Answer(400, JSON, [HEAD, *drip(b"x" * 1000, 1000, 0.05)], framing="chunked")]) as up,
        House(one_upstream(up.url, "chat")) as house,
    ):
        begun = time.monotonic()
        status = house.post(PATHS[client], ASKED[client])[0]
        assert status == 400 and time.monotonic() - begun < 20
        up.wait(lambda u: u.requests[0].state == "gone")


@pytest.mark.parametrize(("client", "stream"), LANES)
def test_one_under_a_200(client: str, stream: bool) -> None:
    head = b'{"error":{"message":"' + SAID
    kind = {"Content-Type": "text/event-stream" if stream else "application/json"}
    with (
        Upstream([Answer(200, kind, [head, *ENDLESS[1:]], framing="chunked")]) as up,
        House(one_upstream(up.url, "chat") + "[retry]\nmax_attempts = 1\n") as house,
    ):
        status, _, reply = house.post(PATHS[client], ASKED[client] | {"stream": stream})
        assert status == 500 and len(reply) < 100_000 and message(reply).startswith(SAID.decode())


def test_another_target_answers_after_one() -> None:
    good = {"id": "x", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]}  # fmt: skip
    with Upstream([Answer(503, JSON, ENDLESS)]) as bad, Upstream([Answer.json(good)]) as up:
        text = "".join(f"[upstream {name}]\nprotocol = chat\nbase_url = {each.url}\n" for name, each in
                       (("a", bad), ("b", up)))  # fmt: skip
        with House(text + "[models]\n* = a, b\n") as house:
            status, headers, _ = house.post(PATHS["chat"], ASKED["chat"])
    assert status == 200 and headers["x-proxy-upstream"] == "b"


@pytest.mark.parametrize(
    ("text", "said"),
    [("a" * 900_000, "a" * 2000), ("ab" * 400_000, "ab" * 5 + "c" + "ab" * 900),
     ("abababababc" * 80_000, "ababababab" * 200), (("ab" * 9 + "c") * 40_000, ("ab" * 9 + "d") * 100)],
)  # fmt: skip
def test_what_is_made_to_keep_the_log_busy_costs_no_more(text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: how much of both is compared."""
    looked = []
    stretch = scrub._stretch

    def counted(*args: Any) -> tuple[int, int]:
        found = stretch(*args)
        looked.append(found[1] - found[0])
        return found

    monkeypatch.setattr(scrub, "_stretch", counted)
    body = json.dumps({"messages": [{"content": text}]}).encode()
    scrub.logged(ApiError("invalid_request", said), body)
    assert sum(looked) <= scrub.MOST_LOOKED + 4000


def test_of_a_large_request_both_ends_are_left_out_of_the_log() -> None:
    begins, ends = "my first secret sentence here", "and the last one of the prompt"
    body = json.dumps({"messages": [{"content": begins}, {"content": "x" * 3_000_000}, {"content": ends}]}).encode()
    shown = scrub.logged(ApiError("invalid_request", f"wrong: {begins}, then {ends}!"), body)
    assert shown == f"wrong: {scrub.AS_SENT}, then {scrub.AS_SENT}!"
