"""Keeps what the fault tests saw, and prints it as tables at the end of a run that had any of them."""

from __future__ import annotations

from tests.faults import book


def pytest_terminal_summary(terminalreporter: object) -> None:
    for line in book.lines():
        terminalreporter.write_line(line)  # type: ignore[attr-defined]
