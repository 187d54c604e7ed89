"""What a running proxy is told about a saved file: that it was, what differs, and what must wait."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from operate import installation
from operate.settings.changes import changed, followed
from operate.settings.file_watch import Source
from operate.settings.load import Settings, SettingsError, read

TEXT = """[server]
port = 8082
[upstream a]
protocol = chat
base_url = http://127.0.0.1:9
api_key = a-very-secret-key
[models]
* = a
[client me]
key = client-key-0123456789
"""


def take(*edits: tuple[str, str]) -> Settings:
    text = TEXT
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return read(text, environ={})


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("[server]", "# only a comment\n\n[server]", []),
        ("port = 8082", "port = 9000", ["[server] port"]),
        ("a-very-secret-key", "another-key", ["[upstream a] api_key"]),
        ("base_url = http://127.0.0.1:9", "base_url = http://127.0.0.1:8", ["[upstream a] base_url"]),
        ("* = a", "* = a/b", ["[models]"]),
        ("* = a", "* = a\nm = a/b", ["[models]"]),
        ("client-key-", "client-kay-", ["[client me] key"]),
        ("[client me]", "[client you]", ["[client me] removed", "[client you] added"]),
        ("[models]", "[timeouts]\nidle = 7\n[models]", ["[timeouts] idle"]),
        ("[models]", "idle = 7\n[models]", ["[upstream a] timeouts"]),
        ("[upstream a]", "[upstream b]\nprotocol = chat\nbase_url = http://x\n[upstream a]", ["[upstream b] added"]),
        ("[models]", "[prices]\nm = 1, 2\n[models]", ["[prices]"]),
        ("[models]", "[sizes]\nm = 1, 2\n[models]", ["[sizes]"]),
        ("[models]", "[hook h]\nurl = http://127.0.0.1:7/\n[models]", ["[hook h] added"]),
    ],
)
def test_changes_have_the_names_of_the_file(old: str, new: str, names: list[str]) -> None:
    assert changed(take(), take((old, new))) == names
    assert not any("key-" in name or "secret" in name for name in names)


def test_an_upstream_that_goes() -> None:
    other = ("[upstream a]", "[upstream b]\nprotocol = chat\nbase_url = http://x\n[upstream a]")
    assert changed(take(other), take()) == ["[upstream b] removed"]


def test_what_waits_for_a_restart() -> None:
    new = take(("port = 8082", "port = 9000\nhost = 0.0.0.0\nworkers = 4\nmax_body_mb = 3"))
    settings, waits = followed(take(), new)
    assert waits == ["[server] host", "[server] port", "[server] workers"]
    server = settings.server
    assert (server.host, server.port, server.workers, server.max_body_mb) == ("127.0.0.1", 8082, 1, 3)


def test_nobody_is_let_in_by_mistake() -> None:
    old = take(("port = 8082", "host = 0.0.0.0"))
    with pytest.raises(SettingsError, match=r"listens on 0\.0\.0\.0"):
        followed(old, take(("[client me]\nkey = client-key-0123456789\n", "")))
    assert followed(take(), take(("[client me]\nkey = client-key-0123456789\n", "")))[0].clients == ()


# --------------------------------------------------------------------------------------------------- the file


def saved(source: Source) -> list[bool]:
    return [source.saved() for _ in range(3)]


def test_a_change_is_told_once_and_only_when_it_is_over(tmp_path: Path) -> None:
    file = tmp_path / "s.ini"
    file.write_text(TEXT)
    source = Source(str(file))
    assert saved(source) == [False] * 3 and not source.settling
    file.write_text(TEXT + "# a")
    assert not source.saved() and source.settling
    file.write_text(TEXT + "# a, and more")
    assert saved(source) == [False, True, False] and not source.settling
    assert source.read().server.port == 8082


def test_another_file_in_its_place(tmp_path: Path) -> None:
    """As editors save: same size, and even the same time."""
    file, new = tmp_path / "s.ini", tmp_path / "s.new"
    for each in (file, new):
        each.write_text(TEXT)
        os.utime(each, (1, 1))
    source = Source(str(file))
    new.replace(file)
    assert saved(source) == [False, True, False]


def test_a_file_that_is_gone_for_a_moment(tmp_path: Path) -> None:
    file, away = tmp_path / "s.ini", tmp_path / "away"
    file.write_text(TEXT)
    source = Source(str(file))
    file.rename(away)
    assert saved(source) == [False] * 3
    away.rename(file)
    assert saved(source) == [False] * 3


@pytest.mark.parametrize("remains", [None, ""])
def test_a_file_that_stays_away_is_told_once(tmp_path: Path, remains: str | None) -> None:
    """The next start would not find it either."""
    file, away = tmp_path / "s.ini", tmp_path / "away"
    file.write_text(TEXT)
    source = Source(str(file))
    file.rename(away)
    if remains is not None:
        file.write_text(remains)
    assert [source.saved() for _ in range(20)].count(True) == 1 and source.whole()
    with pytest.raises(SettingsError):
        source.read()
    away.rename(file)
    assert saved(source).count(True) == 1 and source.read().server.port == 8082


def test_no_other_file_stands_in_for_the_one_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the file beside a one-file program is removed, and /etc has one."""
    file, other = tmp_path / "s.ini", tmp_path / "other.ini"
    file.write_text(TEXT)
    other.write_text(TEXT + "[server]\nport = 1\n")
    monkeypatch.setattr(installation, "settings_file", lambda: file if file.exists() else other)
    source = Source()
    file.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        source.read()


def test_the_working_folder_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a release that is removed, or put in the place of the one before."""
    folder, file = tmp_path / "release", tmp_path / "s.ini"
    folder.mkdir()
    file.write_text(TEXT)
    monkeypatch.chdir(folder)
    given, named = Source(str(file)), Source("../s.ini")
    folder.rmdir()
    for source in (given, named, Source(str(file))):
        assert source.read().server.port == 8082
        file.write_text(TEXT + "# a")
        assert saved(source).count(True) == 1
        file.write_text(TEXT)


def test_a_file_that_is_empty_for_a_moment(tmp_path: Path) -> None:
    """Who writes in place empties it first, and may be held up there."""
    file = tmp_path / "s.ini"
    file.write_text(TEXT)
    source = Source(str(file))
    file.write_text("")
    assert saved(source) == [False] * 3
    file.write_text(TEXT + "# a")
    assert saved(source) == [False, True, False]


@pytest.mark.parametrize("meanwhile", ["", "# half"])
def test_what_is_read_while_the_file_is_written_is_read_again(tmp_path: Path, meanwhile: str) -> None:
    file = tmp_path / "s.ini"
    file.write_text(TEXT)
    source = Source(str(file))
    file.write_text(TEXT + "# a")
    assert saved(source) == [False, True, False] and source.whole()
    file.write_text(meanwhile)
    assert not source.whole()
    file.write_text(TEXT + "# b")
    assert source.settling and saved(source).count(True) == 1 and source.whole()


def test_a_file_that_is_gone_while_it_is_read_is_read_when_it_is_back(tmp_path: Path) -> None:
    file, away = tmp_path / "s.ini", tmp_path / "away"
    file.write_text(TEXT)
    source = Source(str(file))
    file.rename(away)
    assert not source.whole()
    away.rename(file)
    assert saved(source).count(True) == 1


def test_what_is_saved_before_the_first_reading_is_no_change(tmp_path: Path) -> None:
    file = tmp_path / "s.ini"
    file.write_text(TEXT)
    environ = {"PORT": "1"}
    source = Source(str(file), ["server.port=${PORT}"], environ)
    assert source.read().server.port == 1
    environ["PORT"] = "2"
    assert source.read().server.port == 2 and not source.saved()


# ---------------------------------------------------------------------------------- credentials, and the count


def test_a_credential_of_systemds(tmp_path: Path) -> None:
    (tmp_path / "groq.key").write_text("gsk-from-systemd\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    text = TEXT.replace("api_key = a-very-secret-key", "api_key = cred:groq.key")
    settings = read(text, environ=environ)
    assert settings.upstreams["a"].api_key == "gsk-from-systemd"
    assert "gsk-from-systemd" not in "\n".join(settings.describe())


@pytest.mark.parametrize(
    ("name", "environ", "words"),
    [
        ("there", {}, "$CREDENTIALS_DIRECTORY is not set"),
        ("../there", {"CREDENTIALS_DIRECTORY": "/tmp"}, "without a path"),
        ("", {"CREDENTIALS_DIRECTORY": "/tmp"}, "without a path"),
        ("not-there", {"CREDENTIALS_DIRECTORY": "/nowhere"}, "cannot read /nowhere/not-there"),
    ],
)
def test_credentials_that_are_none(name: str, environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as faults:
        read(TEXT.replace("a-very-secret-key", f"cred:{name}"), environ=environ)
    assert words in str(faults.value)


def test_workers_are_a_number_or_auto() -> None:
    cpus = len(os.sched_getaffinity(0))
    assert take(("port = 8082", "workers = auto")).server.workers == min(64, cpus)
    assert take(("port = 8082", "workers = 3")).server.workers == 3
    for wrong in ("0", "65", "many", "-1"):
        with pytest.raises(SettingsError, match="auto or a whole number"):
            take(("port = 8082", f"workers = {wrong}"))
