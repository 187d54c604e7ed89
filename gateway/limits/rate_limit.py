"""Requests and tokens a minute: our own limits, and what an upstream's rate-limit headers tell about its limits.

`Quota` is two buckets that hold the amount of one minute each. When a request is sent, it is charged its estimated
tokens; this is corrected when the real usage is known. `Headroom` is what the last answer for a key said about how much
is left, and until when: if nothing is left, waiting is cheaper than asking. `MessageRate` bounds the messages of a
websocket. None has a clock: `now` is given, in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from gateway.limits import gcra
from gateway.limits.gcra import Level
from gateway.limits.limiter import Left
from translate import late
from translate.failures.errors import ApiError

Headers = Sequence[tuple[str, str]]


class Bucket:
    """One limit of so many units a minute, as in gcra.py. It remembers the time of the last question, which also holds
    for what is charged after it."""

    __slots__ = ("_at", "is_promise", "level", "pause_s", "per_minute")

    def __init__(self, per_minute: float, now: float, is_promise: bool = False) -> None:
        self.per_minute = per_minute
        self.is_promise = is_promise
        self.pause_s = gcra.MINUTE_S - gcra.MINUTE_S / per_minute if is_promise else 0.0
        self.level = Level()
        self._at = now

    def __repr__(self) -> str:
        return f"<Bucket {self.left(self._at):.0f} of {self.per_minute:g} a minute>"

    def left(self, now: float) -> float:
        """Returns the units that are left; negative if there is a debt."""
        return self.per_minute - gcra.used(self.level, self.per_minute, now)

    def wait_for(self, units: float, now: float) -> float:
        """Returns how many seconds until `units` are there. More than a minute's amount waits for a full bucket."""
        self._at = now
        return gcra.wait_for(self.level, self.per_minute, units, now)

    def charge(self, units: float) -> None:
        self.level = gcra.charged(self.level, self.per_minute, units, self._at, self.pause_s)

    def resized(self, per_minute: float, now: float) -> Bucket:
        """Returns a bucket for another limit. What was used of this one is used of that one."""
        new = Bucket(per_minute, now, self.is_promise)
        opens = max(self.level.opens, now)
        new.level = Level(opens + gcra.used(self.level, self.per_minute, now) * gcra.MINUTE_S / per_minute, opens)
        return new


class Quota:
    """The limits of a client or an upstream; 0 = no limit. is_promise: a client's limit is about the minute that begins
    with its first request. An upstream's limit is the pace at which it is asked."""

    __slots__ = ("is_promise", "requests", "tokens")

    def __init__(self, requests_per_minute: int, tokens_per_minute: int, now: float, is_promise: bool = False) -> None:
        self.is_promise = is_promise
        self.requests = Bucket(requests_per_minute, now, is_promise) if requests_per_minute else None
        self.tokens = Bucket(tokens_per_minute, now, is_promise) if tokens_per_minute else None

    def __repr__(self) -> str:
        return f"<Quota {self.requests} {self.tokens}>"

    def resized(self, requests_per_minute: int, tokens_per_minute: int, now: float) -> Quota:
        """Returns the quota with other limits. What has been used stays used."""
        new = Quota(requests_per_minute, tokens_per_minute, now, self.is_promise)
        if self.requests and new.requests:
            new.requests = self.requests.resized(requests_per_minute, now)
        if self.tokens and new.tokens:
            new.tokens = self.tokens.resized(tokens_per_minute, now)
        return new

    @property
    def bounds(self) -> bool:
        return self.requests is not None or self.tokens is not None

    @property
    def counts_tokens(self) -> bool:
        return self.tokens is not None

    @property
    def tokens_per_minute(self) -> int:
        """The limit of tokens; 0 = none."""
        return int(self.tokens.per_minute) if self.tokens is not None else 0

    def take(self, tokens: float, now: float, requests: float = 1) -> float:
        """Returns 0.0 and charges the request, or returns how many seconds it must wait and charges nothing. requests:
        as how many requests it counts."""
        wait = self.requests.wait_for(requests, now) if self.requests else 0.0
        if self.tokens:
            wait = max(wait, self.tokens.wait_for(tokens, now))
        if wait > 0:
            return wait
        self.charge(requests, tokens)
        return 0.0

    def charge(self, requests: float, tokens: float) -> None:
        """Charges tokens; negative ones are given back."""
        if self.requests and requests:
            self.requests.charge(requests)
        if self.tokens and tokens:
            self.tokens.charge(tokens)

    def owe(self) -> None:
        """Charges one more request, which cannot wait. Its tokens are counted when they are known."""
        self.charge(1, 0)

    def give_back(self, tokens: int) -> None:
        """Gives back what a request was charged that was not sent."""
        self.charge(-1, -tokens)

    def correct(self, tokens: int) -> None:
        """Charges so many tokens more than before (negative: fewer), as the request has really taken them."""
        self.charge(0, tokens)

    def left(self, now: float) -> list[Left]:
        """Returns what is left of each limit."""
        rows = (("requests", self.requests), ("tokens", self.tokens))
        return [
            Left(unit, int(each.per_minute), max(0, int(each.left(now))), max(0.0, each.level.full - now))
            for unit, each in rows
            if each is not None
        ]


# ------------------------------------------------------------------------------- an upstream's own words

_UNIT = r"(?:requests|(?:input-|output-)?tokens)(?:-(?:second|minute|hour|day))?"
_LEFT = late.pattern(rf"(?:anthropic-|x-)?ratelimit-(?:remaining(?:-{_UNIT})?|{_UNIT}-remaining)")
_SPAN = late.pattern(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_LONG_AGO = 1e9  # seconds: a larger number is a Unix time and not a span
LONGEST_S = 60.0  # what a reply says of a longer time is not believed: an early request shows the truth
PROBE_S = 300.0  # how often a limit that lasts for hours is tried: people buy more, and services end it earlier
MOST_S = 8 * 86_400.0  # no limit is one of more than a week


class Headroom:
    """What an upstream's answers say about its limits. free_at: no request had better be sent before this; 0.0 = any
    time. resets_at: a refusal has said that its limit ends then, which is longer than a minute; 0.0 = none has. Until
    then, one request at a time finds out whether that still holds."""

    __slots__ = ("_refused_at", "free_at", "resets_at")

    def __init__(self) -> None:
        self.free_at = self.resets_at = self._refused_at = 0.0

    def __repr__(self) -> str:
        return f"<Headroom free at {self.free_at:.1f}, resets at {self.resets_at:.1f}>"

    def refused(self, wait: float, now: float) -> None:
        """A refusal asks to wait so many seconds."""
        self.free_at = max(self.free_at, now + min(wait, PROBE_S))
        if wait > LONGEST_S:
            self.resets_at = max(self.resets_at, now + min(wait, MOST_S))
            self._refused_at = now

    def hears(self, until: float, now: float) -> None:
        """Another worker has been refused, until then."""
        if until > self.resets_at:
            self.resets_at, self._refused_at = until, now

    def probes(self, now: float) -> None:
        """A request is about to be sent. While the limit lasts, the others wait for what becomes of it."""
        if now < self.resets_at:
            self.free_at = max(self.free_at, now + LONGEST_S)

    def works(self, sent_at: float) -> None:
        """A request was answered. If it was sent after the refusal, the limit is over, whatever was said."""
        if sent_at > self._refused_at:
            self.free_at = self.resets_at = 0.0

    def learn(self, headers: Headers, now: float, unix: float) -> None:
        """Learns from the headers of any answer. now: monotonic. unix: the same moment, for times that are given as
        dates."""
        reset = used_up(headers, unix)
        if reset:
            self.free_at = max(self.free_at, now + min(reset, LONGEST_S))


def used_up(headers: Headers, unix: float) -> float:
    """Returns how many seconds until the last of the used-up limits is reset; 0.0 = none is used up, or none says
    so."""
    longest = 0.0
    for name, value in headers:
        if value == "0" and "ratelimit" in name and _LEFT.fullmatch(name):
            reset = resets_in(_value(headers, name.replace("remaining", "reset")), unix)
            longest = max(longest, reset or 0.0)
    return longest


def _value(headers: Headers, wanted: str) -> str:
    return next((value for name, value in headers if name == wanted), "").strip()


def resets_in(text: str, unix: float) -> float | None:
    """Returns seconds from now for "1s", "6m0s", "12ms", "30", a Unix time or an RFC 3339 date; None for anything
    else."""
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
    """Returns after how many seconds an upstream wants to be asked again, by retry-after-ms, retry-after (seconds or a
    date), or the reset of a limit that is used up. None: it did not say."""
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


class MessageRate:
    """How many messages a minute one websocket may send. Call came() for each. A burst may take all messages of a
    minute at once; then they come back evenly."""

    __slots__ = ("_at", "_left", "_most")

    def __init__(self, most: int) -> None:
        """most: messages a minute."""
        self._most = most
        self._left = float(most)
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<MessageRate {self._left:.0f} of {self._most}>"

    def came(self, now: float) -> None:
        """Counts a message. now: seconds. Raises ApiError (429)."""
        if self._at:
            self._left = min(self._most, self._left + (now - self._at) * self._most / 60)
        self._at = now
        if self._left < 1:
            message = f"more than {self._most} messages a minute on this websocket ([limits] websocket_messages)"
            raise ApiError("rate_limit", message, 429, retry_after=60 / self._most)
        self._left -= 1
