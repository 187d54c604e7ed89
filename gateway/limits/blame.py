"""Whether a fault of an upstream may be one that a single client brings about.

Where several clients share an upstream, one of them can make it fail for what it sends itself: a 403 for flagged
input, a 500 for a schema that crashes the server. Such a fault counts against the upstream only once another client
has met it too, with no answer for anybody in between; until then the others' requests stay where they are.
"""

from __future__ import annotations

from collections import OrderedDict

WINDOW_S = 60.0
MAX_KNOWN = 2_000  # places and kinds of faults


class Blame:
    """Which clients have met which faults. several: there are several [client]s. If there are not, every fault counts
    at once."""

    def __init__(self) -> None:
        self.several = False
        self._met: OrderedDict[tuple[str, str], dict[str, float]] = OrderedDict()  # -> client: when

    def __repr__(self) -> str:
        return f"<Blame of {len(self._met)} places{' for several clients' * self.several}>"

    def is_the_upstreams(self, place: str, kind: str, client: str, now: float) -> bool:
        """A client has met a fault of this kind there. Returns whether it counts against the upstream."""
        if not self.several:
            return True
        met = self._met.pop((place, kind), {})
        met = {who: at for who, at in met.items() if now - at < WINDOW_S}
        met[client] = now
        self._met[place, kind] = met
        while len(self._met) > MAX_KNOWN:
            self._met.popitem(last=False)
        return len(met) > 1

    def met(self, now: float) -> dict[tuple[str, str, str], float]:
        """Yields (place, kind of fault, client) and for how many more seconds it counts."""
        return {
            (*where, client): at + WINDOW_S - now
            for where, clients in self._met.items()
            for client, at in clients.items()
            if now - at < WINDOW_S
        }

    def hears(self, place: str, kind: str, client: str, at: float) -> None:
        """At another worker, a client has met such a fault there."""
        clients = self._met.setdefault((place, kind), {})
        clients[client] = max(at, clients.get(client, at))
        while len(self._met) > MAX_KNOWN:
            self._met.popitem(last=False)

    def answered(self, place: str, kind: str) -> None:
        """A request was answered there: faults before it do not count any more."""
        if self._met:
            self._met.pop((place, kind), None)
