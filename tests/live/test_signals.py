"""SIGHUP: read the settings again, or, where the terminal is gone, the end. SIGUSR1: nothing."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import until
from tests.test_proxy import DEMO, ROOT

NUMBERS = pytest.mark.parametrize("workers", [1, 2])


@contextmanager
def in_terminal(folder: Path, workers: int, *, nohup: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """(process, the terminal's other side): it is what the terminal runs."""
    ours, theirs = os.openpty()
    file = folder / "s.ini"
    file.write_text(f"{DEMO}[logging]\ndir = {folder / 'logs'}\n")

    def take() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)  # whatever the tests run under

    process = subprocess.Popen(
        [sys.executable, ROOT / "proxy.py", "--config", file, "--set", f"server.workers={workers}"],
        stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=take,
    )  # fmt: skip
    os.close(theirs)
    try:
        said = b""
        while b"Ctrl-C" not in said:
            said += os.read(ours, 4096)
        yield process, ours
    finally:
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def reads(folder: Path) -> int:
    written = folder / "logs" / "proxy.json"
    return written.read_text().count("read again") if written.exists() else 0


@NUMBERS
def test_with_its_terminal_there(tmp_path: Path, workers: int) -> None:
    with in_terminal(tmp_path, workers) as (process, ours):
        process.send_signal(signal.SIGHUP)
        until(lambda: reads(tmp_path) == 1, 15)
        assert process.poll() is None
        os.close(ours)
        assert process.wait(15) == 0


@NUMBERS
def test_what_logrotate_sends_to_others(tmp_path: Path, workers: int) -> None:
    with in_terminal(tmp_path, workers) as (process, _):
        written = tmp_path / "logs" / "proxy.json"
        until(written.exists, 15)
        written.rename(tmp_path / "proxy.json.1")
        for pid in (process.pid, *children(process.pid)):
            os.kill(pid, signal.SIGUSR1)
        process.send_signal(signal.SIGHUP)
        until(lambda: reads(tmp_path) == 1, 15)  # in a file of its own
        assert process.poll() is None and "was ended" not in written.read_text()


@NUMBERS
def test_nohup_keeps_it_from_ending_with_its_terminal(tmp_path: Path, workers: int) -> None:
    with in_terminal(tmp_path, workers, nohup=True) as (process, ours):
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        until(lambda: reads(tmp_path) >= 1, 15)
        assert process.poll() is None
