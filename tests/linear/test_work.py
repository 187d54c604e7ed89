"""The measure itself: it lets what is linear pass, and catches what is not."""

from __future__ import annotations

import pytest

from tests.linear.work import grows_linearly


def test_what_is_linear_passes() -> None:
    grows_linearly(lambda n: list(range(n)), lambda given: [each * 2 for each in given], 50_000)


def test_what_is_quadratic_is_caught() -> None:
    with pytest.raises(AssertionError, match="for 16 times as much"):
        grows_linearly(lambda n: list(range(n)), lambda given: [sum(given[:i]) for i in range(len(given))], 400)
