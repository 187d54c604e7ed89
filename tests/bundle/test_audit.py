"""What is known against the packages: asked, told, and said where nobody can be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle import audit
from tests.support.script import Answer, Upstream

TEXT = """# a comment
tornado==6.5.2 \\
    --hash=sha256:00
pycurl==7.45.7 ; python_version < '4' \\
    --hash=sha256:11
"""
NAMES = [("tornado", "6.5.2"), ("pycurl", "7.45.7")]


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    file = tmp_path / "requirements.txt"
    file.write_text(TEXT)
    return file


@pytest.mark.parametrize(("vulns", "code"), [([], 0), ([{"id": "PYSEC-1"}, {"id": "GHSA-2"}], 1)])
def test_what_is_known_is_told(
    requirements: Path, capsys: pytest.CaptureFixture[str], vulns: list[dict[str, str]], code: int
) -> None:
    with Upstream([Answer.json({"results": [{"vulns": vulns} if vulns else {}, {}]})]) as up:
        assert audit.main(requirements, up.url) == code
        asked = up.requests[0].json["queries"]
    assert [(each["package"]["name"], each["version"]) for each in asked] == NAMES
    said = capsys.readouterr().out
    assert said.startswith("tornado 6.5.2: PYSEC-1, GHSA-2\n" if vulns else "2 packages; ")


@pytest.mark.parametrize("answer", [Answer.drop(), Answer.json({}, 500), Answer.json({"results": []})])
def test_where_nobody_can_be_asked_it_says_so(
    requirements: Path, capsys: pytest.CaptureFixture[str], answer: Answer
) -> None:
    with Upstream([answer] * 3) as up:
        assert audit.main(requirements, up.url) == 0
    assert capsys.readouterr().out.startswith("not audited: ")


def test_every_package_of_ours_is_asked_for() -> None:
    named = dict(audit.pinned(audit.REQUIREMENTS.read_text()))
    assert {"tornado", "pycurl", "ujson"} <= named.keys()
