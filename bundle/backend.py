"""Builds the wheel that `pip install .`, pipx and uvx ask for (PEP 517), without any build package.

The program is in one package, anthropic_proxy (see bundle/installed.py). The dependencies are the pinned ones of
requirements.txt, because the tests run with these.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any

from bundle import archive, contents
from operate.version import VERSION

STEM = f"anthropic_proxy-{VERSION}"
TAG = "py3-none-any"
INFO = f"{STEM}.dist-info"


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: Any = None) -> str:
    files = {f"anthropic_proxy/{name}": data for name, data in contents.program().items()}
    files["anthropic_proxy/__main__.py"] = (contents.ROOT / "bundle" / "installed.py").read_bytes()
    files["anthropic_proxy/__init__.py"] = b'"""See __main__.py."""\n'
    facts = {"version": VERSION, "commit": contents.commit()}
    files["anthropic_proxy/build.json"] = json.dumps(facts).encode()
    project = tomllib.loads((contents.ROOT / "pyproject.toml").read_text())["project"]
    scripts = "".join(f"{name} = {target}\n" for name, target in project["scripts"].items())
    files[f"{INFO}/METADATA"] = _metadata(project).encode()
    files[f"{INFO}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: bundle\nRoot-Is-Purelib: true\nTag: {TAG}\n".encode()
    files[f"{INFO}/entry_points.txt"] = f"[console_scripts]\n{scripts}".encode()
    files[f"{INFO}/licenses/LICENSE"] = (contents.ROOT / "LICENSE").read_bytes()
    rows = [f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in sorted(files.items())]
    files[f"{INFO}/RECORD"] = "".join([*rows, f"{INFO}/RECORD,,\n"]).encode()
    name = f"{STEM}-{TAG}.whl"
    archive.write(Path(wheel_directory) / name, files)
    return name


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    files = contents.program() | contents.source_only()
    files |= {f"extras/{name}.txt": (contents.ROOT / f"extras/{name}.txt").read_bytes() for name in contents.extras()}
    files |= {f"bundle/{path.name}": path.read_bytes() for path in (contents.ROOT / "bundle").glob("*.py")}
    project = tomllib.loads((contents.ROOT / "pyproject.toml").read_text())["project"]
    files["PKG-INFO"] = _metadata(project).encode()
    name = f"{STEM}.tar.gz"
    with (
        gzip.GzipFile(Path(sdist_directory) / name, "wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path, data in sorted(files.items()):
            info = tarfile.TarInfo(f"{STEM}/{path}")
            info.size, info.mode = len(data), 0o755 if path.endswith(".sh") else 0o644
            tar.addfile(info, io.BytesIO(data))
    return name


def _metadata(project: dict[str, Any]) -> str:
    lines = ["Metadata-Version: 2.4", f"Name: {project['name']}", f"Version: {VERSION}"]
    lines += [f"Summary: {project['description']}", f"License-Expression: {project['license']}"]
    lines += ["License-File: LICENSE", f"Requires-Python: {project['requires-python']}"]
    lines += [_required(pin) for pin in contents.pins()]
    for extra in contents.extras():
        lines.append(f"Provides-Extra: {extra}")
        own = set(contents.pins([extra])) - set(contents.pins())
        lines += sorted(_required(pin, f"extra == '{extra}'") for pin in own)
    readme = (contents.ROOT / project["readme"]).read_text()
    return "\n".join([*lines, "Description-Content-Type: text/markdown", "", readme])


def _required(pin: contents.Pin, condition: str = "") -> str:
    below = f"python_full_version < '{'.'.join(map(str, pin.below))}'" if pin.below else ""
    marker = " and ".join(filter(None, (below, condition)))
    return f"Requires-Dist: {pin.name}=={pin.version}" + (f" ; {marker}" if marker else "")


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
