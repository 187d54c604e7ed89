"""The lines of [models]: `PATTERN [if CONDITION] = STAGE, STAGE ...` -> rules.

A stage is one target or several equals (`a/x *3 | b/y`), among which load and weight decide; stages are tried in
their order. Lines of the same pattern with different conditions stand together in what comes out, the one without a
condition last, wherever they stand in the file: whoever takes the first that holds is right.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from operate.settings import conditions
from operate.settings.conditions import Condition
from operate.settings.errors import did_you_mean, shown
from operate.settings.sections import ModelRule, TargetRef

LIGHTEST, HEAVIEST = 0.01, 10_000.0
"""Bounds of a weight: beyond them one of the equals is meant to be left out."""

_CONDITION = re.compile(r"\sif(?=\s|$)")
_WEIGHT = re.compile(r"(.*\S)\s+\*(.*)")
_NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)


def parse_key(key: str) -> tuple[str, Condition | None]:
    """What stands before the `=`. ValueError, in words."""
    match = _CONDITION.search(key)
    if not match:
        return key, None
    return key[: match.start()].strip(), conditions.parse(key[match.end() :])


def parse_targets(text: str, upstreams: Collection[str]) -> tuple[tuple[TargetRef, ...], list[str]]:
    """What stands after the `=` -> (targets, faults in words). A faulty target is left out."""
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
    """What stands after the `=` of a line of [prices]. ValueError, in words."""
    parts = [part.strip() for part in text.split(",")]
    if not (2 <= len(parts) <= 4 and all(map(_NUMBER.fullmatch, parts))):
        raise ValueError(
            f"{shown(text)} is not two to four numbers with commas between: USD per million tokens of input, output, "
            "input read from the cache, input written to it"
        )
    return tuple(map(float, parts))


def _target(text: str, stage: int, alone: bool, upstreams: Collection[str]) -> TargetRef:
    weight = 1.0
    if match := _WEIGHT.fullmatch(text):
        text, weight = match[1], _weight(match[2].strip())
        if alone:
            raise ValueError(f"{shown(text)} has a weight but no equals, which have | between them, not a comma")
    name, slash, model = text.partition("/")  # a model's own name may hold slashes
    if not name:
        raise ValueError(
            "an upstream's name is missing: it is UPSTREAM or UPSTREAM/MODEL, several with commas between, or with | "
            "where they are equals"
        )
    if name not in upstreams:
        near = did_you_mean(name, upstreams) or (f"; there are {', '.join(upstreams)}" if upstreams else "")
        raise ValueError(f"there is no upstream {shown(name)}{near}")
    if (slash and not model) or len(model.split()) > 1:
        raise ValueError(f"{shown(text)} is not UPSTREAM/MODEL")
    return TargetRef(name, model or None, stage, weight)


def _weight(text: str) -> float:
    if not (_NUMBER.fullmatch(text) and LIGHTEST <= float(text) <= HEAVIEST):
        raise ValueError(f"the weight after '*' is not a number from {LIGHTEST:g} to {HEAVIEST:g}")
    return float(text)


def arranged(rules: Iterable[ModelRule]) -> tuple[ModelRule, ...]:
    """Those of one pattern together, where its first stands, the one without a condition last."""
    by_pattern: dict[str, list[ModelRule]] = {}
    for rule in rules:
        by_pattern.setdefault(rule.pattern, []).append(rule)
    return tuple(
        rule for same in by_pattern.values() for rule in sorted(same, key=lambda rule: rule.condition is None)
    )
