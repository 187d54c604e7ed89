"""Whatever a schema is: what is sent of it obeys its target's table, the given one is left as it was, and arguments
that were mapped there and back are the same."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.strategies import HOSTILE, VALUES, few
from tests.translate.schemas import judges
from translate.conversation import Close, Delta, Open, ToolCall
from translate.json import wire
from translate.schemas import names, table
from translate.schemas.fitting import Fitted, fitted
from translate.schemas.restored import RestoredSchemas
from translate.schemas.table import SchemaDialect
from translate.target import Asked, Reshaped

JUDGES: dict[str, tuple[SchemaDialect, judges.Judge]] = {
    "openai": (table.OPENAI, judges.openai),
    "openai strict": (table.OPENAI_STRICT, judges.openai_strict),
    "anthropic": (table.ANTHROPIC, judges.anthropic),
    "anthropic strict": (table.ANTHROPIC_STRICT, judges.anthropic_strict),
    "gemini": (table.GEMINI, judges.gemini),
    "grammar": (table.GRAMMAR, judges.grammar),
}
NAMES = st.sampled_from(
    ["a", "b", "$ref", "properties", "pattern", "@id", "", "é", "x" * 70, "a.b-c", "a/b", "~", "enum"]
)
PATTERNS = st.sampled_from([
    "^a+$", "a", r"\p{L}", r"^\d{2}$", "(?=x)y", "(?<n>a)", "(?P<n>a)", "a*+", "(?i)a", r"\u{1f600}", r"\Z", "[",
     "(a)\\1",
    "^[a-z]{1,5000}$", "^(?:a|b)$", r"^[\w-]+$", "", r"^\-$",
])  # fmt: skip
REFS = st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "#/definitions/a", "#/properties/a", "#/nowhere", "http://x/y",
 "#a",
                        "#/properties/@id", "#/anyOf/0"])  # fmt: skip
BOUNDS = st.sampled_from([0, 1, 2, 1.0, 2.5, -1, 5_000, True, None, "3"])
KINDS = st.sampled_from(
    [*sorted(judges.TYPES), "str", "any", None, ["string", "null"], ["object", "null"], [], ["x"], 1]
)


def _schema(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    maps = st.dictionaries(NAMES, inner, max_size=3)
    lists = st.lists(inner, max_size=3)
    odd = st.sampled_from([None, [], {}, "x", 1, True, False])
    fields: dict[str, st.SearchStrategy[Any]] = {
        "type": KINDS, "properties": st.one_of(maps, odd), "required": st.one_of(st.lists(NAMES, max_size=3), odd),
        "items": st.one_of(inner, lists, odd), "prefixItems": lists, "anyOf": st.one_of(lists, odd), "oneOf": lists,
        "allOf": lists, "additionalProperties": st.one_of(inner, st.booleans(), odd), "enum": st.one_of(
            st.lists(VALUES, max_size=3), odd), "const": VALUES, "default": VALUES, "pattern": st.one_of(PATTERNS, odd),
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2), "format": st.sampled_from(["uri", "date",
         "x", 1]),
        "minLength": BOUNDS, "maxItems": BOUNDS, "minItems": BOUNDS, "minimum": BOUNDS, "exclusiveMinimum": BOUNDS,
        "multipleOf": BOUNDS, "$ref": st.one_of(REFS, odd), "$defs": st.one_of(st.dictionaries(
            st.sampled_from("ab"), inner, max_size=2), odd), "definitions": st.dictionaries(st.just("a"), inner,
             max_size=1),
        "nullable": st.booleans(), "not": inner, "if": inner, "description": st.sampled_from(["d", "", None, 1]),
        "uniqueItems": odd, "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2), max_size=1),
        "$schema": st.just("http://json-schema.org/draft-07/schema#"), "x-own": VALUES,
    }  # fmt: skip
    keys = sorted(fields)
    return st.lists(st.sampled_from(keys), unique=True, max_size=5).flatmap(
        lambda chosen: st.fixed_dictionaries({key: fields[key] for key in chosen})
    )


SCHEMAS = st.recursive(
    st.sampled_from([{"type": "string"}, {}, True, False, {"type": "object"}]), _schema, max_leaves=12
)
ROOTS = SCHEMAS.filter(lambda schema: isinstance(schema, dict))
CLOSED = st.dictionaries(NAMES, SCHEMAS, max_size=3).map(
    lambda given: {"type": "object", "properties": given, "required": list(given), "additionalProperties": False}
)


def check(schema: dict[str, Any], dialect: SchemaDialect, judge: judges.Judge, of_tool: bool) -> Fitted:
    before = copy.deepcopy(schema)
    out = fitted(schema, dialect, of_tool)
    assert schema == before
    if not out.obstacle:
        assert judge(out.schema, of_tool) is None, out.schema
    assert out.same == (out.schema is schema and not out.about)
    again = fitted(out.schema, dialect, of_tool)
    done = out.obstacle or dialect is table.GEMINI or again.schema == out.schema  # Gemini's nullable is no JSON Schema
    assert done, "fitting it twice is fitting it once"
    return out


@pytest.mark.parametrize("name", JUDGES)
@settings(parent=few, suppress_health_check=list(HealthCheck))
@given(st.one_of(ROOTS, CLOSED), st.booleans())
def test_it_obeys_the_table(name: str, schema: dict[str, Any], of_tool: bool) -> None:
    check(schema, *JUDGES[name], of_tool)


@pytest.mark.parametrize("name", JUDGES)
def test_every_oddity_in_every_keyword(name: str) -> None:
    keys = ["type", "properties", "items", "required", "enum", "pattern", "patternProperties", "format", "anyOf",
     "oneOf",
            "allOf", "$ref", "$defs", "definitions", "additionalProperties", "minLength", "minimum", "exclusiveMaximum",
            "multipleOf", "nullable", "description", "title", "const", "default", "not", "prefixItems", "uniqueItems",
            "dependentRequired", "dependentSchemas", "propertyNames", "contains", "unevaluatedProperties"]  # fmt: skip
    for key in keys:
        for odd in HOSTILE:
            for schema in ({key: odd}, {"type": "object", "properties": {"a": {key: odd}}, key: odd}):
                check(schema, *JUDGES[name], True)


@given(
    ROOTS, st.dictionaries(NAMES, st.recursive(VALUES, lambda v: st.dictionaries(NAMES, v, max_size=2), max_leaves=4))
)
def test_arguments_there_and_back_are_the_same(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    out = fitted(schema, table.ANTHROPIC)
    shape = Reshaped(out.renamed, out.wrapped)
    sent = names.in_value(arguments, {given: new for new, given in out.renamed.items()})
    text = json.dumps({"value": sent} if out.wrapped else sent)
    passing = RestoredSchemas(Asked("m", reshaped={("", "f"): shape}))
    events = passing.passed([Open(ToolCall("1", "f")), Delta([wire.inside(text)]), Close()])
    said = wire.text_of([piece for event in events if isinstance(event, Delta) for piece in event.pieces])
    assert json.loads(said) == json.loads(json.dumps(arguments))
