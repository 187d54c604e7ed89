"""The generic cell rate algorithm: what a bound of so much a minute remembers, and when it lets the next one through.

A bucket holds a minute's worth, and what is taken flows in again evenly. All that is remembered is `full`, the moment
when the bucket is full again; and `opens`, until when nothing flows in. A bound that is a promise ("600 a minute")
opens such that the next unit comes a minute after the first that was taken from the full bucket: else 600 at once
would be followed by 600 more in the same minute. One that is a pace opens at once. A correction may leave a debt.
Times are in seconds, of any clock. redis_scripts.py says the same in Lua.
"""

from __future__ import annotations

from typing import NamedTuple

MINUTE_S = 60.0
NEARLY = 1e-6  # of a minute's worth may be lacking: sums of floats never come out even


class Level(NamedTuple):
    """full: when the bucket is full again. opens: from when on it flows in."""

    full: float = 0.0
    opens: float = 0.0


def used(level: Level, per_minute: float, now: float) -> float:
    """Units that are taken and have not flowed in again; more than a minute's worth is a debt."""
    return max(0.0, level.full - max(now, level.opens)) * per_minute / MINUTE_S


def wait_for(level: Level, per_minute: float, units: float, now: float) -> float:
    """Seconds until `units` are there; what is more than a minute's worth waits for a full bucket."""
    lacking = min(units, per_minute) - (per_minute - used(level, per_minute, now))
    if lacking <= per_minute * NEARLY:
        return 0.0
    return max(0.0, level.opens - now) + lacking * MINUTE_S / per_minute


def charged(level: Level, per_minute: float, units: float, now: float, pause_s: float = 0.0) -> Level:
    """The bucket without these units; negative ones are given back. pause_s: how long after the first unit of a full
    bucket nothing flows in."""
    taken = used(level, per_minute, now)
    opens = now + pause_s if taken <= per_minute * NEARLY else max(level.opens, now)
    left = max(0.0, taken + units)
    return Level(opens + left * MINUTE_S / per_minute, opens)


def has(level: Level, per_minute: float, units: float, now: float) -> bool:
    """Whether so many units are there now."""
    return wait_for(level, per_minute, units, now) == 0.0 and units <= per_minute
