"""Asks a public database (osv.dev) whether anything is known against the packages that the proxy runs with.

`./run.sh check` runs it. Names and versions of requirements.txt are all that is sent. 0: nothing is known, or nobody
could be asked, which is said. 1: something is known.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

OSV = "https://api.osv.dev/v1/querybatch"
REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"
PATIENCE_S = 10.0
_PINNED = re.compile(r"(?m)^([A-Za-z0-9._-]+)==([^\s;\\]+)")


def pinned(requirements: str) -> list[tuple[str, str]]:
    """Returns pairs of a name and its version."""
    return _PINNED.findall(requirements)


def known(packages: list[tuple[str, str]], url: str) -> dict[str, list[str]]:
    """Returns the ids of advisories for each "NAME VERSION" that has any. Raises OSError or ValueError where the
    database cannot be asked, or does not answer as it should."""
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in packages]
    body = json.dumps({"queries": queries}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
        results: Any = json.load(reply).get("results")
    if not isinstance(results, list) or len(results) != len(packages):
        raise ValueError("it does not answer for each package")
    told = zip(packages, results, strict=True)
    return {" ".join(package): [each["id"] for each in found["vulns"]] for package, found in told if found.get("vulns")}


def main(requirements: Path = REQUIREMENTS, url: str = OSV) -> int:
    packages = pinned(requirements.read_text())
    try:
        found = known(packages, url)
    except (OSError, ValueError) as why:
        print(f"not audited: {url} cannot be asked: {why}")
        return 0
    for package, ids in found.items():
        print(f"{package}: {', '.join(ids)}")
    print(f"{len(packages)} packages; known faults in {len(found) or 'none'} of them")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
