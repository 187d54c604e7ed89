"""A translated request, and what is thought of its size."""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.flow.exact_counts import Expected
from gateway.routing.router import Route
from translate.target import Encoded
from translate.token_features import Features


class Estimated(NamedTuple):
    """What was thought of a request when it went: two estimates, 0 where there is none, and what calibrates by its
    reply; expected: the exact count, which its reply must confirm."""

    quick: int = 0
    full: int = 0
    features: Features | None = None
    expected: Expected | None = None


NOTHING = Estimated()


class Crossed(NamedTuple):
    """data: the client's body. body: what its upstream gets. tokens, estimated: see Counting.seed."""

    route: Route
    data: dict[str, Any]
    encoded: Encoded
    body: bytes
    tokens: int
    estimated: Estimated
