"""./run.sh stats: the dashboard's numbers in a terminal."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console import commands, stats
from tests.console.dashboard.test_data import ADMIN, CLIENTS, OTHER, answers, ini, message, told
from tests.support.house import House
from tests.support.script import Upstream

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream(answers) as up:
        yield up


def test_once_prints_one_picture_of_the_present(up: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    with House(ini(up.url, "[prices]\nup/* = 10, 100\n")) as house:
        told(house, message(model="one"))
        told(house, message(model="two"))
        told(house, message("fail", model="three"))
        house.post("/dashboard/drain/dead", b"")
        assert stats.main(["--url", house.url, "--key", "x", "--once"]) == 0
    said = capsys.readouterr().out
    assert "upstream 'dead' is drained, and gets no new requests\n" in said
    assert "serving" in said and "errors 33.3 %" in said and "prompt cache 40.0 %" in said
    assert re.search(r"^up +closed +3 +33.3 %", said, re.MULTILINE)
    assert re.search(r"^up/two +1 +0 +1000 +400 +20 +\$0\.01", said, re.MULTILINE)
    assert re.search(r"400 invalid_request +three +up", said) and "\x1b" not in said


def test_a_name_is_never_a_code_of_the_terminal() -> None:
    lines = stats._table(("a", "b"), [("\x1b[31m\u202ered", "1")], 1, "", "")
    assert lines[1] == "?[31m?red  1"
    assert stats._cut("\x1b[1mabc\x1b[0mdef", 4) == "\x1b[1mabc\x1b[0md"


def test_it_finds_the_proxy_and_the_key_in_the_settings(
    up: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with House(ini(up.url, CLIENTS)) as house:
        file = tmp_path / "my.ini"
        file.write_text(ini(up.url, f"[server]\nport = {house.port}\n{CLIENTS}"))
        assert stats.main(["--config", str(file)]) == 0
        assert f"127.0.0.1:{house.port}" in capsys.readouterr().out
        file.write_text(file.read_text().replace("admin = true", "admin = false"))
        assert stats.main(["--config", str(file)]) == stats.EX_UNAVAILABLE
        assert "needs an admin's key" in capsys.readouterr().err
        assert stats.main(["--config", str(file), "--key", OTHER["x-api-key"]]) == stats.EX_UNAVAILABLE
        assert "is no admin" in capsys.readouterr().err


def test_what_is_wrong_is_said(up: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stats.main(["--url", "http://127.0.0.1:9", "--key", "x"]) == stats.EX_UNAVAILABLE
    assert "does not answer" in capsys.readouterr().err
    assert stats.main(["--url", up.url, "--key", "x"]) == stats.EX_UNAVAILABLE
    assert "another server" in capsys.readouterr().err
    assert stats.main(["--config", str(tmp_path / "none.ini")]) == stats.EX_CONFIG
    for url in ("nonsense", "http://127.0.0.1:99999", "http://[::1"):
        assert stats.main(["--url", url, "--key", "x"]) == stats.EX_UNAVAILABLE
        assert "address" in capsys.readouterr().err
    for every in ("0", "nan", "fast"):
        with pytest.raises(SystemExit):
            stats.main(["--every", every])
        assert "is not seconds from 0.2" in capsys.readouterr().err


def test_live_in_a_terminal(up: Upstream) -> None:
    """Redrawn in place until Ctrl-C, which leaves the cursor as it was."""
    with House(ini(up.url, CLIENTS)) as house:
        told(house, message(), ADMIN)
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "console.stats", "--url", house.url, "--every", "0.2"]
        environ = os.environ | {"PROXY_KEY": ADMIN["x-api-key"], "COLUMNS": "60", "LINES": "20", "TERM": "xterm"}
        with subprocess.Popen(command, cwd=ROOT, env=environ, stdin=theirs, stdout=theirs, stderr=theirs,
                              start_new_session=True, preexec_fn=_own_terminal) as running:  # fmt: skip
            os.close(theirs)
            said = b""
            while said.count(b"\x1b[H") < 3:
                said += os.read(ours, 65536)
            os.write(ours, b"\x03")
            while b"\x1b[?25h" not in said:
                said += os.read(ours, 65536)
            assert running.wait(10) == 0
        os.close(ours)
    frame = said.split(b"\x1b[H")[2].decode()
    lines = [re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", line) for line in frame.split("\r\n")]
    assert "anthropic-proxy" in lines[0] and len(lines) <= 20 and max(map(len, lines)) <= 60


@pytest.mark.parametrize(("environ", "once", "red"), [
    ({"TERM": "xterm"}, False, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False, False),
    ({"TERM": "dumb"}, True, False),
])  # fmt: skip
def test_a_terminal_gets_what_it_knows(up: Upstream, environ: dict[str, str], once: bool, red: bool) -> None:
    with House(ini(up.url, CLIENTS)) as house:
        assert house.post("/dashboard/drain/dead", {}, ADMIN)[0] == 200
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "console.stats", "--url", house.url, "--every", "0.2"]
        own = {"PATH": os.environ["PATH"], "PROXY_KEY": ADMIN["x-api-key"], "COLUMNS": "90", "LINES": "30"} | environ
        with subprocess.Popen(command, cwd=ROOT, env=own, stdin=theirs, stdout=theirs, stderr=theirs,
                              preexec_fn=_hears_ctrl_c) as running:  # fmt: skip
            said = b""
            while said.count(b"upstream, 5 min") < 1 or b"latest" not in said:
                said += os.read(ours, 65536)
            if not once:
                running.send_signal(signal.SIGINT)
            try:
                assert running.wait(10) == 0
            finally:
                running.kill()
                os.close(theirs)
                os.close(ours)
    assert b"drained" in said and (b"\x1b[31m" in said) is red and (b"\x1b" not in said) is once


def _hears_ctrl_c() -> None:
    """A suite in the background ignores it, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _own_terminal() -> None:
    """Ctrl-C goes to whoever the terminal belongs to, and is heard there."""
    import fcntl
    import termios

    _hears_ctrl_c()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_run_sh_knows_it() -> None:
    text = (ROOT / "run.sh").read_text()
    assert commands.COMMANDS["stats"].module == "console.stats"
    assert re.search(r"^#   ./run.sh stats", text, re.MULTILINE)
