"""Gets the wheels of requirements.txt, also for another Python or machine than this one.

pip downloads them and checks the pinned hashes. Markers are resolved here, because pip would resolve them for the
Python that runs it. The bundle has the files that a wheel installs, without tests and the records of the installer.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bundle.contents import Pin

PLATFORMS = {"linux-x86_64": "x86_64", "linux-aarch64": "aarch64"}
GLIBCS = [(2, minor) for minor in range(5, 37)]  # up to that of Debian 12, the newest that a bundle may need
LEGACY = ("manylinux1", "manylinux2010", "manylinux2014")
LEFT_OUT = re.compile(
    r"(^tornado/test/|/__pycache__/|\.pyi$|\.c$|\.h$|^[^/]+\.dist-info/(RECORD|INSTALLER|REQUESTED)$)"
)
_IS_LICENSE = re.compile(r"\.dist-info/(licenses?/.*|(LICEN[CS]E|COPYING|NOTICE)[^/]*)$", re.IGNORECASE)


class Unavailable(Exception):
    """Says that a wheel cannot be got; args: a message why."""


class Wheel(NamedTuple):
    """A wheel. files: what it installs, bytes by path. licenses: their texts, by name."""

    name: str
    version: str
    path: Path
    metadata: Message
    files: dict[str, bytes]
    licenses: dict[str, bytes]
    glibc: tuple[int, int]


def fetch(pins: Sequence[Pin], python: tuple[int, int], platform: str, folder: Path) -> list[Wheel]:
    """Downloads and reads the wheels. Raises Unavailable."""
    machine = PLATFORMS[platform]
    tags = [f"manylinux_{major}_{minor}_{machine}" for major, minor in reversed(GLIBCS)]
    tags += [f"{old}_{machine}" for old in reversed(LEGACY)]
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for pin in pins:
        if pin.is_for(python):
            found.append(read(_download(pin, python, tags, folder), machine))
    return found


def _download(pin: Pin, python: tuple[int, int], tags: Sequence[str], folder: Path) -> Path:
    dotted = f"{python[0]}.{python[1]}"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        wanted = Path(scratch) / "requirement.txt"
        wanted.write_text(f"{pin.name}=={pin.version} " + " ".join(f"--hash={each}" for each in pin.hashes) + "\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--implementation=cp"]
        command += [f"--python-version={dotted}", f"--dest={scratch}"]
        command += [f"--platform={tag}" for tag in tags] + ["-r", str(wanted)]
        ended = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(scratch).glob("*.whl"))
        if ended.returncode or len(wheels) != 1:
            said = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
            raise Unavailable(f"no wheel of {pin.name} {pin.version} for Python {dotted} was found: {said[-1:]}")
        kept = folder / wheels[0].name
        wheels[0].replace(kept)
        return kept


def read(path: Path, machine: str) -> Wheel:
    with zipfile.ZipFile(path) as opened:
        every = {info.filename: opened.read(info) for info in opened.infolist() if not info.is_dir()}
    info = next(PurePosixPath(name).parent for name in every if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(every[f"{info}/METADATA"].decode())
    licenses = {PurePosixPath(name).name: text for name, text in every.items() if _IS_LICENSE.search(name)}
    files = {_installed(name): data for name, data in every.items() if not LEFT_OUT.search(name)}
    name, version = str(metadata["Name"]), str(metadata["Version"])
    return Wheel(name, version, path, metadata, files, licenses, _glibc(path.name, machine))


def _installed(name: str) -> str:
    """`NAME.data/purelib/x` is installed as `x`."""
    return re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", name)


def _glibc(file: str, machine: str) -> tuple[int, int]:
    """The oldest glibc that the wheel needs, by its tags; (0, 0) if it needs none."""
    old = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
    found = [(int(a), int(b)) for a, b in re.findall(rf"manylinux_(\d+)_(\d+)_{machine}", file)]
    found += [least for tag, least in old.items() if f"{tag}_{machine}" in file]
    return min(found, default=(0, 0))
