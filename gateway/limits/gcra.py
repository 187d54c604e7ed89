"""The generic cell rate algorithm: what a limit of so much a minute remembers, and when it lets the next request
through.

A bucket holds the amount of one minute. What is taken from it flows in again evenly. Two times are remembered: `full`,
when the bucket will be full again, and `opens`, before which nothing flows in. A limit that is a promise ("600 a
minute") gives its next unit a minute after the first one was taken from the full bucket: otherwise 600 at once would be
followed by 600 more in the same minute. A limit that is a pace opens at once. A correction may leave a debt. Times are
in seconds, of any clock. redis_scripts.py does the same in Lua.
"""

from __future__ import annotations

from typing import NamedTuple

MINUTE_S = 60.0
NEARLY = 1e-6  # this part of a minute's amount may be missing, because sums of floats are not exact


class Level(NamedTuple):
    """The state of a bucket. full: when it is full again. opens: when it begins to fill."""

    full: float = 0.0
    opens: float = 0.0


def used(level: Level, per_minute: float, now: float) -> float:
    """Returns the units that were taken and have not flowed in again. More than a minute's amount is a debt."""
    return max(0.0, level.full - max(now, level.opens)) * per_minute / MINUTE_S


def wait_for(level: Level, per_minute: float, units: float, now: float) -> float:
    """Returns how many seconds until `units` are there. More than a minute's amount waits for a full bucket."""
    lacking = min(units, per_minute) - (per_minute - used(level, per_minute, now))
    if lacking <= per_minute * NEARLY:
        return 0.0
    return max(0.0, level.opens - now) + lacking * MINUTE_S / per_minute


def charged(level: Level, per_minute: float, units: float, now: float, pause_s: float = 0.0) -> Level:
    """Returns the bucket without these units; negative ones are given back. pause_s: for how long nothing flows in
    after the first unit was taken from a full bucket."""
    taken = used(level, per_minute, now)
    opens = now + pause_s if taken <= per_minute * NEARLY else max(level.opens, now)
    left = max(0.0, taken + units)
    return Level(opens + left * MINUTE_S / per_minute, opens)


def has(level: Level, per_minute: float, units: float, now: float) -> bool:
    """Returns whether so many units are there now."""
    return wait_for(level, per_minute, units, now) == 0.0 and units <= per_minute
