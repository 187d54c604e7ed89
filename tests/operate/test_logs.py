"""The journal when the disk, the folder or the lines are not as they should be."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operate import logs, settings

TEXT = "[upstream a]\nprotocol = chat\nbase_url = http://127.0.0.1:9\n[logging]\nrequest_bodies = true\n"


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    made: list[logs.Journal] = []

    def make(folder: Path = tmp_path / "logs", secrets: tuple[str, ...] = ()) -> logs.Journal:
        made.append(logs.Journal(settings.read(TEXT, "t.ini", [], {}).logging, folder, secrets))
        return made[-1]

    yield make
    for one in made:
        one.close()


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_trouble_is_said_once_and_its_end_too(journal: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not once a line, nor once a flush: it may last all night. The lines that were lost are counted."""
    folder = tmp_path / "logs"
    folder.write_text("a file where the folder should be")
    log = journal()
    for _ in range(5):
        log.finished({"status": 200})
        until(lambda: not log._waiting)
    folder.unlink()
    until(lambda: log._dropped == 5)
    log.finished({"status": 201})
    until(lambda: (folder / "proxy.json").exists())
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2 and "being lost" in said[0] and str(folder) in said[0] and "again" in said[1]
    assert [line["status"] for line in lines(folder / "performance.json")] == [201]
    assert lines(folder / "proxy.json")[0]["message"] == "5 log lines were lost"


def test_a_full_disk_tears_no_line(journal: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = journal()
    real = logs._File.write

    def full(self: logs._File, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs._File, "write", full)
    log.finished({"status": 1})
    until(lambda: log._dropped == 1)
    monkeypatch.setattr(logs._File, "write", real)
    log.finished({"status": 2})
    log.close()
    assert [line["status"] for line in lines(tmp_path / "logs" / "performance.json")] == [2]


def test_rotation(journal: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "ROTATE_BYTES", 100)
    log = journal()
    for n in range(6):
        log.finished({"n": n, "pad": "x" * 100})
        until(lambda: not log._waiting)
    log.close()
    kept = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert kept == ["performance.json", *(f"performance.json.{n}" for n in (1, 2, 3))]
    newest = lines(tmp_path / "logs" / "performance.json") or lines(tmp_path / "logs" / "performance.json.1")
    assert newest[-1]["n"] == 5


def test_a_rotation_that_fails_is_survived(
    journal: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "ROTATE_BYTES", 10)
    folder = tmp_path / "logs"
    (folder / "performance.json.1").mkdir(parents=True)
    (folder / "performance.json.1" / "x").touch()
    (folder / "performance.json.2").mkdir()
    (folder / "performance.json.2" / "x").touch()
    log = journal()
    for n in range(3):
        log.finished({"n": n})
        until(lambda: not log._waiting)
    until(lambda: log._dropped >= 1)
    assert log._writer.is_alive()
    assert "being lost" in capfd.readouterr().err


def test_a_file_that_is_taken_away_is_made_again(journal: Any, tmp_path: Path) -> None:
    """By an operator who cleans up, or by logrotate."""
    path = tmp_path / "logs" / "performance.json"
    log = journal()
    log.finished({"n": 1})
    until(lambda: len(lines(path)) == 1)
    path.rename(path.with_name("moved"))
    log.finished({"n": 2})
    until(lambda: len(lines(path)) == 1)
    assert lines(path)[0]["n"] == 2


def test_what_waits_is_bounded_by_its_size(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = journal()
    log._closing.set()
    log._writer.join()
    for _ in range(2000):
        log.body("request", "k", b"x" * 60_000)
    assert sum(len(text) for _, text in log._waiting) < logs.MAX_WAITING_BYTES + 100_000
    assert log._dropped > 1000


def test_secrets_are_masked_however_they_are_written(journal: Any, tmp_path: Path) -> None:
    secrets = ('quo"ted\\secret', "sl/ash/secret", "short", "secret-1234", "secret-1234-longer")
    log = journal(secrets=secrets)
    log.body("request", "k", json.dumps({"a": list(secrets)}).encode())
    log.said(logging.LogRecord("proxy", 30, "f", 1, "m", None, None), " ".join(secrets))
    log.finished({"x": secrets[0], "y": secrets[1]})
    log.close()
    text = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert "quo" not in text and "sl/ash" not in text and "1234" not in text
    assert "longer" not in text and "short" in text


def test_lone_surrogates_are_written(journal: Any, tmp_path: Path) -> None:
    log = journal()
    log.finished({"model": "\ud800"})
    log.close()
    assert (tmp_path / "logs" / "performance.json").read_text().count("\n") == 1
