"""JSON schemas for servers that read only a part of JSON Schema. Gemini, for instance, answers 400 to an unknown
keyword.

Names of properties belong to the tool and are never changed, not even if one is called "default" or "$ref". Only
constraints are cut: a value that the whole schema allows is also allowed by the smaller one, and the description keeps
what was cut. References are put in place; where a schema refers to itself, any value of its kind is allowed, and where
it grows too large by its references, any object. Vertex AI demands more than the reference says: a type of each piece,
nothing beside anyOf, no keyword of another type. Source: ai.google.dev, API reference "Schema".
"""

from __future__ import annotations

from typing import Any

from translate.schemas.patterns import SIMPLE, is_taken
from translate.schemas.places import HINTS, Schema, dict_in, noted

MAX_PIECES = 5_000  # schemas within one schema: references can unfold into more than any memory holds
MAX_DEPTH = 64
WORDS_OF_A_PIECE = 1_000  # characters; what has longer texts counts as several pieces
MOST_NAMES = 30  # of properties, in words

_KEPT = frozenset({
    "type", "format", "title", "description", "nullable", "enum", "items", "minItems", "maxItems", "properties",
    "required", "minimum", "maximum", "minLength", "maxLength", "pattern", "anyOf", "propertyOrdering",
})  # fmt: skip
_FORMATS = frozenset({"date-time", "enum", "int32", "int64", "float", "double"})


# These say nothing about a value, or are written in another way.
_UNTOLD = frozenset({
    "$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "$ref", "allOf", "oneOf", "const", "default",
    "examples", "example", "deprecated", "readOnly", "writeOnly", "encrypted",
})  # fmt: skip

_OF_THE_CHOICE = frozenset({"anyOf", "oneOf", "allOf", "$defs", "definitions", "description"})
_OBJECT, _ARRAY, _STRING, _NUMBER = ("object",), ("array",), ("string",), ("number", "integer")
_OF_TYPE = {
    "properties": _OBJECT, "required": _OBJECT, "propertyOrdering": _OBJECT, "items": _ARRAY, "minItems": _ARRAY,
    "maxItems": _ARRAY, "minLength": _STRING, "maxLength": _STRING, "pattern": _STRING, "minimum": _NUMBER,
    "maximum": _NUMBER,
}  # fmt: skip
_TELLING = _OF_TYPE | {"prefixItems": _ARRAY, "additionalProperties": _OBJECT, "patternProperties": _OBJECT}
_ANYTHING = [{"type": kind} for kind in ("string", "number", "boolean", "object", "array")]


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
            return {"type": "object"}  # true and false are schemas, too
        schema, path = self._resolved(schema, (*path, ""))
        self._pieces += _words(schema) // WORDS_OF_A_PIECE
        options, is_nullable = _options(schema)
        if options:
            each = self._each(options, schema, is_nullable, path)
            return each[0] if len(each) == 1 else {"anyOf": each}
        out = {key: value for key, value in schema.items() if key in _KEPT}
        gone = {key for key in schema if key not in _KEPT and key not in _UNTOLD and not key.startswith("x-")}
        _type(out)
        _enum(out, schema)
        if "enum" not in out and (schema.get("enum") or "const" in schema):
            gone.add("enum" if schema.get("enum") else "const")
        out.pop("anyOf", None)
        if is_nullable:
            out["nullable"] = True
        out.setdefault("type", "null")
        if "format" in out and out["format"] not in _FORMATS:
            del out["format"]
            gone.add("format")
        if "pattern" in out and not (isinstance(out["pattern"], str) and is_taken(out["pattern"], SIMPLE)):
            del out["pattern"]
            gone.add("pattern")
        self.cut |= gone
        if isinstance(properties := out.pop("properties", None), dict):
            out["properties"] = {name: self.cleaned(inner, path) for name, inner in properties.items()}
        there = out.get("properties", {})
        needed = [name for name in _list(out.pop("required", None)) if isinstance(name, str) and name in there]
        if needed:
            out["required"] = needed
        items = out.pop("items", None)
        if differ := _list(schema.get("prefixItems")):  # any of the members' schemas
            out["items"] = self.cleaned(differ[0] if len(differ) == 1 else {"anyOf": differ}, path)
        elif items is not None:
            out["items"] = self.cleaned(items[0] if isinstance(items, list) and items else items, path)
        elif out.get("type") == "array":
            out["items"] = {"type": "string"}  # Gemini demands it
        kind = out["type"]  # Gemini refuses keywords of another type
        out = {key: value for key, value in out.items() if key not in _OF_TYPE or kind in _OF_TYPE[key]}
        told = {key: value for key, value in schema.items() if key in gone or key in HINTS}
        return noted(out, {key: value for key, value in told.items() if _says_something(key, value)})

    def _resolved(self, schema: Schema, path: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """With what $ref and allOf point to put in place; the path with the references that were followed."""
        while isinstance(ref := schema.get("$ref"), str):
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            found = self._at(ref)
            if ref in path:
                found = self._within_itself(found or {})
            path = (*path, ref)
            schema = ({"type": "object"} if found is None else found) | beside
        layers = [schema]
        for part in _list(schema.get("allOf")):
            self._pieces += 1
            if not isinstance(part, dict) or self._pieces > MAX_PIECES or len(path) > MAX_DEPTH:
                continue
            part, path = self._resolved(part, path)
            layers.append(part)
        return _merged(layers) if len(layers) > 1 else schema, path

    def _within_itself(self, schema: Schema) -> Schema:
        """Returns what stands for a schema inside of itself: any object for one of objects, else anything."""
        self.cut.add("$ref")
        properties = schema.get("properties")
        if schema.get("type") != "object" and not isinstance(properties, dict):
            return {}
        names = list(properties)[:MOST_NAMES] if isinstance(properties, dict) else []
        return {"type": "object"} | ({"description": f"As around it: {{{', '.join(names)}}}"} if names else {})

    def _at(self, ref: str) -> Schema | None:
        found: Any = self._root
        for step in filter(None, ref.removeprefix("#").split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else None

    def _each(self, options: list[Any], schema: Schema, is_nullable: bool, path: tuple[str, ...]) -> list[Schema]:
        """Returns the options with all that is said beside them: Vertex AI takes nothing beside anyOf."""
        beside = {key: value for key, value in schema.items() if key not in _OF_THE_CHOICE}
        if isinstance(beside.get("type"), list):
            del beside["type"]
        if is_nullable:
            beside["nullable"] = True
        out: list[Schema] = []
        for option in options:
            if isinstance(option, dict) and beside:
                option = option | {"allOf": [*_list(option.get("allOf")), beside]}
            cleaned = self.cleaned(option, path)
            out += cleaned.get("anyOf", [cleaned])
        about = schema.get("description")
        if isinstance(about, str) and about:
            self._pieces += len(about) * len(out) // WORDS_OF_A_PIECE
            if self._pieces > MAX_PIECES:
                return out
            out = [each | {"description": _joined(about, each.get("description"))} for each in out]
        return out


def _words(schema: Schema) -> int:
    """Returns how many characters a schema's own texts have: they are repeated wherever it is referred to."""
    listed = [name for key in ("enum", "required") for name in _list(schema.get(key))]
    return sum(len(said) for said in (*schema.values(), *listed, *dict_in(schema, "properties")) if type(said) is str)


def _merged(layers: list[Schema]) -> Schema:
    """Returns all of them in one, at once, since each copy may be large. What the first ones say counts."""
    out: Schema = {}
    properties: Schema = {}
    for layer in reversed(layers):
        out.update(layer)
        properties.update(dict_in(layer, "properties"))
    needed = [name for layer in layers for name in _list(layer.get("required"))]
    return out | ({"properties": properties} if properties else {}) | ({"required": needed} if needed else {})


def _options(schema: Schema) -> tuple[list[Any], bool]:
    """Returns what a value may be, none where there is no choice, and whether it may be null. oneOf is an anyOf, and
    several types are a choice; so is what says no type, since Vertex AI demands one of every piece."""
    options = _list(schema.get("anyOf")) or _list(schema.get("oneOf")) or _by_type(schema)
    real = [option for option in options if not (isinstance(option, dict) and option.get("type") == "null")]
    return real, len(real) < len(options)


def _by_type(schema: Schema) -> list[Any]:
    kinds = schema.get("type")
    if isinstance(kinds, list):
        several = len([kind for kind in kinds if kind != "null"]) > 1
        return [{"type": kind} for kind in kinds if several or kind == "null"]
    if kinds:
        return []
    if values := _values(schema):
        named: dict[str, list[Any]] = {}
        for value in values:
            named.setdefault(_kind_of(value), []).append(value)
        return [{"type": kind} | ({"enum": those} if len(named) > 1 else {}) for kind, those in named.items()]
    told = dict.fromkeys(_TELLING[key][0] for key in schema if key in _TELLING)
    return [{"type": kind} for kind in told] or _ANYTHING


def _kind_of(value: Any) -> str:
    for kind, types in (("null", type(None)), ("boolean", bool), ("integer", int), ("number", float), ("string", str)):
        if isinstance(value, types):
            return kind
    return "array" if isinstance(value, list) else "object"


def _values(schema: Schema) -> list[Any]:
    """Returns the values of an enum. const is an enum of one."""
    return _list(schema.get("enum")) or ([schema["const"]] if "const" in schema else [])


def _says_something(key: str, value: Any) -> bool:
    return value not in (None, "", [], {}) and (key == "const" or not isinstance(value, bool))


def _joined(about: str, own: Any) -> str:
    return f"{about}\n\n{own}" if own and own != about else about


def _type(out: Schema) -> None:
    """["string", "null"] is a string that may be null."""
    if not isinstance(kinds := out.get("type"), list):
        return
    named = [kind for kind in kinds if kind != "null"]
    if len(named) < len(kinds):
        out["nullable"] = True
    del out["type"]
    if len(named) == 1:
        out["type"] = named[0]


def _enum(out: Schema, schema: Schema) -> None:
    """Enums hold strings only."""
    out.pop("enum", None)
    values = _values(schema)
    if None in values:
        out["nullable"] = True
    words = [value for value in values if isinstance(value, str) and value]
    if out.get("type") == "string" and words and len(words) == len([value for value in values if value is not None]):
        out["enum"] = words


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
