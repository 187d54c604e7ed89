"""Schemas cut down for Gemini: only keywords that it reads, names untouched, references resolved, nothing endless."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.schemas.gemini import MAX_PIECES, for_gemini

STRING = {"type": "string"}

NAMES = {"$ref": STRING, "default": STRING, "additionalProperties": STRING, "enum": STRING}
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("plain", {"type": "object", "properties": {"a": STRING}, "required": ["a"]},
     {"type": "object", "properties": {"a": STRING}, "required": ["a"]}),
    ("keywords", {"$schema": "s", "type": "object", "additionalProperties": False, "properties": {}, "default": {}},
     {"type": "object", "properties": {}}),
    ("names are no keywords",
     {"type": "object", "properties": NAMES, "required": ["$ref", "default", "gone"]},
     {"type": "object", "properties": NAMES, "required": ["$ref", "default"]}),
    ("null", {"type": ["string", "null"]}, {"type": "string", "nullable": True}),
    ("types", {"type": ["string", "integer"]}, {"anyOf": [STRING, {"type": "integer"}]}),
    ("const", {"const": "x"}, {"enum": ["x"], "type": "string"}),
    ("numbers that are no flags", {"type": "integer", "const": 1, "multipleOf": 1, "default": 0},
     {"type": "integer", "description": "{const: 1, multipleOf: 1, default: 0}"}),
    ("numbers in an enum", {"type": "integer", "enum": [1, 2]},
     {"type": "integer", "description": "{enum: [1,2]}"}),
    ("a mixed enum", {"enum": ["a", 1], "description": "d"}, {"anyOf": [
        {"type": "string", "enum": ["a"], "description": "d"},
        {"type": "integer", "description": "d\n\n{enum: [1]}"}]}),
    ("null in an enum", {"enum": ["a", None]}, {"nullable": True, "enum": ["a"], "type": "string"}),
    ("oneOf", {"oneOf": [STRING, {"type": "integer"}]}, {"anyOf": [STRING, {"type": "integer"}]}),
    ("a choice of one", {"anyOf": [STRING | {"format": "uri"}, {"type": "null"}], "title": "T"},
     {"title": "T", "nullable": True, "type": "string", "description": '{format: "uri"}'}),
    ("format", {"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
    ("items", {"type": "array", "items": [{"type": "string", "const": "a"}]},
     {"type": "array", "items": {"type": "string", "enum": ["a"]}}),
    ("no items", {"type": "array"}, {"type": "array", "items": STRING}),
    ("a reference", {"type": "object", "properties": {"a": {"$ref": "#/$defs/A", "title": "mine"}},
                     "$defs": {"A": {"type": "string", "title": "theirs", "default": ""}}},
     {"type": "object", "properties": {"a": {"type": "string", "title": "mine"}}}),
    ("a reference to nothing", {"$ref": "#/$defs/B"}, {"type": "object"}),
    ("allOf", {"allOf": [{"properties": {"a": STRING}, "required": ["a"]}, {"properties": {"b": STRING}}]},
     {"type": "object", "properties": {"a": STRING, "b": STRING}, "required": ["a"]}),
    ("nothing stands beside a choice", {"type": "object", "description": "d", "properties": {"a": STRING, "b": STRING},
        "anyOf": [{"required": ["a"]}, {"required": ["b"], "description": "own"}]}, {"anyOf": [
        {"type": "object", "properties": {"a": STRING, "b": STRING}, "required": ["a"], "description": "d"},
        {"type": "object", "properties": {"a": STRING, "b": STRING}, "required": ["b"], "description": "d\n\nown"}]}),
    ("nor null", {"anyOf": [STRING, {"type": "integer"}, {"type": "null"}], "default": None}, {"anyOf": [
        STRING | {"nullable": True}, {"type": "integer", "nullable": True}]}),
    ("a choice within a choice", {"oneOf": [STRING, {"anyOf": [{"type": "integer"}, {"type": "number"}]}]},
     {"anyOf": [STRING, {"type": "integer"}, {"type": "number"}]}),
    ("keywords of another type", {"type": ["array", "string"], "items": STRING, "minLength": 2, "minItems": 1},
     {"anyOf": [{"type": "array", "items": STRING, "minItems": 1}, STRING | {"minLength": 2}]}),
    ("a type that is not said", {"type": "object", "properties": {"a": {"minimum": 1}, "b": {"items": STRING},
                                                                  "c": {"const": True}, "d": {"const": None}}},
     {"type": "object", "properties": {"a": {"type": "number", "minimum": 1}, "b": {"type": "array", "items": STRING},
                                       "c": {"type": "boolean", "description": "{const: true}"},
                                       "d": {"type": "null", "nullable": True}}}),
    ("anything", {"type": "array", "items": {}}, {"type": "array", "items": {"anyOf": [
        STRING, {"type": "number"}, {"type": "boolean"}, {"type": "object"}, {"type": "array", "items": STRING}]}}),
    ("true", {"properties": {"a": True}}, {"type": "object", "properties": {"a": {"type": "object"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_it_is_cut_down(schema: dict[str, Any], wanted: dict[str, Any]) -> None:
    before = json.dumps(schema)
    assert for_gemini(schema) == wanted
    assert json.dumps(schema) == before


def test_a_schema_that_refers_to_itself_ends() -> None:
    node = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "name": STRING}}
    cut: set[str] = set()
    inner = for_gemini(node, cut)["properties"]["left"]
    assert inner["properties"]["left"] == {"type": "object", "description": "As around it: {left, right, name}"}
    assert inner["properties"]["name"] == STRING and cut == {"$ref"}
    for schema in ({"$ref": "#"}, {"allOf": [{"$ref": "#"}]}, {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}):
        assert isinstance(for_gemini(schema), dict)


def test_what_refers_to_itself_and_is_no_object_may_be_anything_there() -> None:
    """A value of any JSON, as Zod and pydantic have it: the strings in a list are still allowed."""
    again = {"$ref": "#/$defs/json"}
    values = [STRING, {"type": "array", "items": again}, {"type": "object", "additionalProperties": again}]
    schema = {"type": "object", "properties": {"v": again}, "$defs": {"json": {"anyOf": values}}}
    cut: set[str] = set()
    options = for_gemini(schema, cut)["properties"]["v"]["anyOf"]
    assert STRING in options[1]["items"]["anyOf"] and "$ref" in cut
    nothing = {"type": "object", "properties": {"v": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert STRING in for_gemini(nothing)["properties"]["v"]["anyOf"]


LONG = {
    "a description": {"type": "object", "description": "d" * 20_000},
    "names": {"type": "object", "properties": {"n" * 20_000: STRING}},
    "names of what is within itself": {"type": "object", "properties": {"n" * 9_000: {"$ref": "#/$defs/a"}}},
    "an enum": {"type": "string", "enum": ["v" * 100 + str(n) for n in range(200)]},
    "a description of a choice": {"description": "d" * 10_000, "anyOf": [STRING, {"type": "number"}]},
}


@pytest.mark.parametrize("name", LONG)
def test_long_texts_are_not_repeated_without_end(name: str) -> None:
    """Where many places refer to them, kilobytes of a request would become gigabytes."""
    again = {f"p{n}": {"$ref": "#/$defs/a"} for n in range(1_000)}
    out = json.dumps(for_gemini({"type": "object", "properties": again, "$defs": {"a": LONG[name]}}))
    assert len(out) < 6_000_000


def test_references_cannot_unfold_without_end() -> None:
    """Each definition holds the next one twice: two to the fortieth in all."""
    defs: dict[str, Any] = {
        f"d{i}": {"type": "object", "properties": {s: {"$ref": f"#/$defs/d{i + 1}"} for s in "ab"}} for i in range(40)
    }
    began = time.process_time()
    out = for_gemini({"$ref": "#/$defs/d0", "$defs": defs})
    assert len(json.dumps(out)) < 200 * MAX_PIECES and time.process_time() - began < 5


def test_choices_cannot_unfold_without_end() -> None:
    """What stands beside each choice goes into both of its options, and the next choice with it."""
    schema: dict[str, Any] = STRING
    for _ in range(40):
        schema = {"type": "object", "properties": {"a": schema}, "anyOf": [{"required": ["a"]}, {"required": []}]}
    began = time.process_time()
    out = for_gemini(schema)
    assert len(json.dumps(out)) < 200 * MAX_PIECES and time.process_time() - began < 5


KEYS = ["type", "properties", "items", "anyOf", "oneOf", "allOf", "$ref", "$defs", "enum", "required"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["string", "object", "#", "#/$defs/a", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_nothing_makes_it_fail(schema: dict[str, Any]) -> None:
    json.dumps(for_gemini(schema))
