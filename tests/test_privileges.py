"""What the process is and leaves behind: another user, files for it alone, no dump of its memory."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from operate.settings import load
from operate.settings.changes import followed
from tests.support.waiting import until
from tests.test_proxy import DEMO, ROOT, ask, run, started

NOBODY = pwd.getpwnam("nobody")


def may_read(path: Path) -> bool:
    """Whether another user may."""
    path = path.resolve()
    return all(each.stat().st_mode & stat.S_IXOTH for each in path.parents) and bool(path.stat().st_mode & stat.S_IROTH)


def interpreter() -> tuple[str, dict[str, str]]:
    """A Python that another user may run, and the environment in which it has our packages."""
    own = Path(sys.executable).resolve()
    if may_read(own) and may_read(Path(os.__file__)):
        return sys.executable, {}
    other = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    packages = next((Path(each) for each in sys.path if each.endswith("site-packages") and may_read(Path(each))), None)
    if not other.exists() or packages is None:
        pytest.skip("another user can run no Python that has our packages")
    return str(other), {"PYTHONPATH": str(packages)}


def facts(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}
    found["core"] = next(
        line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max core file size")
    )
    return found


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user: run the tests as root")
@pytest.mark.skipif(not may_read(ROOT / "proxy.py"), reason="another user cannot read the program")
def test_root_becomes_the_user_of_the_settings() -> None:
    python, environ = interpreter()
    base = Path("/tmp") / f"proxy-user-{os.getpid()}"
    base.mkdir(mode=0o755)
    try:
        logs, file = base / "logs", base / "s.ini"
        base.chmod(0o777)
        file.write_text(DEMO.replace("port = 0", "port = 0\nuser = nobody\nworkers = 2") + f"[logging]\ndir = {logs}\n")
        file.chmod(0o644)
        process = subprocess.Popen(
            [python, "-B", str(ROOT / "proxy.py"), "--config", str(file)],
            env={"PATH": os.environ["PATH"]} | environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        try:
            said = process.stdout.readline()
            assert "listens on" in said, process.stderr.read()
            url = next(word for word in said.split() if word.startswith("http"))
            assert "demo" in ask(url)
            workers = children(process.pid)
            assert len(workers) == 2
            for pid in (process.pid, *workers):
                found = facts(pid)
                assert found["Uid"].split() == [str(NOBODY.pw_uid)] * 4 and found["Groups"] == str(NOBODY.pw_gid)
                assert found["Gid"].split() == [str(NOBODY.pw_gid)] * 4 and found["CapEff"].strip("0") == ""
                assert found["core"].split()[4:6] == ["0", "0"]
                assert Path(f"/proc/{pid}/mem").stat().st_uid == 0  # as of a process without dumps
            asked = urllib.request.Request(url + "/metrics")
            with urllib.request.urlopen(asked, timeout=10) as reply:
                assert b"process_open_fds" in reply.read()
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        made = [logs, *logs.iterdir()]
        assert {each.name for each in made} >= {"logs", "performance.json", "usage.sqlite3"}
        for each in made:
            assert (each.stat().st_uid, stat.S_IMODE(each.stat().st_mode) & 0o077) == (NOBODY.pw_uid, 0), each
    finally:
        subprocess.run(["rm", "-rf", str(base)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user: run the tests as root")
def test_what_the_user_cannot_read_is_said_at_the_start(tmp_path: Path) -> None:
    """A file that only root may read could not be read again after a change."""
    file = tmp_path / "s.ini"
    file.write_text(DEMO.replace("port = 0", "port = 0\nuser = nobody"))
    file.chmod(0o600)
    done = run("--config", str(file))
    assert done.returncode == 78 and "user = nobody" in done.stderr and "Traceback" not in done.stderr
    assert "cannot be read" in done.stderr or "cannot read" in done.stderr


def test_a_user_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(load.SettingsError, match="no such user"):
        load.read(DEMO.replace("port = 0", "user = no-such-user-here"), "s.ini", environ={})


def test_who_is_that_user_already_just_starts(tmp_path: Path) -> None:
    own = pwd.getpwuid(os.geteuid()).pw_name
    file = tmp_path / "s.ini"
    file.write_text(DEMO.replace("port = 0", f"port = 0\nuser = {own}"))
    with started("--config", str(file), "--set", f"logging.dir={tmp_path / 'logs'}") as (process, url, _):
        assert "demo" in ask(url)
        assert facts(process.pid)["core"].split()[4:6] == ["0", "0"]
        until((tmp_path / "logs" / "performance.json").exists)
        for each in (tmp_path / "logs").iterdir():
            assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0, each


def test_another_user_waits_for_a_restart() -> None:
    old = load.read(DEMO, "s.ini", environ={})
    new, waits = followed(old, load.read(DEMO.replace("port = 0", "user = nobody"), "s.ini", environ={}))
    assert new.server.user == "" and "[server] user" in waits
