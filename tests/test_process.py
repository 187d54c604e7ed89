"""The program and the system around it: files, signals, ports, a folder that cannot be written, a closed pipe."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from operate.version import VERSION
from tests.support.house import Client
from tests.support.waiting import until
from tests.test_proxy import DEMO, ROOT, ask, run, started

STREAM = {"model": "demo-slow", "stream": True, "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    file = tmp_path / "s.ini"
    file.write_text(DEMO)
    return file


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def limited(how: str) -> tuple[str, ...]:
    """A command that sets the limit of open files and becomes another."""
    return ("sh", "-c", f'ulimit {how} -n 256; exec "$@"', "sh")


def test_too_few_files_are_said_and_survived(ini: Path) -> None:
    """Else accept() fails at the limit, again and again, with all of the CPU."""
    options = ["--config", str(ini), "--set", "pool.max_connections=16"]
    with started(*options, prefix=limited("")) as (process, url, _):
        clients = [socket.create_connection(("127.0.0.1", port_of(url))) for _ in range(300)]
        time.sleep(0.5)  # of accepting in vain
        for client in clients:
            client.close()
        until(lambda: answers(url), every_s=0.05)
        process.terminate()
        assert process.wait(10) == 0
        assert process.stderr is not None
        said = process.stderr.read()
    assert "LimitNOFILE" in said and "Too many open files" not in said and "Traceback" not in said


def answers(url: str) -> bool:
    try:
        ask(url)
    except OSError:
        return False
    return True


def test_a_soft_limit_is_raised(ini: Path) -> None:
    with started("--config", str(ini), prefix=limited("-S")) as (process, _, _):
        soft = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0]
        assert soft > 2000


def test_a_second_signal_ends_at_once(ini: Path) -> None:
    with started("--config", str(ini), "--set", "server.drain_seconds=60") as (process, url, _):
        with Client(port_of(url)) as client:
            client.send("POST", "/v1/chat/completions", STREAM)
            client.head()
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 130


def test_the_port_can_be_had_again_at_once(ini: Path) -> None:
    with started("--config", str(ini)) as (process, url, _):
        port = port_of(url)
        kept = Client(port)
        kept.send("GET", "/healthz")
        kept.reply()
        process.kill()
        process.wait()
    with started("--config", str(ini), "--port", str(port)) as (_, url, _):
        assert ask(url)
    kept.socket.close()


def test_logs_that_cannot_be_written_go_to_standard_error(ini: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("not a folder")
    with started("--config", str(ini), "--set", f"logging.dir={tmp_path / 'logs'}") as (process, url, _):
        for _ in range(4):
            ask(url)
            time.sleep(0.25)  # each line is a write of its own
        process.terminate()
        assert process.wait(10) == 0
        assert process.stderr is not None
        said, *logged = process.stderr.read().splitlines()
    assert said.startswith(f"cannot write in {tmp_path / 'logs'} (") and "standard error" in said
    assert sum(json.loads(line)["log"] == "performance" for line in logged) == 4


def test_a_closed_pipe_does_not_end_it(ini: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reading, writing = os.pipe()
    os.close(reading)
    options = ["--config", str(ini), "--port", str(port)]
    process = subprocess.Popen([sys.executable, ROOT / "proxy.py", *options], stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}"), every_s=0.05)
    finally:
        process.kill()
        process.wait()


def test_it_listens_on_ipv6(ini: Path) -> None:
    with started("--config", str(ini), "--host", "::1") as (_, url, _):
        assert url.startswith("http://[::1]:") and ask(url)


@pytest.mark.parametrize("host", ["a..b", "nowhere.invalid", "192.0.2.1"])
def test_hosts_that_are_none_are_said_in_words(ini: Path, host: str) -> None:
    ini.write_text(DEMO + "[client a]\nkey = a-key-of-some-length\n")
    done = run("--config", str(ini), "--host", host)
    assert done.returncode in (69, 78) and host in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_start_and_stop_are_in_the_log_with_fields(tmp_path: Path, ini: Path) -> None:
    logs = tmp_path / "logs"
    with started("--config", str(ini), "--set", f"logging.dir={logs}") as (process, _, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    lines = [json.loads(line) for line in (logs / "proxy.json").read_text().splitlines()]
    told = {line["event"]: line for line in lines if "event" in line}
    assert list(told) == ["start", "stop", "stopped"]
    assert told["start"]["version"] == VERSION and told["start"]["settings"] == str(ini)
    assert told["stop"]["why"] == "SIGTERM" and {line["pid"] for line in told.values()} == {process.pid}
