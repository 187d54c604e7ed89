"""Zip files whose bytes depend on nothing but what is put in: no clock, no owner, no order of a directory."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

WHEN = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can say


def write(path: Path, files: Mapping[str, bytes], executable: frozenset[str] = frozenset(), first: bytes = b"") -> None:
    """files: name -> bytes. first: what comes before the zip file, as a line for the shell. The file is there whole or
    not at all."""
    half = path.with_name(f"{path.name}.part")
    with half.open("wb") as out:
        out.write(first)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
            for name in sorted(files):
                info = zipfile.ZipInfo(name, WHEN)
                info.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else zipfile.ZIP_DEFLATED
                info.create_system = 3
                info.external_attr = (0o100755 if name in executable else 0o100644) << 16
                made.writestr(info, files[name])
    if first:
        half.chmod(0o755)
    half.replace(path)
