"""Tells the observers of requests. It imports none of them; they subscribe in console/mount.py.

There are two events. `sent(info, body)` comes when an attempt is sent to its upstream, or a request fails without
having been sent, and `finished(record)` when the client has the last byte or has left. Records are made and passed on
for a few requests at a time: this costs a third of the same work for each request alone, for which the CPU's caches are
full of other things. Where only a few requests are on their way, the record of one is made when the next has just been
sent, and the proxy waits for its upstream anyway: so no client waits for it. Whoever shows numbers calls flush() first.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import logging
from collections.abc import Callable
from typing import Any

from gateway.flow.info import Finished, Info
from gateway.flow.trace import Trace
from gateway.http.copied_answer import Copier
from gateway.http.response_writer import Writer
from gateway.observe import record
from gateway.observe.record import PriceOf

log = logging.getLogger("proxy")

SOON_S = 0.05
AT_ONCE = 16  # how many records are made in a row; it takes half a millisecond, in which no stream goes on
LEAST_AT_ONCE = 4  # the same if few requests are on their way, because each would have to wait for the others
FEW = 3  # requests on their way, up to which no other one is likely to wait while records are made
MAX_COUNTED = 500  # how many names of dropped fields are counted, since clients may send any name

Record = dict[str, Any]
OnSent = Callable[[Info, bytes], None]
OnFinished = Callable[[Record], None]


class Observers:
    """The observers. on_sent, on_finished: the functions that are called, in this order. on_traced: gets the trace of a
    request with its record. They must not change their arguments. copier: gets copies of replies, for the body log.
    dropped: how many requests had a dropped field, by its name."""

    def __init__(self, price_of: PriceOf, mask: Callable[[str], str], busy: Callable[[], int]) -> None:
        """price_of: the price of an upstream's model. mask: takes secrets out of a text. busy: how many requests are on
        their way."""
        self.on_sent: list[OnSent] = []
        self.on_finished: list[OnFinished] = []
        self.on_traced: Callable[[Trace, Record], None] | None = None
        self.copier: Copier | None = None
        self.dropped: collections.Counter[str] = collections.Counter()
        self._price_of = price_of
        self._mask = mask
        self._busy = busy
        self._over: list[tuple[str, Callable[[], Record], Trace | None]] = []
        self._timer: asyncio.TimerHandle | None = None  # is never cancelled: a new one costs more
        self._next = False  # whether records are made in the next turn of the loop
        self._most_busy = 0  # since the last flush: replies often come in waves, at whose end few are on their way

    def __repr__(self) -> str:
        return f"<Observers: {len(self.on_sent)} of what is sent, {len(self.on_finished)} of what is finished>"

    def sent(self, info: Info, body: bytes) -> None:
        """body: what the upstream gets."""
        if self._over and not self._next and self._busy() <= FEW:
            self._make_next()
        for tell in self.on_sent:
            try:
                tell(info, body)
            except Exception:  # an error in an observer must not harm a request
                log.exception("an error in the proxy: an observer failed when request %s was sent", info.key)

    def to_copy(self, key: str) -> int:
        """How many bytes of the reply to this request are copied."""
        return self.copier.to_copy(key) if self.copier is not None else 0

    def finished(self, info: Finished, writer: Writer) -> None:
        """writer: has the beginning of its reply, where that is copied."""
        for field in map(self._mask, map(record.field_name, info.dropped)):
            self.dropped[field if field in self.dropped or len(self.dropped) < MAX_COUNTED else "other"] += 1
        if self.copier is not None and self.to_copy(info.key) and (copy := writer.kept) is not None:
            self.copier.copied(info.key, copy, info.bytes_out, info.error is not None)
        if not self.on_finished:
            return
        self._over.append((info.key, functools.partial(record.record, info, self._price_of, self._mask), info.trace))
        self._most_busy = most = max(self._most_busy, self._busy())
        enough = len(self._over) >= min(AT_ONCE, max(LEAST_AT_ONCE, most))
        if enough and len(self._over) <= AT_ONCE and not self._busy():
            self.flush()  # now, as no other reply has to wait and no new request is here yet
        elif enough and not self._next:
            self._make_next()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SOON_S, self._late)

    def _make_next(self) -> None:
        """Makes records in the next turn of the loop, since further replies may be about to leave in this one."""
        self._next = True
        asyncio.get_running_loop().call_soon(self._some)

    def _some(self) -> None:
        self._next, self._most_busy = False, 0
        now, self._over = self._over[:AT_ONCE], self._over[AT_ONCE:]
        self._make(now)
        if self._over and not self._next:
            self._make_next()

    def _late(self) -> None:
        self._timer = None
        self.flush()

    def flush(self) -> None:
        """Makes the records that wait, and passes them to the observers."""
        now, self._over, self._most_busy = self._over, [], 0
        self._make(now)

    def _make(self, waiting: list[tuple[str, Callable[[], Record], Trace | None]]) -> None:
        made = []
        for key, make, trace in waiting:
            if (said := _made(key, make)) is not None:
                made.append(said)
                if trace is not None and self.on_traced is not None:
                    self.on_traced(trace, said)
        for tell in self.on_finished:  # each observer gets all records in a row, see above
            for said in made:
                try:
                    tell(said)
                except Exception:  # an error in an observer must not harm the others
                    log.exception("an error in the proxy: an observer failed with the record of request %s",
                                  said["request_id"])  # fmt: skip


def _made(key: str, make: Callable[[], Record]) -> Record | None:
    try:
        return make()
    except Exception:  # odd values in a reply must not harm more than its record
        log.exception("an error in the proxy: request %s has no record", key)
        return None
