"""The contents of the program for all forms of shipping: its files, its commit and its pinned requirements."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from operate.version import VERSION

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gateway", "translate", "upstream", "operate", "console", "conformance", "bench", "demo")
BESIDE = ("proxy.py", "settings.ini", "LICENSE", "requirements.txt")
DATA = {".py", ".json", ".html", ".css", ".js", ".txt", ".typed"}
SOURCE_ONLY = ("run.sh", "requirements-dev.txt", "pyproject.toml")
PAPERS = ("README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md")
WITH_ALL = ("docs", "deploy")  # folders that are shipped whole: who has no network reads them, too


_ALWAYS = re.compile(r"(platform_python_implementation|implementation_name) != 'PyPy'")


class Pin(NamedTuple):
    """One requirement. below: it is only for Python versions before this."""

    name: str
    version: str
    hashes: tuple[str, ...]
    below: tuple[int, ...] | None = None

    def is_for(self, python: tuple[int, int]) -> bool:
        """A bundle is for all releases of a minor version, so that what one of them needs is in it."""
        return self.below is None or python < self.below


def program() -> dict[str, bytes]:
    """All files that run, sorted: bytes by path."""
    names = [*BESIDE]
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix in DATA and "__pycache__" not in path.parts:
                names.append(path.relative_to(ROOT).as_posix())
    return {name: (ROOT / name).read_bytes() for name in sorted(names)}


def source_only() -> dict[str, bytes]:
    """What a zip and a source distribution have besides, sorted: bytes by path."""
    found = (path for folder in WITH_ALL for path in (ROOT / folder).rglob("[!.]*") if path.is_file())
    names = [*SOURCE_ONLY, *PAPERS, *(path.relative_to(ROOT).as_posix() for path in found)]
    return {name: (ROOT / name).read_bytes() for name in sorted(names)}


def pins(extras: Sequence[str] = ()) -> list[Pin]:
    """The requirements of requirements.txt, and of these files of extras/; one that several name is there once."""
    files = [ROOT / "requirements.txt", *(ROOT / "extras" / f"{name}.txt" for name in extras)]
    return list({pin.name: pin for file in files for pin in _pins_of(file)}.values())


def extras() -> list[str]:
    """The names of the optional requirements."""
    return sorted(path.stem for path in (ROOT / "extras").glob("*.txt"))


def _pins_of(file: Path) -> Iterator[Pin]:
    for line in file.read_text().replace("\\\n", " ").splitlines():
        if match := re.match(r"([\w.-]+)==([\w.]+)\s*(;[^-]*)?", line):
            name, version, marker = match.groups()
            yield Pin(name, version, tuple(re.findall(r"--hash=(\S+)", line)), _below(marker or "", file.name))


def _below(marker: str, file: str) -> tuple[int, ...] | None:
    """The version that Python must be below for the requirement to hold, by its marker. Only CPython counts here."""
    conditions = [each.strip() for each in marker.strip("; ").split(" and ")]
    found = None
    for condition in conditions:
        if not condition or _ALWAYS.fullmatch(condition):
            continue
        limit = re.fullmatch(r"python_full_version < '([\d.]+)'", condition)
        if not limit:
            raise ValueError(f"{file}: a marker that the bundle does not know: {condition}")
        found = tuple(map(int, limit[1].split(".")))
    return found


def commit() -> str:
    """The commit of the source tree, with a mark if files have changed since; "unknown" without git."""
    try:
        asked = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
        return subprocess.run(asked, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def label(extras: Sequence[str] = ()) -> str:
    """The version, with the optional requirements that are inside."""
    return "+".join([VERSION, *([".".join(sorted(extras))] if extras else [])])


def stem(python: tuple[int, int], platform: str, label: str = VERSION) -> str:
    return f"anthropic-proxy-{label}-py{python[0]}{python[1]}-{platform}"
