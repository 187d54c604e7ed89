"""Makes zip files whose bytes depend only on their contents, not on clock, owner or order of files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can have


def write(path: Path, files: Mapping[str, bytes], executable: frozenset[str] = frozenset(), first: bytes = b"") -> None:
    """Writes a zip file, whole or not at all. files: the bytes of each, by name. first: bytes before the zip, such as a
    line for the shell."""
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
