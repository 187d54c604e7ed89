"""Seconds since 1970 as RFC 3339 has them, by the civil calendar (Howard Hinnant, "Date Algorithms")."""

from __future__ import annotations

_DAY = 86_400
MOST = 253402300799  # the end of the year 9999


def rfc3339(seconds: int) -> str:
    days, rest = divmod(max(0, min(seconds, MOST)), _DAY)
    days += 719_468
    era, of_era = divmod(days, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    year += era * 400 + (month <= 2)
    hour, minute, second = rest // 3_600, rest // 60 % 60, rest % 60
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
