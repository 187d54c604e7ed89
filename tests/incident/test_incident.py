"""The incident in short: what is asked at night is answered by the logs, one line for each question."""

from __future__ import annotations

from pathlib import Path

from tests.incident import judgement, scene
from tests.incident.questions import QUESTIONS
from tests.support import lacking

OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


@lacking.program("jq")
def test_the_logs_answer(tmp_path: Path) -> None:
    assert judgement.wrong(scene.play(tmp_path, times=1, slow_s=1.1)) == []


def test_the_page_has_each_line() -> None:
    text = " ".join(OPERATIONS.read_text().split())
    assert [question.words for question in QUESTIONS if " ".join(question.line.split()) not in text] == []
