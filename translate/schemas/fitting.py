"""Fits a schema to one dialect: keywords that the dialect lacks go into the description, and are named.

`fitted` goes over the schema a few times, in one walk each, and returns the same object if all of it may stay.
`obstacle` says why a strict dialect cannot have the schema at all: it would allow less, or something else, than its
author meant. The caller then sends it in another way.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from translate.schemas import gemini, names, patterns
from translate.schemas.places import (
    HINTS,
    SILENT,
    Schema,
    changed,
    dict_in,
    found_at,
    list_in,
    noted,
    pieces,
)
from translate.schemas.references import closed_over, is_recursive
from translate.schemas.root import rooted
from translate.schemas.sound import TYPES, sound
from translate.schemas.table import GEMINI, MOST_LEVELS, MOST_PROPERTIES, MOST_WORDS, SchemaDialect

_BOUNDS = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
_OF_TYPE = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"format", "pattern"}),
    "number": frozenset({"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
}
_OF_TYPE["integer"] = _OF_TYPE["number"]
_ALL_OF_TYPES = frozenset().union(*_OF_TYPE.values())


class Fitted(Struct):
    """cut: the keywords that are left out. about: what the root had to leave out, for the tool's description.
    renamed: property names as sent -> as given. wrapped: the arguments are within an object of one property.
    optional, unions: of a strict schema, which Anthropic counts. same: the schema may stay as it was given."""

    schema: Schema
    cut: set[str] = field(default_factory=set)
    about: Schema = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    wrapped: bool = False
    obstacle: str = ""
    optional: int = 0
    unions: int = 0
    same: bool = False


def fitted(schema: Schema, dialect: SchemaDialect, of_tool: bool = True) -> Fitted:
    """Returns the schema as the dialect takes it. The given schema is not changed. of_tool: it is arguments, else a
    reply."""
    out = Fitted(schema)
    out.schema = _fitted(schema, dialect, of_tool, out)
    out.same = out.schema is schema and not out.about
    return out


def _fitted(schema: Schema, dialect: SchemaDialect, of_tool: bool, out: Fitted) -> Schema:
    schema = sound(schema, out.cut)
    if dialect.object_root[0 if of_tool else 1]:
        schema, out.about, out.wrapped = rooted(schema, merges=of_tool)
        out.cut |= out.about.keys()
        if refused := [key for key in schema if key in dialect.refused_at_root]:
            out.about |= {key: schema[key] for key in refused}
            out.cut |= set(refused)
            schema = {key: value for key, value in schema.items() if key not in refused}
        if dialect.name in ("openai", "claude") and "properties" not in schema:
            schema = schema | {"properties": {}}
    if of_tool and dialect.strict and not schema.get("properties") and "additionalProperties" not in schema:
        schema = schema | {"properties": {}, "additionalProperties": False}  # a tool without arguments takes none
    if dialect is GEMINI:
        return gemini.for_gemini(schema, out.cut)
    if dialect.names is not None:
        schema, out.renamed = names.renamed(schema, dialect.names)
    if dialect.strict:
        schema = closed_over(schema)
        if not dialect.recursive and is_recursive(schema):
            out.obstacle = "it refers to itself"
    piece = _Piece(schema, dialect, out)
    schema = piece.fitted(schema, 0)
    if piece.properties > MOST_PROPERTIES or piece.words > MOST_WORDS:
        piece.no("it is too large")
    if dialect.strict and any(found_at(schema, each["$ref"]) is None for each in pieces(schema) if "$ref" in each):
        piece.no("it refers to what is written in another way")
    return schema


class _Piece:
    """The walk: each piece of one schema, from the root down."""

    def __init__(self, root: Schema, dialect: SchemaDialect, out: Fitted) -> None:
        self._root = root
        self._dialect = dialect
        self._out = out
        self.properties = 0
        self.words = 0

    def __repr__(self) -> str:
        return f"<_Piece of {self._dialect.name}, {self.properties} properties>"

    def no(self, why: str) -> None:
        if self._dialect.strict and not self._out.obstacle:
            self._out.obstacle = why

    def fitted(self, schema: Any, level: int) -> Schema:
        dialect, is_root = self._dialect, schema is self._root
        if not isinstance(schema, dict):
            plain: Schema = schema  # "false" in the place of a schema
            return plain
        if dialect.strict:
            self._count(schema, level)
            schema = self._typed(schema)
        notes = self._notes(schema)
        if notes:
            self._out.cut |= notes.keys() - HINTS - SILENT
            schema = {key: value for key, value in schema.items() if key not in notes}
            for key in [key for key in notes if key in SILENT]:
                del notes[key]
        schema = self._shaped(schema, notes, is_root)
        deeper = level + (schema.get("type") in ("object", "array"))
        schema = changed(schema, lambda inner: self.fitted(inner, deeper))
        return schema if dialect.strict and "$ref" in schema else noted(schema, notes)  # a reference stands alone

    # -------------------------------------------------------------------------------------------- keywords

    def _notes(self, schema: Schema) -> Schema:
        """Returns the keywords that must be removed, with their values."""
        dialect = self._dialect
        notes: Schema = {}
        for key, value in schema.items():
            if dialect.keywords is None:
                refused = key in dialect.refused
            else:
                refused = key not in dialect.keywords
            if refused or not self._is_taken(key, value):
                notes[key] = value
        return notes

    def _is_taken(self, key: str, value: Any) -> bool:
        dialect = self._dialect
        if key == "pattern":
            return dialect.patterns is None or patterns.is_taken(value, dialect.patterns)
        if key == "patternProperties":
            return dialect.patterns is None or all(patterns.is_taken(name, dialect.patterns) for name in value)
        if key == "format":
            return dialect.formats is None or value in dialect.formats
        if key == "$ref":
            if value.startswith("#") and (value[1:2] in ("", "/")):
                return found_at(self._root, value) is not None and (dialect.most_repeats == 0 or value != "#")
            return not value.startswith("#") and "$id" in self._root and not dialect.strict
        if key in _BOUNDS:
            if dialect.name == "anthropic strict":  # the SDK keeps only 0 and 1
                return value in (0, 1)
            return not dialect.most_repeats or value <= dialect.most_repeats
        return True

    # ---------------------------------------------------------------------------------------------- shape

    def _shaped(self, schema: Schema, notes: Schema, is_root: bool) -> Schema:
        dialect = self._dialect
        if not dialect.tuples and "prefixItems" in notes:
            schema = self._untupled(schema, notes)
        if dialect.needs_items and "items" not in schema and _is(schema, "array"):
            schema = schema | {"items": {}}
        if dialect.most_repeats:
            schema = self._for_rules(schema, notes)
        if dialect.strict:
            schema = self._enforceable(schema, is_root)
        return schema

    def _untupled(self, schema: Schema, notes: Schema) -> Schema:
        """Returns a list with a schema for each member as a list of any of these schemas."""
        pieces = notes["prefixItems"]
        rest = schema.get("items")
        pieces = [*pieces, rest] if isinstance(rest, dict) and rest not in ({}, {"not": {}}) else list(pieces)
        unique = [piece for i, piece in enumerate(pieces) if piece not in pieces[:i]] if len(pieces) < 64 else pieces
        return schema | {"items": unique[0] if len(unique) == 1 else {"anyOf": unique}}

    def _for_rules(self, schema: Schema, notes: Schema) -> Schema:
        """Names all types for a piece of any type, unless a keyword shows its type. A tuple's rule that allows no other
        items, or any, is dropped."""
        if "prefixItems" in schema and schema.get("items") in ({}, {"not": {}}):
            schema = {key: value for key, value in schema.items() if key != "items"}
        if schema.keys() & {"type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf", "properties", "items",
                            "prefixItems", "additionalProperties", "pattern"}:  # fmt: skip
            return schema
        return {"type": list(TYPES)} | schema if schema or notes else schema

    def _typed(self, schema: Schema) -> Schema:
        """Returns oneOf as a choice, and names the type if other keywords show it."""
        if "oneOf" in schema and "anyOf" not in schema:
            schema = {("anyOf" if key == "oneOf" else key): value for key, value in schema.items()}
        if schema.keys() & {"type", "$ref", "anyOf", "enum", "const"}:
            values = list_in(schema, "enum") or ([schema["const"]] if "const" in schema else [])
            if values and "type" not in schema and (kind := _type_of(values)):
                schema = schema | {"type": kind}
            return schema
        if "properties" in schema:
            return {"type": "object"} | schema
        return {"type": "array"} | schema if "items" in schema or "prefixItems" in schema else schema

    # --------------------------------------------------------------------------------------------- strict

    def _count(self, schema: Schema, level: int) -> None:
        properties = dict_in(schema, "properties")
        self.properties += len(properties)
        self.words += len(list_in(schema, "enum"))
        self._out.optional += len(properties.keys() - set(list_in(schema, "required")))
        self._out.unions += ("anyOf" in schema or "oneOf" in schema) + isinstance(schema.get("type"), list)
        if level > MOST_LEVELS and self._dialect.required:
            self.no("it is nested too deeply")

    def _enforceable(self, schema: Schema, is_root: bool) -> Schema:
        dialect = self._dialect
        if "$ref" in schema:
            stays = ("$ref", "$defs") if is_root else ("$ref",)  # definitions elsewhere are neighbours like any other
            return {key: schema[key] for key in stays if key in schema}
        if any(isinstance(schema.get(key), bool) for key in ("items",)) or schema.get("items") == {"not": {}}:
            self.no("a list without members")
        kinds = schema.get("type")
        if not dialect.choices:
            if "enum" in schema or "const" in schema:  # the values say what type they are
                if not all(map(_is_plain, list_in(schema, "enum") or [schema.get("const")])):
                    self.no("a value that is a list or an object")
                return {key: value for key, value in schema.items() if key != "type"}
            if isinstance(kinds, list):
                return self._split(schema, kinds)
        if _is(schema, "object"):
            schema = self._object(schema)
        elif not schema.keys() & {"type", "anyOf", "enum", "const"}:
            self.no("a value of any type")
        if _is(schema, "array") and not schema.get("items"):
            self.no("a list of anything")
        return schema

    def _split(self, schema: Schema, kinds: list[str]) -> Schema:
        """Returns a choice of types, each with its own keywords."""
        beside = {key: value for key, value in schema.items() if key != "type" and key not in _ALL_OF_TYPES}
        options = []
        for kind in kinds:
            own = {key: value for key, value in schema.items() if key in _OF_TYPE.get(kind, ())}
            options.append({"type": kind} | own)
        return beside | {"anyOf": options}

    def _object(self, schema: Schema) -> Schema:
        dialect = self._dialect
        properties, extra = dict_in(schema, "properties"), schema.get("additionalProperties")
        required = list_in(schema, "required")
        known = [name for name in required if name in properties]
        if len(known) < len(required):
            schema = schema | {"required": known}
            self._out.cut.add("required")
        if dialect.required and len(known) < len(properties):
            self.no("a property may be missing")
        if extra is False:
            return schema if "properties" in schema else schema | {"properties": {}}
        if dialect.closed == "said" or isinstance(extra, dict) and extra or not properties:
            self.no("an object with other properties")
        if extra is not None:
            self._out.cut.add("additionalProperties")
        return schema | {"additionalProperties": False}


def _is(schema: Schema, kind: str) -> bool:
    said = schema.get("type")
    return said == kind or (isinstance(said, list) and kind in said)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _type_of(values: list[Any]) -> Any:
    kinds: dict[str, None] = {}
    for value in values:
        if isinstance(value, bool):
            kinds["boolean"] = None
        elif isinstance(value, str):
            kinds["string"] = None
        elif isinstance(value, int | float):
            kinds["integer" if isinstance(value, int) else "number"] = None
        elif value is None:
            kinds["null"] = None
        else:
            return None
    return next(iter(kinds)) if len(kinds) == 1 else list(kinds)
