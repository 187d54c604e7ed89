"""Files that are rotated: by size, by time, by somebody else, and by several processes at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from operate.logs.rotation import Lock, LogFile, Rotation, rotate

DAY = 86400
MIDNIGHT = 1767225600.0  # 2026-01-01 UTC


class Time:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def in_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def older(path: Path) -> list[Path]:
    """NAME.1, NAME.2 and so on."""
    return sorted(path.parent.glob(f"{path.name}.*"), key=lambda one: int(one.name.rpartition(".")[2]))


def test_a_month(tmp_path: Path) -> None:
    """A line every ten minutes, a restart a week, one day with far more than a file may hold: each file is of one day
    and no larger than it may be, the newest are kept, and of those no line is missing."""
    clock = Time(MIDNIGHT)
    path = tmp_path / "performance.json"
    plan = Rotation(10_000, DAY, keep=10)
    file = LogFile(path, plan, clock)
    written = []
    for n in range(30 * 144):
        clock.now = MIDNIGHT + n * 600
        if n % (7 * 144) == 0:
            file.close()
            if path.exists():  # the clock of the file system is not ours
                os.utime(path, (clock.now - 600, clock.now - 600))
            file = LogFile(path, plan, clock)
        for part in range(5 if n // 144 == 27 else 1):
            written.append(f"{n} {part} {'x' * 20}")
            file.append(written[-1].encode() + b"\n")
    file.close()
    found = [*reversed(older(path)), path]
    assert [one.name for one in found] == [*(f"{path.name}.{n}" for n in range(10, 0, -1)), path.name]
    kept = [one.read_text().splitlines() for one in found]
    assert [line for lines in kept for line in lines] == written[-sum(map(len, kept)) :]
    assert all(len({int(line.split()[0]) // 144 for line in lines}) == 1 for lines in kept)
    assert all(one.stat().st_size <= 10_000 for one in found)


def test_a_day_begins_where_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    plan = Rotation(1, DAY, 1)
    assert plan.period(MIDNIGHT) == plan.period(MIDNIGHT + 5 * 3600 - 1) < plan.period(MIDNIGHT + 5 * 3600)
    assert Rotation(1, 0, 1).period(0) == Rotation(1, 0, 1).period(1e9)


def test_a_clock_that_is_put_back_rotates_nothing(tmp_path: Path) -> None:
    clock = Time(MIDNIGHT + 10)
    file = LogFile(tmp_path / "a.json", Rotation(1000, DAY, 3), clock)
    for _ in range(10):
        file.append(b"{}\n")
        clock.now -= 5
    file.close()
    assert not older(tmp_path / "a.json")


@pytest.mark.parametrize(("there", "after"), [
    ([], ["1"]), (["1"], ["1", "2"]), (["2"], ["1", "2"]), (["1", "2", "3"], ["1", "2", "3"]),
    (["1", "3", "9"], ["1", "2", "3"]), (["old", "1"], ["1", "2", "old"]),
])  # fmt: skip
def test_what_is_moved(tmp_path: Path, there: list[str], after: list[str]) -> None:
    path = tmp_path / "a.json"
    path.write_text("now")
    for one in there:
        (tmp_path / f"a.json.{one}").write_text(one)
    rotate(path, 3)
    assert sorted(one.name for one in tmp_path.iterdir()) == [f"a.json.{one}" for one in after]
    assert (tmp_path / "a.json.1").read_text() == "now"


def test_none_is_kept(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a.json", Rotation(5, 0, 0))
    for n in range(3):
        file.append(b"%d---\n" % n)
    file.close()
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.json", "2---\n")]


@pytest.mark.parametrize("how", ["moved", "removed", "folder", "emptied"])
def test_somebody_else_takes_it_away(tmp_path: Path, how: str) -> None:
    """By an operator who cleans up, or by logrotate, either way that it has."""
    path = tmp_path / "logs" / "a.json"
    lock, file = Lock(path.parent), LogFile(path, Rotation())
    for n in range(2):
        with lock.held():
            file.append(b"%d\n" % n)
        if n:
            break
        if how == "moved":
            path.rename(tmp_path / "moved")
        elif how == "removed":
            path.unlink()
        elif how == "emptied":
            os.truncate(path, 0)
        else:
            path.parent.rename(tmp_path / "moved")
    file.close()
    lock.close()
    assert path.read_text() == "1\n"


def test_a_pipe_is_never_rotated(tmp_path: Path) -> None:
    """logs/proxy.json may be a link to /dev/stdout."""
    read, write = os.pipe()
    (tmp_path / "a.json").symlink_to(f"/proc/self/fd/{write}")
    file = LogFile(tmp_path / "a.json", Rotation(10, DAY, 1))
    for _ in range(5):
        file.append(b"123456789\n")
    file.close()
    assert os.read(read, 1000) == b"123456789\n" * 5
    os.close(read)
    os.close(write)


def _many(folder: str, number: int) -> None:
    lock = Lock(Path(folder))
    file = LogFile(Path(folder) / "a.json", Rotation(20_000, 0, keep=1000))
    for n in range(400):
        data = b"".join(json.dumps({"by": number, "n": n, "pad": "x" * (n % 50)}).encode() + b"\n" for _ in range(3))
        with lock.held():
            file.append(data)


def test_several_processes(tmp_path: Path) -> None:
    """Not a line is lost or torn, and no file is too large."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_many, args=(str(tmp_path), number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    files = [tmp_path / "a.json", *older(tmp_path / "a.json")]
    assert len(files) > 5 and max(one.stat().st_size for one in files) <= 20_000
    found = [json.loads(line) for one in files for line in one.read_text().splitlines()]
    assert len(found) == 4 * 400 * 3
    for number in range(4):
        in_order = [line["n"] for one in reversed(files) for line in map(json.loads, one.read_text().splitlines())
                    if line["by"] == number]  # fmt: skip
        assert in_order == sorted(in_order)
