"""Claude Code and Codex themselves, started against the server for one answer, each in an empty home and folder.

Only with --clients: they send long prompts, and what the server answers may have them call a tool on this machine.
Claude Code may only run `echo` and Codex only what its read-only sandbox lets it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from conformance.case import Case, Outcome, judged
from conformance.speech.base import as_object

WORD = "hello-from-tool"
ASK = f"Run the command  echo {WORD}  and tell me in one sentence what it printed."
PATIENCE_S = 180.0
REQUESTS, TOKENS_IN = 4, 20_000  # of one client: a turn for the tool, one for the answer, and a retry of each


class Told(NamedTuple):
    """What a client says of its turn. tokens: out of the model. called: whether it has run the tool."""

    answer: str = ""
    tokens: int = 0
    called: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """options: its words, made of the case. environment: likewise. told: reads the lines of JSON that it writes."""

    name: str
    binary: str
    protocol: str
    options: Callable[[Case], list[str]]
    environment: Callable[[Case], dict[str, str]]
    told: Callable[[list[dict[str, Any]]], Told]

    def place(self) -> str | None:
        return shutil.which(self.binary)


def speaking(protocol: str) -> Program | None:
    return next((program for program in PROGRAMS if program.protocol == protocol), None)


def the_client_itself(case: Case) -> Outcome:
    program = speaking(case.speech.name)
    if program is None or not case.starts_clients:
        return Outcome("-")
    binary = program.place()
    if binary is None:
        return Outcome("not tried", f"{program.name} is not on the PATH")
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        return _judged(program, *_run(case, program, binary, Path(folder)))


def _run(case: Case, program: Program, binary: str, folder: Path) -> tuple[int | None, str, str]:
    """(exit code, or None where it did not come to an end; its output; the end of what it complained of)."""
    for name in ("home", "work"):
        (folder / name).mkdir()
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder / "home"), "TERM": "dumb"}
    environment |= {name: os.environ[name] for name in ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE") if name in os.environ}
    try:
        done = subprocess.run(
            [binary, *program.options(case)], env=environment | program.environment(case), cwd=folder / "work",
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, "", ""
    return done.returncode, done.stdout, done.stderr


def _judged(program: Program, code: int | None, out: str, complaint: str) -> Outcome:
    if code is None:
        return judged([f"{program.name} did not come to an end within {PATIENCE_S:.0f} s"])
    told = program.told(list(_lines(out)))
    problems = list(told.problems)
    if not problems:
        if code:
            problems = [" ".join(complaint.split())[-200:]]
        elif not told.answer.strip():
            problems = ["ends without an answer"]
        elif not told.tokens:
            problems = ["was told of no tokens"]
    exits = f" (exit code {code})" if code else ""
    words = f"{program.name}, {'with' if told.called else 'without'} a tool call"
    return judged([f"{program.name}{exits}: {problem}" for problem in problems], words)


def _lines(out: str) -> Iterator[dict[str, Any]]:
    for line in out.splitlines():
        if line.startswith("{"):
            try:
                yield as_object(json.loads(line))
            except ValueError:
                continue


def _claude_options(case: Case) -> list[str]:
    return [
        *("-p", ASK, "--model", case.model, "--allowedTools", "Bash(echo:*)", "--output-format", "stream-json"),
        "--verbose",
    ]


def _claude_environment(case: Case) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": case.line.url, "ANTHROPIC_AUTH_TOKEN": case.key or "none", "CLAUDE_CODE_MAX_RETRIES": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1",
        # What it asks beside the answer goes to the same model.
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": case.model,
    }  # fmt: skip


def _claude_told(lines: list[dict[str, Any]]) -> Told:
    nothing: dict[str, Any] = {}
    result = next((line for line in reversed(lines) if line.get("type") == "result"), nothing)
    answer = str(result.get("result") or "")
    if result.get("is_error"):
        return Told(problems=(answer[:200] or str(result.get("subtype") or "an error without words"),))
    called = any(WORD in json.dumps(line) for line in lines if line.get("type") == "user")
    return Told(answer, int(as_object(result.get("usage")).get("output_tokens") or 0), called)


def _codex_options(case: Case) -> list[str]:
    chosen = {
        "model": case.model,
        "model_provider": "asked",
        "model_providers.asked.name": "asked",
        "model_providers.asked.base_url": f"{case.line.url}/v1",
        "model_providers.asked.wire_api": "responses",
        "model_providers.asked.env_key": "ASKED_KEY",
        "model_providers.asked.request_max_retries": 1,
        "model_providers.asked.stream_max_retries": 1,
        "approval_policy": "never",
        "sandbox_mode": "read-only",
        "check_for_update_on_startup": False,
        "analytics.enabled": False,
    }
    options = [word for name, value in chosen.items() for word in ("-c", f"{name}={json.dumps(value)}")]
    return ["exec", *options, "--skip-git-repo-check", "--json", ASK]


def _codex_told(lines: list[dict[str, Any]]) -> Told:
    items = [as_object(line.get("item")) for line in lines if line.get("type") == "item.completed"]
    said = [str(item.get("text") or "") for item in items if item.get("type") == "agent_message"]
    called = any(WORD in str(item.get("aggregated_output")) for item in items)
    ended = [as_object(line.get("usage")) for line in lines if line.get("type") == "turn.completed"]
    failed = [line for line in lines if line.get("type") in ("error", "turn.failed")]
    words = [str(line.get("message") or as_object(line.get("error")).get("message") or "") for line in failed]
    problems = tuple(" ".join(each.split())[:200] for each in dict.fromkeys(words))
    return Told(said[-1] if said else "", int(ended[-1].get("output_tokens") or 0) if ended else 0, called, problems)


PROGRAMS = (
    Program("Claude Code", "claude", "messages", _claude_options, _claude_environment, _claude_told),
    Program("Codex", "codex", "responses", _codex_options, lambda case: {"ASKED_KEY": case.key or "none"}, _codex_told),
)
