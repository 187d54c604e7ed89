"""Fetches responses from other workers, when a request names one that this worker does not know.

The next request of a client may come to any worker. This worker asks the others once for the response that it builds
on, and keeps it for the time that it has left. It also learns from them which client owns a response that an upstream
keeps, because no other client may build on it. A deleted response is deleted in all workers. With one worker, nothing
of this runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from gateway.process.worker_rpc import WorkerRpc
from gateway.stored.store import Memory

FIND, FORGET = "/responses/find", "/responses/forget"
MAX_IDS = 200  # how many responses are asked for at once; further ones are not found


def register(worker_rpc: WorkerRpc, memory: Memory) -> None:
    """Registers the answers to other workers' questions."""
    worker_rpc.answers[FIND] = lambda query: _found(memory, query["owner"], query["ids"].split(","))
    worker_rpc.answers[FORGET] = lambda query: {"deleted": memory.delete(query["owner"], query["id"])}


def unknown(worker_rpc: WorkerRpc, memory: Memory, owners: Iterable[str], ids: Iterable[str]) -> list[str]:
    """The ids that this worker does not know, and another one may know."""
    if worker_rpc.alone:
        return []
    owners = list(owners)
    lacking = [
        id for id in dict.fromkeys(ids)
        if memory.place(id) is None and not any(memory.find(owner, id) for owner in owners)
    ]  # fmt: skip
    return lacking[:MAX_IDS]


async def fetch(worker_rpc: WorkerRpc, memory: Memory, owner: str, ids: list[str]) -> None:
    """Asks the other workers for some responses, and keeps what they know."""
    for said in await worker_rpc.ask_others(_path(FIND, owner=owner, ids=",".join(ids))):
        for id, place in said["places"].items():
            memory.went(id, *place)
        for entry in said["entries"]:
            memory.take(owner, entry)


async def forget(worker_rpc: WorkerRpc, owner: str, id: str) -> None:
    """Deletes a response in the other workers."""
    await worker_rpc.ask_others(_path(FORGET, owner=owner, id=id))


def _found(memory: Memory, owner: str, ids: list[str]) -> dict[str, Any]:
    entries = [memory.given(owner, id) for id in ids]
    places = {id: [*place, memory.key(id)] for id in ids if (place := memory.place(id)) is not None}
    return {"entries": [entry for entry in entries if entry is not None], "places": places}


def _path(name: str, **query: str) -> str:
    return f"{name}?{urlencode(query)}"
