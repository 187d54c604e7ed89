"""Keeps what the fault tests saw, and says it as tables at the end of a run that had any of them."""

from __future__ import annotations

from tests.faults import book
from tests.support import remarks

remarks.sources.append(book.lines)
