"""JSON schemas for servers that read only a part of JSON Schema: Gemini's, which answers 400 to a keyword too much.

Names of properties are the tool's own and never touched, not even where one is called "default" or "$ref". What is cut
only constrains: a value that the whole schema allows, the smaller one allows too; the description keeps what it said.
References are put in place; where a schema refers to itself, or grows beyond all measure by it, any object will do.
Source: ai.google.dev, API reference "Schema".
"""

from __future__ import annotations

from typing import Any

from translate.schemas.patterns import SIMPLE, is_taken
from translate.schemas.places import HINTS, Schema, noted

MAX_PIECES = 5_000  # schemas within one schema: references can unfold into more than any memory holds
MAX_DEPTH = 64

_KEPT = frozenset({
    "type", "format", "title", "description", "nullable", "enum", "items", "minItems", "maxItems", "properties",
    "required", "minimum", "maximum", "minLength", "maxLength", "pattern", "anyOf", "propertyOrdering",
})  # fmt: skip
_FORMATS = frozenset({"date-time", "enum", "int32", "int64", "float", "double"})


# These say nothing about a value, or are said in another way.
_UNTOLD = frozenset({
    "$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "$ref", "allOf", "oneOf", "const", "default",
    "examples", "example", "deprecated", "readOnly", "writeOnly",
})  # fmt: skip


def for_gemini(schema: Schema, cut: set[str] | None = None) -> Schema:
    """Returns a new schema of what Gemini reads; the given one is not changed. cut: takes the keywords whose
    constraints are left out."""
    cleaner = _Cleaner(schema)
    out = cleaner.cleaned(schema, ())
    if cut is not None:
        cut |= cleaner.cut
    return out


class _Cleaner:
    """One schema's cleaning. `path` is the references that the piece at hand stands in."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._pieces = 0
        self.cut: set[str] = set()

    def __repr__(self) -> str:
        return f"<_Cleaner {self._pieces} pieces>"

    def cleaned(self, schema: Any, path: tuple[str, ...]) -> Schema:
        self._pieces += 1
        if not isinstance(schema, dict) or self._pieces > MAX_PIECES or len(path) > MAX_DEPTH:
            return {"type": "object"}  # true and false are schemas too
        schema, path = self._resolved(schema, (*path, ""))
        out = {key: value for key, value in schema.items() if key in _KEPT}
        gone = {key for key in schema if key not in _KEPT and key not in _UNTOLD and not key.startswith("x-")}
        _type(out)
        _enum(out, schema)
        if "enum" not in out and (schema.get("enum") or "const" in schema):
            gone.add("enum" if schema.get("enum") else "const")
        self._choices(out, schema, path)
        if "format" in out and out["format"] not in _FORMATS:
            del out["format"]
            gone.add("format")
        if "pattern" in out and not (isinstance(out["pattern"], str) and is_taken(out["pattern"], SIMPLE)):
            del out["pattern"]
            gone.add("pattern")
        self.cut |= gone
        if isinstance(properties := out.pop("properties", None), dict):
            out["properties"] = {name: self.cleaned(inner, path) for name, inner in properties.items()}
            out.setdefault("type", "object")
        there = out.get("properties", {})
        needed = [name for name in _list(out.pop("required", None)) if isinstance(name, str) and name in there]
        if needed:
            out["required"] = needed
        items = out.pop("items", None)
        if differ := _list(schema.get("prefixItems")):  # one of anything that they are
            out["items"] = self.cleaned(differ[0] if len(differ) == 1 else {"anyOf": differ}, path)
        elif items is not None:
            out["items"] = self.cleaned(items[0] if isinstance(items, list) and items else items, path)
        elif out.get("type") == "array":
            out["items"] = {"type": "string"}  # Gemini wants it to be there
        told = {key: value for key, value in schema.items() if key in gone or key in HINTS}
        return noted(out, {key: value for key, value in told.items() if value not in (None, "", [], {}, True, False)})

    def _resolved(self, schema: Schema, path: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """With what $ref and allOf point to put in place; the path with the references that were followed."""
        while isinstance(ref := schema.get("$ref"), str):
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            found = None if ref in path else self._at(ref)
            path = (*path, ref)
            schema = (found or {"type": "object"}) | beside
        for part in _list(schema.get("allOf")):
            self._pieces += 1
            if not isinstance(part, dict) or self._pieces > MAX_PIECES or len(path) > MAX_DEPTH:
                continue
            part, path = self._resolved(part, path)
            both = _dict(part, "properties") | _dict(schema, "properties")
            needed = [*_list(schema.get("required")), *_list(part.get("required"))]
            schema = part | schema | ({"properties": both} if both else {}) | ({"required": needed} if needed else {})
        return schema, path

    def _at(self, ref: str) -> Schema | None:
        found: Any = self._root
        for step in filter(None, ref.removeprefix("#").split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else None

    def _choices(self, out: Schema, schema: Schema, path: tuple[str, ...]) -> None:
        """oneOf is an anyOf; a choice of one thing or null is that thing, which may be null."""
        options = _list(out.pop("anyOf", None)) or _list(schema.get("oneOf"))
        real = [option for option in options if not (isinstance(option, dict) and option.get("type") == "null")]
        if len(real) < len(options):
            out["nullable"] = True
        cleaned = [self.cleaned(option, path) for option in real]
        if len(cleaned) == 1:
            for key, value in cleaned[0].items():
                out.setdefault(key, value)
        elif cleaned:
            out["anyOf"] = cleaned


def _type(out: Schema) -> None:
    """["string", "null"] is a string that may be null; several others are a choice."""
    if not isinstance(kinds := out.get("type"), list):
        return
    named = [kind for kind in kinds if kind != "null"]
    if len(named) < len(kinds):
        out["nullable"] = True
    if len(named) == 1:
        out["type"] = named[0]
    else:
        del out["type"]
        out.setdefault("anyOf", [{"type": kind} for kind in named])


def _enum(out: Schema, schema: Schema) -> None:
    """const is an enum of one; enums hold strings only."""
    values = _list(out.pop("enum", None)) or ([schema["const"]] if "const" in schema else [])
    if None in values:
        out["nullable"] = True
    words = [value for value in values if isinstance(value, str) and value]
    if words and len(words) == len([value for value in values if value is not None]):
        out["enum"] = words
        out.setdefault("type", "string")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(schema: Schema, key: str) -> Schema:
    value = schema.get(key)
    return value if isinstance(value, dict) else {}
