"""What the workers of a fleet tell each other (shared/gossip.py): rests, breakers, faults, learned quirks, ratios.

An upstream is identified by its name and a digest of its address, a key by its digest in key_names. Another host may
have another server under the same name; the digests tell them apart. Words of clients that may be anything are in JSON,
inside of keys that are as long as they are.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from gateway.flow.token_counting import Counting
from gateway.limits.blame import WINDOW_S, Blame
from gateway.limits.rate_limit import Headroom
from gateway.refusals.learned_quirks import EXPIRY_S, LearnedQuirks, Quirk
from gateway.routing.balancing import Places
from gateway.routing.router import Router
from gateway.shared.gossip import Entry
from gateway.shared.store import digest
from gateway.stored.store import ResponseStore

Clock = Callable[[], float]
Here = Callable[[], Router]
"""The router in force, since settings change."""

MAX_ENTRIES = 2_000  # of one topic
RATIO_S = 7 * 86_400.0


def _server(router: Router, upstream: str) -> str:
    """An upstream as all hosts call it; "" if it is not one of this proxy's."""
    live = router.upstreams.get(upstream)
    return f"{upstream}@{digest(live.base_url)[:8]}" if live is not None else ""


def _upstream(router: Router, server: str) -> str:
    """The same in the other direction."""
    name = server.rpartition("@")[0]
    return name if _server(router, name) == server else ""


class Rests:
    """Until when an endpoint had better not be asked: its key was refused, its limit is used up, its model unknown."""

    name = "rest"

    def __init__(self, router: Here, places: Places, clock: Clock = time.monotonic) -> None:
        self._router, self._places, self._clock = router, places, clock

    def __repr__(self) -> str:
        return f"<Rests of {self._places!r}>"

    def entries(self) -> Mapping[str, Entry]:
        now, found = self._clock(), dict[str, Entry]()
        rests: list[tuple[str, str, int, str, float]] = []
        for (upstream, number), key in self._places.keys():  # noqa: SIM118
            rests.append(("key", upstream, number, "", key.bad_until))
            rests.append(("limit", upstream, number, "", key.plan.free_at))
            rests.append(("reset", upstream, number, "", key.plan.resets_at))
        for (upstream, model, number), place in self._places.items():
            rests.append(("limit", upstream, number, model, place.headroom.free_at))
            rests.append(("reset", upstream, number, model, place.headroom.resets_at))
            rests.append(("tired", upstream, number, model, place.tired_until))
        for kind, upstream, number, model, until in rests:
            live = self._router().upstreams.get(upstream) if until > now else None
            if live is not None and number < len(live.key_names) and len(found) < MAX_ENTRIES:
                server, key_name = _server(self._router(), upstream), live.key_names[number]
                found[json.dumps([kind, server, key_name, model])] = Entry(b"rests", until - now)
        return found

    def hear(self, key: str, entry: Entry) -> None:
        until = self._clock() + entry.left_s
        kind, upstream, number, model = self._meant(key)
        if kind == "key":
            self._places.key(upstream, number).rests(until)
        elif kind == "limit":
            headroom = self._headroom(upstream, model, number)
            headroom.free_at = max(headroom.free_at, until)
        elif kind == "reset":
            self._headroom(upstream, model, number).hears(until, self._clock())
        elif kind == "tired":
            place = self._places.of(upstream, model, number)
            place.tired_until = max(place.tired_until, until)

    def lose(self, key: str) -> None:
        kind, upstream, number, model = self._meant(key)
        if kind == "key":
            self._places.key(upstream, number).works()
        elif kind == "limit":
            self._headroom(upstream, model, number).free_at = 0.0
        elif kind == "reset":
            self._headroom(upstream, model, number).resets_at = 0.0
        elif kind == "tired":
            self._places.of(upstream, model, number).tired_until = 0.0

    def _headroom(self, upstream: str, model: str, number: int) -> Headroom:
        """Of a model, or of the key where it is a limit of all models (model: "")."""
        return self._places.of(upstream, model, number).headroom if model else self._places.key(upstream, number).plan

    def _meant(self, key: str) -> tuple[str, str, int, str]:
        """(kind, upstream, number of its key, model); kind is "" for what is none of this proxy's."""
        kind, server, key_name, model = json.loads(key)
        router = self._router()
        upstream = _upstream(router, server)
        if not upstream or key_name not in router.upstreams[upstream].key_names:
            return "", "", 0, ""
        return kind, upstream, router.upstreams[upstream].key_names.index(key_name), model


class Breakers:
    """Which upstreams do not answer, by model."""

    name = "breaker"

    def __init__(self, router: Here, places: Places, clock: Clock = time.monotonic) -> None:
        self._router, self._places, self._clock = router, places, clock

    def __repr__(self) -> str:
        return f"<Breakers of {self._places!r}>"

    def entries(self) -> Mapping[str, Entry]:
        router, now, found = self._router(), self._clock(), dict[str, Entry]()
        for (upstream, model, _), place in self._places.items():
            breaker = place.breaker
            if breaker.state == "open" and breaker.reopens_at > now and (server := _server(router, upstream)):
                found[json.dumps([server, model])] = Entry(b"open", breaker.reopens_at - now)
        return found

    def hear(self, key: str, entry: Entry) -> None:
        now = self._clock()
        server, model = json.loads(key)
        if upstream := _upstream(self._router(), server):
            self._places.of(upstream, model, 0).breaker.hears(now, now + entry.left_s)

    def lose(self, key: str) -> None:
        server, model = json.loads(key)
        if upstream := _upstream(self._router(), server):
            self._places.of(upstream, model, 0).breaker.hears_all_well()


class Faults:
    """Which clients have met faults, see blame.py: two of them at two workers are two."""

    name = "fault"

    def __init__(self, blame: Blame, clock: Clock = time.monotonic) -> None:
        self._blame, self._clock = blame, clock

    def __repr__(self) -> str:
        return f"<Faults of {self._blame!r}>"

    def entries(self) -> Mapping[str, Entry]:
        met = self._blame.met(self._clock()) if self._blame.several else {}
        return {json.dumps(where): Entry(b"met", left_s) for where, left_s in list(met.items())[:MAX_ENTRIES]}

    def hear(self, key: str, entry: Entry) -> None:
        place, kind, client = json.loads(key)
        self._blame.hears(place, kind, client, self._clock() + entry.left_s - WINDOW_S)

    def lose(self, key: str) -> None:
        place, kind, _ = json.loads(key)
        self._blame.answered(place, kind)


class Quirks:
    """Fields that an upstream's model does not take, and the clients that have met its refusal."""

    name = "quirk"

    def __init__(self, router: Here, quirks: LearnedQuirks) -> None:
        self._router, self._quirks = router, quirks

    def __repr__(self) -> str:
        return f"<Quirks of {self._quirks!r}>"

    def entries(self) -> Mapping[str, Entry]:
        router, found = self._router(), dict[str, Entry]()
        for upstream, model, quirk, clients, left_s in self._quirks.known():
            if (server := _server(router, upstream)) and len(found) < MAX_ENTRIES:
                key = json.dumps([server, model, quirk.field, quirk.instead, quirk.beside])
                found[key] = Entry(json.dumps(sorted(clients)).encode(), left_s)
        return found

    def hear(self, key: str, entry: Entry) -> None:
        server, model, *words = json.loads(key)
        if upstream := _upstream(self._router(), server):
            clients = frozenset(json.loads(entry.value))
            self._quirks.hears(upstream, model, Quirk(*words), clients, min(entry.left_s, EXPIRY_S))

    def lose(self, key: str) -> None:
        server, model, *words = json.loads(key)
        if upstream := _upstream(self._router(), server):
            self._quirks.loses(upstream, model, Quirk(*words))


class TokenRatios:
    """How many tokens a model really takes for each that was estimated, and what calibrates its counts."""

    name = "ratio"

    def __init__(self, router: Here, counting: Counting) -> None:
        self._router, self._counting = router, counting

    def __repr__(self) -> str:
        return f"<TokenRatios of {self._counting!r}>"

    def entries(self) -> Mapping[str, Entry]:
        router, found = self._router(), dict[str, Entry]()
        ratios = ((upstream, [model, kind], value) for (upstream, model, kind), value in self._counting.ratios.known())
        calibrations = (
            (upstream, [model, client], calibration.told())
            for (upstream, model, client), calibration in self._counting.calibrations.items()
            if calibration.seen
        )
        for upstream, which, value in itertools.chain[tuple[str, list[Any], Any]](ratios, calibrations):
            if (server := _server(router, upstream)) and len(found) < MAX_ENTRIES:
                found[json.dumps([server, *which])] = Entry(json.dumps(value).encode(), RATIO_S)
        return found

    def hear(self, key: str, entry: Entry) -> None:
        server, model, which = json.loads(key)
        upstream, value = _upstream(self._router(), server), json.loads(entry.value)
        if upstream and isinstance(which, bool):
            self._counting.ratios.hears((upstream, model, which), value)
        elif upstream:
            self._counting.calibration((upstream, model, which)).hear(value)

    def lose(self, key: str) -> None:
        """An old ratio is better than none."""


class Deleted:
    """Responses that a client has deleted: what another host has fetched of them goes too."""

    name = "deleted"

    def __init__(self, memory: ResponseStore, clock: Clock = time.monotonic) -> None:
        self._memory, self._clock = memory, clock

    def __repr__(self) -> str:
        return f"<Deleted of {self._memory!r}>"

    def entries(self) -> Mapping[str, Entry]:
        now, fleet = self._clock(), self._memory.fleet
        known = fleet.deleted.items() if fleet is not None else ()
        return {name: Entry(b"deleted", until - now) for name, until in known if until > now}

    def hear(self, key: str, entry: Entry) -> None:
        self._memory.delete_named(key)

    def lose(self, key: str) -> None:
        """What is deleted stays so."""
