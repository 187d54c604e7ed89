"""Claude Code and Codex, started by the kit: here, scripts of their names that behave as these do."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from conformance import command, programs
from conformance.case import Case
from conformance.speech import ALL
from conformance.wire import Line
from tests.conformance.test_own import KEY, SETTINGS
from tests.support.house import House

RESULT = {"type": "result", "is_error": False, "result": "It printed it.", "usage": {"output_tokens": 5}}
RAN = {"type": "user", "message": {"content": [{"type": "tool_result", "content": "hello-from-tool"}]}}
SAID = {"type": "item.completed", "item": {"type": "agent_message", "text": "It printed it."}}
DONE = {"type": "turn.completed", "usage": {"output_tokens": 5}}
EXECUTED = {"type": "item.completed", "item": {"type": "command_execution", "aggregated_output": "hello-from-tool\n"}}
FAILED = {"type": "turn.failed", "error": {"message": "stream\ndisconnected"}}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of one folder beside the system's, without the clients that may be installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def script(path: Path, name: str, *lines: dict[str, Any], code: int = 0, before: str = "") -> None:
    told = "\n".join(json.dumps(line) for line in lines)
    file = path / name
    lines_of_it = ["#!/bin/sh", before, "cat <<'E'", "not JSON", "{broken", told, "E", "echo 'went wrong' >&2"]
    file.write_text("\n".join([*lines_of_it, f"exit {code}\n"]))
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def tried(protocol: str, *, url: str = "http://127.0.0.1:9", starts: bool = True) -> tuple[str, str]:
    speech = next(each for each in ALL if each.name == protocol)
    outcome = programs.the_client_itself(Case(Line(url, 1.0), speech, "m", "sk-x", starts_clients=starts))
    return outcome.verdict, outcome.words


def test_only_where_it_is_asked_for_and_there(path: Path) -> None:
    assert tried("messages", starts=False) == ("-", "") == tried("chat")
    assert tried("messages") == ("not tried", "Claude Code is not on the PATH")
    assert tried("responses") == ("not tried", "Codex is not on the PATH")


@pytest.mark.parametrize(
    ("protocol", "name", "lines", "words"),
    [
        ("messages", "claude", [RAN, RESULT], "Claude Code, with a tool call"),
        ("messages", "claude", [RESULT], "Claude Code, without a tool call"),
        ("responses", "codex", [EXECUTED, SAID, DONE], "Codex, with a tool call"),
        ("responses", "codex", [SAID, DONE], "Codex, without a tool call"),
    ],
)
def test_an_answer(path: Path, protocol: str, name: str, lines: list[dict[str, Any]], words: str) -> None:
    script(path, name, *lines)
    assert tried(protocol) == ("ok", words)


@pytest.mark.parametrize(
    ("protocol", "name", "lines", "code", "words"),
    [
        ("messages", "claude", [RESULT | {"is_error": True, "result": "API Error"}], 1, "(exit code 1): API Error"),
        ("messages", "claude", [RESULT | {"is_error": True, "result": ""}], 0, ": an error without words"),
        ("messages", "claude", [RESULT | {"result": ""}], 0, "ends without an answer"),
        ("messages", "claude", [RESULT | {"usage": {}}], 0, "was told of no tokens"),
        ("messages", "claude", [], 3, "(exit code 3): went wrong"),
        ("responses", "codex", [FAILED], 1, "(exit code 1): stream disconnected"),
        ("responses", "codex", [SAID], 0, "was told of no tokens"),
        ("responses", "codex", [DONE], 0, "ends without an answer"),
    ],
)
def test_a_client_that_fails(
    path: Path, protocol: str, name: str, lines: list[dict[str, Any]], code: int, words: str
) -> None:
    script(path, name, *lines, code=code)
    verdict, told = tried(protocol)
    assert verdict == "fault" and told.endswith(words), told


def test_one_that_never_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "PATIENCE_S", 0.2)
    script(path, "claude", before="exec sleep 30")
    assert tried("messages") == ("fault", "Claude Code did not come to an end within 0 s")


def test_it_gets_the_address_and_the_key_and_nothing_of_the_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-the-user")
    told = path.parent / "environment"
    script(path, "claude", RESULT, before=f'env > {told}; ls -A . "$HOME" >> {told}')
    assert tried("messages")[0] == "ok"
    seen = told.read_text()
    assert "ANTHROPIC_BASE_URL=http://127.0.0.1:9\n" in seen and "ANTHROPIC_AUTH_TOKEN=sk-x\n" in seen
    assert "sk-of-the-user" not in seen and f"HOME={os.environ['HOME']}\n" not in seen


def test_the_command_says_what_it_may_cost_and_starts_them(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script(path, "claude", RAN, RESULT)
    with House(SETTINGS.format("chat")) as house:
        words = [house.url, "--key", KEY, "--model", "demo", "--protocol", "messages", "--yes"]
        command.main(words)
        assert "Claude Code is not started: --clients does." in capsys.readouterr().out
        assert command.main([*words, "--clients"]) == command.CLEAN
    said = capsys.readouterr().out
    assert "Claude Code: at most 4 requests more" in said
    assert [line.split() for line in said.splitlines() if line.startswith("the client itself")] == [
        ["the", "client", "itself", "ok"]
    ]
