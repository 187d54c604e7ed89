"""Prints, after a run, how many recorded exchanges crossed and what was lost on the way."""

from __future__ import annotations

from tests.support.corpus import LOG


def pytest_terminal_summary(terminalreporter: object) -> None:
    for line in LOG.lines():
        terminalreporter.write_line(line)  # type: ignore[attr-defined]
