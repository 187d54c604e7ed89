"""Waves: a step of many requests, taken by one after the other before any of them takes its next step.

Requests come in waves: sixteen clients have their answers in one turn of the loop, and ask again in the next. If each
request went all its way at once, the CPU would meet ten thousand instructions of Python that its caches have forgotten
since the request before. Step by step it meets a thousand of them, sixteen times in a row. That takes an eighth less
time for a whole request (docs/performance.md).

Replies that come together (`hold`, `let_go`) take their steps together. Requests come one by one, and to wait for
others costs each a turn of the loop. So a request waits only where many replies have just ended together: those
clients ask again together, as a rule.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import IntEnum

log = logging.getLogger("proxy")

MANY = 5  # replies that end together, from which on the requests that follow wait for each other
LARGE = 64 * 1024  # bytes of a request that goes on at once, while the CPU's caches still have its body
AT_ONCE = 16  # requests that take a step in one turn of the loop, so that streams go on, too

Work = Callable[[], object]


class Step(IntEnum):
    """The steps, in the order in which a wave takes them: answers go first."""

    ANSWER = 0  # the upstream's whole reply becomes the client's
    GIVE = 1  # the client gets it
    CLOSE = 2  # what the request held is given back, and its record is made
    READ = 3  # a request is all here: where may it go?
    CROSS = 4  # it becomes the upstream's
    SEND = 5  # it goes to an upstream


class Waves:
    """call_soon: calls a function in the next turn of the loop."""

    __slots__ = ("_call_soon", "_comes", "_expected", "_holds", "_waiting")

    def __init__(self, call_soon: Callable[[Work], object]) -> None:
        self._call_soon = call_soon
        self._comes = False  # whether a turn is asked for
        self._holds = False  # whether work waits
        self._expected = 0  # how many requests come together
        self._waiting: tuple[list[Work], ...] = tuple([] for _ in Step)

    def __repr__(self) -> str:
        waiting = (f"{len(work)} {step.name}" for step, work in zip(Step, self._waiting, strict=True) if work)
        return f"<Waves {', '.join(waiting) or 'of nobody'}>"

    def add(self, step: Step, work: Work) -> None:
        """Calls `work`, now or soon. What it needs may be gone by then: it has to look."""
        if self._holds:
            self._waiting[step].append(work)
        elif step is Step.READ and self._expected >= MANY:
            self._waiting[step].append(work)
            self._ask()
        else:
            work()

    def hold(self) -> None:
        """Several replies come now."""
        self._holds = True

    def let_go(self) -> None:
        """They have come. Each step may add to those after it, which have their turn in the same call: who waits for
        the next turn of the loop falls behind the others, and the waves get small."""
        self._holds = True
        closing = 0
        for step, waiting in zip(Step, self._waiting, strict=True):
            # All are closed: their clients have all of the reply and may ask again, which must find nothing held.
            most = len(waiting) if step is Step.CLOSE else AT_ONCE
            now = waiting[:most]
            del waiting[:most]
            if step is Step.CLOSE:
                closing = len(now)
            for work in now:
                try:
                    work()
                except Exception:  # an error of one request must not stop the others
                    log.exception("an error in the proxy: a request could not go on")
        self._holds = False
        self._expected = max(closing, self._expected - 1)  # some stragglers do not mean that the wave is over
        if any(self._waiting):
            self._ask()

    def _ask(self) -> None:
        if not self._comes:
            self._comes = True
            self._call_soon(self._run)

    def _run(self) -> None:
        self._comes = False
        self.let_go()


def _now(work: Work) -> None:
    work()


ALONE = Waves(_now)
"""For a test that drives one request."""
