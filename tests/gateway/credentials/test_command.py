"""The key that a command prints: what is read of it, how it fails, and what nobody gets to see."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

import pytest

from gateway.credentials import command
from gateway.credentials.minted import AwsKeys, NoKey
from tests.support.waiting import until

KEY = "sk-Abc123Def456Ghi789Jkl"


def script(folder: Path, text: str) -> list[str]:
    file = folder / "helper.sh"
    file.write_text(text)
    return ["/bin/sh", str(file)]


def run(argv: list[str], within_s: float = 5.0) -> str:
    return asyncio.run(command.run(argv, within_s)).key


def test_the_last_line_is_the_key(tmp_path: Path) -> None:
    assert run(script(tmp_path, f"echo 'Welcome!'\necho ' {KEY} '\necho\n")) == KEY


def test_no_shell_reads_the_command() -> None:
    assert run(["printf", "%s", "$HOME;x|y"]) == "$HOME;x|y"


@pytest.mark.parametrize("printed", [f'"{KEY}"', f"'{KEY}'\n", f'\n"{KEY}"\r\n'])
def test_a_key_in_quotes_as_az_prints_one(printed: str) -> None:
    assert command.read(printed).key == KEY


@pytest.mark.parametrize(
    ("printed", "key", "ends"),
    [
        ('{"accessToken": "T", "expires_on": 2000000000, "expiresOn": "2001-01-01 00:00:00.000000"}', "T", 2e9),
        ('{"access_token": "T", "expires_at": "2033-05-18T03:33:20Z"}', "T", 2e9),
        ('{"token": "T", "expiry": 2000000000000}', "T", 2e9),
        ('{"credential": {"id_token": "I", "access_token": "T", "token_expiry": "2033-05-18T03:33:20Z"}}', "T", 2e9),
        ('{"key": "T", "expires_on": "2000000000"}', "T", 2e9),
        ('{"api_key": "T", "expires_at": "tomorrow"}', "T", None),
        ('{"api_key": "T", "expires_in": "NaN", "expiry": 1e999}', "T", None),
    ],
)
def test_json_may_say_when_the_key_ends(printed: str, key: str, ends: float | None) -> None:
    minted = command.read(printed)
    assert (minted.key, minted.expires) == (key, ends)


def test_a_span_begins_now() -> None:
    minted = command.read('{"access_token": "T", "expires_in": 3599}')
    assert minted.expires is not None and abs(minted.expires - time.time() - 3599) < 60


def test_the_keys_of_aws_are_for_signatures() -> None:
    minted = command.read('{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T", '
                          '"Expiration": "2033-05-18T03:33:20+00:00"}')  # fmt: skip
    assert minted.aws == AwsKeys("A", "S", "T") and minted.key == "" and minted.expires == 2e9
    assert minted.secrets == ["S", "T"] and "S" not in repr(minted.aws).replace("AwsKeys", "")


@pytest.mark.parametrize("printed", ["", "\n\n", '{"a": 1}', "{", '{"token": 5}', "two words", "caf\u00e9"])
def test_what_is_no_key_is_no_key(printed: str) -> None:
    with pytest.raises(ValueError, match="prints"):
        command.read(printed)


def test_a_command_that_fails_is_told_in_the_log_and_not_to_clients(tmp_path: Path) -> None:
    told = r"sh ended with status 3: please log in: token=\[secret\] at https://x\.test/login"
    with pytest.raises(NoKey, match=told) as why:
        run(script(tmp_path, f"echo {KEY}\necho please log in: token={KEY} at https://x.test/login >&2\nexit 3\n"))
    assert why.value.public == "its key command ended with status 3" and KEY not in str(why.value)


def test_what_it_says_beside_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway")
    assert run(script(tmp_path, f"echo refreshed {KEY} >&2\necho {KEY}\n")) == KEY
    assert "said: refreshed [secret]" in caplog.text and KEY not in caplog.text


@pytest.mark.parametrize("argv", [["/nonexistent/helper"], ["/etc/passwd"], ["a\0b"]])
def test_a_command_that_cannot_be_run(argv: list[str]) -> None:
    with pytest.raises(NoKey, match="cannot be run"):
        run(argv)


def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"sleep 60 &\necho $! > {pid}\nwait\n"
    with pytest.raises(NoKey, match=r"did not end within 0\.3 s"):
        run(script(tmp_path, text), 0.3)
    until(lambda: not _runs(int(pid.read_text())))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_command_that_prints_without_end_is_ended() -> None:
    with pytest.raises(NoKey, match="prints more than 65536 bytes"):
        run(["yes"])
