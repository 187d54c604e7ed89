"""The kit against this proxy: in front of its own demo, in each crossing, it finds nothing."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conformance import command
from tests.support.house import House

KEY = "sk-conformance-0123456789"
SETTINGS = f"""
[upstream demo]
protocol = {{}}
base_url = demo:
[upstream other]
protocol = chat
base_url = http://127.0.0.1:9
[models]
demo* = demo
[client one]
key = {KEY}
"""
KEPT = {"messages": "ok", "chat": "ok", "responses": "not served"}  # the demo keeps no responses; the proxy does


@pytest.mark.parametrize("upstream", KEPT)
def test_nothing_is_found_in_any_crossing(upstream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = tmp_path / "found.json", tmp_path / "found.svg"
    with House(SETTINGS.format(upstream)) as house:
        words = [house.url, "--key", KEY, "--model", "demo", "--yes", "--json", str(files[0]), "--badge", str(files[1])]
        code = command.main(words)
    said = capsys.readouterr().out
    assert code == command.CLEAN, said
    assert "At most" in said and " 0 faults" in said and KEY not in said + files[0].read_text()
    found = json.loads(files[0].read_text())
    verdicts = {(each["protocol"], each["kind"]): each["verdict"] for each in found["results"]}
    assert verdicts["responses", "stored responses"] == KEPT[upstream]
    assert {*verdicts.values()} <= {"ok", "not served"} and len(verdicts) > 80
    assert found["types"]["anthropic"] and found["types"]["openresponses-types"] and found["requests"] > 80
    drawn = ElementTree.fromstring(files[1].read_text())
    assert drawn.tag.endswith("svg") and "messages, chat, responses, gemini" in files[1].read_text()
