"""An Admission on a clock that is moved by hand, for its tests."""

from __future__ import annotations

from gateway.limits.admission import Admission, AdmissionLimits, Gate, Slot
from tests.gateway.limits.virtual import VirtualLoop
from translate.failures.errors import ApiError


class Hall:
    """An Admission with a clock moved by hand. `news` has what was told to whom, in order."""

    def __init__(self, slots: int = 100, queue: int = 200, patience: float = 10.0) -> None:
        self.loop = VirtualLoop()
        self.admission = Admission(AdmissionLimits(slots, queue, patience), self.loop.time)
        self.news: list[str] = []
        self.errors: dict[str, ApiError] = {}

    def enter(self, gate: Gate, name: str = "", patience: float = 60.0, cheap: bool = False) -> Slot:
        def refused(error: ApiError) -> None:
            self.news.append(f"{name} refused")
            self.errors[name] = error

        with self.loop.running():
            return self.admission.enter(gate, patience, lambda: self.news.append(name), refused, cheap)

    def leave(self, *tickets: Slot) -> list[str]:
        """Returns who was told something by that."""
        with self.loop.running():
            for slot in tickets:
                slot.leave()
        return self.told()

    def told(self, after: float = 0.0) -> list[str]:
        self.news.clear()
        self.loop.advance(after)
        return list(self.news)

    def is_empty(self) -> bool:
        admission = self.admission
        return (admission.busy, admission.waiting, admission._gates, self.loop.timers) == (0, 0, [], 0)
