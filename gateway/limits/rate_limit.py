"""Requests and tokens a minute: our own bounds, and what an upstream's rate-limit headers tell of its.

`Quota` is two leaky buckets that hold a minute's worth each: a request is charged its estimated tokens when it goes,
and corrected when its real usage is known. `Headroom` is what the last answer of a key said about how much is left, and
until when: with nothing left, waiting is cheaper than asking. No clock of its own: `now` is given, in seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MINUTE = 60.0
NEARLY = 1e-9  # of a minute's worth may be lacking: sums of floats never come out even

Headers = Sequence[tuple[str, str]]


class Bucket:
    """`per_minute` units flow in evenly, no more than a minute's worth is kept; it may go into debt by a correction."""

    __slots__ = ("_at", "_level", "per_minute")

    def __init__(self, per_minute: float, now: float) -> None:
        self.per_minute = per_minute
        self._level = per_minute
        self._at = now

    def __repr__(self) -> str:
        return f"<Bucket {self._level:.0f} of {self.per_minute:g} a minute>"

    def wait_for(self, units: float, now: float) -> float:
        """Seconds until `units` are there; what is more than a minute's worth waits for a full bucket."""
        self._level = min(self.per_minute, self._level + (now - self._at) * self.per_minute / MINUTE)
        self._at = now
        lacking = min(units, self.per_minute) - self._level
        return lacking * MINUTE / self.per_minute if lacking > self.per_minute * NEARLY else 0.0

    def charge(self, units: float) -> None:
        self._level -= units

    def resized(self, per_minute: float, now: float) -> Bucket:
        """Another bound; what was used of this one is used of that one."""
        self.wait_for(0, now)
        new = Bucket(per_minute, now)
        new.charge(self.per_minute - self._level)
        return new


class Quota:
    """Of a client or an upstream. 0 = no bound."""

    __slots__ = ("_requests", "_tokens")

    def __init__(self, requests_per_minute: int, tokens_per_minute: int, now: float) -> None:
        self._requests = Bucket(requests_per_minute, now) if requests_per_minute else None
        self._tokens = Bucket(tokens_per_minute, now) if tokens_per_minute else None

    def __repr__(self) -> str:
        return f"<Quota {self._requests} {self._tokens}>"

    def resized(self, requests_per_minute: int, tokens_per_minute: int, now: float) -> Quota:
        """Other bounds, from now on; what has been used stays so."""
        new = Quota(requests_per_minute, tokens_per_minute, now)
        if self._requests and new._requests:
            new._requests = self._requests.resized(requests_per_minute, now)
        if self._tokens and new._tokens:
            new._tokens = self._tokens.resized(tokens_per_minute, now)
        return new

    @property
    def bounds(self) -> bool:
        return self._requests is not None or self._tokens is not None

    @property
    def counts_tokens(self) -> bool:
        return self._tokens is not None

    @property
    def tokens_per_minute(self) -> int:
        """0 = no bound."""
        return int(self._tokens.per_minute) if self._tokens is not None else 0

    def take(self, tokens: int, now: float) -> float:
        """0.0: the request may go, and is charged. Else the seconds until it may, and nothing is charged."""
        wait = self._requests.wait_for(1, now) if self._requests else 0.0
        if self._tokens:
            wait = max(wait, self._tokens.wait_for(tokens, now))
        if wait > 0:
            return wait
        if self._requests:
            self._requests.charge(1)
        if self._tokens:
            self._tokens.charge(tokens)
        return 0.0

    def owe(self) -> None:
        """One request more, which cannot wait; its tokens are counted when they are known."""
        if self._requests:
            self._requests.charge(1)

    def give_back(self, tokens: int) -> None:
        """A request that was charged did not go."""
        if self._requests:
            self._requests.charge(-1)
        if self._tokens:
            self._tokens.charge(-tokens)

    def correct(self, tokens: int) -> None:
        """The request took so many tokens more than it was charged (negative: fewer)."""
        if self._tokens:
            self._tokens.charge(tokens)


# ------------------------------------------------------------------------------- an upstream's own words

_UNIT = r"(?:requests|(?:input-|output-)?tokens)(?:-(?:second|minute|hour|day))?"
_LEFT = re.compile(rf"(?:anthropic-|x-)?ratelimit-(?:remaining(?:-{_UNIT})?|{_UNIT}-remaining)")
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_LONG_AGO = 1e9  # seconds: above it a number is a Unix time, not a span
LONGEST_S = 60.0  # absurd waits are not believed: the answer to an early question tells


class Headroom:
    """free_at: until when its owner had better not be asked. 0.0 = it may be."""

    __slots__ = ("free_at",)

    def __init__(self) -> None:
        self.free_at = 0.0

    def __repr__(self) -> str:
        return f"<Headroom free at {self.free_at:.1f}>"

    def learn(self, headers: Headers, now: float, unix: float) -> None:
        """Of any answer. now: monotonic; unix: the same moment, for times that are given as dates."""
        reset = used_up(headers, unix)
        if reset:
            self.free_at = max(self.free_at, now + min(reset, LONGEST_S))


def used_up(headers: Headers, unix: float) -> float:
    """Seconds until the last of the limits of which nothing is left is reset; 0.0 = none is used up, or none says."""
    longest = 0.0
    for name, value in headers:
        if value == "0" and "ratelimit" in name and _LEFT.fullmatch(name):
            reset = resets_in(_value(headers, name.replace("remaining", "reset")), unix)
            longest = max(longest, reset or 0.0)
    return longest


def _value(headers: Headers, wanted: str) -> str:
    return next((value for name, value in headers if name == wanted), "").strip()


def resets_in(text: str, unix: float) -> float | None:
    """Seconds from now: "1s", "6m0s", "12ms", "30", a Unix time, or a date as RFC 3339 has it; None for all else."""
    if not text:
        return None
    if (number := _number(text)) is not None:
        if number > _LONG_AGO * 1000:  # milliseconds since 1970 (OpenRouter)
            number /= 1000
        return max(0.0, number - unix if number > _LONG_AGO else number)
    if span := _SPAN.fullmatch(text):
        d, h, m, s, ms = (float(part or 0) for part in span.groups())
        seconds = d * 86400 + h * 3600 + m * 60 + s + ms / 1000
        return seconds if math.isfinite(seconds) else None
    try:
        return _until(datetime.fromisoformat(text), unix)
    except (ValueError, OverflowError):
        return None


def asked_wait(headers: Headers, unix: float) -> float | None:
    """Seconds after which an upstream wants to be asked again: retry-after-ms, retry-after (seconds or a date), else
    the reset of a limit that is used up. None: it did not say."""
    ms = _number(_value(headers, "retry-after-ms"))
    if ms is not None:
        return max(0.0, ms / 1000)
    after = _value(headers, "retry-after")
    if after:
        seconds = _number(after)
        return _http_date(after, unix) if seconds is None else max(0.0, seconds)
    if not _value(headers, "x-ratelimit-remaining") and (reset := _value(headers, "x-ratelimit-reset")):
        return resets_in(reset, unix)
    return used_up(headers, unix) or None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _http_date(text: str, unix: float) -> float | None:
    try:
        return _until(parsedate_to_datetime(text), unix)
    except (ValueError, OverflowError, TypeError, IndexError):  # it was not made for what a stranger sends
        return None


def _until(when: datetime, unix: float) -> float:
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, when.timestamp() - unix)
