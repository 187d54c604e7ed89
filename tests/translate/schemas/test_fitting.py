"""Schemas as each dialect takes them: what is repaired, what goes into the description, what cannot be had at all."""

from __future__ import annotations

import time
from typing import Any

import pytest

from translate.schemas.fitting import fitted
from translate.schemas.table import (
    ANTHROPIC,
    ANTHROPIC_STRICT,
    CLAUDE,
    GRAMMAR,
    OPENAI,
    OPENAI_STRICT,
    SchemaDialect,
)

Json = dict[str, Any]
S: Json = {"type": "string"}


def args(**properties: Any) -> Json:
    return {"type": "object", "properties": properties}


def closed(**properties: Any) -> Json:
    return args(**properties) | {"required": list(properties), "additionalProperties": False}


def about(schema: Json, said: str) -> Json:
    return schema | {"description": said}


# Whatever the dialect: (of the property "a", what becomes of it)
MENDED: list[tuple[Any, Any]] = [
    (True, {}), (None, {}), ("string", {}), ([], {}), (3, {}),
    ({"type": "str"}, S), ({"type": "String"}, S), ({"type": ["string"]}, S), ({"type": ["string", "string"]}, S),
    ({"type": ["string", None]}, {"type": ["string", "null"]}), ({"type": "any"}, {}), ({"type": None}, {}),
    ({"type": "file"}, {"description": '{type: "file"}'}), ({"type": "int"}, {"type": "integer"}),
    (S | {"enum": None}, S), (S | {"enum": []}, S), (S | {"enum": ["x", "x"]}, S | {"enum": ["x"]}),
    (S | {"description": None}, S), (S | {"pattern": None}, S), (S | {"format": None}, S), (S | {"minLength": None}, S),
    (S | {"minLength": 2.0}, S | {"minLength": 2}), (S | {"minLength": "2"}, about(S, '{minLength: "2"}')),
    (args(b=S) | {"required": None}, args(b=S)),
    (args(b=S) | {"required": ["b", "b", 1]}, args(b=S) | {"required": ["b"]}),
    (args(b=S | {"required": True}, c=S), args(b=S, c=S) | {"required": ["b"]}),
    (args(b=S | {"required": False}), args(b=S)), ({"type": "object", "properties": None}, {"type": "object"}),
    (args(b=False, c=S), args(c=S)), (S | {"nullable": True}, {"type": ["string", "null"]}),
    (S | {"nullable": False}, S),
    (S | {"enum": ["x"], "nullable": True}, {"type": ["string", "null"], "enum": ["x", None]}),
    ({"anyOf": [S], "nullable": True}, {"anyOf": [S, {"type": "null"}]}), ({"anyOf": []}, {}), ({"oneOf": None}, {}),
    ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, {"type": "number", "exclusiveMinimum": 0}),
    ({"type": "number", "minimum": 0, "exclusiveMinimum": False}, {"type": "number", "minimum": 0}),
    ({"type": "array", "items": [S, {"type": "integer"}], "minItems": 2},
     {"type": "array", "prefixItems": [S, {"type": "integer"}], "minItems": 2, "items": {}}),
    ({"type": "array", "items": None}, {"type": "array", "items": {}}), ({"type": "array", "items": True},
                                                                         {"type": "array", "items": {}}),
    ({"$ref": "#/$defs/gone"}, {"description": '{$ref: "#/$defs/gone"}'}),
    ({"$ref": "http://x/y.json"}, {"description": '{$ref: "http://x/y.json"}'}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "wanted"), MENDED)
@pytest.mark.parametrize("where", ["properties", "items", "anyOf", "$defs", "additionalProperties"])
def test_what_is_mended_everywhere(given: Any, wanted: Any, where: str) -> None:
    def placed(piece: Any) -> Json:
        if where == "properties":
            return args(a=piece)
        if where == "$defs":
            return args(a={"$ref": "#/$defs/d"}) | {"$defs": {"d": piece}}
        inner: Any = [piece, {"type": "null"}] if where == "anyOf" else piece
        return args(a={"type": "array" if where == "items" else "object"} | {where: inner})

    if not isinstance(given, dict) and where in ("items", "additionalProperties"):
        return  # what may stand there is told by the cases themselves
    assert fitted(placed(given), OPENAI).schema == placed(wanted)


WHOLE: list[tuple[str, SchemaDialect, Json, Json, set[str]]] = [
    (
        "definitions beside a reference within",
        OPENAI_STRICT,
        {"type": "object", "properties": {"a": {"$defs": {}, "$ref": "#"}}, "required": ["a"],
         "additionalProperties": False},
        {"type": "object", "properties": {
            "a": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"],
                  "additionalProperties": False, "$defs": {}},
        }, "required": ["a"], "additionalProperties": False},
        set(),
    ),
    ("an empty schema", OPENAI, {}, args(), set()),
    *(
        ("what Codex has OpenAI's models write in cipher", dialect, args(a=S | {"encrypted": True}, encrypted=S),
         args(a=S, encrypted=S), set())
        for dialect in (OPENAI, ANTHROPIC, CLAUDE, GRAMMAR)
    ),
    ("no properties", OPENAI, {"type": "object"}, args(), set()),
    ("properties of null", OPENAI, {"type": "object", "properties": None}, args(), set()),
    ("no type", OPENAI, {"properties": {"a": S}}, args(a=S), set()),
    ("no properties, where none are needed", ANTHROPIC, {"type": "object"}, {"type": "object"}, set()),
    ("a pattern", OPENAI, args(a=S | {"pattern": r"\p{L}"}), args(a=about(S, r'{pattern: "\\p{L}"}')), {"pattern"}),
    ("a pattern that is described", OPENAI, args(a=S | {"pattern": "(?<x>a)", "description": "d"}),
     args(a=about(S, 'd\n\n{pattern: "(?<x>a)"}')), {"pattern"}),
    ("a look ahead", OPENAI, args(a=S | {"pattern": "^(?!x)"}), args(a=S | {"pattern": "^(?!x)"}), set()),
    ("a pattern for Anthropic", ANTHROPIC, args(a=S | {"pattern": r"\p{L}"}), args(a=S | {"pattern": r"\p{L}"}), set()),
    ("a property called pattern", OPENAI, args(pattern=S, enum=S), args(pattern=S, enum=S), set()),
    ("pattern properties", OPENAI, args(a={"patternProperties": {r"\p{L}": S}}),
     args(a={"description": r'{patternProperties: {"\\p{L}":{"type":"string"}}}'}), {"patternProperties"}),
    ("words at the root", OPENAI, {"type": "object", "not": {"required": ["a"]}, "properties": {}}, args(), {"not"}),
    ("a pattern for rules", GRAMMAR, args(a=S | {"pattern": r"^\d+$"}), args(a=about(S, r'{pattern: "^\\d+$"}')),
     {"pattern"}),
    ("a long bound for rules", GRAMMAR, args(a=S | {"maxLength": 9_000}), args(a=about(S, "{maxLength: 9000}")),
     {"maxLength"}),
    ("any value for rules", GRAMMAR, args(a={"description": "d"}),
     args(a={"type": ["string", "number", "integer", "boolean", "object", "array", "null"], "description": "d"}),
      set()),
    ("strict: bounds at Anthropic", ANTHROPIC_STRICT, closed(a={"type": "integer", "minimum": 1}),
     closed(a={"type": "integer", "description": "{minimum: 1}"}), {"minimum"}),
    ("strict: few members", ANTHROPIC_STRICT, closed(a={"type": "array", "items": S, "minItems": 1, "maxItems": 2}),
     closed(a={"type": "array", "items": S, "minItems": 1, "description": "{maxItems: 2}"}), {"maxItems"}),
    ("strict: an optional property at Anthropic", ANTHROPIC_STRICT, closed(a=S) | {"required": []},
     closed(a=S) | {"required": []}, set()),
    ("strict: an object is closed", ANTHROPIC_STRICT, closed(a=args(b=S)), closed(a=args(b=S) | {"additionalProperties":
                                                                                                    False}), set()),
    ("strict: types", ANTHROPIC_STRICT, closed(a={"type": ["string", "null"], "format": "date"}),
     closed(a={"anyOf": [S | {"format": "date"}, {"type": "null"}]}), set()),
    ("strict: oneOf", OPENAI_STRICT, closed(a={"oneOf": [S, {"type": "null"}]}), closed(a={"anyOf": [S,
     {"type": "null"}]}),
     set()),
    ("strict: a hint", OPENAI_STRICT, closed(a=S | {"default": "x"}), closed(a=about(S, '{default: "x"}')), set()),
    ("strict: a neighbour of a reference", OPENAI_STRICT, closed(a={"$ref": "#/definitions/d",
     "description": "mine"}) | {
        "definitions": {"d": S}}, closed(a=S | {"description": "mine"}) | {"$defs": {"d": S}}, set()),
    ("strict: a part", OPENAI_STRICT, closed(a={"allOf": [{"$ref": "#/$defs/d"}]}) | {"$defs": {"d": S}},
     closed(a={"$ref": "#/$defs/d"}) | {"$defs": {"d": S}}, set()),
    ("strict: no arguments", OPENAI_STRICT, {"type": "object"}, args() | {"additionalProperties": False}, set()),
    ("strict: what is required and is not there", OPENAI_STRICT, closed(a=S) | {"required": ["a", "b"]}, closed(a=S),
     {"required"}),
    ("a choice at the root", ANTHROPIC, {"anyOf": [args(a=S) | {"required": ["a"]}, args(b=S) | {"required": ["b"]}]},
     args(a=S, b=S), {"anyOf"}),
    ("alternatives that share", ANTHROPIC, {"oneOf": [args(k={"const": "x"}, a=S) | {"required": ["k", "a"]},
                                                      args(k={"const": "y"}) | {"required": ["k"]}, {"type": "null"}]},
     args(k=S | {"enum": ["x", "y"]}, a=S) | {"required": ["k"]}, {"oneOf"}),
    ("parts at the root", ANTHROPIC, {"allOf": [args(a=S) | {"required": ["a"]}, {"$ref": "#/$defs/d"}],
                                      "$defs": {"d": args(b=S)}}, args(b=S, a=S) | {"required": ["a"], "$defs": {
                                          "d": args(b=S)}}, set()),
    ("a reference at the root", OPENAI, {"$ref": "#/$defs/d", "$defs": {"d": args(a=S)}},
     args(a=S) | {"$defs": {"d": args(a=S)}}, set()),
    ("a root that is no object", OPENAI, {"type": "array", "items": S},
     closed(value={"type": "array", "items": S}), set()),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "given", "wanted", "cut"), [case[1:] for case in WHOLE], ids=[c[0] for c in WHOLE])
def test_a_whole_schema(dialect: SchemaDialect, given: Json, wanted: Json, cut: set[str]) -> None:
    out = fitted(given, dialect)
    assert (out.schema, out.cut, out.obstacle) == (wanted, cut, "")


IMPOSSIBLE: list[tuple[SchemaDialect, Json]] = [
    (OPENAI_STRICT, closed(a=S) | {"required": []}), (OPENAI_STRICT, args(a=S) | {"required": ["a"]}),
    (OPENAI_STRICT, closed(a={})), (OPENAI_STRICT, closed(a={"type": "object"})),
    (OPENAI_STRICT, closed(a={"type": "array"})), (OPENAI_STRICT, closed(a={"type": "array", "items": False})),
    (OPENAI_STRICT, closed(**{f"a{i}": S for i in range(5_001)})),
    (OPENAI_STRICT, closed(a=S | {"enum": list(map(str, range(1_001)))})),
    (ANTHROPIC_STRICT, closed(a={"type": "object", "additionalProperties": S})), (ANTHROPIC_STRICT, closed(a={})),
    (ANTHROPIC_STRICT, closed(a={"$ref": "#"})), (ANTHROPIC_STRICT, closed(a={"const": {"b": 1}})),
    (ANTHROPIC_STRICT, closed(a={"$ref": "#/$defs/n"}) | {"$defs": {"n": closed(b={"$ref": "#/$defs/n"})}}),
]  # fmt: skip
DEEP = S
for _ in range(12):
    DEEP = closed(a=DEEP)
IMPOSSIBLE.append((OPENAI_STRICT, DEEP))


@pytest.mark.parametrize(("dialect", "given"), IMPOSSIBLE)
def test_what_cannot_be_strict(dialect: SchemaDialect, given: Json) -> None:
    assert fitted(given, dialect).obstacle


def test_a_schema_that_may_stay_is_the_same_object() -> None:
    schema = closed(a=S | {"enum": ["x"]}, b={"type": "array", "items": {"$ref": "#/$defs/d"}}) | {
        "$defs": {"d": args(c=S)}
    }
    for dialect in (OPENAI, ANTHROPIC, GRAMMAR, CLAUDE):
        out = fitted(schema, dialect)
        assert out.same and out.schema is schema and not out.cut


def test_names_that_are_refused() -> None:
    inner = args(**{"@id": S}) | {"required": ["@id"], "default": {"@id": "x"}}
    out = fitted(
        args(**{"$filter": S | {"description": "d"}, "ok": {"type": "array", "items": inner}, "": S, "x" * 65: S}),
        ANTHROPIC,
    )
    given = {name: new for new, name in out.renamed.items()}
    assert given.keys() == {"$filter", "@id", "", "x" * 65}
    assert all(len(new) <= 64 and new.replace("_", "").isalnum() for new in out.renamed)
    properties = out.schema["properties"]
    assert properties[given["$filter"]]["description"] == "d ($filter)"
    there = properties["ok"]["items"]
    assert there["required"] == [given["@id"]] and there["default"] == {given["@id"]: "x"}
    assert fitted(args(**{"$filter": S}), CLAUDE).renamed and not fitted(args(**{"$filter": S}), OPENAI).renamed


def test_names_never_meet() -> None:
    first = next(iter(fitted(args(**{"$a": S}), ANTHROPIC).renamed))
    out = fitted(args(**{"$a": S, first: S, "@a": S}), ANTHROPIC)
    assert len(out.schema["properties"]) == 3 and first in out.schema["properties"] and first not in out.renamed


def test_a_reference_through_a_name() -> None:
    out = fitted(args(**{"a/b": S, "c": {"$ref": "#/properties/a~1b"}}), ANTHROPIC)
    new = next(iter(out.renamed))
    assert out.schema["properties"]["c"] == {"$ref": f"#/properties/{new}"}


def test_references_cannot_unfold_without_end() -> None:
    """Each definition holds the next one twice, with a neighbour: two to the fortieth in all."""
    beside = {"description": "x"}
    defs = {
        f"d{i}": closed(a={"$ref": f"#/$defs/d{i + 1}"} | beside, b={"$ref": f"#/$defs/d{i + 1}"} | beside)
        for i in range(40)
    }
    big = {"$defs": {"d": closed(**{f"p{i}": S for i in range(2_000)})}} | closed(**{
        f"q{i}": {"$ref": "#/$defs/d", "description": "x"} for i in range(2_000)
    })  # fmt: skip
    many = {"allOf": [args(**{f"p{i}": S, "k": {"const": i}}) for i in range(2_000)]}
    began = time.process_time()
    for schema in (closed(a={"$ref": "#/$defs/d0"}) | {"$defs": defs}, big, many, {"anyOf": many["allOf"]}):
        for dialect in (OPENAI, OPENAI_STRICT, ANTHROPIC_STRICT):
            fitted(schema, dialect)
    assert time.process_time() - began < 20
