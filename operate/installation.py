"""Where the program is installed, where its settings and logs are, and how a person starts it.

The program comes in three forms: as a checkout, as one file (bundle/) that unpacks itself to a cache, and as an
installed package. The settings file and the logs are in the folder of the checkout, in the folder of the one file, or
in ~/.anthropic-proxy. The launchers of the last two forms call `started_as` before anything else.
"""

from __future__ import annotations

import contextlib
import functools
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


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


class _Start:
    """How the program was started. command: the words that a person types to start it. folder: where that was."""

    home = PROGRAM
    folder = _working_folder()
    command: tuple[str, ...] = ("./run.sh",)


def started_as(home: Path, command: tuple[str, ...]) -> None:
    """Sets what home() and command() return."""
    _Start.home, _Start.command = home, command


def home() -> Path:
    """The folder where settings.ini is looked for first, and where relative paths of the settings start."""
    return _Start.home


def command() -> str:
    """The words that a person types to start the program, for messages."""
    return shlex.join(_Start.command)


def command_line() -> list[str]:
    """The command line that starts the program again with the same options, from the files that are on the disk now."""
    return [sys.executable, *sys.orig_argv[1:]]


def folder() -> str | None:
    """The folder for command_line(), whose paths may be relative: the folder that is there now, at the path where the
    program was started; the first one may have been removed, moved or replaced since. None: the process's own, as there
    is none."""
    return _Start.folder if os.path.isdir(_Start.folder) and os.access(_Start.folder, os.X_OK) else None


def settings_file() -> Path:
    """The settings file that is used if none is named."""
    return next((file for file in (home() / "settings.ini", SYSTEM) if file.is_file()), SHIPPED)


def is_shipped(file: Path) -> bool:
    """Whether this is the settings file inside of an unpacked or installed program, which no user edits."""
    return file == SHIPPED and home() != PROGRAM


def facts() -> dict[str, Any]:
    """The facts that the build has recorded: commit, python and platform. Empty in a checkout."""
    try:
        found: dict[str, Any] = json.loads((PROGRAM / "build.json").read_text())
    except OSError:
        return {}
    return found


@functools.cache
def commit() -> str:
    """The program's commit: as the build has recorded it, else as git says, else "unknown". Asking git takes some
    milliseconds; proxy.py does so before anything is served and before workers are forked."""
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


def why_unwritable(folder: Path, *, keep: bool = True) -> str:
    """Why no file can be made in the folder; "" if one can. The folder is made if it does not exist, and goes again
    without keep."""
    missing = [] if keep else [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        probe.unlink()
    except OSError as why:
        return why.strerror or str(why)
    finally:
        for each in missing:
            with contextlib.suppress(OSError):
                each.rmdir()
    return ""
