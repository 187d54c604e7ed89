"""Cache marks on the way to Claude: on by themselves, told in the record, learned off."""

from __future__ import annotations

from typing import Any

from tests.gateway.observe.test_record import Seen
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import house_text, section

ASK = {"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "word " * 2000}]}
USED = {"input_tokens": 100, "cache_read_input_tokens": 1_000_000, "cache_creation_input_tokens": 1_000,
        "output_tokens": 5}  # fmt: skip
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "m"}],
           "stop_reason": "end_turn", "usage": USED}  # fmt: skip
PRICES = "[prices]\nclaude-* = 5, 25, 0.5, 6.25\n"


def test_the_record_says_what_it_saved() -> None:
    with Upstream(lambda r: Answer.json(MESSAGE)) as up:
        with House(house_text("* = a", PRICES, a=section(up.url, "", "messages"))) as house:
            told = Seen(house)
            house.post("/v1/chat/completions", ASK)
            record: dict[str, Any] = told.last()
            house.post("/v1/chat/completions", ASK | {"model": "qwen"})
            other: dict[str, Any] = told.last(2)
    assert up.requests[0].json["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert (record["cache_marks"], record["cache_saved_tokens"]) == (1, 1_000_000)
    assert record["cache_saved_usd"] == 4.5 - 0.00125
    assert "cache_control" not in up.requests[1].body.decode() and "cache_marks" not in other


def test_the_setting_decides() -> None:
    with Upstream(lambda r: Answer.json(MESSAGE)) as up:
        on, off = (section(up.url, f"cache_marks = {said}\n", "messages") for said in ("true", "false"))
        with House(house_text("* = off\nqwen = on", on=on, off=off)) as house:
            house.post("/v1/chat/completions", ASK)
            house.post("/v1/chat/completions", ASK | {"model": "qwen"})
    assert [b"cache_control" in request.body for request in up.requests] == [False, True]


def test_an_upstream_that_refuses_marks_gets_none() -> None:
    def answer(request: Request) -> Answer:
        if b"cache_control" in request.body:
            words = "messages.0.content.0.text.cache_control: Extra inputs are not permitted"
            return Answer.json({"type": "error", "error": {"type": "invalid_request_error", "message": words}}, 400)
        return Answer.json(MESSAGE)

    with Upstream(answer) as up:
        with House(house_text("* = a", a=section(up.url, "", "messages"))) as house:
            assert [house.post("/v1/chat/completions", ASK)[0] for _ in range(2)] == [200, 200]
    assert len(up.requests) == 3


def test_passing_through_nothing_is_marked() -> None:
    with Upstream(lambda r: Answer.json(MESSAGE)) as up:
        with House(house_text("* = a", a=section(up.url, "", "messages"))) as house:
            house.post("/v1/messages", ASK | {"max_tokens": 5})
    assert b"cache_control" not in up.requests[0].body
