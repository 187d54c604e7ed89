"""What the upstreams are like just now, as JSON for an admin: GET /debug/upstreams.

Of each upstream its places and its queue, of each model and key there the breaker, the load, and how long it had better
be left alone. Names of keys are their numbers. Everything is read, nothing is kept.
"""

from __future__ import annotations

import time
from typing import Any

from gateway.routing.balancing import Place
from gateway.runtime import Service

MAX_SHOWN = 200  # places of an upstream: clients make up names of models


def upstreams(service: Service) -> dict[str, Any]:
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
        "upstreams": {
            name: {
                "protocols": peer.settings.protocol,
                "busy": peer.gate.busy,
                "limit": peer.gate.places,
                "waiting": len(peer.gate.waiting),
                "places": [_place(place, now) for place in by_upstream.get(name, [])[:MAX_SHOWN]],
            }
            for name, peer in service.router.peers.items()
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
