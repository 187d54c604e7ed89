"""Who counts as one, where addresses are bounded."""

from __future__ import annotations

import pytest

from gateway.limits.per_address import PerAddress, holder


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.9", "192.0.2.9"),
        ("2001:db8:0:1::9", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_a_network_of_ipv6_is_one(address: str, expected: str) -> None:
    assert holder(address) == expected


def test_another_address_of_the_network_is_no_way_round_the_bound() -> None:
    bound = PerAddress("requests", "requests_per_address")
    bound.adopt(2)
    for n in (1, 2):
        assert not bound.is_full(f"2001:db8::{n}")
        bound.take(f"2001:db8::{n}")
    assert bound.is_full("2001:db8::3") and not bound.is_full("2001:db8:0:1::3")
    assert "2001:db8::/64 has 2 requests" in bound.refusal("2001:db8::3").message
    bound.give_back("2001:db8::1")
    assert not bound.is_full("2001:db8::3")
    bound.give_back("2001:db8::2")
    assert repr(bound).endswith("of 0 addresses>")
