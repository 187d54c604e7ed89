"""Records are made a few at a time, all of them, and one who fails costs nobody else."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.observe import dispatcher, record
from operate.logs.redaction import Redaction
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream

CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "m", "messages": []}
OK = Answer.json({"id": "x", "choices": [{}]})


def ask(house: House, times: int) -> list[str]:
    """The requests' keys."""
    return [house.post(CHAT, ASKED)[1]["x-request-id"] for _ in range(times)]


def test_as_many_as_there_is_room_for_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "SOON_S", 3600.0)
    monkeypatch.setattr(dispatcher, "AT_ONCE", 3)
    monkeypatch.setattr(dispatcher, "FEW", 0)
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


@pytest.mark.parametrize("busy", [0, 1])
def test_a_wave_is_recorded_at_its_end(monkeypatch: pytest.MonkeyPatch, busy: int) -> None:
    """At once where no other reply would wait for it, else in a turn of the loop of its own; a large one in pieces."""
    monkeypatch.setattr(dispatcher, "SOON_S", 3600.0)
    monkeypatch.setattr(record, "record", lambda info, *more: info.key)
    made: list[Any] = []
    on_their_way = [0]
    observers = dispatcher.Observers(lambda *of: None, str, lambda: on_their_way[0])
    observers.on_finished.append(made.append)

    def ends(number: int) -> None:
        info = SimpleNamespace(key=number, dropped=(), trace=None)
        observers.finished(cast(Any, info), cast(Any, None))

    async def wave(most: int) -> list[int]:
        """How many are recorded when the last reply has left, and after each turn of the loop from then on."""
        made.clear()
        for left in reversed(range(most)):
            on_their_way[0] = left or busy
            ends(left)
        seen = [len(made)]
        while seen[-1] < most:
            await asyncio.sleep(0)
            seen.append(len(made))
        return seen

    assert asyncio.run(wave(dispatcher.LEAST_AT_ONCE)) == ([0, 4] if busy else [4])
    assert asyncio.run(wave(dispatcher.AT_ONCE)) == ([0, 16] if busy else [16])
    assert asyncio.run(wave(2 * dispatcher.AT_ONCE)) == [0, 16, 32]


@pytest.mark.parametrize("busy", [1, dispatcher.FEW, dispatcher.FEW + 1])
def test_of_a_few_requests_the_record_of_one_is_made_when_the_next_waits_for_its_upstream(
    monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    """No client waits for it then. Where many are on their way, others have something to do."""
    monkeypatch.setattr(dispatcher, "SOON_S", 3600.0)
    monkeypatch.setattr(record, "record", lambda info, *more: info.key)
    made: list[Any] = []
    observers = dispatcher.Observers(lambda *of: None, str, lambda: busy)
    observers.on_finished.append(made.append)
    over, begun = SimpleNamespace(key=1, dropped=(), trace=None), SimpleNamespace(key=2)

    async def turns() -> list[int]:
        observers.finished(cast(Any, over), cast(Any, None))
        await asyncio.sleep(0)
        seen = [len(made)]
        observers.sent(cast(Any, begun), b"")
        seen.append(len(made))  # it may not have left yet
        await asyncio.sleep(0)
        return [*seen, len(made)]

    assert asyncio.run(turns()) == [0, 0, busy <= dispatcher.FEW]


def test_records_that_nothing_calls_for_are_made_soon_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "SOON_S", 0.001)
    with Upstream([OK] * 2) as up, House(one_upstream(up.url, "chat")) as house:
        made: list[dict[str, Any]] = []
        house.on_loop(lambda: house.proxy.service.observers.on_finished.append(made.append))
        ask(house, 1)
        house.wait(lambda p: len(made) == 1)
        ask(house, 1)
        house.wait(lambda p: len(made) == 2)


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
    monkeypatch.setattr(dispatcher, "FEW", 0)
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


def test_a_key_that_stands_where_a_field_s_name_is_due_is_in_no_metric() -> None:
    """The metrics that go to a collector are not masked as a whole, as /metrics is."""
    observers = dispatcher.Observers(lambda *of: None, Redaction(["key_of_somebody_1"]).text, lambda: 0)
    info = SimpleNamespace(key="1", dropped=("key_of_somebody_1", "top_k"), trace=None)
    observers.finished(cast(Any, info), cast(Any, None))
    assert observers.dropped == {"[secret]": 1, "top_k": 1}


def test_of_very_many_fields_that_nobody_knows_some_are_named() -> None:
    """Each of them was masked and counted on the loop: a second for 200,000."""
    made: list[dict[str, Any]] = []
    many = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | {f"field_{n}": 1 for n in range(5_000)}
    said = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": "end_turn"}
    with Upstream([Answer.json(said)]) as up, House(one_upstream(up.url, "messages")) as house:
        house.on_loop(lambda: house.proxy.service.observers.on_finished.append(made.append))
        head = house.post(CHAT, many)[1]
        house.wait(lambda p: bool(made))
        counted = house.on_loop(lambda: len(house.proxy.service.observers.dropped))
    assert head["x-proxy-dropped"].startswith("field_0, field_1, ") and len(head["x-proxy-dropped"]) == 2000
    assert len(made[0]["dropped"]) == counted == 200
