"""./run.sh bundle: makes dist/NAME.pyz, the program as one file, and dist/NAME.zip, whose run.sh needs no network.

It also writes the SHA-256 of each and the list of its parts (SBOM). The same source tree gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bundle import archive, contents, sbom, wheels
from bundle.contents import ROOT
from operate.version import VERSION

PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
SHEBANG = "#!/usr/bin/env python{}.{}\n"
EX_UNAVAILABLE = 69


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    major, minor = options.python.split(".")
    python = (int(major), int(minor))
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        found = wheels.fetch(contents.pins(options.extras), python, options.platform, out / ".wheels")
    except wheels.Unavailable as why:
        print(f"bundle: {why.args[0]}", file=sys.stderr)
        return EX_UNAVAILABLE
    label = contents.label(options.extras)
    stem = contents.stem(python, options.platform, label)
    commit = contents.commit()
    parts = sbom.made_of(found, commit, options.platform)
    one, folder = out / f"{stem}.pyz", out / f"{stem}.zip"
    archive.write(
        one, one_file(found, python, options.platform, commit, parts, label), first=SHEBANG.format(*python).encode()
    )
    scripts = frozenset(f"anthropic-proxy-{VERSION}/{name}" for name in ("run.sh", "deploy/install.sh"))
    archive.write(folder, offline_folder(found, commit, parts, options.extras), executable=scripts)
    (out / f"{stem}.cdx.json").write_bytes(parts)
    for made in (one, folder):
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        made.with_name(f"{made.name}.sha256").write_text(f"{digest}  {made.name}\n")
        print(f"{made}  {made.stat().st_size / 1e6:.1f} MB  sha256 {digest}")
    return 0


def one_file(
    found: Sequence[wheels.Wheel],
    python: tuple[int, int],
    platform: str,
    commit: str,
    parts: bytes,
    label: str = VERSION,
) -> dict[str, bytes]:
    """The contents of the one file: bytes by name."""
    unpacked = {f"program/{name}": data for name, data in contents.program().items()}
    for wheel in found:
        unpacked |= {f"packages/{name}": data for name, data in wheel.files.items()}
    facts = {"version": label, "commit": commit, "python": list(python), "platform": platform}
    unpacked["program/build.json"] = _json(facts)
    facts["glibc"] = list(max((wheel.glibc for wheel in found), default=(0, 0)))
    facts["files"] = {name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in sorted(unpacked.items())}
    launcher = (ROOT / "bundle" / "launcher.py").read_bytes()
    return unpacked | {"__main__.py": launcher, "build.json": _json(facts), "sbom.cdx.json": parts} | _licenses(found)


def offline_folder(
    found: Sequence[wheels.Wheel], commit: str, parts: bytes, extras: Sequence[str] = ()
) -> dict[str, bytes]:
    """The contents of the zip, bytes by name: the program as in a checkout, and the wheels that run.sh installs."""
    files = contents.program() | contents.source_only()
    files |= {f"extras/{name}.txt": (ROOT / f"extras/{name}.txt").read_bytes() for name in extras}
    files |= {f"wheels/{wheel.path.name}": wheel.path.read_bytes() for wheel in found}
    files |= {"build.json": _json({"version": VERSION, "commit": commit}), "sbom.cdx.json": parts} | _licenses(found)
    return {f"anthropic-proxy-{VERSION}/{name}": data for name, data in files.items()}


def _licenses(found: Sequence[wheels.Wheel]) -> dict[str, bytes]:
    own = {"licenses/anthropic-proxy/LICENSE": (ROOT / "LICENSE").read_bytes()}
    own["licenses/uplot/LICENSE.txt"] = (ROOT / "console/dashboard/web/uplot/LICENSE.txt").read_bytes()
    return own | {f"licenses/{wheel.name}/{name}": text for wheel in found for name, text in wheel.licenses.items()}


def _json(facts: object) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode("ascii")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    here = ".".join(map(str, sys.version_info[:2]))
    parser = argparse.ArgumentParser(prog="./run.sh bundle", description=(__doc__ or "").split("\n\n")[0])
    pythons = [".".join(map(str, each)) for each in PYTHONS]
    parser.add_argument("--python", choices=pythons, default=here, help="the version it is for (default: %(default)s)")
    parser.add_argument(
        "--platform",
        choices=list(wheels.PLATFORMS),
        default=_machine(),
        help="and for which machines (default: %(default)s)",
    )
    parser.add_argument(
        "--with", dest="extras", action="append", default=[], choices=contents.extras(), metavar="EXTRA",
        help=f"put optional requirements in, too: {', '.join(contents.extras())} (may be given again)",
    )  # fmt: skip
    parser.add_argument(
        "--out", default=str(ROOT / "dist"), metavar="FOLDER", help="where the files go (default: dist)"
    )
    return parser.parse_args(argv)


def _machine() -> str:
    import platform

    return f"{sys.platform}-{platform.machine()}"


if __name__ == "__main__":
    sys.exit(main())
