"""What is left of a client's bounds, as headers in the words of the protocols. Clients slow down by them."""

from __future__ import annotations

from collections.abc import Callable

RateHeaders = Callable[[str, int, int, float, str], dict[str, str]]
"""(unit, most, left, reset_s, reset_at) -> headers by name, in lower case. unit: "requests" or "tokens"; most: in a
minute; reset_s, reset_at: in how many seconds, and when (RFC 3339), all of them are there again."""


def openai(unit: str, most: int, left: int, reset_s: float, reset_at: str) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{unit}": str(most),
        f"x-ratelimit-remaining-{unit}": str(left),
        f"x-ratelimit-reset-{unit}": f"{reset_s:.3f}s" if reset_s < 1 else f"{reset_s:.0f}s",
    }


def anthropic(unit: str, most: int, left: int, reset_s: float, reset_at: str) -> dict[str, str]:
    return {
        f"anthropic-ratelimit-{unit}-limit": str(most),
        f"anthropic-ratelimit-{unit}-remaining": str(left),
        f"anthropic-ratelimit-{unit}-reset": reset_at,
    }
