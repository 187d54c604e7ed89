"""When a limit ends, as the body of an error says it: in fields of its own, or in words.

The limits of a minute ask for seconds. Those of a plan (five hours, a day, a week) are over in hours or days, and each
service says so in its own way; few of them send a header. Nothing here has a clock: what is told as a moment becomes a
wait by `Reset.wait`.
"""

from __future__ import annotations

import math
import re
from typing import Any

from msgspec import Struct

from translate import late

_LONG_AGO_MS = 1e12  # a larger number is milliseconds since 1970, and not seconds (OpenRouter)
_SECONDS = late.pattern(r"(\d{1,9}(?:\.\d{1,9})?)s")
MAX_READ = 4096  # characters of a message


class Reset(Struct, frozen=True):
    """What an error says. wait_s: to ask again in so many seconds. at: the limit ends then, in seconds since 1970.
    is_googles_day: it ends with the day of Google's quotas. is_long: it is one of hours or days, whenever it ends.
    words: those of the message that say so, for they may be a quotation of the request."""

    wait_s: float | None = None
    at: float | None = None
    is_googles_day: bool = False
    is_long: bool = False
    words: str = ""

    def wait(self, unix: float) -> float | None:
        """Returns how many seconds it takes until the limit ends; None if nobody knows. unix: now."""
        if self.at is not None and self.at > unix:
            return self.at - unix
        return self.wait_s


UNTOLD = Reset()


def told(error: dict[str, Any], details: list[dict[str, Any]], message: str, *, is_limit: bool) -> Reset:
    """Returns what an error says about when its limit ends. error: its fields. details: Google's. is_limit: of the
    error's kind, so that the words of its message are about a limit."""
    if any(_is_googles_day(each) for each in details):
        return Reset(is_googles_day=True, is_long=True)
    wait_s = next((wait for each in details if (wait := _googles_wait(each)) is not None), None)
    if wait_s is not None or not is_limit:
        return Reset(wait_s)
    wait_s, at = _number(error.get("resets_in_seconds")), _number(error.get("resets_at"))  # ChatGPT's plans
    at = at or _in_headers(error.get("metadata"))
    if wait_s is not None or at is not None:
        return Reset(wait_s, at if wait_s is None else None, is_long=True)
    return _in_words(message[:MAX_READ], f"{error.get('type')} {error.get('code')}"[:200])


# ------------------------------------------------------------------------------------------------ in fields


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _googles_wait(detail: dict[str, Any]) -> float | None:
    """Returns the seconds in Google's RetryInfo, or those that Gemini's plans say in an ErrorInfo."""
    if found := _SECONDS.fullmatch(str(detail.get("retryDelay"))):
        return float(found[1])
    about = detail.get("metadata")
    delay = about.get("quotaResetDelay") if isinstance(about, dict) else None
    found = _SPAN.fullmatch(delay) if isinstance(delay, str) and len(delay) < 40 else None
    return _seconds(found) if found else None


def _is_googles_day(detail: dict[str, Any]) -> bool:
    """Whether the quotas that are used up are those of a day. The delay beside them is of seconds all the same."""
    broken = detail.get("violations")
    if not isinstance(broken, list) or not broken:
        return False
    return all(isinstance(each, dict) and "PerDay" in str(each.get("quotaId")) for each in broken)


def _in_headers(metadata: Any) -> float | None:
    """Returns the end of OpenRouter's limit of a day, whose headers are in the body."""
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    if not isinstance(headers, dict):
        return None
    at = next((_number(value) for name, value in headers.items() if str(name).lower() == "x-ratelimit-reset"), None)
    if at is not None and at > _LONG_AGO_MS:
        at /= 1000
    return at


# ------------------------------------------------------------------------------------------------- in words

_SPAN = late.pattern(
    r"(?:(\d{1,3}) ?d(?:ays?)?\b ?|(\d{1,3})d)?(?:(\d{1,4}) ?h(?:ours?)?(?![a-z]) ?)?"
    r"(?:(\d{1,5}) ?m(?:in(?:ute)?s?)?(?![a-z]) ?)?(?:(\d{1,7}(?:\.\d{1,9})?) ?(ms|s(?:ec(?:ond)?s?)?)(?![a-z]))?",
    re.I,
)
_AGAIN = late.pattern(rf"\b(?:(?:try again|retry|resets?) (?:in|after)|please wait) (?:about )?({_SPAN.pattern})", re.I)
_ENDS_AT = late.pattern(r"usage limit reached\|(\d{10})\b", re.I)  # Claude's plans, in older words
_LONG = late.pattern(
    r"usage[ _]limit|\b(?:per|a) (?:day|week|month)\b|\bper[- ]day\b|\b(?:daily|weekly|monthly|session) .{0,30}limit"
    r"|weekly_rate|\d[ -]hours? (?:usage )?limit|billing cycle",
    re.I,
)


def _in_words(message: str, codes: str) -> Reset:
    """Returns what the words of a limit say (OpenAI, Azure, Groq, Copilot, ChatGPT): not each comes with a header, and
    none within a stream does. A date without its zone (z.ai) tells no more than that the limit is a long one."""
    if found := _ENDS_AT.search(message):
        return Reset(at=float(found[1]), is_long=True, words=found.group())
    long = _LONG.search(message) or _LONG.search(codes)
    if found := _AGAIN.search(message):
        wait_s = _seconds(_SPAN.fullmatch(found[1].strip()))
        if wait_s:
            return Reset(wait_s, is_long=long is not None, words=found.group())
    return Reset(is_long=True, words=long.group() if long.string is message else "") if long else UNTOLD


def _seconds(span: re.Match[str] | None) -> float | None:
    """Returns the seconds of a span such as "1h4m48.5s", "2 days 3 hours" or "20ms"."""
    if span is None:
        return None
    days, shortly, hours, minutes, rest, unit = span.groups()
    seconds = float(rest or 0) / (1000 if unit == "ms" else 1)
    seconds += int(days or shortly or 0) * 86_400 + int(hours or 0) * 3600 + int(minutes or 0) * 60
    return seconds or None
