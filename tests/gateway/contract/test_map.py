"""README.md in this folder: every row has tests that bear its number, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ROWS = 15


def test_every_row_has_tests() -> None:
    rows = [line.split("|")[1:-1] for line in (HERE / "README.md").read_text().splitlines() if line.startswith("| ")]
    table = {int(row[0]): row for row in rows if row[0].strip().isdigit()}
    assert list(table) == list(range(1, ROWS + 1))
    for number, (_, _, here, elsewhere) in table.items():
        (file,) = re.findall(r"`(test_\w+\.py)`", here)
        tests = re.findall(r"def test_rows?_(\w+)\(", (HERE / file).read_text())
        assert [name for name in tests if f"{number:02}" in name.split("_")[:3]], f"row {number} has no test in {file}"
        others = re.findall(r"`(tests/[\w/]+\.py)`", elsewhere)
        assert others and all((ROOT / other).exists() for other in others), elsewhere
