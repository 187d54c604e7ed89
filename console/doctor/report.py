"""The output of the doctor: lines for a person as they come, or one JSON object at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from console.doctor.findings import Finding
from operate.logs.redaction import Redaction


class Report:
    """Prints everything, with secrets masked by `known`, because an upstream may repeat a key."""

    def __init__(self, known: Redaction, remarks: Iterable[str], *, as_json: bool) -> None:
        self._known = known
        self._as_json = as_json
        self._whole: dict[str, Any] = {"remarks": list(remarks), "upstreams": []}
        for remark in self._whole["remarks"]:
            self.say(remark)
        self.say()

    def __repr__(self) -> str:
        return f"<Report on {len(self._whole['upstreams'])} upstreams>"

    def say(self, line: str = "") -> None:
        if not self._as_json:
            print(self._known.text(line), flush=True)

    def end(self) -> None:
        if self._as_json:
            print(self._known.text(json.dumps(self._whole, indent=2)), flush=True)

    # ------------------------------------------------------------------------------------ one upstream

    def begins(self, name: str, base_url: str, protocols: Sequence[str]) -> None:
        """Begins the part about an upstream."""
        named = {"name": name, "base_url": base_url, "protocols": list(protocols)}
        self._whole["upstreams"].append(named | {"verdict": "", "findings": [], "settings": []})

    def found(self, finding: Finding, protocol: str) -> None:
        """Adds a finding. protocol: in which the upstream was asked, "" = it does not matter."""
        said = {"protocol": protocol, "what": finding.what, "mark": finding.mark, "words": finding.words}
        self._now["findings"].append(said)

    def advises(self, line: str) -> None:
        """Adds a line of settings.ini."""
        self._now["settings"].append(line)

    def concludes(self, verdict: str) -> None:
        """Ends the part about an upstream. verdict: usable, unusable or untried."""
        self._now["verdict"] = verdict

    @property
    def _now(self) -> dict[str, Any]:
        latest: dict[str, Any] = self._whole["upstreams"][-1]
        return latest
