"""The loop: one input after another, each made from a seed or from what was interesting before.

Interesting is an input for which a reader raises where it has not raised before. Work is counted in calls of functions,
of Python's and of C's, and in the processor's time for what one call does alone: both are bounded by the input's bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

from tests.fuzz.targets import Reader

CALLS_AT_LEAST = 20_000
CALLS_PER_BYTE = 150  # of the costliest reader, nine crossings of a request, with room
SECONDS_AT_LEAST = 0.5
SECONDS_PER_BYTE = 40e-6
KEPT = 200  # inputs that were interesting, the latest


class Finding(NamedTuple):
    target: str
    what: str
    data: bytes

    def __str__(self) -> str:
        return f"{self.target}: {self.what}\n  with {self.data[:2000]!r}"


def once(name: str, reader: Reader, data: bytes) -> tuple[str, Finding | None]:
    """(how it went, in a word; what is wrong, if anything is)."""
    begun = time.thread_time()
    try:
        reader.run(data)
        how = "ok"
    except reader.ours as error:
        how = f"{type(error).__name__} {_where(error)}"
    except Exception as error:
        what = "".join(traceback.format_exception_only(error)).strip()
        return "", Finding(name, f"{what[:300]} at {_where(error)}", data)
    took = time.thread_time() - begun
    if took > SECONDS_AT_LEAST + SECONDS_PER_BYTE * len(data) and _is_slow(reader, data):
        return "", Finding(name, f"{took:.2f} s for {len(data)} bytes", data)
    return how, None


def counted(name: str, reader: Reader, data: bytes) -> Finding | None:
    """The same, and how many calls it takes, the second time: some things are made at their first use, and once."""
    finding = once(name, reader, data)[1]
    calls = _calls(reader, data)
    if calls > CALLS_AT_LEAST + CALLS_PER_BYTE * len(data):
        return Finding(name, f"{calls} calls for {len(data)} bytes", data)
    return finding


def fuzz(name: str, reader: Reader, runs: int, seed: int, say: Callable[[Finding], None]) -> int:
    """Runs a target so many times. say: is told each finding, one for each place. How many there were."""
    rng = random.Random(f"{seed} {name}")
    seeds = list(dict.fromkeys(reader.seeds()))
    interesting: list[bytes] = []
    seen: set[str] = set()
    found: set[str] = set()
    for n in range(runs):
        if n < len(seeds):
            data = seeds[n]
        else:
            base = rng.choice(interesting if interesting and rng.random() < 0.4 else seeds)
            data = reader.mutate(rng, base, seeds)
        how, finding = once(name, reader, data)
        if finding is not None:
            place = finding.what.rpartition(" at ")[2]
            if place not in found:
                found.add(place)
                say(finding)
        elif how not in seen:
            seen.add(how)
            interesting.append(data)
            del interesting[:-KEPT]
        elif rng.random() < 0.002:
            interesting.append(data)
            del interesting[:-KEPT]
    return len(found)


def name_of(data: bytes) -> str:
    """Of the file that an input is kept in."""
    return hashlib.sha256(data).hexdigest()[:12]


def _is_slow(reader: Reader, data: bytes) -> bool:
    """Measured again: others have the processor too."""
    best = float("inf")
    for _ in range(3):
        begun = time.thread_time()
        with contextlib.suppress(*reader.ours):
            reader.run(data)
        best = min(best, time.thread_time() - begun)
    return best > SECONDS_AT_LEAST + SECONDS_PER_BYTE * len(data)


def _calls(reader: Reader, data: bytes) -> int:
    count = 0

    def on(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    before = sys.getprofile()
    sys.setprofile(on)
    try:
        reader.run(data)
    except Exception:
        return count
    finally:
        sys.setprofile(before)
    return count


def _where(error: BaseException) -> str:
    """The place in our own code that raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if "site-packages" not in each.filename and "/lib/python" not in each.filename]
    last = own[-1] if own else frames[-1]
    return f"{last.filename.rpartition('/')[2]}:{last.lineno}"
