"""What becomes of each field of a request when it crosses: how to read the tables in the protocols' packages
(ledger.py).

Names are those of the official SDKs' parameter types. A top-level field has no prefix; others have role:, block: (a
content block), call:, item: (of Responses' input) or tool: before them. A cell says one of four things:

    = WHERE  mapped: the upstream gets it in its own words; what is lost on the way is named
    ~        carried: under the same name, with the same value
    - WHY    dropped, and reported in x-proxy-dropped; why the request is still worth sending
    ! WHY    refused with a 400 that names it: without it the request would mean something else

An empty or missing cell says what the first one says. These are data only: the code is in the protocols' packages. A
test compares each row with that code and with the SDKs, so that a new field of an SDK shows up as a missing row.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Fate = Literal["mapped", "carried", "dropped", "refused"]

FATES: dict[str, Fate] = {"=": "mapped", "~": "carried", "-": "dropped", "!": "refused"}


class LedgerRow(Struct, frozen=True):
    """note: where to (mapped), why it is harmless (dropped), why not (refused), "" (carried)."""

    fate: Fate
    note: str


class Table:
    """What becomes of each field of one protocol's clients. protocol: its name. text: a head with the names of
    upstreams' protocols, and a line for each row. An upstream whose protocol the head does not name counts as the first
    one."""

    __slots__ = ("_protocol", "_rows", "_text")

    def __init__(self, protocol: str, text: str) -> None:
        self._protocol = protocol
        self._text = text
        self._rows: dict[str, dict[str, LedgerRow]] = {}

    def __repr__(self) -> str:
        return f"<Table of {self._protocol or 'nobody'}>"

    @property
    def text(self) -> str:
        return self._text

    def rows(self, upstream: str) -> dict[str, LedgerRow]:
        """Returns name -> its row, for a crossing to `upstream`, in the order of the table. Within one protocol all is
        carried."""
        found = self._rows.get(upstream)
        if found is None:
            found = self._rows[upstream] = self._read(upstream)
        return found

    def _read(self, upstream: str) -> dict[str, LedgerRow]:
        head, *lines = self._text.strip().splitlines()
        if self._protocol == upstream:
            return {name: LedgerRow("carried", "") for line in lines for name in _cells(line)[0].split()}
        named = _cells(head)
        column = named.index(upstream) if upstream in named else 1
        found: dict[str, LedgerRow] = {}
        for line in lines:
            cells = _cells(line)
            cell = (cells[column] if column < len(cells) else "") or cells[1]
            for name in cells[0].split():
                found[name] = LedgerRow(FATES[cell[0]], cell[1:].strip())
        return found

    def is_dropped(self, upstream: str, kind: str) -> bool:
        """Tells whether a block or an item of this type is known to stay behind."""
        found = self.rows(upstream)
        row = found.get(f"block:{kind}") or found.get(f"item:{kind}")
        return row is not None and row.fate == "dropped"

    def why(self, upstream: str, dropped: str) -> str:
        """Returns the reason for a name as it stands in x-proxy-dropped ("top_k", "tools.TYPE", "thinking.display", a
        block's or an item's type); "" where there is no row for it."""
        known = self.rows(upstream)
        section, _, inner = dropped.partition(".")
        names = [dropped, f"tool:{inner}" if section == "tools" else f"block:{dropped}", f"item:{dropped}"]
        names += [f"block:{inner}", f"item:{inner}"] if inner else []
        return next((known[name].note for name in names if name in known and known[name].fate == "dropped"), "")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]
