"""Prints, after a run, how much of the recorded traffic crosses without a loss, and what is lost of the rest."""

from __future__ import annotations

import pytest

from tests.conftest import GOLDEN
from tests.support.shares import Book

_BOOK = Book(GOLDEN / "corpus.json")


@pytest.fixture(scope="session")
def book(update: bool) -> Book:
    """The lossless shares that are kept, and those of this run."""
    _BOOK.update = update
    return _BOOK


def pytest_terminal_summary(terminalreporter: object) -> None:
    for line in _BOOK.lines():
        terminalreporter.write_line(line)  # type: ignore[attr-defined]
