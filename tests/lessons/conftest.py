"""One street for all lessons."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lessons.street import Street


@pytest.fixture(scope="session")
def street() -> Iterator[Street]:
    made = Street()
    yield made
    made.close()
