"""Bounds the names that the sums of a client have in a day.

Clients choose the names of sessions, agents and, where [models] lets them, models. Each combination is a row of the
usage store, for as long as days are kept: who makes up a new one with each request would fill the disk, and make the
sums of everybody slow to read. Beyond a bound, further ones are added together. No request is lost from the sums.
"""

from __future__ import annotations

from typing import TypeVar

from operate.usage_store import SumKey

Name = TypeVar("Name")

MOST_MODELS = 300  # of one client in a day
MOST_SESSIONS = 10_000  # sessions and agents together, of all models of the client
OTHER = "other"


class Names:
    """Of the present day, of one process. A process that begins anew has seen none."""

    def __init__(self) -> None:
        self._day = ""
        self._models: dict[str, set[str]] = {}  # by client
        self._sessions: dict[str, set[tuple[str, str, str]]] = {}

    def __repr__(self) -> str:
        return f"<Names of {len(self._models)} clients on {self._day}>"

    def bounded(self, key: SumKey) -> SumKey:
        """The key of the sum that a request is added to."""
        if key.day > self._day:
            self._day = key.day
            self._models.clear()
            self._sessions.clear()
        if not _has_room(self._models.setdefault(key.client, set()), key.model, MOST_MODELS):
            key = key._replace(model=OTHER)
        if key.session or key.agent:
            name = key.model, key.session, key.agent
            if not _has_room(self._sessions.setdefault(key.client, set()), name, MOST_SESSIONS):
                key = key._replace(session="", agent="")
        return key


def _has_room(names: set[Name], name: Name, most: int) -> bool:
    """Whether a name is one of so many, and is so from now on."""
    if name not in names:
        if len(names) >= most:
            return False
        names.add(name)
    return True
