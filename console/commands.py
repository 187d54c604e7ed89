"""The commands: what may stand first on the command line, whatever the program was started as.

./run.sh, the one file and the installed `anthropic-proxy` hand their words to proxy.py, which looks here. A row is all
that a further command needs. Those below DEVELOPERS work on a checkout, with the tools that it installs, and are
run.sh's own.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple, TextIO

from operate import place


class Command(NamedTuple):
    """module: has the function `entry`, which takes the words that follow and gives the exit code; "" for what this
    file does itself."""

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
    "init": Command("[FILE]", "write a settings.ini of your own", "console.init"),
    "help": Command("", "this list"),
}  # fmt: skip

DEVELOPERS = {
    "test": Command("[options of pytest]", "the whole test suite"),
    "chaos": Command("[--minutes N]", "ten minutes of random faults: three upstreams, fifty clients"),
    "check": Command("", "ruff, mypy --strict, the import borders"),
    "bundle": Command("[--python --platform]", "make dist/: one file that has all inside, and a zip"),
    "install": Command("[FILE.pyz]", "make it a systemd service on this machine, saying each step"),
    "uninstall": Command("[--purge]", "undo that"),
    "test-bundle": Command("", "try the one file in an empty root, offline, as another user, read-only"),
}


def asked(argv: Sequence[str]) -> str:
    """The command that the words begin with; "start" where they begin with an option, or there are none."""
    return "start" if not argv or argv[0].startswith("-") else argv[0]


def run(name: str, argv: Sequence[str]) -> int:
    """A command other than start. The exit code."""
    if name == "help":
        _say(listing())
        return 0
    if name in COMMANDS:
        row = COMMANDS[name]
        code: int = getattr(importlib.import_module(row.module), row.entry)(list(argv))
        return code
    if name in DEVELOPERS:
        _say(f"'{name}' works on a checkout of the source: ./run.sh {name}", sys.stderr)
        return 2
    _say(f"there is no command '{name}'\n{listing()}", sys.stderr)
    return 2


def listing() -> str:
    """A line for each command."""
    rows = {**COMMANDS, **(DEVELOPERS if place.command() == "./run.sh" else {})}
    lines = [(f"{place.command()} {name} {row.arguments}".rstrip(), row.line) for name, row in rows.items()]
    width = max(len(left) for left, _ in lines)
    return "\n".join(f"  {left:<{width}}  {right}" for left, right in lines)


def _say(text: str, to: TextIO | None = None) -> None:
    (to or sys.stdout).write(f"{text}\n")
