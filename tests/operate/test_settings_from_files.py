"""Settings and keys that are read from files: what is read, and what is said of a file that cannot be."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import pytest

from operate.settings.load import SettingsError, load, read

UPSTREAM = "[upstream x]\nprotocol = chat\nbase_url = http://x\n"
DEMO = "[upstream demo]\nprotocol = messages, chat\nbase_url = demo:\n"


def test_keys_come_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n 0123456789abcdef \n")
    text = f"[client me]\nkey = file:key\n{UPSTREAM}api_key = file:{tmp_path}/key\n"
    settings = read(text, folder=tmp_path)
    assert settings.clients[0].key == (settings.upstreams["x"].api_key,) == ("0123456789abcdef",)
    for content, words in (
        (b"", "is empty"),
        (b"\xff" * 20, "not ASCII"),
        (b"x" * 65537, "too large"),
        (b"a b", "blank"),
        (b'"0123456789abcdef"\n', "quotes around it"),
        (b"`0123456789abcdef", "quotes around it"),
        (b"OPENAI_API_KEY=0123456789abcdef\n", "a name and = before the key"),
        (b'{"type": "service_account", "private_key": "x"}', "blank|JSON"),
        (b'{"type":"service_account"}', "JSON, not a key; google:FILE"),
        (b"Bearer 0123456789abcdef", "Bearer"),
        ("0123456789abcdef\r\n".encode("utf-16"), "UTF-16 text.*save it as UTF-8"),
    ):
        (tmp_path / "key").write_bytes(content)
        with pytest.raises(SettingsError, match=words):
            read(text, folder=tmp_path)
    (tmp_path / "key").unlink()
    with pytest.raises(SettingsError, match=r"cannot read .*key: No such file"):
        read(text, folder=tmp_path)


@pytest.mark.parametrize(("content", "key"), [
    (b"\xef\xbb\xbf0123456789abcdef\r\n", "0123456789abcdef"), (b"0123456789abcdef\r", "0123456789abcdef"),
    (b"AB_CD0123456789a==\n", "AB_CD0123456789a=="),
])  # fmt: skip
def test_what_editors_add_to_a_key_is_no_part_of_it(tmp_path: Path, content: bytes, key: str) -> None:
    (tmp_path / "key").write_bytes(content)
    assert read(f"{UPSTREAM}api_key = file:key\n", folder=tmp_path).upstreams["x"].api_key == key


@pytest.mark.parametrize("order", ["utf-16", "utf-16-be"])
def test_a_file_in_utf_16_is_told_as_that(tmp_path: Path, order: str) -> None:
    text = "" if order == "utf-16" else "\ufeff"
    (tmp_path / "settings.ini").write_bytes((text + UPSTREAM).encode(order))
    with pytest.raises(SettingsError, match="1: is UTF-16 text"):
        load(str(tmp_path / "settings.ini"))


def test_a_file_is_not_followed_where_no_key_is_expected() -> None:
    assert read(f"[logging]\ndir = file:/etc/hostname\n{DEMO}").logging.dir == "file:/etc/hostname"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"^mine\.ini: cannot be read: No such file or directory$"):
        load("mine.ini")
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "mine.ini").write_bytes(b"[server]\n\xff = 1")
    with pytest.raises(SettingsError, match=r"^mine\.ini:2: is not UTF-8 text$"):
        load("mine.ini")
    monkeypatch.setattr("operate.settings.load.installation.settings_file", lambda: tmp_path / "gone.ini")
    with pytest.raises(SettingsError, match=r"beside proxy\.py, or name another file with --config FILE"):
        load()


def test_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "w.ini").write_bytes(("\ufeff[server]\r\nport = 7\r\n\r\n" + DEMO.replace("\n", "\r\n")).encode())
    assert load(tmp_path / "w.ini", environ={}).server.port == 7


def test_a_file_that_is_a_link_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "s.ini").symlink_to("s.ini")
    with pytest.raises(SettingsError, match="cannot be read: Too many levels of symbolic links"):
        load(tmp_path / "s.ini")


@pytest.mark.parametrize(
    "line", ["api_key = file:{}", "keys = file:{}, sk-0", "ca_file = {}", "headers =\n[include]\nfiles = {}"]
)
def test_who_may_not_read_a_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """In a container or a service, nobody thinks of the user that the process is."""
    monkeypatch.setattr("os.geteuid", lambda: 10001)
    secret, file = tmp_path / "secret", tmp_path / "s.ini"
    secret.write_text("x")

    def refused(path: Any, *args: Any, **named: Any) -> Any:
        if Path(path) == secret:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **named)

    real = io.open
    for name in ("builtins.open", "io.open"):  # the latter is that of paths
        monkeypatch.setattr(name, refused)
    file.write_text(f"[upstream x]\nprotocol = chat\nbase_url = http://x\n{line.format(secret)}\n")
    with pytest.raises(SettingsError, match=r"Permission denied for user 10001, group \d+"):
        load(file)
