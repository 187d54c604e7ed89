"""A translated request, with the estimates of its size."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct

from gateway.counting.exact_counts import Expected
from gateway.routing.router import Route
from translate.counting.token_features import Features
from translate.target import Encoded


class Estimated(NamedTuple):
    """What was estimated of a request when it was sent: two estimates, 0 = none, and the features that calibrate by its
    reply. expected: the exact count, which the reply must confirm."""

    quick: int = 0
    full: int = 0
    features: Features | None = None
    expected: Expected | None = None


NOTHING = Estimated()


class Crossed(Struct, frozen=True):
    """A translated request. data: the client's body. body: what the upstream gets. tokens, estimated: see
    Counting.seed."""

    route: Route
    data: dict[str, Any]
    encoded: Encoded
    body: bytes
    tokens: int
    estimated: Estimated
