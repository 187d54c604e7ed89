"""Cost over time on the dashboard: a day and a week of the usage store, by model, client and session with agents."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from console.dashboard import spent
from console.dashboard.spent import DEEPEST, MOST_LINES, SpentQuery
from operate.usage_store import Sum, SumKey, UsageStore
from tests.console.dashboard.test_data import ini, message
from tests.support.house import House
from tests.support.script import Answer, Upstream

NOW = 1_795_780_000.0  # 2026-11-27, 11:46 UTC
REPLY = {
    "id": "c", "object": "chat.completion", "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100},
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> UsageStore:
    return UsageStore(tmp_path / "usage.sqlite3")


def add(store: UsageStore, hours_ago: float, usd: float, **of: str) -> None:
    hour = time.strftime("%Y-%m-%dT%H", time.gmtime(NOW - hours_ago * 3600))
    names = {"client": "ann", "model": "m", "upstream": "up", "session": "", "agent": ""} | of
    store.add({SumKey(hour[:10], *names.values(), hour): Sum(1, 0, 10, 0, 0, 5, usd)})


def seen(store: UsageStore | None, **query: str) -> dict[str, Any]:
    return asyncio.run(spent.shown(store, SpentQuery.of(query, NOW)))


def test_a_day_and_a_week_by_hour(store: UsageStore) -> None:
    for hours_ago in (0, 0, 1, 23, 24, 100, 167, 168):
        add(store, hours_ago, 1.0)
    day = seen(store, hours="24", by="model")
    [line] = day["lines"]
    assert line["name"] == "up/m" and len(line["usd"]) == 24
    assert (line["usd"][-1], line["usd"][-2], line["usd"][0], sum(line["usd"])) == (2.0, 1.0, 1.0, 4.0)
    assert line["tokens"][-1] == 30 and line["requests"][-1] == 2
    assert day["whole"]["usd"] == 4.0 and day["start"] + 23 * 3600 <= NOW < day["start"] + 24 * 3600
    week = seen(store, hours="168", by="client")
    assert week["lines"][0]["name"] == "ann" and sum(week["lines"][0]["usd"]) == 7.0
    assert len(week["lines"][0]["usd"]) == 168 and week["rows"][0]["requests"] == 7


def test_the_most_costly_have_a_line_and_the_others_share_one(store: UsageStore) -> None:
    for n in range(MOST_LINES + 3):
        add(store, 1, float(n + 1), client=f"c{n}")
    said = seen(store, by="client")
    assert [line["name"] for line in said["lines"]] == ["c9", "c8", "c7", "c6", "c5", "c4", "c3", None]
    assert said["lines"][-1]["usd"][-2] == 6.0 and len(said["rows"]) == said["groups"] == MOST_LINES + 3
    assert [row["usd"] for row in said["rows"]] == sorted((row["usd"] for row in said["rows"]), reverse=True)


def test_a_session_is_a_tree_of_its_agents(store: UsageStore) -> None:
    add(store, 1, 1.0, session="s")
    add(store, 1, 2.0, session="s", agent="a")
    add(store, 1, 4.0, session="s", agent="b")
    add(store, 1, 8.0, session="s", agent="c", client="bob")
    add(store, 1, 0.5, session="t")
    parents = {("s", "b"): "a", ("s", "c"): "elsewhere", ("t", "a"): "b"}
    add(store, 1, 0.0)
    store.add({SumKey("2026-11-27", "x", "m", "up", "", "", "2026-11-27T10"): Sum()}, parents)
    rows = seen(store, by="session")["rows"]
    assert [(row["name"], row["level"], row["usd"]) for row in rows] == [
        ("s", 0, 15.0), (None, 1, 1.0), ("c", 1, 8.0), ("a", 1, 6.0), ("b", 2, 4.0), ("t", 0, 0.5), ("", 0, 0.0)
    ]  # fmt: skip
    assert rows[0]["client"] == "ann, bob" and rows[0]["requests"] == 4


def test_agents_that_have_called_each_other_do_no_harm(store: UsageStore) -> None:
    chain = {("s", f"a{n}"): f"a{n + 1}" for n in range(3 * DEEPEST)}
    for n in range(3 * DEEPEST + 1):
        add(store, 1, 1.0, session="s", agent=f"a{n}")
    for agent, parent in (("x", "y"), ("y", "x"), ("z", "z")):
        add(store, 1, 1.0, session="s", agent=agent)
        chain["s", agent] = parent
    store.add({SumKey("2026-11-27", "x", "m", "up", "", "", "2026-11-27T10"): Sum()}, chain)
    rows = seen(store, by="session")["rows"]
    names = [row["name"] for row in rows if row["level"] and row["name"]]
    assert len(names) == len(set(names)) == 3 * DEEPEST + 4 and max(row["level"] for row in rows) <= DEEPEST + 1
    assert rows[0]["usd"] == len(names)


def test_nothing_there_is_said(store: UsageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "[usage] file" in seen(None)["off"]
    empty = seen(store)
    assert (empty["off"], empty["rows"], empty["whole"]["usd"]) == ("", [], 0)

    def broken(*args: object) -> None:
        raise sqlite3.DatabaseError("malformed")

    monkeypatch.setattr(store, "read", broken)
    assert "malformed" in seen(store)["off"]


def test_odd_questions_are_the_usual_ones() -> None:
    assert SpentQuery.of({"hours": "1e9", "by": "x; DROP"}, NOW) == SpentQuery(24, "model", NOW)


def test_what_a_request_cost_is_seen_by_everyone_who_asks(tmp_path: Path) -> None:
    mum = {"X-Claude-Code-Session-Id": "sess", "X-Claude-Code-Agent-Id": "mum"}
    kid = mum | {"X-Claude-Code-Agent-Id": "kid", "X-Claude-Code-Parent-Agent-Id": "mum"}
    with Upstream([Answer.json(REPLY)]) as up:
        with House(ini(up.url, "[prices]\nup/m = 1000, 0\n"), folder=tmp_path) as house:
            for headers in (mum, kid, kid):
                assert house.post("/v1/messages", message(), headers)[0] == 200
            house.wait(lambda proxy: len(proxy.console.watch.recent) == 3)
            assert house.proxy.console.watch.recent[-1].record["parent_agent"] == "mum"
        with House(ini(up.url), folder=tmp_path) as house:  # it outlives the proxy
            status, _, body = house.get("/dashboard/data/spent?by=session&hours=24")
            assert status == 200
            rows = json.loads(body)["rows"]
            assert [(row["name"], row["level"], row["requests"]) for row in rows] == [
                ("sess", 0, 3), (None, 1, 0), ("mum", 1, 3), ("kid", 2, 2)
            ]  # fmt: skip
