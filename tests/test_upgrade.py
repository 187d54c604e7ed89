"""Upgrade in place, and what systemd hears: another process takes over, and nobody notices."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests import upgrade_load
from tests.support.waiting import until
from tests.test_proxy import DEMO, ROOT, ask, started
from tests.upstream.scripted import CERTIFICATE, KEY


@pytest.mark.parametrize(("workers", "secure"), [(1, False), (2, False), (2, True)])
def test_no_request_fails_while_it_is_replaced(tmp_path: Path, workers: int, secure: bool) -> None:
    (tmp_path / "own.pem").write_text(CERTIFICATE + KEY)
    load = upgrade_load.run(tmp_path, 150, 6, 2, workers, str(tmp_path / "own.pem") if secure else "")
    assert load.failures == [] and load.done == 156 and load.streams == 6


@pytest.mark.parametrize("workers", [1, 2])
def test_a_release_that_does_not_start_changes_nothing(tmp_path: Path, workers: int) -> None:
    file = tmp_path / "s.ini"
    file.write_text(DEMO.replace("port = 0", f"port = 0\nworkers = {workers}"))
    with started("--config", str(file), "--set", f"logging.dir={tmp_path}") as (process, url, _):
        file.write_text("[server]\nport = nonsense\n")
        process.send_signal(signal.SIGUSR2)
        assert process.stderr is not None
        said = ""
        while "the old one goes on" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        assert "port" in said and "ended with code 78" in said and "demo" in ask(url)


@pytest.mark.parametrize("back", [False, True])
def test_the_folder_where_it_was_started_may_be_removed_or_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    """back: another folder is there, with the file that the command line names."""
    folder, file = tmp_path / "release", tmp_path / "s.ini"
    folder.mkdir()
    settings = folder / "s.ini" if back else file
    settings.write_text(DEMO)
    monkeypatch.chdir(folder)
    with started("--config", "s.ini" if back else str(file), "--set", f"logging.dir={tmp_path}") as (process, url, _):
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(folder)
        if back:
            folder.mkdir()
            settings.write_text(DEMO)
        process.send_signal(signal.SIGUSR2)
        assert process.wait(20) == 0 and "demo" in ask(url)
        said = [json.loads(line) for line in (tmp_path / "proxy.json").read_text().splitlines()]
        os.kill(next(line["pid"] for line in said if line.get("event") == "upgraded"), signal.SIGTERM)


def test_readiness_fails_first_where_a_balancer_needs_time(tmp_path: Path) -> None:
    file = tmp_path / "s.ini"
    file.write_text(DEMO.replace("port = 0", "port = 0\ndrain_delay = 2"))
    with started("--config", str(file), "--set", f"logging.dir={tmp_path}") as (process, url, _):
        process.terminate()

        def status() -> int:
            try:
                with urllib.request.urlopen(url + "/readyz", timeout=5) as reply:
                    return int(reply.status)
            except urllib.error.HTTPError as refused:
                refused.close()
                return refused.code

        until(lambda: status() == 503)
        assert "demo" in ask(url)
        assert process.wait(15) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_systemd_hears_that_it_serves_lives_and_ends(tmp_path: Path, workers: int) -> None:
    """With sockets of a .socket unit, too: no other is opened."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ears.bind(str(tmp_path / "notify"))
    ears.settimeout(20)
    environ = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "6000000"}
    options = f"--port 1 --set server.workers={workers} --set logging.dir={tmp_path}"
    script = f'exec 3<&{listening.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" "$1" {options}'
    process = subprocess.Popen(
        ["bash", "-c", script, sys.executable, str(ROOT / "proxy.py")],
        env=environ, pass_fds=[listening.fileno()], stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        heard = ears.recv(4096).decode()
        while "READY=1" not in heard:
            heard += ears.recv(4096).decode()
        assert f"MAINPID={process.pid}" in heard
        assert "demo" in ask(f"http://127.0.0.1:{port}")
        while "WATCHDOG=1" not in heard:
            heard += ears.recv(4096).decode()
        process.terminate()
        while "STOPPING=1" not in heard:
            heard += ears.recv(4096).decode()
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()
        ears.close()
        listening.close()
