"""Learns from its replies what a model's tokens cost: a weight for each feature of a request
(translate/counting/token_features.py).

Each reply tells what its request really took. The weights follow by recursive least squares, relative to the size of
the request, from a start that fits the usual vocabularies. A reply that says something quite different moves them
little, as where the upstream has added a text of its own. The error of each prediction is known before its reply
teaches; the median of these errors tells how far a count may be off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from translate.counting.token_features import NAMES, Features

START = {
    "base": 3.0, "messages": 4.0, "parts": 1.0, "words": 1.0, "long": 1.0, "digits": 1.0, "signs": 0.8, "space": 0.6,
    "wide": 0.8, "fields": 1.0, "tools": 8.0, "has_tools": 100.0,
}  # fmt: skip
SPREAD = {
    "base": 5.0, "messages": 3.0, "parts": 1.0, "words": 0.25, "long": 0.5, "digits": 0.5, "signs": 0.4, "space": 0.5,
    "wide": 0.5, "fields": 0.7, "tools": 8.0, "has_tools": 250.0,
}  # fmt: skip
NOISE = 0.01  # the part of a count that the features cannot tell
FORGETS = 0.99  # the part of the earlier replies' weight that remains after one more
ODD = 0.3  # once some replies have been seen, a larger error counts less
TRUSTS_AFTER = 8
ERRORS = 50  # how many of the latest go into the median
CALIBRATED_AFTER = 20  # replies
MAX_OFF = 0.25  # with a larger error, nothing is calibrated
LEAST = 20.0  # tokens: the errors of a smaller request are measured against this size
HEARD_SPREAD = 0.3  # the part of SPREAD that weights of another worker begin with


class Calibration:
    """The weights for one model of one upstream. seen: how many replies have taught."""

    __slots__ = ("_covariance", "_errors", "seen", "weights")

    def __init__(self) -> None:
        self.weights = [START[name] for name in NAMES]
        self.seen = 0
        self._errors: deque[float] = deque(maxlen=ERRORS)
        self._covariance = _diagonal(1.0)

    def __repr__(self) -> str:
        return f"<Calibration of {self.seen} replies, +-{self.error:.0%}>"

    @property
    def error(self) -> float:
        """The median error, relative to the count; 1.0 = not known."""
        errors = sorted(self._errors)
        return (errors[len(errors) // 2] + errors[~(len(errors) // 2)]) / 2 if errors else 1.0

    @property
    def is_calibrated(self) -> bool:
        return self.seen >= CALIBRATED_AFTER and self.error <= MAX_OFF

    def count(self, features: Features) -> int:
        """Returns the tokens of a request; for media, what is usual."""
        return max(1, round(self._text(features) + features.media))

    def _text(self, features: Features) -> float:
        return sum(weight * value for weight, value in zip(self.weights, features, strict=False))

    def learn(self, features: Features, real: int) -> None:
        """Learns from a reply that has told the tokens of its request."""
        if features.unseen or real <= 0:
            return
        error = abs(self._text(features) - real) / max(real, LEAST)
        odd = self.seen >= TRUSTS_AFTER and error > ODD
        self._errors.append(error)
        self._move(features, real, NOISE * (3 * error / ODD if odd else 1.0))
        self.seen += 1

    def _move(self, features: Features, real: int, noise: float) -> None:
        scale = 1 / max(real, LEAST)
        x = [value * scale for value in features[: len(NAMES)]]
        spread = [sum(map(float.__mul__, row, x)) for row in self._covariance]
        total = noise * noise + sum(map(float.__mul__, spread, x))
        gain = [each / total for each in spread]
        off = (real - self._text(features)) * scale
        self.weights = [weight + each * off for weight, each in zip(self.weights, gain, strict=True)]
        # A feature that no reply has had stays as uncertain as at the start.
        widest = max(self._covariance[at][at] / SPREAD[name] ** 2 for at, name in enumerate(NAMES))
        keeps = FORGETS if widest <= 1.0 else 1.0
        self._covariance = [
            [(value - one * other) / keeps for value, other in zip(row, spread, strict=True)]
            for row, one in zip(self._covariance, gain, strict=True)
        ]

    # --------------------------------------------------------------------------------- for other workers

    def told(self) -> list[Any]:
        return [self.seen, round(self.error, 4), [round(weight, 4) for weight in self.weights]]

    def hear(self, told: Sequence[Any]) -> None:
        """Takes over another worker's weights, if they come from more replies."""
        seen, error, weights = told
        if seen > self.seen and len(weights) == len(NAMES):
            self.seen, self.weights = int(seen), [float(weight) for weight in weights]
            self._errors.clear()
            self._errors.append(float(error))
            self._covariance = _diagonal(HEARD_SPREAD)


def _diagonal(share: float) -> list[list[float]]:
    return [[(SPREAD[one] * share) ** 2 if one == other else 0.0 for other in NAMES] for one in NAMES]
