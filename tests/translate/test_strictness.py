"""Which schemas may be sent with OpenAI's strict mode; odd ones are no reason to fail."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given

from tests.support.strategies import HOSTILE, SCHEMAS, few, mangled, places, replaced
from translate.strictness import may_be_strict

STRING = {"type": "string"}
CLOSED = {"type": "object", "properties": {"a": STRING}, "required": ["a"], "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": STRING}, "required": ["a"]}


@pytest.mark.parametrize(
    ("schema", "want"),
    [
        ({}, True), (None, True), (True, True), (STRING, True), (CLOSED, True), (OPEN, False),
        ({"type": "object"}, False), ({"type": "object", "additionalProperties": False}, True),
        ({"properties": {}}, False), ({"properties": {}, "additionalProperties": False}, True),
        (CLOSED | {"additionalProperties": {}}, False), (CLOSED | {"additionalProperties": True}, False),
        (CLOSED | {"required": []}, False), (CLOSED | {"required": ["a", "b"]}, False),
        (CLOSED | {"required": None}, False),
        ({"type": "array", "items": CLOSED}, True), ({"type": "array", "items": OPEN}, False),
        ({"prefixItems": [CLOSED, OPEN]}, False), ({"prefixItems": [CLOSED]}, True),
        ({"anyOf": [STRING, OPEN]}, False), ({"oneOf": [OPEN]}, False), ({"allOf": [OPEN]}, False),
        ({"anyOf": [STRING, CLOSED]}, True), ({"not": OPEN}, True),
        ({"$defs": {"x": OPEN}}, False), ({"definitions": {"x": OPEN}}, False), ({"$defs": {"x": CLOSED}}, True),
        (CLOSED | {"properties": {"a": OPEN}}, False), (CLOSED | {"properties": {"a": CLOSED}}, True),
    ],
)  # fmt: skip
def test_schemas(schema: Any, want: bool) -> None:
    assert may_be_strict(schema) is want


@few
@given(mangled(SCHEMAS))
@example({"type": "object", "required": [[], "a"]})
def test_nothing_makes_it_fail(schema: Any) -> None:
    assert may_be_strict(schema) in (True, False)


def test_every_node_with_every_oddity() -> None:
    whole = CLOSED | {"$defs": {"x": CLOSED}, "definitions": {}, "items": CLOSED, "anyOf": [CLOSED]}
    for place in places(whole):
        for odd in HOSTILE:
            assert may_be_strict(replaced(whole, place, odd)) in (True, False)
