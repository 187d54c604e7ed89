"""The kept replies, in the memory of this process: the one that was used longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from gateway.cache.question import Kept


class Entries:
    """bytes: of all that is kept. now: seconds that never go back."""

    def __init__(self, most_bytes: int, now: Callable[[], float]) -> None:
        self._most_bytes = most_bytes
        self._now = now
        self._kept: OrderedDict[bytes, tuple[float, Kept]] = OrderedDict()
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<Entries {len(self._kept)}, {self.bytes} bytes>"

    def __len__(self) -> int:
        return len(self._kept)

    def resize(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._shrink()

    def get(self, key: bytes) -> Kept | None:
        found = self._kept.get(key)
        if found is None:
            return None
        until, kept = found
        if until <= self._now():
            self.forget(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def put(self, key: bytes, kept: Kept, seconds: float) -> None:
        self.forget(key)
        if kept.size > self._most_bytes:
            return
        self._kept[key] = self._now() + seconds, kept
        self.bytes += kept.size
        self._shrink()

    def forget(self, key: bytes) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self.bytes -= found[1].size

    def clear(self) -> None:
        self._kept.clear()
        self.bytes = 0

    def _shrink(self) -> None:
        while self.bytes > self._most_bytes:
            self.forget(next(iter(self._kept)))
