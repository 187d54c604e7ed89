from __future__ import annotations

from collections.abc import Iterator

import pytest

from translate import recurring
from translate.json import wire


@pytest.fixture(autouse=True)
def everything_recurs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Parts of small requests are remembered too; and nobody writes to what others will read."""
    for bound in ("LEAST_BODY", "LEAST_AVERAGE", "LEAST"):
        monkeypatch.setattr(recurring, bound, 0)
    yield
    memory = recurring.MEMORY
    changed = [raw for raw, part in (memory._old | memory._new).items() if wire.loads(raw) != part]
    memory.age()
    memory.age()
    assert changed == []
