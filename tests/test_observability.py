"""The alert rules and the Grafana board in deploy/ ask for what /metrics has, and promtool can read them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from operate.metric_families import FAMILIES
from tests.support import lacking
from tests.test_proxy import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
BOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
OURS = re.compile(r"\b((?:proxy|gen_ai|process)_\w+)(?:\{([^}]*)\})?")
BY = re.compile(r"by \(([^)]*)\)")
LABELS = {label for family in FAMILIES.values() for label in family.labels}
ALWAYS = {"instance", "job", "worker", "le"}


def expressions() -> list[str]:
    board: Any = json.loads(BOARD.read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = (PROMETHEUS / "alerts.yml").read_text()
    found += re.findall(r"expr: (?!\|)(.*)", rules)
    found += [" ".join(block.split()) for block in re.findall(r"expr: \|\n((?: {10,}.*\n)+)", rules)]
    return found


def test_every_name_and_label_is_one_that_metrics_has() -> None:
    asked = expressions()
    assert len(asked) > 25
    for expression in asked:
        names = [each for each in OURS.findall(expression) if each[0] not in LABELS]
        labels: set[str] = set()
        for name, chosen in names:
            family = FAMILIES.get(name) or FAMILIES[name.removesuffix("_bucket")]
            assert not name.endswith("_bucket") or family.kind == "histogram"
            labels |= set(family.labels)
            assert set(re.findall(r"(\w+)\s*(?:=|!)", chosen)) <= labels | ALWAYS, expression
        for by in BY.findall(expression):
            assert not names or {word.strip() for word in by.split(",")} <= labels | ALWAYS, expression


@lacking.program("promtool", "prometheus")
def test_prometheus_reads_them_and_they_fire(tmp_path: Path) -> None:
    for words in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(["promtool", *words], cwd=PROMETHEUS, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    filled = [text.replace("$__rate_interval", "5m").replace("$instance", ".*") for text in expressions()]
    rules = [{"record": f"board:{number}", "expr": text} for number, text in enumerate(filled)]
    file = tmp_path / "board.yml"
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0 and f"{len(rules)} rules found" in done.stdout, done.stdout + done.stderr
