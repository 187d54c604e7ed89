"""No pattern repeats a group possessively: Python 3.11.0 to 3.11.4 match such a thing wrongly where there is a choice
in the group (python/cpython#106052). `(?>(?:...)*)` says the same, and is matched well."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]  # there is no other reader of patterns
from typing import Any

import pytest

from translate.late import LatePattern

HOUSES = ("bench", "console", "demo", "gateway", "operate", "translate", "upstream")


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    for house in HOUSES:
        package = importlib.import_module(house)
        for module in pkgutil.walk_packages(package.__path__, f"{house}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                values = value if isinstance(value, tuple | list) else (value,)
                values = [each for one in values for each in (one if isinstance(one, tuple) else (one,))]
                found = (one for one in values if isinstance(one, re.Pattern | LatePattern))
                yield from ((f"{module.name}.{name}", re.compile(one.pattern, one.flags)) for one in found)


def repeats_a_group(pattern: Any) -> bool:
    """pattern: as the parser gives it."""
    for op, details in pattern:
        if op is _constants.POSSESSIVE_REPEAT and (len(details[2]) != 1 or details[2][0][0] in _GROUPS):
            return True
        parts = details if isinstance(details, tuple | list) else (details,)
        inner = [part for part in parts if isinstance(part, _parser.SubPattern)]
        listed = [each for part in parts if isinstance(part, list) for each in part]
        inner += [part for part in listed if isinstance(part, _parser.SubPattern)]
        if any(map(repeats_a_group, inner)):
            return True
    return False


_GROUPS = (_constants.SUBPATTERN, _constants.BRANCH, _constants.MAX_REPEAT, _constants.MIN_REPEAT)


def parsed(pattern: re.Pattern[Any]) -> Any:
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    return _parser.parse(text, pattern.flags & ~re.UNICODE)


@pytest.mark.filterwarnings("ignore:open_binary")  # in a package that a module imports
def test_no_group_is_repeated_possessively() -> None:
    found = list(patterns())
    assert len(found) > 100 and "gateway.flow.flow" in sys.modules
    assert [name for name, pattern in found if repeats_a_group(parsed(pattern))] == []


@pytest.mark.parametrize("text", [r"(?:ab|c)*+", r"(?:a\d*)++c", r"x(?:(?:a|bc)?+)y", r"(?>(?:[a]++|\\.)*+)"])
def test_the_rule_sees_them(text: str) -> None:
    assert repeats_a_group(parsed(re.compile(text)))


@pytest.mark.parametrize("text", [r"[^a]*+", r"\s++x", r"(?>(?:[^a]++|\\.)*)", r"(?:a|b)*", r"a?+"])
def test_what_is_matched_well_may_stay(text: str) -> None:
    assert not repeats_a_group(parsed(re.compile(text)))
