"""The list of the parts (SBOM) as CycloneDX 1.6 JSON: the packages, the native libraries in their wheels, the
licences."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Sequence
from typing import Any

from bundle.contents import ROOT
from bundle.wheels import Wheel
from operate.version import VERSION

_LIBRARY = re.compile(r"(?P<name>lib[\w+]+?)(-[0-9a-f]{8})?\.so(\.(?P<soname>[\d.]+))?$")


def made_of(wheels: Sequence[Wheel], commit: str, platform: str) -> bytes:
    """The serial number follows from the contents, so that the same parts give the same bytes."""
    page = _page_library()
    components = [part for wheel in wheels for part in (_package(wheel), *_libraries(wheel))] + [page]
    own = {
        "type": "application",
        "bom-ref": "anthropic-proxy",
        "name": "anthropic-proxy",
        "version": VERSION,
        "licenses": [{"license": {"id": "MIT"}}],
        "properties": [{"name": "commit", "value": commit}, {"name": "platform", "value": platform}],
    }
    depends = [{"ref": "anthropic-proxy", "dependsOn": [*map(_ref, wheels), page["bom-ref"]]}]
    depends += [{"ref": _ref(wheel), "dependsOn": [part["bom-ref"] for part in _libraries(wheel)]} for wheel in wheels]
    body = {"metadata": {"component": own}, "components": components, "dependencies": depends}
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return json.dumps(head | body, indent=1).encode() + b"\n"


def _ref(wheel: Wheel) -> str:
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', wheel.name).lower()}@{wheel.version}"


def _package(wheel: Wheel) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": _ref(wheel),
        "name": wheel.name,
        "version": wheel.version,
        "purl": _ref(wheel),
        "description": str(wheel.metadata.get("Summary") or ""),
        "licenses": _licenses(wheel),
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(wheel.path.read_bytes()).hexdigest()}],
    }


def _page_library() -> dict[str, Any]:
    """What draws the charts of the dashboard: it is in the source tree, unchanged."""
    folder = ROOT / "console" / "dashboard" / "web" / "uplot"
    said = re.match(r"uPlot ([\d.]+), MIT licence", (folder / "SOURCE.txt").read_text())
    assert said is not None
    purl = f"pkg:npm/uplot@{said[1]}"
    digest = hashlib.sha256((folder / "uPlot.iife.min.js").read_bytes()).hexdigest()
    return {
        "type": "library",
        "bom-ref": purl,
        "name": "uplot",
        "version": said[1],
        "purl": purl,
        "licenses": [{"license": {"id": "MIT"}}],
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }


def _licenses(wheel: Wheel) -> list[dict[str, Any]]:
    if expression := wheel.metadata.get("License-Expression"):
        return [{"expression": str(expression)}]
    if name := wheel.metadata.get("License"):
        return [{"license": {"name": str(name).splitlines()[0]}}]
    classified = [str(one) for one in wheel.metadata.get_all("Classifier", []) if str(one).startswith("License ::")]
    return [{"license": {"name": one.rpartition(":: ")[2]}} for one in classified]


def _libraries(wheel: Wheel) -> list[dict[str, Any]]:
    """The shared libraries in a wheel besides its own module. Only their soname is known."""
    found = []
    for path, data in sorted(wheel.files.items()):
        folder, _, file = path.rpartition("/")
        if folder.endswith(".libs") and (match := _LIBRARY.match(file)):
            part: dict[str, Any] = {"type": "library", "bom-ref": f"{_ref(wheel)}#{file}", "name": match["name"]}
            part["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}]
            part["properties"] = [{"name": "file", "value": path}, {"name": "soname", "value": match["soname"] or ""}]
            found.append(part)
    return found
