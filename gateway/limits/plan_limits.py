"""When the limit of a plan ends: of five hours, a day or a week, as the headers and the body of a refusal say it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from gateway.limits import rate_limit
from gateway.limits.rate_limit import Headers
from translate.failures.errors import ApiError

UNTOLD_S = 900.0  # how long a limit of hours or days lasts, if nobody says when it ends

_CLAUDES = "anthropic-ratelimit-unified-"
_OF_KEY = ("5h-", "7d-")  # the windows of all models; others are those of one (7d_opus) or of what is paid beyond
_WINDOWS = ("", *_OF_KEY)
_CODEX = ("x-codex-primary-", "x-codex-secondary-")


def wait(headers: Headers, error: ApiError, unix: float) -> float | None:
    """Returns after how many seconds a refused request may be sent again; None if neither its headers nor its body say
    so. The Retry-After of a plan's limit may be the backoff of some server in between, so the longest time counts."""
    asked, reset = rate_limit.asked_wait(headers, unix), error.reset
    told = _googles_midnight(unix) if reset.is_googles_day else reset.wait(unix)
    of_plan = _in_headers(headers, unix) if error.kind == "rate_limit" else None
    if asked is not None and not reset.is_long:
        told = None
    return max((each for each in (asked, told, of_plan) if each is not None), default=None)


def _in_headers(headers: Headers, unix: float) -> float | None:
    """Returns how many seconds the used-up limits of a Claude or ChatGPT plan last; None if none is used up."""
    longest = 0.0
    named = {name: value for name, value in headers if name.startswith((_CLAUDES, *_CODEX))}
    if not named:
        return None
    for window in _WINDOWS:
        if named.get(f"{_CLAUDES}{window}status") == "rejected":
            longest = max(longest, rate_limit.resets_in(named.get(f"{_CLAUDES}{window}reset", ""), unix) or 0.0)
    for window in _used_up(named):
        longest = max(longest, rate_limit.resets_in(named.get(f"{window}reset-after-seconds", ""), unix) or 0.0)
    return longest or None


def is_of_key(headers: Headers, error: ApiError) -> bool:
    """Returns whether the used-up limit of a Claude or ChatGPT plan is one of all models of the key. Google's, and what
    nobody tells more of, are of one model."""
    named = {name: value for name, value in headers if name.startswith((_CLAUDES, *_CODEX))}
    if not named or error.kind != "rate_limit":
        return False
    return any(named.get(f"{_CLAUDES}{window}status") == "rejected" for window in _OF_KEY) or bool(_used_up(named))


def _used_up(named: dict[str, str]) -> list[str]:
    """Returns which windows of a ChatGPT plan are used up."""
    used = {window: rate_limit.resets_in(named.get(f"{window}used-percent", ""), 0.0) for window in _CODEX}
    return [window for window, percent in used.items() if percent is not None and percent >= 100]


def _googles_midnight(unix: float) -> float:
    """Returns how many seconds are left of the day in California, by which Google counts."""
    from zoneinfo import ZoneInfo  # as only this needs it

    try:
        zone: tzinfo = ZoneInfo("America/Los_Angeles")
    except (LookupError, OSError):  # a small system has no table of time zones
        zone = timezone(timedelta(hours=-8))
    now = datetime.fromtimestamp(unix, zone)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight.astimezone(UTC) - now.astimezone(UTC)).total_seconds()


def shown(seconds: float) -> str:
    """Returns a long time for people: "3 h 41 min"."""
    minutes = math.ceil(seconds / 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
