"""Where this program lies, and what it reads and writes beside itself.

It comes in three ways: as a checkout, as one file (bundle/) whose parts are unpacked to a cache, and as an installed
package. The settings file and the logs belong beside what a person sees: the checkout's folder, the folder of the one
file, or ~/.anthropic-proxy. Whoever starts the program in one of the latter two ways says so here before anything else.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from operate.version import VERSION

PROGRAM = Path(__file__).resolve().parents[1]
SHIPPED = PROGRAM / "settings.ini"
SYSTEM = Path("/etc/anthropic-proxy/settings.ini")
SHIPPED_NAME = "settings.ini (as shipped)"


class _Start:
    """How the program was started. command: what a person types to start it, as words."""

    home = PROGRAM
    command: tuple[str, ...] = ("./run.sh",)


def started_as(home: Path, command: tuple[str, ...]) -> None:
    _Start.home, _Start.command = home, command


def home() -> Path:
    """Where settings.ini is looked for first, and where relative folders of the settings start."""
    return _Start.home


def command() -> str:
    return shlex.join(_Start.command)


def command_line() -> list[str]:
    """What starts the same program once more, with the same words, from what is on the disk now."""
    return [sys.executable, *sys.orig_argv[1:]]


def settings_file() -> Path:
    """The file in use where none is named."""
    return next((file for file in (home() / "settings.ini", SYSTEM) if file.is_file()), SHIPPED)


def is_shipped(file: Path) -> bool:
    """Whether it is the file that came with the program, where nobody is expected to change it."""
    return file == SHIPPED and home() != PROGRAM


def facts() -> dict[str, Any]:
    """What the build knew: commit, python, platform. Empty in a checkout."""
    try:
        found: dict[str, Any] = json.loads((PROGRAM / "build.json").read_text())
    except OSError:
        return {}
    return found


def commit() -> str:
    """Of the program: as the build knew it, or by git."""
    return facts().get("commit") or _git("rev-parse", "--short=12", "HEAD") or "unknown"


def described() -> str:
    """The line of --version."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"anthropic-proxy {VERSION} (commit {commit()}, {python}, {sys.platform}-{platform.machine()})"


def _git(*words: str) -> str:
    if not (PROGRAM / ".git").exists():
        return ""
    try:
        asked = subprocess.run(["git", "-C", str(PROGRAM), *words], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def why_unwritable(folder: Path) -> str:
    """ "" where files can be made in the folder, which is made if need be; else why not, in words."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        probe.unlink()
    except OSError as why:
        return why.strerror or str(why)
    return ""
