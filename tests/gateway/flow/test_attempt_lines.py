"""What the log says of an attempt that failed: its level, and its facts as fields."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Upstream

CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "m", "messages": []}
OK = Answer.json({"id": "x", "choices": [{}]})
QUICK = "[retry]\nbackoff = 0.01\nmax_backoff = 0.02\n"


def failed(status: int) -> Answer:
    return Answer.json({"error": {"message": "no"}}, status)


@pytest.mark.parametrize(
    ("answers", "tail", "level", "then"),
    [
        ([failed(503), OK], QUICK, "INFO", "again in"),  # nothing is lost yet
        ([failed(503)], ONCE, "WARNING", "give up"),
        ([Answer.drop()], ONCE, "WARNING", "give up"),
        ([failed(400)], ONCE, "INFO", "give up"),  # the request's own fault
    ],
)
def test_a_failed_attempt(
    caplog: pytest.LogCaptureFixture, answers: list[Answer], tail: str, level: str, then: str
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    with Upstream(answers) as up, House(one_upstream(up.url, "chat") + tail) as house:
        _, headers, _ = house.post(CHAT, ASKED)
    (line,) = [line for line in caplog.records if "attempt 1 at up/m" in line.getMessage()]
    assert line.levelname == level
    facts = line.__dict__["fields"]
    assert facts["then"].startswith(then) and (facts["upstream"], facts["model"], facts["key"]) == ("up", "m", 1)
    assert facts["request_id"] == headers["x-request-id"] and facts["attempt"] == 1 and facts["status"] >= 400
