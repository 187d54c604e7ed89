"""How many requests at once an upstream gets from all workers together: [upstream NAME] max_concurrent.

To ask the store for each slot would cost each request one more round trip. So a worker leases several at a time: what
it has in use, what waits, and a few to spare, but never more than the others leave. It asks again a few times a second,
and at once if a request waits. If other workers lack slots, it gives back its spare ones except for one; if there are
fewer slots than workers, it gives back that one as well, as soon as it is free, so that the workers take turns. A lease
that is not renewed expires, so that the slots of a dead worker become free. While the store is away, each worker has
its share.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from gateway.limits.admission import Admission, Gate
from gateway.shared.rounds import Rounds
from gateway.shared.shared import Shared
from gateway.shared.store import Away, Slots, patiently

EVERY_S = 0.25
AGAIN_S = 0.05  # while somebody waits
LEASE_S = 5.0


class SlotLeases:
    """gates: those that are bounded by a setting, with that bound, at present. rounds: it goes on in them; the first
    leases are there after the first one."""

    def __init__(
        self, shared: Shared, me: str, admission: Admission, gates: Callable[[], Iterable[tuple[Gate, int]]]
    ) -> None:
        self._shared, self._me, self._admission, self._gates = shared, me, admission, gates
        self._known: dict[str, Gate] = {}
        self._wanted = asyncio.Event()
        self._lacking: dict[str, int] = {}
        self.rounds = Rounds(shared, self._round, self._pause, self._give_back, "slots could not be leased")

    def __repr__(self) -> str:
        return f"<SlotLeases { ({name: gate.granted for name, gate in self._known.items()}) }>"

    async def _give_back(self) -> None:
        await asyncio.gather(*(self._ask(gate, 0, 0) for gate in self._known.values()))

    async def _pause(self) -> None:
        """Until somebody wants a slot; where somebody waited for one in the last round already, not at once again."""
        if any(gate.waiting for gate in self._known.values()):
            await asyncio.sleep(AGAIN_S)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wanted.wait()
        self._wanted.clear()

    async def _round(self) -> None:
        gates = list(self._gates())
        for gate in self._known.values():
            if all(gate is not each for each, _ in gates):
                gate.granted = gate.on_dry = None
        self._known = {gate.name: gate for gate, _ in gates}
        await asyncio.gather(*(self._lease(gate, bound) for gate, bound in gates))
        self._admission.serve()

    async def _lease(self, gate: Gate, bound: int) -> None:
        gate.on_dry = self._wanted.set
        takes_turns = bound < self._shared.members
        part = max(1, bound // self._shared.members)
        in_use = gate.busy + len(gate.waiting)
        others_lack = bool(self._lacking.get(gate.name))
        wanted = max(1, in_use + (0 if others_lack else max(1, part // 2)))
        if others_lack and takes_turns:
            wanted = gate.busy
        leased = await self._ask(gate, min(bound, wanted), bound)
        lacking = self._lacking[gate.name] = leased.lacking if leased is not None else 0
        if leased is None:
            gate.granted = max(part, gate.busy)
        else:
            gate.granted = 0 if lacking and takes_turns else leased.granted

    async def _ask(self, gate: Gate, wanted: int, bound: int) -> Slots | None:
        try:
            return await patiently(self._shared.store.slots(f"slots:{gate.name}", self._me, wanted, bound, LEASE_S))
        except Away:
            return None
