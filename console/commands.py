"""The table of commands: the words that may come first on the command line, in each form of the program.

./run.sh, the one file and the installed `anthropic-proxy` pass their words to proxy.py, which looks them up here. A new
command needs only a row. The commands in DEVELOPERS need a checkout and its tools; run.sh runs them itself.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import TextIO

from msgspec import Struct

from operate import installation


class Command(Struct, frozen=True):
    """A row. arguments, line: for the list of commands. module: has the function `entry`, which takes the words that
    follow and returns the exit code; "" = proxy.py or this file does it."""

    arguments: str
    line: str
    module: str = ""
    entry: str = "main"


COMMANDS = {
    "start": Command("[options]", "start the proxy; the word may be left out"),
    "doctor": Command("[UPSTREAM]", "try what an upstream can do, and say which settings fit it", "console.doctor.command"),  # noqa: E501
    "stats": Command("[options]", "what the running proxy does, live in this terminal", "console.stats"),
    "usage": Command("[options]", "who spent what, by day, client, model or session", "console.usage"),
    "claude": Command("[...]", "Claude Code against this proxy, started if need be", "console.launch", "claude"),
    "codex": Command("[...]", "Codex likewise", "console.launch", "codex"),
    "key": Command("NAME", "make a key for a client, and the line of settings.ini that lets it in", "console.key"),
    "conformance": Command("URL [options]", "which protocols a server speaks, and how well: a table", "conformance.command"),  # noqa: E501
    "bench": Command("[URL] [options]", "what the proxy costs, beside going direct: tables and a picture", "bench.command"),  # noqa: E501
    "init": Command("[FILE]", "write a settings.ini of your own", "console.init"),
    "help": Command("", "this list"),
}  # fmt: skip

DEVELOPERS = {
    "test": Command("[options of pytest]", "the whole test suite"),
    "chaos": Command("[--minutes N]", "ten minutes of random faults: three upstreams, fifty clients"),
    "fuzz": Command("[--runs N] [--target NAME]", "bytes that nobody would send, for every reader there is"),
    "check": Command("", "ruff, mypy --strict, the import borders, the audit of packages"),
    "bundle": Command("[options]", "make dist/: one file that has all inside, and a zip"),
    "install": Command("[FILE.pyz]", "make it a systemd service on this machine, saying each step"),
    "uninstall": Command("[--purge]", "undo that"),
    "test-bundle": Command("", "try the one file in an empty root, offline, as another user, read-only"),
}


def asked(argv: Sequence[str]) -> str:
    """The command that the words begin with; "start" if they begin with an option, or there are none."""
    return "start" if not argv or argv[0].startswith("-") else argv[0]


def run(name: str, argv: Sequence[str]) -> int:
    """Runs a command other than start, and returns its exit code."""
    if name == "help":
        _say(listing())
        return 0
    if name in COMMANDS:
        row = COMMANDS[name]
        code: int = getattr(importlib.import_module(row.module), row.entry)(list(argv))
        return code
    if name in DEVELOPERS:
        _say(f"'{name}' needs a checkout of the source; run ./run.sh {name} there", sys.stderr)
        return 2
    _say(f"there is no command '{name}'; the commands are:\n{listing()}", sys.stderr)
    return 2


def listing() -> str:
    """The list of commands, a line for each."""
    rows = {**COMMANDS, **(DEVELOPERS if installation.command() == "./run.sh" else {})}
    lines = [(f"{installation.command()} {name} {row.arguments}".rstrip(), row.line) for name, row in rows.items()]
    width = max(len(left) for left, _ in lines)
    return "\n".join(f"  {left:<{width}}  {right}" for left, right in lines)


def _say(text: str, to: TextIO | None = None) -> None:
    (to or sys.stdout).write(f"{text}\n")
