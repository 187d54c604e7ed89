"""Regular expressions: what Python takes, what engines without backtracking take, what becomes a grammar's rules."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.translate.schemas.judges import compiles
from translate.schemas.patterns import GRAMMAR, MAX_PATTERN, PYTHON, SIMPLE, features, is_taken

# pattern, taken by Python, by simple engines, by grammars
TABLE: list[tuple[str, bool, bool, bool]] = [
    ("", True, True, False), ("^$", True, True, True), ("^a+b*c?$", True, True, True), ("a", True, True, False),
    ("^a", True, True, False), ("a$", True, True, False), (r"^a\$", True, True, False), (r"^a\\$", True, True, True),
    (r"^\d{4}-\d\d$", True, True, False), (r"^[\w.-]+$", True, True, False), ("^[a-z0-9_-]{1,64}$", True, True, True),
    ("^(?:a|b)$", True, True, True), ("^(a|b)+$", True, True, True), ("a^b$", True, True, False),
    (r"\p{L}", False, False, False), (r"^[^\p{Cc}]$", False, False, False), (r"\P{Lu}", False, False, False),
    (r"\u{1f600}", False, False, False), (r"^\u0041$", True, True, True), (r"^\x41$", True, True, True),
    ("^(?!tmp-)a$", True, False, False), ("^(?=a)a$", True, False, False), ("(?<=a)b", True, False, False),
    ("(?<!a)b", True, False, False), ("(?<=a+)b", False, False, False), ("(?<=a|bc)d", False, False, False),
    ("(?<name>a)", False, False, False), ("(?P<name>a)", True, False, False), ("(?P<n>a)(?P<n>b)", False, False, False),
    (r"(a)\1", True, False, False), (r"\1", False, False, False), (r"(a\1)", False, False, False),
    ("(?i)abc", True, False, False), ("a(?i)b", False, False, False), ("(?i:a)", False, False, False),
    ("a*+", False, False, False), ("a++", False, False, False), ("(?>a)", False, False, False),
    ("a+?", True, True, False),
    (r"\Aa\Z", True, False, False), (r"a\z", False, False, False), (r"\bword\b", True, False, False),
    ("[", False, False, False), ("a]", True, True, False), ("(", False, False, False), (")", False, False, False),
    ("*", False, False, False), ("a**", False, False, False), ("^*", False, False, False),
    ("a{3,2}", False, False, False),
    ("[b-a]", False, False, False), (r"[\d-z]", False, False, False), ("[^]", False, False, False),
    ("^a{1,5000}$", True, False, False), ("^a{1,900}$", True, True, True), ("{", True, True, False),
    ("a{,3}", True, True, False),
    (r"^\/$", True, True, False), (r"^[\-]$", True, True, False), (r"^[\]\[]$", True, True, True),
    ("[a&&b]", True, False, False),
    ("[[a]", True, False, False), (r"\k<a>", False, False, False), (r"\cA", False, False, False),
    (r"\é", False, False, False),
    ("a" * (MAX_PATTERN + 1), False, False, False), ("\\", False, False, False),
    ("(" * 99 + ")" * 99, False, False, False),
    (r"[\x41-\x43]", True, True, False), ("(?:" * 200 + ")" * 200, True, True, False), (r"[\b\n]", True, True, False),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "python", "simple", "grammar"), TABLE)
def test_the_table(pattern: str, python: bool, simple: bool, grammar: bool) -> None:
    assert (is_taken(pattern, PYTHON), is_taken(pattern, SIMPLE), is_taken(pattern, GRAMMAR)) == (
        python,
        simple,
        grammar,
    )
    assert compiles(pattern) or not python


BITS = [
    "\\", r"\p{L}", r"\d", r"\w", r"[", r"]", r"(", r")", r"(?:", r"(?=", r"(?!", r"(?<=", r"(?<!", r"(?<n>", r"(?P<n>",
    r"(?i)", r"*", r"+", r"?", r"{2}",
    r"{3,2}", r"{,}", r"{", r"}", r"^", r"$", r".", r"a", r"b", r"-", r"|", r"\1", r"\2", r"\b", r"\Z",
]  # fmt: skip


@given(
    st.lists(st.sampled_from([*BITS, r"\u0041", r"\x41", "[^", "&&", r"\-", r"\]", "é", "9"]), max_size=12).map("".join)
)
def test_what_is_taken_compiles(pattern: str) -> None:
    assert features(pattern) is None or compiles(pattern)


@given(st.text(max_size=20))
def test_any_text(pattern: str) -> None:
    assert features(pattern) is None or compiles(pattern)


def test_no_pattern_takes_long() -> None:
    """Compiling this one takes minutes in some engines, and a quarter of a second in Python's."""
    began = time.process_time()
    for i in range(100):
        features("(?i)" + "[\u0100-\uffff]" * 300 + str(i))
        features("(" * 600 + "a{1,9}){1,9}" * 100 + str(i))
    assert time.process_time() - began < 5
