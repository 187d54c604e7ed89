"""The observer that sums up finished requests for the usage store, and writes the sums once a second.

A request costs one look-up in a dict and one addition. A thread writes the file of the store, so that no request waits
for a slow disk. If the file cannot be written (the disk is full, or another process keeps it locked), the sums stay in
memory until it can; this is logged once, and again when it works.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from console.fleet_usage import FleetUsage
from console.names import Names
from gateway.limits.budget import Budgets, Spent
from operate import sqlite_file
from operate.usage_store import DAYS_BY_HOUR, Agents, FleetKey, Sum, SumKey, UsageStore

log = logging.getLogger("proxy")

Rows = list[tuple[str, str, Spent]]
"""(day, client, what it spent)"""


class Written(NamedTuple):
    """What is in the file after sums were written. rows: for budgets, if any. host, totals: for the fleet, if any."""

    rows: Rows | None
    host: str
    totals: dict[FleetKey, Sum]


EVERY_S = 1.0
MOST_KEYS = 20_000  # how many sums may wait; beyond it, sessions and agents are added together
DAY_S, HOUR_S = 86_400, 3_600


class Books:
    """Sums up requests. finished() is the observer. start() needs a running loop; stop() writes the sums that wait.
    trouble: why the file cannot be written at the moment."""

    def __init__(
        self, store: UsageStore | None, keep_days: int, clock: Callable[[], float] = time.time,
        budgets: Budgets | None = None, fleet: FleetUsage | None = None,
    ) -> None:  # fmt: skip
        """store: None = no sums are kept. budgets: is told of the sums, if any client has a budget. fleet: is told of
        them, too."""
        self._budgets = budgets or Budgets()
        self.fleet = fleet
        self.store, self._keep_days, self._clock = store, keep_days, clock
        self._waiting: dict[SumKey, Sum] = {}
        self._names = Names()
        self._agents: dict[tuple[str, str], str] = {}  # who has called whom, not written yet
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[Written] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self.trouble = ""
        self._forgotten_on = ""

    def __repr__(self) -> str:
        return f"<Books in {self.store!r}: {len(self._waiting)} sums wait>"

    def adopt(self, store: UsageStore | None, keep_days: int) -> None:
        """Takes over changed settings. The sums that wait go to the new store."""
        if (store and store.file) != (self.store and self.store.file):
            self.store = store
            if self.fleet is not None:
                self.fleet.forgets()
        self._keep_days = keep_days

    def finished(self, record: dict[str, Any]) -> None:
        if record["gen_ai.operation.name"] == "count_tokens":
            return
        if self._budgets.any:
            sum = _with(Sum(), record)
            for lost in record.get("outrun", ()):
                sum = _with(sum, lost, is_request=False)
            spent = _spent(sum)
            self._budgets.spends(record["client"], spent.usd, spent.tokens, self._clock(), record["request_id"])
        if self.store is None:
            return
        self._add(record)
        for lost in record.get("outrun", ()):  # a hedge's other attempt is no request more, but costs something
            if lost["gen_ai.usage.input_tokens"] is not None:
                self._add(record | lost | {"upstream_model": lost["model"]}, is_request=False)

    def _add(self, record: dict[str, Any], *, is_request: bool = True) -> None:
        hour = _hour(int(record["time"]) // HOUR_S)
        session, agent = record["session"], record["agent"]
        key: Any = hour[:10], record["client"], record["upstream_model"], record["upstream"], session, agent, hour
        before = self._waiting.get(key)  # a tuple finds what its like with names is kept under
        if before is None:
            key = self._names.bounded(SumKey._make(key))
            if len(self._waiting) >= MOST_KEYS:
                key = key._replace(session="", agent="")
            before = self._waiting.get(key)
        if record["parent_agent"] and key[5] and len(self._agents) < MOST_KEYS:
            self._agents[session, agent] = record["parent_agent"]
        self._waiting[key] = _with(before or Sum(), record, is_request=is_request)

    def start(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "books")
        self._tell_budgets()
        self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tick)

    async def stop(self) -> None:
        """Writes the sums that wait, at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None and not self._writing.done():
            await asyncio.wait([self._writing])
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None
        if self._waiting and self.store is not None:
            try:
                self._tell_fleet(self._write(self.store, self._waiting, self._agents))
            except sqlite_file.errors() as error:
                log.error("the last %d sums of usage could not be written and are lost: %s", len(self._waiting), error)
            self._waiting = {}
        if self.fleet is not None:
            await self.fleet.stop()

    # ------------------------------------------------------------------------------------------------- inside

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(EVERY_S, self._tick)
        if self.store is None or self._thread is None or (self._writing is not None and not self._writing.done()):
            return
        tells_all = self.fleet is not None and self.fleet.lacks_all
        if self._waiting or self._budgets.any or tells_all:
            sums, self._waiting, agents, self._agents = self._waiting, {}, self._agents, {}
            if self.fleet is not None and tells_all:
                self.fleet.tells_all()
            self._writing = loop.run_in_executor(self._thread, self._write, self.store, sums, agents, tells_all)
            self._writing.add_done_callback(lambda done: self._written(done, sums))

    def _tell_budgets(self) -> None:
        """Tells the budgets what was spent before this start: at once, since the first request may already be one too
        many."""
        if self.store is None or not self._budgets.any:
            return
        try:
            self._budgets.told(self._clock(), self._read(self.store))
        except sqlite_file.errors() as error:
            log.error("what was spent cannot be read from %s: %s; budgets begin with nothing", self.store.file, error)

    def _read(self, store: UsageStore) -> Rows:
        """The sums of this month, of all workers."""
        today = self._day(self._clock())
        found = store.read(f"{today[:7]}-01", today, ("day", "client"))
        return [(day, client, _spent(sum)) for (day, client), sum in found]

    def _write(
        self, store: UsageStore, sums: dict[SumKey, Sum], agents: Agents | None = None, tells_all: bool = False
    ) -> Written:
        try:
            if sums:
                store.add(sums, agents)
            today = self._day(self._clock())
            if today != self._forgotten_on:
                before = [self._day(self._clock() - days * DAY_S) for days in (self._keep_days, DAYS_BY_HOUR)]
                store.forget(*before)
                self._forgotten_on = today
        except sqlite_file.errors() as error:
            if not self.trouble:
                why = sqlite_file.told(error)
                log.error("the sums of usage cannot be written to %s and wait in memory: %s", store.file, why)
            self.trouble = sqlite_file.told(error)
            raise
        if self.trouble:
            log.warning("the sums of usage are written to %s again", store.file)
        self.trouble = ""
        totals: dict[FleetKey, Sum] = {}
        if self.fleet is not None and self.fleet.is_on and (sums or tells_all):
            since = "0" if self.fleet.tells_old else self._day(self._clock() - DAY_S)
            totals = store.all_totals(since) if tells_all else store.totals(sums)
        return Written(self._read(store) if self._budgets.any else None, store.host() if totals else "", totals)

    def _tell_fleet(self, written: Written) -> None:
        if self.fleet is not None:
            self.fleet.tells(written.host, written.totals, self._keep_days)

    def _written(self, done: asyncio.Future[Written], sums: dict[SumKey, Sum]) -> None:
        if done.cancelled():
            return
        if done.exception() is None:
            written = done.result()
            self._tell_fleet(written)
            if self._budgets.any and (rows := written.rows) is not None:
                self._budgets.told(self._clock(), rows, [(key.client, _spent(s)) for key, s in self._waiting.items()])
            return
        if self.fleet is not None:
            self.fleet.forgets()
        for key, value in sums.items():  # they wait for the next attempt
            self._waiting[key] = self._waiting.get(key, Sum()).plus(value)

    @staticmethod
    def _day(at: float) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(at))


def _with(sum: Sum, record: dict[str, Any], *, is_request: bool = True) -> Sum:
    """The sum with one request more, or with what an attempt has taken that is no request of its own."""
    requests, failed, input, read_before, written_before, output, usd_before, unpriced = sum
    if is_request:
        requests += 1
        failed += record["status"] >= 400 or "error.type" in record
    prompt = record["gen_ai.usage.input_tokens"]
    if prompt is None:
        return Sum(requests, failed, input, read_before, written_before, output, usd_before, unpriced)
    read = record["gen_ai.usage.cache_read.input_tokens"] or 0
    written = record["gen_ai.usage.cache_creation.input_tokens"] or 0
    usd = record["proxy.cost_usd"]
    return Sum(
        requests,
        failed,
        input + max(0, prompt - read - written),
        read_before + read,
        written_before + written,
        output + (record["gen_ai.usage.output_tokens"] or 0),
        usd_before + (usd or 0.0),
        unpriced + (usd is None),
    )


@functools.lru_cache(2)
def _hour(number: int) -> str:
    return time.strftime("%Y-%m-%dT%H", time.gmtime(number * HOUR_S))


def _spent(sum: Sum) -> Spent:
    return Spent(sum.usd, sum.input + sum.cache_read + sum.cache_write + sum.output)
