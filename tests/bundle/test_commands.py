"""One list of commands, told in run.sh and by the program alike."""

from __future__ import annotations

import re
from pathlib import Path

from console import commands

ROOT = Path(__file__).resolve().parents[2]
HEAD = [line[3:].strip() for line in (ROOT / "run.sh").read_text().splitlines() if line.startswith("#   ./run.sh")]


def test_run_sh_lists_what_the_program_has() -> None:
    told = {re.split(r"\s{2,}", line)[0].removeprefix("./run.sh "): re.split(r"\s{2,}", line)[1] for line in HEAD[2:]}
    there = {**commands.COMMANDS, **commands.DEVELOPERS}
    del there["start"]
    assert told == {f"{name} {row.arguments}".strip(): row.line for name, row in there.items()}


def test_each_command_is_there() -> None:
    for row in commands.COMMANDS.values():
        assert not row.module or (ROOT / (row.module.replace(".", "/") + ".py")).exists()
