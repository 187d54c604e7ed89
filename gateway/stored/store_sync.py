"""Fetches what other workers and the disk know of responses, when a request names one that this worker does not know.

The next request of a client may come to any worker. This worker asks the others once for the response that it builds
on, and keeps it for the time that it has left. It also learns from them, and from the disk, which client owns a
response that an upstream keeps, because no other client may build on it. A deleted response is deleted in all workers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from gateway.process.worker_rpc import WorkerRpc
from gateway.stored.store import ResponseStore
from operate.owner_store import Owned

FIND, FORGET = "/responses/find", "/responses/forget"
MAX_IDS = 200  # how many responses are asked for at once; further ones are not found
# As upstreams and the proxy give them; those of LiteLLM's files have 400 characters. Nobody is asked about any other.
_ID = re.compile(r"[!-+\--~]{1,1000}")


def register(worker_rpc: WorkerRpc, memory: ResponseStore) -> None:
    """Registers the answers to other workers' questions."""
    worker_rpc.answers[FIND] = lambda query: _found(memory, query["owner"], query["ids"].split(","))
    worker_rpc.answers[FORGET] = lambda query: {"deleted": memory.delete(query["owner"], query["id"])}


def unknown(worker_rpc: WorkerRpc, memory: ResponseStore, owners: Iterable[str], ids: Iterable[str]) -> list[str]:
    """The ids that this worker does not know, and another one or the disk may know."""
    if worker_rpc.alone and not memory.owners.remembers and memory.fleet is None:
        return []
    owners = list(owners)
    lacking = [
        id for id in dict.fromkeys(ids)
        if _ID.fullmatch(id) and memory.noted(id) is None and not any(memory.find(owner, id) for owner in owners)
    ]  # fmt: skip
    return lacking[:MAX_IDS]


async def fetch(worker_rpc: WorkerRpc, memory: ResponseStore, owner: str, ids: list[str]) -> None:
    """Asks the other workers and the disk for some responses, and keeps what they know."""
    asked = worker_rpc.ask_others(_path(FIND, owner=owner, ids=",".join(ids)))
    on_disk, others, fleet = await asyncio.gather(memory.owners.find(ids), asked, _of_fleet(memory, owner, ids))
    for id, owned in on_disk.items():
        memory.known(id, owned)
    for said in others:
        for id, fields in said["places"].items():
            memory.known(id, Owned(*fields))
        for entry in said["entries"]:
            memory.take(owner, entry)

    entries, known = fleet
    for id, owned in known.items():
        memory.known(id, owned)
    for entry in entries:
        if memory.find(owner, entry["id"]) is None:
            memory.take(owner, entry)


async def _of_fleet(memory: ResponseStore, owner: str, ids: list[str]) -> tuple[list[dict[str, Any]], dict[str, Owned]]:
    return await memory.fleet.find(owner, ids) if memory.fleet is not None else ([], {})


async def forget(worker_rpc: WorkerRpc, memory: ResponseStore, owner: str, id: str) -> None:
    """Deletes a response in the other workers and hosts."""
    if memory.fleet is not None:
        await memory.fleet.forget(owner, id)
    await worker_rpc.ask_others(_path(FORGET, owner=owner, id=id))


def _found(memory: ResponseStore, owner: str, ids: list[str]) -> dict[str, Any]:
    entries = [memory.given(owner, id) for id in ids]
    known = {id: [*owned] for id in ids if (owned := memory.noted(id)) is not None}
    return {"entries": [entry for entry in entries if entry is not None], "places": known}


def _path(name: str, **query: str) -> str:
    return f"{name}?{urlencode(query)}"
