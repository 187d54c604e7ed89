"""How much one address may have at once: connections, and requests in flight.

This machine is not bounded: reverse proxies on it bring everybody's requests. Nor are reverse proxies that the settings
trust; what they forward counts for the address that they name (gateway/http/forwarded.py).
"""

from __future__ import annotations

from translate.errors import ApiError


class PerAddress:
    """take() and give_back() for each. setting: that the refusal names. An empty address stands for whom it does not
    bound."""

    def __init__(self, what: str, setting: str) -> None:
        self._what, self._setting = what, setting
        self._most = 0
        self._had: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<PerAddress {self._what} of {len(self._had)} addresses>"

    def adopt(self, most: int) -> None:
        """most: 0 = no bound."""
        self._most = most

    def is_full(self, address: str, more: int = 0) -> bool:
        """more: what the address has besides."""
        return bool(self._most) and bool(address) and self._had.get(address, 0) + more >= self._most

    def take(self, address: str) -> None:
        if address:
            self._had[address] = self._had.get(address, 0) + 1

    def give_back(self, address: str) -> None:
        left = self._had.get(address, 0) - 1
        if left > 0:
            self._had[address] = left
        else:
            self._had.pop(address, None)

    def refusal(self, address: str) -> ApiError:
        message = f"{address} has {self._most} {self._what} here already ([limits] {self._setting})"
        return ApiError("rate_limit", message, 429, retry_after=1)
