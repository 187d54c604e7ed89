"""Keys and prompts are planted, and the process is looked at from outside: its arguments and environment, those of the
commands that it starts, and what is left of it when it crashes. None of them is found."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.script import Answer, Gate, Upstream
from tests.support.waiting import until
from tests.test_proxy import run, started

KEYS = {
    "upstream": "sk-Planted-Upstream-1111", "client": "Planted-Client-Key-2222", "header": "Planted-Header-3333",
    "command": "Planted-Of-A-Command-4444", "file": "Planted-Of-A-File-5555",
}  # fmt: skip
PROMPT = "PROMPT-MARK the lighthouse keeper counts the waves"
SETTINGS = """
[upstream a]
protocol = chat
base_url = {url}
api_key = {upstream}
headers =
    X-Team: {header}
[upstream b]
protocol = chat
base_url = {url}
api_key = cmd:{folder}/key
[upstream c]
protocol = chat
base_url = {url}
api_key = file:{folder}/secret
[models]
b = b
c = c
* = a
[client one]
key = {client}
[logging]
level = debug
"""
SCRIPT = """#!/bin/sh
echo {command}
sleep 1 >/dev/null 2>&1 &
sleep 0.6
"""


class Asking:
    """A request on its way, which nobody answers before the gate opens."""

    def __init__(self, url: str, model: str) -> None:
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": PROMPT}]}
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEYS['client']}"}
        self._request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError), urllib.request.urlopen(self._request, timeout=20) as reply:
            reply.read()

    def join(self) -> None:
        self._thread.join(20)


@contextlib.contextmanager
def proxy(folder: Path, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str, Upstream, Gate, list[str]]]:
    """The last: all that it has written so far."""
    gate, wrote = Gate(), list[str]()
    answer = Answer.json({"id": "c", "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "x"}}]})
    answer.delay = gate
    (folder / "key").write_text(SCRIPT.format(**KEYS))
    (folder / "key").chmod(0o700)
    (folder / "secret").write_text(KEYS["file"])
    with Upstream(lambda _: answer) as up:
        (folder / "s.ini").write_text(SETTINGS.format(url=up.url, folder=folder, **KEYS))
        options = ("--config", str(folder / "s.ini"), "--port", "0", "--set", f"logging.dir={folder}/logs")
        with started(*options, environ=environ) as (process, url, said):
            wrote.append(said)
            try:
                yield process, url, up, gate, wrote
            finally:
                gate.open()


def planted(text: str) -> list[str]:
    return [word for word in (*KEYS.values(), "PROMPT-MARK", "lighthouse") if word in text]


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in map(int, children) for each in family(child))]


def seen(pid: int) -> str:
    """What `ps axeww` tells of a process."""
    found = ""
    for name in ("cmdline", "environ", "comm", "status"):
        with contextlib.suppress(OSError):  # it has ended
            found += Path(f"/proc/{pid}/{name}").read_text(errors="replace").replace("\0", " ")
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_list_of_processes_tells_none(tmp_path: Path) -> None:
    with proxy(tmp_path) as (process, url, up, gate, _):
        asking = [Asking(url, model) for model in ("a", "b", "c")]
        most = 0
        until(lambda: len(family(process.pid)) > 1)
        for _ in range(20):
            pids = family(process.pid)
            most = max(most, len(pids))
            assert not planted("".join(map(seen, pids)))
            time.sleep(0.02)
        assert most > 1, "the command was seen"
        until(lambda: len(up.requests) == 3)
        assert {request.headers["authorization"] for request in up.requests} == {
            f"Bearer {KEYS[name]}" for name in ("upstream", "command", "file")
        }
        gate.open()
        for each in asking:
            each.join()


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS])
def test_a_crash_leaves_none(tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with Python's own fault handler, which writes where every thread stood, and where cores may be written."""
    monkeypatch.chdir(tmp_path)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    with proxy(tmp_path, PYTHONFAULTHANDLER="1", PYTHONDEVMODE="1") as (process, url, up, gate, wrote):
        with contextlib.suppress(ValueError, OSError):
            assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, 0), hard
        asking = Asking(url, "a")
        until(lambda: up.requests)
        process.send_signal(number)
        assert process.wait(15) == -number
        assert process.stdout is not None and process.stderr is not None
        wrote += (process.stdout.read(), process.stderr.read())
        gate.open()
        asking.join()
    assert "Fatal Python error" in wrote[-1] and not planted("".join(wrote))
    own = {"s.ini", "key", "secret"}
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in own]
    assert not [path for path in left if "core" in path.name]
    assert not [path for path in left if planted(path.read_bytes().decode("latin-1"))]


def test_what_cannot_start_tells_none(tmp_path: Path) -> None:
    """Settings that are wrong, beside keys: each line of the error is about something else."""
    (tmp_path / "secret").write_text(f"{KEYS['file']}\n{KEYS['file']}\n")
    text = SETTINGS.format(url="http://127.0.0.1:1", folder=tmp_path, **KEYS)
    for wrong in ("[server]\nport = x\n", f"[upstream d]\napi_key = {KEYS['upstream']}\n", "[upstream a\n"):
        (tmp_path / "s.ini").write_text(text + wrong)
        done = run("--config", str(tmp_path / "s.ini"), "--port", "0")
        assert done.returncode == 78 and done.stderr and not planted(done.stdout + done.stderr)
