"""Says, after a run, how much of the recorded traffic crosses without a loss, and what is lost of the rest."""

from __future__ import annotations

import pytest

from tests.conftest import GOLDEN
from tests.support import remarks
from tests.support.shares import Book

_BOOK = Book(GOLDEN / "corpus.json")
remarks.sources.append(_BOOK.lines)


@pytest.fixture(scope="session")
def book(update: bool) -> Book:
    """The lossless shares that are kept, and those of this run."""
    _BOOK.update = update
    return _BOOK
