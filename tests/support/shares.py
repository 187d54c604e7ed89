"""How much of the recorded traffic crosses without a loss, by crossing: counted, printed, and kept in a golden file.

`Share` is what one direction of one crossing came to: for each exchange the reasons why it is not lossless. `compared`
sets it against the kept one: an exchange that has a reason it did not have is sinking, one that has lost a reason is
better. Only ids that both know are compared, so that another set of recordings can be run. The file holds no words of
the recordings, ids and reasons alone.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

UNTOLD = "untold"  # how a reason begins that the translator does not own up to
Losses = dict[str, list[str]]
"""Exchange id -> reasons, sorted; none: lossless."""


@dataclass
class Share:
    """name: "requests messages -> chat". kept: what the golden file has, None where it has nothing."""

    name: str
    losses: Losses
    kept: Losses | None = None

    @property
    def lossless(self) -> int:
        return sum(not reasons for reasons in self.losses.values())

    @property
    def percent(self) -> float:
        return 100 * self.lossless / len(self.losses) if self.losses else 100.0

    @property
    def shared(self) -> list[str]:
        return [id for id in self.losses if id in (self.kept or {})]

    @property
    def sunk(self) -> list[str]:
        """What is lost now and was not, in words."""
        return [
            f"{id}: {reason}" for id in self.shared for reason in self.losses[id] if reason not in (self.kept or {})[id]
        ]

    @property
    def untold(self) -> list[str]:
        """What is lost and not said by the translator; of an exchange that the file does not know, it may also be an
        oddity that the readers of requests and replies take wrong."""
        return [f"{id}: {reason}" for id, found in self.losses.items() for reason in found if reason.startswith(UNTOLD)]

    @property
    def better(self) -> list[str]:
        return [
            f"{id}: {reason}" for id in self.shared for reason in (self.kept or {})[id] if reason not in self.losses[id]
        ]

    def line(self, reasons: int = 6) -> str:
        counts = Counter(reason for found in self.losses.values() for reason in found)
        top = ", ".join(f"{reason} {n}" for reason, n in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:reasons])
        more = f", {len(counts) - reasons} more" if len(counts) > reasons else ""
        text = f"{self.name}: {self.lossless} of {len(self.losses)} lossless ({self.percent:.0f} %)"
        return text + (f"; lost: {top}{more}" if top else "")


@dataclass
class Book:
    """The golden file at `path`, and the shares of this run. `update`: they are to be written into it."""

    path: Path
    update: bool = False
    shares: list[Share] = field(default_factory=list)

    def kept(self, name: str) -> Losses | None:
        entry = self._read().get(name)
        return None if entry is None else entry["exchanges"]

    def enter(self, name: str, losses: Losses) -> Share:
        """The share, set against what was kept; kept itself where the file is to be written."""
        share = Share(name, losses, self.kept(name))
        self.shares.append(share)
        if self.update:
            self._write(share)
        return share

    def lines(self) -> list[str]:
        """For the end of a run."""
        out = [share.line() for share in self.shares]
        if out:
            known, all = sum(len(share.shared) for share in self.shares), sum(len(s.losses) for s in self.shares)
            out.append(f"compared with tests/golden/corpus.json: {known} of {all} crossings")
        strange = [what for share in self.shares for what in share.untold]
        if strange:
            out.append(f"lost, and not told: {'; '.join(strange[:3])} ({len(strange)} in all)")
        better = [] if self.update else [what for share in self.shares for what in share.better]
        if better:
            first = "; ".join(better[:3]) + (f" and {len(better) - 3} more" if len(better) > 3 else "")
            out.append(f"fewer losses than tests/golden/corpus.json has: {first}. --update keeps it")
        return out

    def _read(self) -> dict[str, dict[str, Losses]]:
        return json.loads(self.path.read_bytes()) if self.path.exists() else {}

    def _write(self, share: Share) -> None:
        """One exchange a line, so that a change reads well."""
        book = self._read() | {share.name: {"lossless": f"{share.percent:.1f} %", "exchanges": share.losses}}
        out = []
        for name, entry in sorted(book.items()):
            rows = [f"      {json.dumps(id)}: {json.dumps(found)}" for id, found in sorted(entry["exchanges"].items())]
            head = f'  {json.dumps(name)}: {{\n    "lossless": {json.dumps(entry["lossless"])},\n    "exchanges": {{\n'
            out.append(head + ",\n".join(rows) + "\n    }\n  }")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("{\n" + ",\n".join(out) + "\n}\n")
