"""Fair shares: each client leaves some of the slots and of the queue to the others.

What counts are the requests of each client, over all upstreams and at each one. If there is only one client, or clients
cannot be told apart, everything is its share.
"""

from __future__ import annotations

from collections import Counter


def share(slots: int) -> int:
    """Returns the most that one of several clients may have of so many: four fifths, and never all if there are two or
    more."""
    return max(1, slots - max(1, slots // 5))


class Shares:
    """Counts who has how many. several: there are several [client]s."""

    __slots__ = ("_busy", "_waiting", "several")

    def __init__(self) -> None:
        self.several = False
        self._busy: Counter[tuple[str, str]] = Counter()  # of (client, upstream), and of (client, "") over all
        self._waiting: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Shares {dict(self._busy)}>"

    def may_take(self, client: str, gate: str, slots: int, all_slots: int) -> bool:
        """Returns whether one more slot of the upstream is within the client's share."""
        if not self.several or not client:
            return True
        return self._busy[client, ""] < share(all_slots) and self._busy[client, gate] < share(slots)

    def may_wait(self, client: str, queue: int) -> bool:
        return not self.several or not client or self._waiting[client] < share(queue)

    def takes(self, client: str, gate: str, more: int = 1) -> None:
        """Counts a slot. more: -1 for a slot that is given back."""
        for key in ((client, ""), (client, gate)):
            self._busy[key] += more
            if not self._busy[key]:
                del self._busy[key]

    def waits(self, client: str, more: int = 1) -> None:
        self._waiting[client] += more
        if not self._waiting[client]:
            del self._waiting[client]
