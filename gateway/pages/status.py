"""The status pages, as JSON for admins: GET /debug/quirks, and GET /debug/upstreams, the state of the upstreams.

The latter has the slots and the queue of each upstream and, for each model and key there, the breaker, the load, and
how long it is not used. Keys are named by their number. With several workers the page is about all of them: counts are
added, and of states the worst is shown, because an upstream whose breaker is open in one worker has a problem.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from gateway.pages.handlers import Shown
from gateway.routing.balancing import Place
from gateway.runtime import Service

PATH = "/debug/upstreams"
STATES = ("closed", "half-open", "open")  # the states of a breaker, the worst last
MAX_SHOWN = 200  # how many endpoints of an upstream are shown, since clients may send any name of a model


class Learned(Shown):
    """GET /debug/quirks: the learned quirks of upstreams, and how often each field was dropped."""

    async def shown(self) -> dict[str, Any]:
        return {"learned": self.service.quirks.all(), "dropped": dict(self.service.observers.dropped.most_common())}


class Standing(Shown):
    """GET /debug/upstreams: which upstreams answer, how quickly, and how busy they are."""

    async def shown(self) -> dict[str, Any]:
        return await of_all(self.service)


def serve(service: Service) -> None:
    """Registers the answer to other workers' questions."""
    service.worker_rpc.answers[PATH] = lambda query: upstreams(service)


async def of_all(service: Service) -> dict[str, Any]:
    """The page, about all workers."""
    return merged(await service.worker_rpc.ask(PATH))


def merged(said: list[dict[str, Any]]) -> dict[str, Any]:
    """Joins the pages of several workers into one. What follows from the settings is taken from the first worker, as
    all workers reload within a second."""
    if len(said) == 1:
        return said[0]
    names = dict.fromkeys(name for each in said for name in each["upstreams"])
    whole = {name: _sum(said, name) for name in ("busy", "waiting", "turned_away", "rejoined")}
    pool = {name: sum(each["pool"][name] for each in said) for name in said[0]["pool"]}
    of_each = {name: [each["upstreams"][name] for each in said if name in each["upstreams"]] for name in names}
    shared = max((each["shared"] for each in said), key=lambda state: (bool(state["away"]), state["fallbacks"]))
    shared |= {"fallbacks": sum(each["shared"]["fallbacks"] for each in said)}
    upstreams = {name: _upstream(of) for name, of in of_each.items()}
    return whole | {"shared": shared, "workers": len(said), "pool": pool, "upstreams": upstreams}


def _upstream(said: list[dict[str, Any]]) -> dict[str, Any]:
    on = [each for each in said if "off" not in each]
    if not on:
        return said[0]
    counts: dict[str, Any] = {name: _sum(on, name) for name in ("busy", "limit", "waiting")}
    drained = next((each["drained"] for each in on if each["drained"]), None)
    counts |= {"drained": drained, "places": places(place for each in on for place in each["places"])}
    return {"protocols": on[0]["protocols"], **counts}


def places(said: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Joins the rows that have the same name."""
    found: dict[str, dict[str, Any]] = {}
    for place in said:
        known = found.setdefault(place["name"], place | {"busy": 0, "opened_times": 0})
        known["busy"] += place["busy"]
        known["opened_times"] += place["opened_times"]
        known["breaker"] = max(known["breaker"], place["breaker"], key=STATES.index)
        known["first_byte_ms"] = max(known["first_byte_ms"], place["first_byte_ms"])
        known["usable_in_s"] = max(known["usable_in_s"], place["usable_in_s"])
    return list(found.values())


def _sum(said: list[dict[str, Any]], name: str) -> int:
    return sum(each[name] for each in said)


def upstreams(service: Service) -> dict[str, Any]:
    """The page about this worker alone."""
    now = time.monotonic()
    by_upstream: dict[str, list[Place]] = {}
    for place in service.places:
        by_upstream.setdefault(place.name.partition("/")[0], []).append(place)
    admission = service.admission
    return {
        "busy": admission.busy,
        "waiting": admission.waiting,
        "turned_away": admission.turned_away,
        "rejoined": service.reattach.joined if service.reattach else 0,
        "pool": service.client.stats(),
        "shared": service.shared.state(),
        "upstreams": {
            name: {
                "protocols": upstream.settings.protocol,
                "busy": upstream.gate.busy,
                "limit": upstream.gate.slots,
                "waiting": len(upstream.gate.waiting),
                "drained": service.drained.shown(name),
                "places": [_place(place, now) for place in by_upstream.get(name, [])[:MAX_SHOWN]],
            }
            for name, upstream in service.router.upstreams.items()
        }
        | {name: {"off": why} for name, why in service.router.off.items()},
    }


def _place(place: Place, now: float) -> dict[str, Any]:
    return {
        "name": place.name,
        "breaker": place.breaker.state,
        "opened_times": place.breaker.opened_times,
        "busy": place.busy,
        "first_byte_ms": round(place.average_ms, 1),
        "usable_in_s": round(max(0.0, place.usable_at() - now), 1),
    }
