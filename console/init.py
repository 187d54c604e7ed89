"""The command `init`, which writes a settings.ini."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from operate import installation

_DOES = "Writes a settings.ini of your own, as a copy of the shipped one."


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"{installation.command()} init", description=_DOES)
    default = installation.home() / "settings.ini"
    parser.add_argument("file", nargs="?", metavar="FILE", help=f"where to write it (default: {default})")
    file = Path(parser.parse_args(argv).file or default)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Only its owner may read it, since it will hold keys. An existing file is never overwritten.
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
            made.write(installation.SHIPPED.read_bytes())
    except FileExistsError:
        print(f"{file} exists already and was not changed", file=sys.stderr)
        return 1
    except OSError as why:
        print(
            f"{file} cannot be written: {why.strerror}. Choose another place: {installation.command()} init FILE",
            file=sys.stderr,
        )
        return 1
    found = file.resolve() in (default.resolve(), installation.SYSTEM)
    print(f"wrote {file}" + ("" if found else f"; start with --config {file}"))
    return 0
