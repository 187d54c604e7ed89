"""Histories that only point to what another upstream has kept: in words, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from translate import pair
from translate.failures.errors import BadRequest
from translate.target import Policy, Protocol, Target

USER = {"role": "user", "content": "hi"}
OTHERS: tuple[Protocol, ...] = ("messages", "responses")


def spoken(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [USER, {"role": "assistant"} | more, USER]}


@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize(
    "said",
    [
        {"audio": {"id": "audio_1", "transcript": "in words"}},
        {"audio": {"id": "audio_1", "transcript": "else"}, "content": "in words"},
        {"audio": {"id": "audio_1"}, "content": "in words"},
    ],
)
def test_an_answer_in_speech_is_told_in_words(upstream: Protocol, said: dict[str, Any]) -> None:
    text = str(pair.request("chat", upstream, spoken(**said), Target("m")).body)
    assert "in words" in text and "else" not in text


@pytest.mark.parametrize("upstream", OTHERS)
def test_one_that_nobody_else_has_is_refused(upstream: Protocol) -> None:
    with pytest.raises(BadRequest, match="audio_1") as caught:
        pair.request("chat", upstream, spoken(audio={"id": "audio_1"}), Target("m"))
    assert caught.value.param == "messages"


def test_who_said_it_gets_it_back() -> None:
    body = spoken(audio={"id": "audio_1"})
    sent: Any = pair.request("chat", "chat", body, Target("m", Policy(rebuild=True))).body
    assert sent["messages"][1]["audio"] == {"id": "audio_1"}


def test_an_item_that_is_an_id_alone_points_too() -> None:
    with pytest.raises(BadRequest, match="send the item itself"):
        pair.request("responses", "chat", {"model": "m", "input": [{"id": "msg_1"}]}, Target("m"))
