"""Paths that are not what they seem: of the proxy's own socket, of an upstream's, and of included settings."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from operate import listening
from operate.settings import load
from tests.support.house import ONCE, House
from tests.test_proxy import DEMO, run

ASK = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def server(path: Path, more: str = "") -> load.Server:
    text = f"[server]\nhost = unix:{path}\n{more}[upstream demo]\nprotocol = chat\nbase_url = demo:\n"
    return load.read(text, environ={}).server


def live(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen()
    return made


def to_a_file(path: Path) -> None:
    (path.parent / "precious").write_text("precious")
    path.symlink_to(path.parent / "precious")


def to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "precious")


def to_a_socket(path: Path) -> None:
    live(path.parent / "other").close()  # nobody answers behind it
    path.symlink_to(path.parent / "other")


PLACES: dict[str, Callable[[Path], object]] = {
    "01 a link to a file": to_a_file,
    "02 a link to nothing": to_nothing,
    "03 a link to a socket that is left over": to_a_socket,
    "04 a folder": lambda path: path.mkdir(),
    "05 a pipe": lambda path: os.mkfifo(path),
    "06 a file": lambda path: path.write_text("precious"),
}


@pytest.mark.parametrize("what", PLACES)
def test_nothing_else_is_taken_for_the_proxys_own(tmp_path: Path, what: str) -> None:
    path = tmp_path / "p.sock"
    PLACES[what](path)
    before = {each: each.lstat().st_mode for each in tmp_path.iterdir()}
    with pytest.raises(OSError, match="no socket"):
        listening.bound(server(path, "socket_mode = 666\n"))
    assert {each: each.lstat().st_mode for each in tmp_path.iterdir()} == before


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o200])
def test_07_it_has_its_mode_from_its_first_moment(tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is changed afterwards may be another file by then."""
    changed: list[object] = []
    monkeypatch.setattr(os, "chmod", lambda *given, **named: changed.append(given))
    umask = os.umask(0o022)
    try:
        (made,) = listening.bound(server(tmp_path / "p.sock", f"socket_mode = {mode:o}\n"))
        assert os.umask(0o022) == 0o022, "the umask is what it was"
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "p.sock").lstat().st_mode) == mode and not changed
    made.close()


UPSTREAMS: dict[str, Callable[[Path], object]] = {
    "08 nothing": lambda path: None,
    "09 a file": lambda path: path.write_text("precious"),
    "10 a folder": lambda path: path.mkdir(),
    "11 a socket that is left over": lambda path: live(path).close(),
    "12 a link to itself": lambda path: path.symlink_to(path),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Path]]:
    folder = tmp_path_factory.mktemp("sockets")
    text = "".join(
        f"[upstream u{what[:2]}]\nprotocol = chat\nbase_url = http://localhost/v1\nsocket = {folder}/{what[:2]}\n"
        for what in UPSTREAMS
    )
    with House(text + ONCE) as house:
        yield house, folder


@pytest.mark.parametrize("what", UPSTREAMS)
def test_an_upstream_that_is_no_socket_is_a_502_that_does_not_tell_the_path(
    house: tuple[House, Path], what: str
) -> None:
    proxy, folder = house
    UPSTREAMS[what](folder / what[:2])
    status, _, raw = proxy.post("/v1/chat/completions", ASK | {"model": f"u{what[:2]}/m"})
    assert status == 502 and str(folder).encode() not in raw and b"/pytest" not in raw
    assert not (folder / "09").exists() or (folder / "09").read_text() == "precious"


AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""Root itself reads everything."""

INCLUDES: dict[str, Callable[[Path], str]] = {
    "13 itself": lambda folder: str(folder / "s.ini"),
    "14 a folder": lambda folder: str(folder),
    "15 what never ends": lambda folder: "/dev/zero",
    "16 a pipe that nobody writes to": lambda folder: str(folder / "pipe"),
    "17 what cannot be read": lambda folder: str(folder / "closed"),
    "18 a link that leads to itself": lambda folder: str(folder / "loop"),
    "19 what is no text": lambda folder: sys.executable,
    "20 nothing": lambda folder: str(folder / "none"),
}


@pytest.mark.parametrize("what", INCLUDES)
def test_what_cannot_be_included_is_said_and_ends_the_start(tmp_path: Path, what: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "closed").write_text("[server]\nport = 0\n")
    (tmp_path / "closed").chmod(0)
    file = tmp_path / "s.ini"
    file.write_text(f"{DEMO}[include]\nfiles = {INCLUDES[what](tmp_path)}\n")
    done = run("--config", str(file), "--print-config", prefix=AS_ANYBODY)
    assert done.returncode == 78 and "[include]" in done.stderr and "Traceback" not in done.stderr, done.stderr[-500:]
