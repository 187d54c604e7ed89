"""What property tests draw from: words, JSON values, and what is done to a legal body to make it an illegal one.

`WORDS` is text as models and users write it, with what has broken translators before: half an emoji, quotes, control
characters, tags. `VALUES` is any JSON value, `mangled(body)` a body of which some nodes were replaced, left out,
doubled or wrapped: nearly legal, which gets further into a decoder than noise does.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

# For properties that take long for each example; more of them with $HYPOTHESIS_PROFILE=deep.
few = settings(max_examples=max(1, settings().max_examples * 2 // 5))

Json = dict[str, Any]

_ODD_WORDS = [
    "\ud83d", "\ude00 half", "\U0001f600", 'say "no"\\', "a\nb\r\n", "\u2028\u2029", "\x00\x1f\x7f", "<think>",
    "</think>", "data: {}", "[DONE]", "{", "null", "{}", "é" * 3, " ", "\t",
]  # fmt: skip
WORDS = st.one_of(st.text(min_size=1, max_size=12), st.sampled_from(_ODD_WORDS))
NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,11}", fullmatch=True)
IDS = st.from_regex(r"[a-z]{2,4}_[a-zA-Z0-9]{1,8}", fullmatch=True)
NUMBERS = st.one_of(st.integers(-(2**40), 2**40), st.floats(-1e9, 1e9, allow_subnormal=False))
_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=6), st.sampled_from(_ODD_WORDS))
VALUES: st.SearchStrategy[Any] = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=3)
SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object")}, optional={"properties": st.dictionaries(NAMES, OBJECTS, max_size=2), "x": VALUES}
)
MARKS = st.just({"type": "ephemeral"})


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """An object that holds each of the fields or does not."""
    return st.fixed_dictionaries({}, optional=fields)


def either(*kinds: st.SearchStrategy[Any], most: int = 4, least: int = 1) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*kinds), min_size=least, max_size=most)


# ------------------------------------------------------------------------------------------------ hostile


def _deep(levels: int, inner: Any = None) -> Any:
    for _ in range(levels):
        inner = [inner] if levels % 2 else {"type": "text", "content": inner}
    return inner


HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 2**63, -(2**63), 2**64, 10**400, 1e308, float("nan"), float("inf"), -0.0, 0.5,
    "", " ", "\ud800", "text", "\x00", "data:;base64,", "data:text/plain;base64,/w==", "data:text/plain;base64,é",
    [], {}, [[]], [None], [{}], {"": None}, {"type": None}, {"type": []}, {"type": "text"}, {"type": "\ud800"},
    ["\udfff"], [1, "a", None], {"error": {}}, _deep(60), _deep(61),
]  # fmt: skip
_ODDITIES = st.one_of(st.sampled_from(HOSTILE), VALUES)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all nodes of a JSON value, but for the value itself."""
    out = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            out += places(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            out += places(inner, (*path, i))
    return out


def replaced(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    return _changed(value, path, "replace", odd)


def _changed(value: Any, path: tuple[Any, ...], how: str, odd: Any) -> Any:
    """A copy with the node at `path` changed; `value` stays as it is."""
    key, rest = path[0], path[1:]
    out: Any = list(value) if isinstance(value, list) else dict(value)
    if rest:
        out[key] = _changed(value[key], rest, how, odd)
    elif how == "replace":
        out[key] = odd
    elif how == "leave out":
        del out[key]
    elif how == "wrap":
        out[key] = [value[key]]
    elif how == "double" and isinstance(out, list):
        out.insert(key, value[key])
    elif how == "double":
        out[f"{key}_"] = value[key]
    else:  # another field's value
        out[key] = next((inner for other, inner in _items(value) if other != key), odd)
    return out


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else list(enumerate(value))


@st.composite
def mangled(draw: st.DrawFn, bodies: st.SearchStrategy[Any], most: int = 4) -> Any:
    """A legal value with up to `most` of its nodes replaced, left out, doubled, wrapped or swapped."""
    value = draw(bodies)
    for _ in range(draw(st.integers(1, most))):
        if paths := places(value):
            path = draw(st.sampled_from(paths))
            how = draw(st.sampled_from(["replace", "replace", "leave out", "wrap", "double", "swap"]))
            value = _changed(value, path, how, draw(_ODDITIES))
    return value
