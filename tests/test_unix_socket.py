"""Unix sockets: to listen on, and to reach an upstream by."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console import stats
from operate import listening
from operate.settings import load
from operate.settings.load import SettingsError
from tests.support.house import House
from tests.support.waiting import until
from tests.test_proxy import run, started

DEMO = "[server]\nhost = {}\nport = 0\n{}[upstream demo]\nprotocol = messages, chat\nbase_url = demo:\n"
ASK = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}


class Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(str(self.path))


def ask(path: Path, method: str = "POST", where: str = "/v1/chat/completions") -> tuple[int, Any]:
    connection = Connection(path)
    try:
        connection.request(method, where, json.dumps(ASK), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def settings(text: str) -> load.Server:
    return load.read(text, environ={}).server


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "p.sock"


@pytest.mark.parametrize("workers", [1, 2])
def test_it_listens_there_and_goes_on_there_after_an_upgrade(path: Path, tmp_path: Path, workers: int) -> None:
    file = tmp_path / "s.ini"
    file.write_text(DEMO.format(f"127.0.0.1, unix:{path}", f"workers = {workers}\nsocket_mode = 600\n"))
    with started("--config", str(file), "--set", f"logging.dir={tmp_path}") as (process, _, said):
        assert f"and unix:{path}" in said and stat.S_IMODE(path.stat().st_mode) == 0o600
        status, reply = ask(path)
        assert status == 200 and "demo" in reply["choices"][0]["message"]["content"]
        assert ask(path, "GET", "/debug/upstreams")[0] == 200  # of this machine
        process.send_signal(signal.SIGUSR2)
        assert process.wait(20) == 0
        assert ask(path)[0] == 200
        successor = _successor(tmp_path / "proxy.json", process.pid, workers)
        parent = successor if workers == 1 else _parent(successor)
        os.kill(parent, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{parent}").exists())
    records = [json.loads(line) for line in (tmp_path / "performance.json").read_text().splitlines()]
    assert {record["client.address"] for record in records} == {"127.0.0.1"}


def _successor(log: Path, before: int, workers: int) -> int:
    """A process that serves now, by the log, which is written a little later. before: the process that ended."""

    def last_start() -> int | None:
        said = [json.loads(line) for line in log.read_text().splitlines()]
        starts = [line["pid"] for line in said if line.get("event") == "start" and line["pid"] != before]
        return starts[-1] if len(starts) > (workers if workers > 1 else 0) else None

    found = until(last_start, every_s=0.05)
    assert found is not None
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_what_is_left_of_a_process_is_removed_and_nothing_else(path: Path) -> None:
    server = settings(DEMO.format(f"unix:{path}", ""))
    (first,) = listening.bound(server)
    with pytest.raises(OSError, match="in use"):
        listening.bound(server)
    first.close()
    (second,) = listening.bound(server)  # its file was still there
    assert listening.port_of([second]) == 0 and listening.with_ports([second]) == []
    second.close()
    path.unlink()
    path.write_text("not a socket")
    with pytest.raises(OSError, match="no socket"):
        listening.bound(server)
    assert path.read_text() == "not a socket"


def test_of_several_the_one_that_cannot_be_had_is_named(path: Path, tmp_path: Path) -> None:
    path.write_text("not a socket")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = run("--set", f"server.host=127.0.0.1, unix:{path}.2", "--port", str(port)).stderr
        assert said.startswith(f"another program is using 127.0.0.1:{port}: ")
        said = run("--set", f"server.host=unix:{path}, 127.0.0.1", "--port", str(port)).stderr
        assert said == f"cannot listen on unix:{path}: {path} exists, and is no socket\n"
    assert listening.named("::1", 80) == "[::1]:80"


def test_stats_by_one(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "s.ini"
    file.write_text(DEMO.format(f"unix:{path}, 127.0.0.1", ""))
    alone = tmp_path / "alone.ini"
    alone.write_text(DEMO.format(f"unix:{path}", ""))
    with started("--config", str(file), "--set", f"logging.dir={tmp_path}"):
        for words in (["--config", str(alone)], ["--url", f"unix:{path}", "--key", "x"]):
            assert stats.main(words) == 0 and f"unix:{path}  serving" in capsys.readouterr().out
    assert stats.main(["--url", f"unix:{path}.2", "--key", "x"]) == stats.EX_UNAVAILABLE
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["unix:relative", "unix:", "unix:/", f"unix:/{'x' * 120}"])
def test_paths_that_are_none(host: str) -> None:
    with pytest.raises(SettingsError, match="absolute path"):
        settings(DEMO.format(host, ""))


@pytest.mark.parametrize("mode", ["999", "rw", "66", ""])
def test_modes_that_are_none(path: Path, mode: str) -> None:
    with pytest.raises(SettingsError, match="octal"):
        settings(DEMO.format(f"unix:{path}", f"socket_mode = {mode}\n"))


def test_an_upstream_behind_one(path: Path, tmp_path: Path) -> None:
    """Another proxy here; its name is never looked up, and each upstream has its own way."""
    file = tmp_path / "s.ini"
    file.write_text(DEMO.format(f"127.0.0.1, unix:{path}", "allowed_hosts = no.such.name\n"))
    front = f"[upstream up]\nprotocol = chat\nbase_url = http://no.such.name/v1\nsocket = {path}\n"
    front += "[models]\n* = up/demo\n"
    gone = "[upstream gone]\nprotocol = chat\nbase_url = http://127.0.0.1:9\nsocket = /no/such.sock\n"
    with started("--config", str(file), "--set", f"logging.dir={tmp_path}"):
        with House(front + gone + "[retry]\nmax_attempts = 1\n") as house:
            for _ in range(2):
                status, headers, raw = house.post("/v1/chat/completions", ASK)
                assert status == 200 and "demo" in json.loads(raw)["choices"][0]["message"]["content"]
            assert house.post("/v1/chat/completions", ASK | {"model": "gone/x"})[0] == 502
    assert headers["x-proxy-upstream"]
