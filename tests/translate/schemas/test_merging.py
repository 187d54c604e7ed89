"""Parts of allOf that are merged: all that they say is kept, and many parts of a large schema take no longer than their
size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.linear.work import grows_linearly
from translate.schemas.fitting import fitted
from translate.schemas.gemini import for_gemini
from translate.schemas.references import closed_over
from translate.schemas.table import ANTHROPIC, ANTHROPIC_STRICT, OPENAI, OPENAI_STRICT

S = {"type": "string"}
WAYS: list[tuple[str, Callable[[Any], object]]] = [
    ("messages", partial(fitted, dialect=ANTHROPIC)),
    ("messages, a reply", partial(fitted, dialect=ANTHROPIC_STRICT, of_tool=False)),
    ("openai", partial(fitted, dialect=OPENAI)), ("openai, strict", partial(fitted, dialect=OPENAI_STRICT)),
    ("gemini", for_gemini),
]  # fmt: skip


def parts_of_a_large_one(n: int) -> dict[str, Any]:
    parts = [{"properties": {f"q{i}": S}, "required": [f"q{i}"]} for i in range(n)]
    return {"type": "object", "properties": {f"p{i}": S for i in range(10 * n)}, "allOf": parts}


def parts_by_reference(n: int) -> dict[str, Any]:
    many = 10 * n
    defs = {f"d{i}": {"properties": {f"q{i}": S}} for i in range(many)}
    return {"type": "object", "allOf": [{"$ref": f"#/$defs/d{i}"} for i in range(many)], "$defs": defs}


@pytest.mark.parametrize("way", [way for _, way in WAYS], ids=[name for name, _ in WAYS])
@pytest.mark.parametrize("make", [parts_of_a_large_one, parts_by_reference])
def test_many_parts_take_no_longer_than_their_size(
    way: Callable[[Any], object], make: Callable[[int], dict[str, Any]]
) -> None:
    grows_linearly(make, way, 150)


def test_a_part_may_have_parts_as_the_others_have() -> None:
    inner = [{"allOf": [{"properties": {name: S}, "required": [name]}]} for name in "ab"]
    out = closed_over({"type": "object", "properties": {"x": {"type": "object", "allOf": inner}}})
    merged = out["properties"]["x"]
    assert merged["properties"] == {"a": S, "b": S} and set(merged["required"]) == {"a", "b"}


def test_the_pieces_own_words_count_and_then_the_first_parts() -> None:
    parts = [{"title": "first", "description": "first"}, {"title": "second", "format": "date"}]
    out = closed_over({"properties": {"x": {"type": "string", "description": "own", "allOf": parts}}})
    assert out["properties"]["x"] == {"type": "string", "description": "own", "title": "first", "format": "date"}
