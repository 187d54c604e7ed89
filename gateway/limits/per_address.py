"""How much one address may have at once: connections, and requests in flight.

This machine has no limit, because reverse proxies on it bring everybody's requests. Nor have the reverse proxies that
the settings trust: what they forward counts for the address that they name (gateway/http/forwarded.py).

Who has an IPv6 address has a whole network of 2^64 addresses, which count as one.
"""

from __future__ import annotations

import functools
import ipaddress

from translate.failures.errors import ApiError

NETWORK_BITS = 64
MAX_KNOWN = 4096  # addresses


@functools.lru_cache(maxsize=MAX_KNOWN)
def holder(address: str) -> str:
    """Returns who has this address: its network for IPv6, else the address itself. Proxies also write ::ffff:1.2.3.4
    for an IPv4 address."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, NETWORK_BITS), strict=False))


class PerAddress:
    """Call take() and give_back() for each. setting: the one that the refusal names. An empty address stands for one
    without a limit."""

    def __init__(self, what: str, setting: str) -> None:
        self._what, self._setting = what, setting
        self._most = 0
        self._had: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<PerAddress {self._what} of {len(self._had)} addresses>"

    def adopt(self, most: int) -> None:
        """most: 0 = no limit."""
        self._most = most

    def is_full(self, address: str, more: int = 0) -> bool:
        """Returns whether the address has all that it may have. more: what it has elsewhere."""
        return bool(self._most) and bool(address) and self._had.get(holder(address), 0) + more >= self._most

    def take(self, address: str) -> None:
        if address:
            of = holder(address)
            self._had[of] = self._had.get(of, 0) + 1

    def give_back(self, address: str) -> None:
        of = holder(address)
        left = self._had.get(of, 0) - 1
        if left > 0:
            self._had[of] = left
        else:
            self._had.pop(of, None)

    def refusal(self, address: str) -> ApiError:
        message = f"{holder(address)} has {self._most} {self._what} here already ([limits] {self._setting})"
        return ApiError("rate_limit", message, 429, retry_after=1)
