"""Books on what is spent: they outlive the process, workers share them, and nothing is counted twice or lost."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import multiprocessing
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from console import names, usage
from console.books import MOST_KEYS, Books
from operate.usage_store import Sum, SumKey, UsageStore
from tests.lessons.street import WHOLE
from tests.support.house import House
from tests.support.script import Answer, Upstream

SETTINGS = """[upstream s]
protocol = chat
base_url = {}
[client ann]
key = sk-ann-sixteen-and-more
[client bob]
key = sk-bob-sixteen-and-more
[prices]
priced = 10000, 20000
[models]
* = s
"""
DAY = 1_795_737_600  # 2026-11-27, 00:00 UTC


def record(**more: Any) -> dict[str, Any]:
    return {
        "time": float(DAY), "gen_ai.operation.name": "chat", "client": "ann", "upstream": "s",
        "upstream_model": "priced", "status": 200, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.cache_creation.input_tokens": None,
        "session": "", "agent": "", "parent_agent": "", "proxy.cost_usd": 0.14,
    } | more  # fmt: skip


def all_of(store: UsageStore, *by: str) -> list[tuple[tuple[str, ...], Sum]]:
    return store.read("0000-00-00", "9999-99-99", by)


def test_what_clients_spend_outlives_the_proxy(tmp_path: Path) -> None:
    reply = WHOLE["chat"] | {"usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
    with Upstream([Answer.json(reply)] * 5) as up:
        for model, who in (("priced", "ann"), ("priced", "bob"), ("unknown", "bob")):
            with House(SETTINGS.format(up.url), folder=tmp_path) as house:
                headers = {"Authorization": f"Bearer sk-{who}-sixteen-and-more"}
                assert house.post("/v1/chat/completions", body | {"model": model}, headers)[0] == 200
    store = UsageStore(tmp_path / "usage.sqlite3")
    assert dict(all_of(store, "client")) == {
        ("ann",): Sum(1, 0, 3, 0, 0, 1, 0.05),
        ("bob",): Sum(2, 0, 6, 0, 0, 2, 0.05, 1),
    }
    assert stat.S_IMODE(os.stat(store.file).st_mode) == 0o600


def test_a_request_is_one_sum() -> None:
    store = UsageStore(Path("/nowhere"))
    books = Books(store, 9)
    for one in (
        record(),
        record(status=500, **{"error.type": "api_error", "gen_ai.usage.input_tokens": None}),
        record(upstream_model="free", **{"proxy.cost_usd": None}),
        record(**{"gen_ai.operation.name": "count_tokens"}),
    ):
        books.finished(one)
    day, hour = "2026-11-27", "2026-11-27T00"
    assert books._waiting == {
        SumKey(day, "ann", "priced", "s", "", "", hour): Sum(2, 1, 6, 4, 0, 2, 0.14, 0),
        SumKey(day, "ann", "free", "s", "", "", hour): Sum(1, 0, 6, 4, 0, 2, 0.0, 1),
    }


def test_a_disk_that_does_not_take_it_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    books = Books(UsageStore(blocked / "usage.sqlite3"), 9, lambda: DAY)
    books.finished(record())
    for _ in range(2):
        with pytest.raises(OSError):
            books._write(books.store, books._waiting)  # type: ignore[arg-type]  # it is there
    assert len(caplog.records) == 1 and "wait in memory" in caplog.text
    books.adopt(UsageStore(tmp_path / "usage.sqlite3"), 9)
    asyncio.run(books.stop())
    assert all_of(UsageStore(tmp_path / "usage.sqlite3"), "client")[0][1].requests == 1
    assert "are written to" in caplog.text


def test_what_waits_is_bounded() -> None:
    books = Books(UsageStore(Path("/nowhere")), 9)
    for number in range(MOST_KEYS + 50):
        books.finished(record(client=str(number % 9), session=str(number)))
    assert len(books._waiting) <= MOST_KEYS + 9
    assert sum(value.requests for value in books._waiting.values()) == MOST_KEYS + 50


def test_names_that_a_client_makes_up_do_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file keeps its sums for a year, and budgets read those of the month each second."""
    monkeypatch.setattr(names, "MOST_SESSIONS", 20)
    monkeypatch.setattr(names, "MOST_MODELS", 5)
    books = Books(UsageStore(Path("/nowhere")), 9)
    found: dict[SumKey, Sum] = {}

    def written() -> None:
        for key, value in books._waiting.items():
            found[key] = found.get(key, Sum()).plus(value)
        books._waiting = {}

    books.finished(record(client="bob", session="s", agent="a", parent_agent="p"))
    for number in range(200):  # the sums are written each second
        books.finished(record(session=f"s{number}", agent=f"a{number}", parent_agent="p"))
        written()
        books.finished(record(upstream_model=f"m{number}"))
        written()
    books.finished(record(client="bob", session="s", agent="a", parent_agent="p"))
    books.finished(record(session="s0", agent="a0", parent_agent="p"))
    written()
    ann, bob = ([key for key in found if key.client == client] for client in ("ann", "bob"))
    assert len(ann) <= 20 + 5 + 1 and len(books._agents) == 21
    assert sum(found[key].requests for key in ann) == 401
    assert [key[4:6] for key in bob] == [("s", "a")] and found[bob[0]].requests == 2
    assert {"priced", "m0", names.OTHER} <= {key.model for key in ann}
    assert next(found[key].requests for key in ann if key.session == "s0") == 2
    books.finished(record(session="new", time=float(DAY + 86_400)))
    assert [key.session for key in books._waiting] == ["new"]  # another day


def _add(file: Path, who: str) -> None:
    for _ in range(40):
        UsageStore(file).add(
            {SumKey("2026-11-27", who, "m", "s", "", ""): Sum(1), SumKey("2026-11-27", "all", "m", "s", "", ""): Sum(1)}
        )


def test_workers_share_the_file(tmp_path: Path) -> None:
    file = tmp_path / "usage.sqlite3"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_add, args=(file, f"w{n}")) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    found = dict(all_of(UsageStore(file), "client"))
    assert found[("all",)].requests == 120 and found[("w1",)].requests == 40


def test_old_days_are_forgotten(tmp_path: Path) -> None:
    store = UsageStore(tmp_path / "usage.sqlite3")
    store.add({SumKey("2026-11-01", "old", "m", "s", "", ""): Sum(1)})
    books = Books(store, 9, lambda: DAY)
    books.finished(record())
    asyncio.run(books.stop())
    assert [group for group, _ in all_of(store, "day")] == [("2026-11-27",)]


def test_the_last_days_are_there_by_hour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = UsageStore(tmp_path / "usage.sqlite3")
    assert store.read("2026-11-27T00", "2026-11-27T23", ["client"]) == [] and store.agents() == {}
    now = DAY + 10 * 86_400
    books = Books(store, 400, lambda: now)
    for at, more in ((DAY, {}), (now - 7200, {"agent": "b", "parent_agent": "a"}), (now, {}), (now, {})):
        books.finished(record(time=float(at), session="s", **more))
    asyncio.run(books.stop())
    assert [(hour, sum.requests) for (hour,), sum in sorted(all_of(store, "hour"))] == [
        ("2026-12-06T22", 1), ("2026-12-07T00", 2)
    ]  # fmt: skip
    assert len(all_of(store, "day")) == 3  # days are kept for longer
    assert store.read("2026-12-07T00", "2026-12-07T00", ["client"])[0][1].requests == 2
    assert store.agents() == {("s", "b"): "a"}


def test_a_file_of_before_has_no_hours_and_gets_them(tmp_path: Path) -> None:
    store = UsageStore(tmp_path / "usage.sqlite3")
    store.add({SumKey("2026-11-27", "old", "m", "s", "", "", "2026-11-27T01"): Sum(1)})
    with contextlib.closing(sqlite3.connect(store.file)) as db, db:
        db.execute("DROP TABLE spent_by_hour")
        db.execute("DROP TABLE agents")
    assert all_of(store, "hour") == [] and store.agents() == {} and len(all_of(store, "day")) == 1
    store.add({SumKey("2026-11-27", "old", "m", "s", "", "", "2026-11-27T02"): Sum(1)})
    assert [group for group, _ in all_of(store, "hour")] == [("2026-11-27T02",)]
    assert all_of(store, "day")[0][1].requests == 2


def test_the_file_of_every_release_goes_on(tmp_path: Path) -> None:
    """A further sum has no column there: the store must add it."""
    store = UsageStore(tmp_path / "usage.sqlite3")
    sums = (
        "requests INTEGER NOT NULL, failed INTEGER NOT NULL, input INTEGER NOT NULL, cache_read INTEGER NOT NULL, "
        "cache_write INTEGER NOT NULL, output INTEGER NOT NULL, usd REAL NOT NULL, unpriced INTEGER NOT NULL"
    )
    names = ("day", "client", "model", "upstream", "session", "agent")
    with contextlib.closing(sqlite3.connect(store.file)) as db, db:  # as 0.1.0 and 0.2.0 made it
        columns = ", ".join(f"{name} TEXT NOT NULL" for name in names)
        db.execute(f"CREATE TABLE spent ({columns}, {sums}, PRIMARY KEY ({', '.join(names)})) WITHOUT ROWID")
        db.execute("INSERT INTO spent VALUES ('2026-11-01', 'ann', 'm', 's', '', '', 3, 1, 10, 4, 2, 5, 0.5, 1)")
    before = Sum(3, 1, 10, 4, 2, 5, 0.5, 1)
    assert dict(all_of(store, "client")) == {("ann",): before}
    store.add({SumKey("2026-11-27", "ann", "m", "s", "", "", "2026-11-27T10"): Sum(requests=1)})
    assert dict(all_of(store, "client")) == {("ann",): before.plus(Sum(requests=1))}


def test_a_broken_file_is_said_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "usage.sqlite3"
    file.write_bytes(b"no database, " * 100)
    with pytest.raises(sqlite3.Error):
        UsageStore(file).add({SumKey("2026-11-01", "a", "m", "s", "", ""): Sum(1)})
    assert file.read_bytes().startswith(b"no database")


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Settings whose books hold two clients' days."""
    store = UsageStore(tmp_path / "usage.sqlite3")
    store.add({
        SumKey("2026-11-26", "ann", "priced", "s", "one", "a1"): Sum(2, 1, 1500, 4, 0, 2, 14.0, 0),
        SumKey("2026-11-27", "bob", "free", "s", "", ""): Sum(1, 0, 6, 0, 0, 2, 0.0, 1),
    })  # fmt: skip
    file = tmp_path / "settings.ini"
    file.write_text(SETTINGS.format("http://127.0.0.1:1") + f"[logging]\ndir = {tmp_path}\n")
    return file


SINCE = ("--since", "2026-11-01", "--until", "2026-12-31")


def test_the_table(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage.main(["--config", str(shop), *SINCE]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "client  model   requests  failed  input  cached  written  output       USD",
        "ann     priced         2       1  1,500       4        0       2  14.0000",
        "bob     free           1       0      6       0        0       2   0.0000*",
        "* The price of 1 requests is unknown, and the USD do not include them; see [prices].",
    ]


def test_other_forms(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage.main(["--config", str(shop), *SINCE, "--by", "session,agent", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["agent"] == "a1"
    assert usage.main(["--config", str(shop), *SINCE, "--by", "day", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["day"] for row in rows] == ["2026-11-26", "2026-11-27"] and rows[0]["usd"] == "14.0"
    assert usage.main(["--config", str(shop), *SINCE, "--by", ""]) == 0
    assert "3" in capsys.readouterr().out
    assert usage.main(["--config", str(shop), "--since", "2020-01-01", "--until", "2020-01-02"]) == 0
    assert "There was no usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--by", "colour"], usage.EX_USAGE, "there is no column 'colour'"),
        (["--since", "yesterday"], usage.EX_USAGE, "is not a day"),
        (["--since", "2026-02-30"], usage.EX_USAGE, "is not a day"),
        (["--since", "2026-13-01"], usage.EX_USAGE, "2026-13-01"),
        (["--set", "usage.file="], usage.EX_UNAVAILABLE, "no sums of usage"),
        (["--set", "usage.keep_days=0"], usage.EX_CONFIG, "keep_days"),
    ],
)
def test_what_is_wrong_is_said(
    shop: Path, options: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert usage.main(["--config", str(shop), *options]) == code
    assert said in capsys.readouterr().err


def test_a_day_is_said_in_words_or_as_a_date() -> None:
    assert [usage.day(said, DAY) for said in ("today", "7d", "2026-01-02")] == [
        "2026-11-27",
        "2026-11-20",
        "2026-01-02",
    ]
