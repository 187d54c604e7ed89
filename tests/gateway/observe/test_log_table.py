"""The table of docs/operations.md of a record's fields names just those that a record has."""

from __future__ import annotations

import json
import re
from pathlib import Path

from gateway.observe import record as record_module
from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Upstream

OPERATIONS = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


def test_the_fields_of_a_record(tmp_path: Path) -> None:
    with Upstream([Answer.json({"error": {"message": "no"}}, 500)]) as up:
        with House(one_upstream(up.url, "chat") + ONCE + "[logging]\ntags = team\n", folder=tmp_path) as house:
            house.post("/v1/chat/completions", {"model": "m", "messages": []}, {"X-Proxy-Tags": "team=core"})
    (record,) = map(json.loads, (tmp_path / "performance.json").read_text().splitlines())
    table = OPERATIONS.read_text().partition("The fields of a record</summary>")[2].partition("</details>")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(told) == len(set(told)) and record.keys() - {"time", "message"} <= set(told)
    source = Path(record_module.__file__).read_text()  # some stand in a record only where there is something to say
    assert [name for name in told if name not in record and f'"{name}"' not in source] == []


def test_the_files(tmp_path: Path) -> None:
    table = OPERATIONS.read_text().partition("## Logs\n")[2].partition("```")[0]
    told = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    assert told == {f"{name}.json" for name in ("performance", "api_requests", "errors", "proxy", "requests")}
