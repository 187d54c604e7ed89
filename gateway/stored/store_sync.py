"""Responses that another worker of this proxy keeps: fetched when a request names one that is not known here.

A client's next request may come to any worker. What it builds on is asked of the others once, and kept here from then
on as if it had been made here, for as long as it had left; so is the knowledge whose response an upstream keeps, since
no other client may build on it. A response that is deleted is deleted everywhere. With one worker nothing of this runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from gateway.process.worker_rpc import Siblings
from gateway.stored.store import Memory

FIND, FORGET = "/responses/find", "/responses/forget"
MAX_IDS = 200  # asked for at once; a request that names more does without them


def register(siblings: Siblings, memory: Memory) -> None:
    """This worker answers its siblings."""
    siblings.answers[FIND] = lambda query: _found(memory, query["owner"], query["ids"].split(","))
    siblings.answers[FORGET] = lambda query: {"deleted": memory.delete(query["owner"], query["id"])}


def unknown(siblings: Siblings, memory: Memory, owners: Iterable[str], ids: Iterable[str]) -> list[str]:
    """Those of which nothing is known here, and somebody else may know."""
    if siblings.alone:
        return []
    owners = list(owners)
    lacking = [
        id for id in dict.fromkeys(ids)
        if memory.place(id) is None and not any(memory.find(owner, id) for owner in owners)
    ]  # fmt: skip
    return lacking[:MAX_IDS]


async def fetch(siblings: Siblings, memory: Memory, owner: str, ids: list[str]) -> None:
    """What the siblings know of these is known here from now on."""
    for said in await siblings.ask_others(_path(FIND, owner=owner, ids=",".join(ids))):
        for id, place in said["places"].items():
            memory.went(id, *place)
        for entry in said["entries"]:
            memory.take(owner, entry)


async def forget(siblings: Siblings, owner: str, id: str) -> None:
    await siblings.ask_others(_path(FORGET, owner=owner, id=id))


def _found(memory: Memory, owner: str, ids: list[str]) -> dict[str, Any]:
    entries = [memory.given(owner, id) for id in ids]
    places = {id: [*place, memory.key(id)] for id in ids if (place := memory.place(id)) is not None}
    return {"entries": [entry for entry in entries if entry is not None], "places": places}


def _path(name: str, **query: str) -> str:
    return f"{name}?{urlencode(query)}"
