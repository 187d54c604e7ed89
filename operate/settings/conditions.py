"""Conditions of the lines of [models], such as `claude-* if class auxiliary|compaction and not images = ...`.

A condition is a list of terms, all of which must hold. Terms ask for facts that are known before a request is
translated: what Claude Code uses it for, what it contains, and its estimated length. There is no `or`: several lines
with the same pattern take its place. This file only reads conditions; gateway/routing/request_facts.py decides whether
a request meets one.
"""

from __future__ import annotations

import re

from msgspec import Struct

from operate.settings.errors import did_you_mean, shown

FACTS = ("images", "tools", "thinking", "stream", "1m")
"""The terms of one word. 1m: the client asked for the model with the suffix [1m]."""

CLASSES = ("main", "subagent", "workflow", "compaction", "auxiliary")
"""The known values of the header x-claude-code-request-class. Others are allowed, as Claude Code may send any word."""

FORMS = ("class WORD", *FACTS, "input > N", "input < N")
"""Every form that a term may have, as error messages list it."""

_AND = re.compile(r"(?:^|\s)and(?=\s|$)")
_CLASS = re.compile(r"class(?:\s+(.*))?")
_INPUT = re.compile(r"input\s*([<>])\s*(.*)")
_NUMBER = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([km]?)", re.ASCII | re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9_-]+")
_TIMES = {"": 1.0, "k": 1e3, "m": 1e6}


class Term(Struct, frozen=True):
    """One term. name: "class" (one of `words`, in lower case), "input" (op: < or >; number: tokens), or one of
    FACTS."""

    name: str
    negated: bool
    words: tuple[str, ...] = ()
    op: str = ""
    number: float = 0


class Condition(Struct, frozen=True):
    """One or more terms, all of which must hold."""

    terms: tuple[Term, ...]


def parse(text: str) -> Condition:
    """Reads the text between `if` and `=`. Raises ValueError with a message if it is not a condition."""
    return Condition(tuple(_term(part) for part in _AND.split(text)))


def _term(text: str) -> Term:
    bare = text.strip()
    if not bare:
        raise ValueError(f"a condition is missing after 'if' or 'and'; {_there_are()}")
    negated = bare.split()[0] == "not"
    bare = bare.removeprefix("not").strip() if negated else bare
    if bare in FACTS:
        return Term(bare, negated)
    if match := _CLASS.fullmatch(bare):
        return Term("class", negated, words=_classes(match[1] or ""))
    if match := _INPUT.fullmatch(bare):
        return Term("input", negated, op=match[1], number=_number(match[2]))
    near = "" if len(bare.split()) > 1 else did_you_mean(bare, FACTS)
    raise ValueError(f"{shown(bare)} is not a condition{near or '; ' + _there_are()}")


def _classes(text: str) -> tuple[str, ...]:
    from difflib import get_close_matches  # a start without conditions does not need it

    words = tuple(word.strip().lower() for word in text.split("|"))
    for word in words:
        if not _WORD.fullmatch(word):
            raise ValueError(f"after 'class' comes a word, or several, separated by |, such as {'|'.join(CLASSES)}")
        if word not in CLASSES and (near := get_close_matches(word, CLASSES, n=1, cutoff=0.8)):
            raise ValueError(f"{shown(word)} is not a known class; did you mean {near[0]!r}?")
    return words


def _number(text: str) -> float:
    match = _NUMBER.fullmatch(text.strip())
    if not match:
        found = f", not {shown(text.strip())}" if text.strip() else ""
        raise ValueError(f"after 'input >' or 'input <' comes a number of tokens such as 5000, 100k or 1m{found}")
    return float(match[1]) * _TIMES[match[2].lower()]


def _there_are() -> str:
    return f"conditions are {', '.join(FORMS)}; 'not' may come before each, and 'and' joins several"
