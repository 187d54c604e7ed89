"""The contents of the program for all forms of shipping: its files, its commit and its pinned requirements."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from operate.version import VERSION

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gateway", "translate", "upstream", "operate", "console", "conformance", "demo")
BESIDE = ("proxy.py", "settings.ini", "LICENSE", "requirements.txt")
DATA = {".py", ".json", ".html", ".css", ".js", ".txt", ".typed"}
SOURCE_ONLY = (
    *("run.sh", "README.md", "CHANGELOG.md", "requirements-dev.txt", "pyproject.toml"),
    *("deploy/install.sh", "deploy/anthropic-proxy.service", "deploy/anthropic-proxy.socket"),
)


class Pin(NamedTuple):
    """One requirement. below: it is only for Python versions before this (major, minor)."""

    name: str
    version: str
    hashes: tuple[str, ...]
    below: tuple[int, int] | None = None

    def is_for(self, python: tuple[int, int]) -> bool:
        return self.below is None or python < self.below


def program() -> dict[str, bytes]:
    """All files that run, sorted: bytes by path."""
    names = [*BESIDE]
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix in DATA and "__pycache__" not in path.parts:
                names.append(path.relative_to(ROOT).as_posix())
    return {name: (ROOT / name).read_bytes() for name in sorted(names)}


def pins() -> list[Pin]:
    """The requirements of requirements.txt."""
    text = (ROOT / "requirements.txt").read_text().replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        if match := re.match(r"([\w.-]+)==([\w.]+)\s*(;[^-]*)?", line):
            name, version, marker = match.groups()
            below = re.fullmatch(r";\s*python_full_version < '(\d+)\.(\d+)'\s*", marker) if marker else None
            if marker and not below:
                raise ValueError(f"requirements.txt: a marker that the bundle does not know: {marker.strip()}")
            limit = (int(below[1]), int(below[2])) if below else None
            found.append(Pin(name, version, tuple(re.findall(r"--hash=(\S+)", line)), limit))
    return found


def commit() -> str:
    """The commit of the source tree, with a mark if files have changed since; "unknown" without git."""
    try:
        asked = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
        return subprocess.run(asked, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def stem(python: tuple[int, int], platform: str) -> str:
    return f"anthropic-proxy-{VERSION}-py{python[0]}{python[1]}-{platform}"
