"""Fields within fields: every optional one that the SDKs' parameter types know, set by itself.

`optional(protocol)` walks the declarations behind `sample.said` and gives, for each field that need not be there, its
name ("block:text.cache_control", "thinking.display", "tool:web_search.user_location.city") and the value that holds
just it beside what is required; the value without it stands beside.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import typing_extensions as te

from tests.support import sample
from tests.support.crossed import MEANT, Said, say
from translate.target import Protocol

Json = dict[str, Any]

DEPTH = 3
_SKIPPED = {"type", "role"}


def optional(protocol: Protocol) -> Iterator[tuple[str, Said]]:
    """Each field's name, and the two requests: without it and with it."""
    for name, declared in sample.said(protocol).items():
        value = _value(protocol, name, declared)
        if not isinstance(value, dict):
            continue
        for path, without, full in _fields(declared, value, DEPTH):
            before, with_it = _said(protocol, name, without), _said(protocol, name, full)
            yield f"{name}.{path}", Said(protocol, name, before.after, with_it.after)


def _value(protocol: Protocol, name: str, declared: Any) -> Any:
    group, colon, own = name.partition(":")
    given = {"role": own} if group == "role" else {"type": own} if colon else {}
    meant = MEANT[protocol]
    return meant[name] if name in meant else sample.smallest(declared, **given)


def _said(protocol: Protocol, name: str, value: Any) -> Said:
    kept = MEANT[protocol].get(name, MEANT)
    MEANT[protocol][name] = value
    try:
        return say(protocol, name, None)
    finally:
        if kept is MEANT:
            del MEANT[protocol][name]
        else:
            MEANT[protocol][name] = kept


def _fields(declared: Any, value: Json, depth: int) -> Iterator[tuple[str, Json, Json]]:
    """(path, `value` without that field, with it) for each optional field of the TypedDict that `value` is one of."""
    one = _fitting(declared, value)
    if one is None:
        return
    for key, kind in sample.hints(one).items():
        if key in _SKIPPED:
            continue
        inner = value.get(key)
        if inner is None:
            try:
                inner = _telling(kind)
            except NotImplementedError:
                continue
            yield key, copy.deepcopy(value), copy.deepcopy(value) | {key: inner}
        if depth > 1:
            for path, without, deeper in _within(kind, inner, depth - 1):
                yield f"{key}.{path}", copy.deepcopy(value) | {key: without}, copy.deepcopy(value) | {key: deeper}


def _within(kind: Any, inner: Any, depth: int) -> Iterator[tuple[str, Any, Any]]:
    """The same of what a field holds, and of all else that it may hold."""
    if isinstance(inner, dict):
        for one in sample.members(kind):
            if te.is_typeddict(one):
                chosen = inner if _fitting(one, inner) is not None else _smallest(one)
                yield from _fields(one, chosen, depth) if chosen is not None else ()
    elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
        for one in sample.items(kind):
            chosen = inner[0] if _fitting(one, inner[0]) is not None else _smallest(one)
            for path, without, full in _fields(one, chosen, depth) if chosen is not None else ():
                yield path, [without], [full]


def _smallest(one: Any) -> Json | None:
    try:
        found: Json = sample.smallest(one)
    except NotImplementedError:
        return None
    return found


def _telling(kind: Any) -> Any:
    """The last of a choice: the first is often what is so anyway."""
    words = [word for one in sample.members(kind) if get_origin(one) in (Literal, te.Literal) for word in get_args(one)]
    return words[-1] if words else sample.smallest(kind) or {"x": "x"}  # {} says nothing


def _fitting(declared: Any, value: Json) -> Any:
    """The TypedDict of a union whose type and role the value has."""
    for one in sample.members(declared):
        if not te.is_typeddict(one):
            continue
        keys = sample.hints(one)
        if all(value[key] in sample.literals(one, key) for key in _SKIPPED if key in value and key in keys) and all(
            key in keys for key in value
        ):
            return one
    return None
