"""What a row of the fault table says: what the upstream does wrong, and what may come of it.

Outcomes, as `lanes` reads them from what a client got: "ok" (the right answer), "cut" (a stream that ends with an error
event), "raw" (the upstream's own bytes, where they pass through unread), or a status such as "502" (an error in the
client's protocol). A row names those that are right, with | between, for streams and whole replies; where client and
upstream speak the same protocol other ones may be (home_stream, home_whole).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.faulty import Good, Protocol
from tests.support.script import Answer


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came to the upstream. nth: of the same mark, from 0. reused: not its connection's first."""

    protocol: Protocol
    stream: bool
    mark: str
    nth: int
    reused: bool
    usage: bool

    @property
    def good(self) -> Good:
        return Good(self.protocol, self.mark, self.usage)


Script = Callable[[Asked], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """answer: the upstream's script; None where it is never reached, and then `place` says why (see place.py).

    tries: how often the upstream is asked, with one target.
    elsewhere: whether another target may be asked; None: where it is tried again at all.
    waits: seconds that pass at least, with one target. retry_after: what the client reads there.
    warm: each request is sent on a connection that has already served one, one request after another.
    heavy: its lanes run two at a time, and once is enough.
    ends_by: the timeouts, by their names in [timeouts], that end it. They are short; all others are so long that a busy
    machine does not meet them."""

    name: str
    answer: Script | None = None
    place: str = "server"
    stream: str
    whole: str = ""
    home_stream: str = ""
    home_whole: str = ""
    tries: int = 1
    elsewhere: bool | None = None
    waits: float = 0.0
    retry_after: str = ""
    warm: bool = False
    heavy: bool = False
    ends_by: tuple[str, ...] = ()

    def right(self, stream: bool, home: bool) -> set[str]:
        """The outcomes that are right in a lane."""
        same = self.stream if stream else self.whole or self.stream
        own = self.home_stream if stream else self.home_whole
        return set(((own if home else "") or same).split("|"))

    def may_go_elsewhere(self, home: bool, stream: bool) -> bool:
        return self.tries > 1 if self.elsewhere is None else self.elsewhere


def good(asked: Asked) -> Answer:
    """The right answer."""
    if asked.stream:
        return Answer.sse(asked.good.events)
    return Answer.json(asked.good.whole)
