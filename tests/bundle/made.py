"""A one file made of the packages that are installed here, and how to start it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bundle import archive, build, contents, wheels

PYTHON = (sys.version_info.major, sys.version_info.minor)


def installed() -> list[wheels.Wheel]:
    """In the place of wheels from an index."""
    found = []
    for pin in contents.pins():
        if not pin.is_for(PYTHON):
            continue
        package = importlib.metadata.distribution(pin.name)
        files = {}
        for each in package.files or ():
            name = each.as_posix()
            if not name.startswith("..") and not wheels.LEFT_OUT.search(name):
                files[name] = Path(str(package.locate_file(each))).read_bytes()
        metadata = package.metadata
        found.append(wheels.Wheel(pin.name, pin.version, Path(pin.name), metadata, files, {}, (0, 0)))  # type: ignore[arg-type]
    return found


def one_file(path: Path, commit: str = "abc") -> Path:
    here = f"{sys.platform}-{platform.machine()}"
    archive.write(path, build.one_file(installed(), PYTHON, here, commit, b"{}"), first=b"#!/usr/bin/env python3\n")
    return path


def run(file: Path, *words: str, home: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-I", str(file), *words], env=environ, capture_output=True, text=True, timeout=60
    )


@contextmanager
def started(
    file: Path, *words: str, home: Path, prefix: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """(process, its address, what it said)."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    process = subprocess.Popen(
        [*prefix, sys.executable, "-I", str(file), "--port", "0", *words],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    try:
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            said += line
        found = re.search(r"http://\S+", said)
        assert found
        yield process, found.group(), said
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
