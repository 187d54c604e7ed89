"""The journal when the disk, the folder or the lines are not as they should be; and that it costs nothing unasked."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from operate.logs import lines, rotation, writer
from operate.logs.fields import SHOWN, fields
from operate.logs.journal import LOGGERS, Journal, folder_of, install
from operate.settings import load
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = "[upstream a]\nprotocol = chat\nbase_url = http://127.0.0.1:9\n[logging]\nrequest_bodies = true\n"


def chosen(*more: str) -> load.Logging:
    return load.read(TEXT, "t.ini", [f"logging.{one}" for one in more], {}).logging


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    made: list[Journal] = []

    def make(*more: str, folder: Path = tmp_path / "logs", secrets: tuple[str, ...] = (), **kwargs: Any) -> Any:
        made.append(Journal(chosen(*more), folder, secrets, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def logged(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_each_file_has_its_lines(journal: Any, tmp_path: Path) -> None:
    log = journal()
    record = {"time": 1767225600.25, "request_id": "r1", "client": "me", "url.path": "/v1/messages", "status": 200}
    record["total_ms"] = 5.0
    log.finished(record)
    log.finished(record | {"status": 502, "error.type": "api", "error.message": "no reply", "tried": ["up: 502"]})
    log.request("GET", "/v1/models", 200, 1.234, "me")
    log.close()
    folder = tmp_path / "logs"
    first, second = logged(folder / "performance.json")
    assert first["message"] == "HTTP request completed" and first["request_id"] == "r1"
    assert first["time"] == "2026-01-01T00:00:00.250Z"
    assert (second["error.type"], second["error.message"]) == ("api", "no reply")
    (error,) = logged(folder / "errors.json")
    assert (error["message"], error["error"], error["tried"]) == ("no reply", "api", ["up: 502"])
    hot, failed, cold = logged(folder / "api_requests.json")
    assert (hot["method"], hot["path"], hot["status"], hot["ms"]) == ("POST", "/v1/messages", 200, 5.0)
    assert (failed["status"], cold["path"], cold["ms"]) == (502, "/v1/models", 1.23)


# ------------------------------------------------------------------------------------------------ trouble


def test_trouble_is_said_once_and_its_end_too(journal: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not once a line, nor once a flush: it may last all night. The lines that were lost are counted."""
    folder = tmp_path / "logs"
    log = journal("access=error")
    until((folder / "errors.json").exists)
    shutil.rmtree(folder)
    folder.write_text("a file where the folder should be")
    for n in range(5):
        log.body("request", "k", b"x")
        until(lambda n=n: log.lost == n + 1)
    folder.unlink()
    log.body("request", "k", b"y")
    until(lambda: logged(folder / "proxy.json"))
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2 and "being lost" in said[0] and str(folder) in said[0] and "again" in said[1]
    assert [line["body"] for line in logged(folder / "requests.json")] == ["y"]
    assert logged(folder / "proxy.json")[0]["message"] == "5 log lines were lost"
    assert log.lost == 5


FULL = """
import resource, sys
from pathlib import Path
from operate.logs.journal import Journal
from operate.logs import writer
from operate.settings import load as settings
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
writer.PIECE = 1800  # three lines
log = Journal(settings.read(sys.argv[1], "t.ini", ["logging.access=error"], {}).logging, Path(sys.argv[2]))
for n in range(20):
    log.body("request", str(n), b"x" * 600)
log.close()
print(log.lost)
"""


def test_a_full_disk_tears_no_line(tmp_path: Path) -> None:
    """The kernel writes the part of a write that has room; the next line would follow that half."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, TEXT, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=30
    )
    kept = logged(tmp_path / "requests.json")
    assert 0 < len(kept) < 20 and len(kept) + int(done.stdout) == 20
    assert [line["request_id"] for line in kept[:3]] == ["0", "1", "2"]
    assert done.stderr.count("being lost") == 1


def test_a_rotation_that_fails_is_survived(journal: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "logs"
    for n in (1, 2):
        (folder / f"requests.json.{n}").mkdir(parents=True)
        (folder / f"requests.json.{n}" / "x").touch()
    log = journal("rotate_mb=1", "access=error", "keep_files=2")
    (folder / "requests.json").write_bytes(b"{}\n" * 400_000)
    log.body("request", "k", b"x")
    until(lambda: log.lost == 1)
    assert "being lost" in capfd.readouterr().err
    (folder / "requests.json").unlink()
    log.body("request", "k", b"y")
    until(lambda: logged(folder / "requests.json"))


def test_nothing_ends_the_writer(journal: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = journal("access=error")
    real = lines.of

    def broken(*_: Any) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(lines, "of", broken)
    log.body("request", "k", b"x")
    until(lambda: log.lost == 1)
    monkeypatch.setattr(lines, "of", real)
    log.body("request", "k", b"y")
    until(lambda: logged(tmp_path / "logs" / "requests.json"))


def test_a_disk_that_is_stuck_holds_nobody_up(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer waits in a write; whoever has something to log does not, and what waits is bounded."""
    stuck, go_on = threading.Event(), threading.Event()
    real = rotation.LogFile.append

    def append(self: rotation.LogFile, data: bytes) -> None:
        stuck.set()
        go_on.wait(20)
        real(self, data)

    monkeypatch.setattr(rotation.LogFile, "append", append)
    log = journal("access=error")
    log.body("request", "first", b"x")
    assert stuck.wait(5)
    for _ in range(2000):
        log.body("request", "k", b"x" * 60_000)
    assert log.waiting * 60_000 < writer.MAX_WAITING_BYTES + 100_000 and log.lost > 1000
    go_on.set()


def test_lines_that_are_ready_are_all_written_in_their_order(
    journal: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The writer takes them while others come, and cuts them into pieces."""
    monkeypatch.setattr(writer, "EVERY_S", 0.0)
    monkeypatch.setattr(writer, "PIECE", 3000)
    log = journal()
    for number in range(4_000):
        log.finished({"time": 1.0, "request_id": str(number)})
    log.close()
    for file in ("performance", "api_requests"):
        found = logged(tmp_path / "logs" / f"{file}.json")
        assert [line["request_id"] for line in found] == list(map(str, range(4_000)))
    assert log.lost == 0


def test_odd_lines_are_written(journal: Any, tmp_path: Path) -> None:
    log = journal()
    log.finished({"time": 1.0, "request_id": "1", "gen_ai.request.model": "\ud800"})
    log.finished({"time": 1.0, "request_id": "2", "usage": float("inf")})
    log.finished({"time": 1.0, "request_id": "3", "usage": object()})
    log.body("request", "4", b"\xff\xfe")
    log.close()
    assert [line["request_id"] for line in logged(tmp_path / "logs" / "performance.json")] == ["1", "2", "3"]
    assert logged(tmp_path / "logs" / "requests.json")[0]["body"] == "\ufffd\ufffd"


# ------------------------------------------------------------------------------- what is asked for, and what not


def test_nothing_is_made_of_what_nobody_wants(journal: Any) -> None:
    log = journal("access=warning")
    assert not log.wants(False) and log.wants(True)
    assert not journal("access=error", "level=error").performance
    assert journal("request_bodies=none").request_bodies is None


def test_bodies_are_not_serialised_by_who_calls(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body may be long, and it is the writer's work: the loop only leaves what there is."""
    threads: set[str] = set()
    real = lines._dumped

    def seen(line: Any) -> str:
        threads.add(threading.current_thread().name)
        return real(line)

    monkeypatch.setattr(lines, "_dumped", seen)
    log = journal()
    log.body("request", "k", b"x" * 100_000)
    log.close()
    assert threads and threading.main_thread().name not in threads


def test_a_body_is_cut(journal: Any, tmp_path: Path) -> None:
    log = journal("body_kb=1")
    log.body("request", "k", b"x" * 5000)
    log.close()
    (line,) = logged(tmp_path / "logs" / "requests.json")
    assert (line["size"], line["body"]) == (5000, "x" * 1024)


def test_everything_changes_at_once(journal: Any, tmp_path: Path) -> None:
    log = journal()
    other = tmp_path / "other"
    log.adopt(chosen("access=error", f"dir={other}", "request_bodies=errors", "body_kb=1"), ["new-secret"])
    assert not log.performance and log.request_bodies.only_failed
    log.body("request", "k", b"new-secret" + b"x" * 2000)
    log.close()
    (line,) = logged(other / "requests.json")
    assert line["body"].startswith("[secret]") and len(line["body"]) < 1100
    assert not (tmp_path / "logs" / "requests.json").exists()


@pytest.fixture
def loggers() -> Any:
    """The root logger's handlers and the levels, put back at the end."""
    named = [logging.getLogger(name) for name in ("", *LOGGERS)]
    before = [(logger, logger.level, list(logger.handlers)) for logger in named]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def test_each_logger_has_its_level(
    journal: Any, tmp_path: Path, loggers: None, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = chosen("level=warning", "upstream=debug", "gateway=error")
    log = journal("level=warning", "upstream=debug", "gateway=error", secrets=("secret-1234",))
    install(asked, log)
    for name in LOGGERS:
        for level in ("debug", "info", "warning", "error"):
            getattr(logging.getLogger(name), level)("%s secret-1234", level)
    log.adopt(chosen("level=error", "upstream=info"), ["secret-1234"])
    for name in LOGGERS:
        for level in ("debug", "info", "warning", "error"):
            getattr(logging.getLogger(name), level)("%s later", level)
    log.close()
    found = logged(tmp_path / "logs" / "proxy.json")
    heard = {(line["logger"], line["level"]) for line in found if "later" not in line["message"]}
    assert {level for name, level in heard if name == "upstream"} == {"debug", "info", "warning", "error"}
    assert {level for name, level in heard if name == "gateway"} == {"error"}
    assert {level for name, level in heard if name == "proxy"} == {"warning", "error"}
    later = {(line["logger"], line["level"]) for line in found if "later" in line["message"]}
    assert {level for name, level in later if name == "upstream"} == {"info", "warning", "error"}
    assert {level for name, level in later if name == "gateway"} == {"error"}
    said = capfd.readouterr().err
    assert "secret-1234" not in said and "WARNING proxy: warning [secret]" in said and "DEBUG" not in said


def test_a_line_has_fields_of_its_own(
    journal: Any, tmp_path: Path, loggers: None, capfd: pytest.CaptureFixture[str]
) -> None:
    log = journal(secrets=("secret-1234",))
    install(chosen(), log)
    facts = fields(upstream="up", key=2, why="secret-1234", at=None)
    logging.getLogger("gateway").warning("%s rests", "up", extra=facts)
    logging.getLogger("gateway").error("seen already", extra=SHOWN | fields(pid=7))
    log.close()
    rests, seen = logged(tmp_path / "logs" / "proxy.json")
    assert list(rests)[:4] == ["time", "level", "logger", "message"] and rests["message"] == "up rests"
    assert (rests["upstream"], rests["key"], rests["why"]) == ("up", 2, "[secret]") and "at" not in rests
    assert seen["level"] == "error" and seen["pid"] == 7
    said = capfd.readouterr().err
    assert "up rests" in said and "seen already" not in said
    with pytest.raises(AssertionError):
        fields(message="not the line's own")


def test_a_traceback_is_one_line(journal: Any, tmp_path: Path, loggers: None) -> None:
    log = journal()
    install(chosen(), log)
    try:
        raise KeyError("x")
    except KeyError:
        logging.getLogger("proxy").exception("it failed")
    log.close()
    (line,) = logged(tmp_path / "logs" / "proxy.json")
    assert line["message"].startswith("it failed\nTraceback") and line["level"] == "error"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("key", ["to", "dir"])
def test_all_lines_can_go_to_a_stream(
    journal: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path, stream: str, key: str
) -> None:
    """Each says which file it would be in, and no folder of that name is made."""
    log = journal(f"{key}={stream}")
    log.request("GET", "/nowhere", 404, 1.0, "")
    log.close()
    said = getattr(capfd.readouterr(), "out" if stream == "stdout" else "err")
    assert json.loads(said)["log"] == "api_requests" and json.loads(said)["path"] == "/nowhere"
    assert folder_of(chosen(f"{key}={stream}")).name == "logs" and not list(tmp_path.glob("logs/*.json"))


def test_lines_can_go_to_files_and_to_a_stream(journal: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A running proxy changes from one to the other without losing a line."""
    log = journal("to=both")
    log.request("GET", "/both", 404, 1.0, "")
    until(lambda: logged(tmp_path / "logs" / "api_requests.json"))
    log.adopt(chosen("to=files"), ())
    log.request("GET", "/file", 404, 1.0, "")
    log.close()
    assert [line["path"] for line in logged(tmp_path / "logs" / "api_requests.json")] == ["/both", "/file"]
    assert [json.loads(line)["path"] for line in capfd.readouterr().out.splitlines()] == ["/both"]


def test_the_files_are_there_before_their_first_line(journal: Any, tmp_path: Path) -> None:
    """Whoever asks errors.json what failed wants to hear "nothing", not that there is no such file."""
    folder = tmp_path / "logs"

    def there() -> set[str]:
        return {path.name for path in folder.glob("*.json")}

    log = journal("access=error")
    until(lambda: there() == {"errors.json"})
    log.adopt(chosen("access=info"), [])
    until(lambda: there() == {"errors.json", "performance.json", "api_requests.json"})
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert not any(path.stat().st_size for path in folder.glob("*.json")) and log.lost == 0
