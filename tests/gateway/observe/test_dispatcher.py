"""Records are made a few at a time, all of them, and one who fails costs nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.observe import dispatcher, record
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream

CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "m", "messages": []}
OK = Answer.json({"id": "x", "choices": []})


def ask(house: House, times: int) -> list[str]:
    """The requests' keys."""
    return [house.post(CHAT, ASKED)[1]["x-request-id"] for _ in range(times)]


def test_as_many_as_there_is_room_for_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "SOON_S", 3600.0)
    monkeypatch.setattr(dispatcher, "AT_ONCE", 3)
    made: list[dict[str, Any]] = []
    with Upstream([OK] * 5) as up, House(one_upstream(up.url, "chat")) as house:
        house.on_loop(lambda: house.proxy.service.observers.on_finished.append(made.append))
        first = ask(house, 2)
        assert not made
        first += ask(house, 1)
        house.wait(lambda p: len(made) == 3)
        last = ask(house, 2)
        assert [one["request_id"] for one in made] == first
    assert [one["request_id"] for one in made] == first + last  # the rest at the end


def test_one_who_fails_costs_nobody_else(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    made: list[dict[str, Any]] = []
    right = record.record

    def odd(info: Any, *more: Any) -> dict[str, Any]:
        if info.key == bad[0]:
            raise ValueError("odd")
        return right(info, *more)

    def fails(record: dict[str, Any]) -> None:
        raise RuntimeError("looks on")

    bad = [""]
    monkeypatch.setattr(dispatcher, "SOON_S", 3600.0)
    monkeypatch.setattr(record, "record", odd)
    with Upstream([OK] * 3) as up, House(one_upstream(up.url, "chat")) as house:
        watchers = house.proxy.service.observers.on_finished
        house.on_loop(lambda: watchers.extend((fails, made.append)))
        keys = ask(house, 3)
        bad[0] = keys[1]
        house.on_loop(house.proxy.service.observers.flush)
    assert [one["request_id"] for one in made] == [keys[0], keys[2]]
    assert sum("no record" in text for text in caplog.messages) == 1
    assert sum("failed with the record" in text for text in caplog.messages) == 2
