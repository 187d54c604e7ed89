"""What tests have to say at the end of a run, beside their verdicts: tables, shares.

A theme gives `sources` a function that returns its lines. Under pytest-xdist the tests run in other processes, so
tests/conftest.py carries the lines of each of them to the one that prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

sources: list[Callable[[], Iterable[str]]] = []


def lines() -> list[str]:
    """All that this process has to say."""
    return [line for source in sources for line in source()]
