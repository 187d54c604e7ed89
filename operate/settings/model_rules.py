"""Reads the lines of [models], `PATTERN [if CONDITION] = STAGE, STAGE ...`, and those of [prices] and [sizes].

A stage is one target, or several equals (`a/x *3 | b/y`) that share the requests by load and weight. Stages are tried
in their order. The result has the lines of one pattern together, the one without a condition last, wherever they are
in the file; so the first rule whose condition holds is the right one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from msgspec import Struct

from operate.settings import conditions
from operate.settings.conditions import Condition
from operate.settings.errors import did_you_mean, shown

LIGHTEST, HEAVIEST = 0.01, 10_000.0
"""The limits of a weight. With a weight beyond them, a target would get nearly all requests, or nearly none."""

_CONDITION = re.compile(r"\sif(?=\s|$)")
_WEIGHT = re.compile(r"(.*\S)\s+\*(.*)")
_NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)


class TargetRef(Struct, frozen=True):
    """One target of a line of [models]. model: the model's name at the upstream; None = the name that the client asked
    for. stage: 0 is tried first; targets of one stage are equals, and share the requests by weight."""

    upstream: str
    model: str | None
    stage: int = 0
    weight: float = 1.0


class ModelRule(Struct, frozen=True):
    """A line of [models]. pattern: an exact name or a glob (* ? [..]). targets: in the order of their stages. line: its
    number in the file; 0 = it comes from an option. condition: None = for every request."""

    pattern: str
    targets: tuple[TargetRef, ...]
    line: int
    condition: Condition | None = None

    @property
    def glob(self) -> str:
        """The pattern for fnmatch, or "" for an exact name. [1m] at the end is a suffix, not a set of letters."""
        stem = self.pattern.removesuffix("[1m]")
        if not any(mark in stem for mark in "*?["):
            return ""
        return self.pattern if stem == self.pattern else stem + "[[]1m]"


def parse_key(key: str) -> tuple[str, Condition | None]:
    """Reads the text before the `=` -> (pattern, condition). Raises ValueError with a message."""
    match = _CONDITION.search(key)
    if not match:
        return key, None
    return key[: match.start()].strip(), conditions.parse(key[match.end() :])


def parse_targets(text: str, upstreams: Collection[str]) -> tuple[tuple[TargetRef, ...], list[str]]:
    """Reads the text after the `=` -> (targets, messages). A target with an error has a message and is left out."""
    targets, faults = [], []
    for stage, equals in enumerate(text.split(",")):
        parts = equals.split("|")
        for part in parts:
            try:
                targets.append(_target(part.strip(), stage, len(parts) == 1, upstreams))
            except ValueError as error:
                faults.append(str(error))
    return tuple(targets), faults


def parse_prices(text: str) -> tuple[float, ...]:
    """Reads the text after the `=` of a line of [prices]. Raises ValueError with a message."""
    parts = [part.strip() for part in text.split(",")]
    if not (2 <= len(parts) <= 4 and all(map(_NUMBER.fullmatch, parts))):
        raise ValueError(
            f"{shown(text)} is not two to four numbers, separated by commas: USD per million tokens of input, output, "
            "input read from the cache, and input written to the cache"
        )
    return tuple(map(float, parts))


def parse_sizes(text: str) -> tuple[int, int]:
    """Reads the text after the `=` of a line of [sizes]. Raises ValueError with a message."""
    parts = [part.strip().replace("_", "") for part in text.split(",")]
    if not (len(parts) in (1, 2) and all(part.isascii() and part.isdigit() and len(part) <= 9 for part in parts)):
        raise ValueError(
            f"{shown(text)} is not one or two whole numbers, separated by a comma: how many tokens the model takes, "
            "and how many it writes at most (0 = unknown)"
        )
    return int(parts[0]), int(parts[1]) if len(parts) > 1 else 0


def _target(text: str, stage: int, alone: bool, upstreams: Collection[str]) -> TargetRef:
    weight = 1.0
    if match := _WEIGHT.fullmatch(text):
        text, weight = match[1], _weight(match[2].strip())
        if alone:
            raise ValueError(
                f"{shown(text)} has a weight, but no equal to share with; equals are separated by |, not by a comma"
            )
    name, slash, model = text.partition("/")  # a model's own name may hold slashes
    if not name:
        raise ValueError(
            "the name of an upstream is missing; a target is UPSTREAM or UPSTREAM/MODEL, several targets are "
            "separated by "
            "commas, and equals by |"
        )
    if name not in upstreams:
        near = did_you_mean(name, upstreams) or (f"; the upstreams are {', '.join(upstreams)}" if upstreams else "")
        raise ValueError(f"there is no upstream {shown(name)}{near}")
    if (slash and not model) or len(model.split()) > 1:
        raise ValueError(f"{shown(text)} is not UPSTREAM/MODEL")
    return TargetRef(name, model or None, stage, weight)


def _weight(text: str) -> float:
    if not (_NUMBER.fullmatch(text) and LIGHTEST <= float(text) <= HEAVIEST):
        raise ValueError(f"the weight after '*' is not a number from {LIGHTEST:g} to {HEAVIEST:g}")
    return float(text)


def arranged(rules: Iterable[ModelRule]) -> tuple[ModelRule, ...]:
    """Puts the rules of one pattern together, in the place of its first, the one without a condition last."""
    by_pattern: dict[str, list[ModelRule]] = {}
    for rule in rules:
        by_pattern.setdefault(rule.pattern, []).append(rule)
    return tuple(rule for same in by_pattern.values() for rule in sorted(same, key=lambda rule: rule.condition is None))
