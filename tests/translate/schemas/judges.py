"""The providers' own checks, as their documentation and their 400s tell them: `refusal(schema)` or None.

Written apart from translate/schemas, so that the two can disagree.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Judge = Callable[[Any, bool], str | None]

TYPES = {"string", "number", "integer", "boolean", "object", "array", "null"}
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONES = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "additionalItems",
         "unevaluatedItems", "unevaluatedProperties", "contentSchema")  # fmt: skip


def inside(schema: Any) -> Iterator[Json]:
    if not isinstance(schema, dict):
        return
    yield schema
    for key in _MAPS:
        for piece in (schema.get(key) or {}).values():
            yield from inside(piece)
    for key in _LISTS:
        for piece in schema.get(key) or []:
            yield from inside(piece)
    for key in _ONES:
        yield from inside(schema.get(key))


def valid(schema: Any) -> str | None:
    """The metaschema of 2020-12, which Anthropic and OpenAI check with."""
    if not isinstance(schema, dict):
        return f"{schema!r} is not of type 'object'"
    for key, value in schema.items():
        if not _holds(key, value):
            return f"{key}: {value!r}"
        nested = value.values() if key in _MAPS else value if key in _LISTS else [value] if key in _ONES else ()
        for piece in nested:
            if problem := None if isinstance(piece, bool) and key in _ONES else valid(piece):
                return problem
    return None


def _holds(key: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in ("title", "description", "format", "pattern", "$ref", "$schema", "$id"):
        return isinstance(value, str)
    if key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        return number
    if key == "multipleOf":
        return number and value > 0
    if re.fullmatch("(min|max)(Length|Items|Properties|Contains)", key):
        return type(value) is int and value >= 0
    if key == "uniqueItems":
        return isinstance(value, bool)
    if key == "required":
        return isinstance(value, list) and all(isinstance(n, str) for n in value) and len(set(value)) == len(value)
    if key == "type":
        kinds = value if isinstance(value, list) else [value]
        return bool(kinds) and all(isinstance(k, str) and k in TYPES for k in kinds) and len(set(kinds)) == len(kinds)
    if key == "enum":
        return isinstance(value, list) and bool(value)
    if key in _MAPS:
        return isinstance(value, dict)
    return key not in _LISTS or (isinstance(value, list) and bool(value))


def compiles(pattern: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError):
            return False
    return True


def refers(schema: Json, ref: str) -> bool:
    found: Any = schema
    for step in ref[1:].split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(step)] if step.isdecimal() and int(step) < len(found) else None
        else:
            found = found.get(step) if isinstance(found, dict) else None
    return isinstance(found, dict | bool)


def _root(schema: Json, choices: tuple[str, ...]) -> str | None:
    if schema.get("type") != "object":
        return f"root type is {schema.get('type')!r}"
    return next((f"{key} at the root" for key in choices if key in schema), None)


def openai(schema: Any, of_tool: bool = True) -> str | None:
    if problem := valid(schema) or _root(schema, ("anyOf", "oneOf", "allOf", "enum", "not")):
        return problem
    if "properties" not in schema:
        return "object schema missing properties"
    for piece in inside(schema):
        if "pattern" in piece and not compiles(piece["pattern"]):
            return f"{piece['pattern']!r} is not a 'regex'"
        if any(not compiles(key) for key in piece.get("patternProperties", {})):
            return "a key that is not a 'regex'"
        if "array" in _types(piece) and "items" not in piece:
            return "array schema missing items"
        if (ref := piece.get("$ref", "#")).startswith("#") and not refers(schema, ref):
            return f"{ref} leads nowhere"
    return None


def openai_strict(schema: Any, of_tool: bool = True) -> str | None:
    if problem := openai(schema, of_tool):
        return problem
    allowed = {"type", "enum", "const", "anyOf", "properties", "additionalProperties", "required", "items", "$defs",
               "$ref", "title", "description", "pattern", "format", "multipleOf", "minimum", "maximum",
               "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "minLength", "maxLength"}  # fmt: skip
    for piece in inside(schema):
        if extra := piece.keys() - allowed:
            return f"{sorted(extra)} not permitted"
        if "$ref" in piece and len(piece) > 1 and piece is not schema:
            return "$ref with neighbours"
        if not piece.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
            return "no type"
        if "object" in _types(piece):
            if piece.get("additionalProperties") is not False:
                return "an open object"
            if set(piece.get("required", [])) != set(piece.get("properties", {})):
                return "required is not every property"
        if re.search(r"\(\?[=!<]|\\[1-9bB]", piece.get("pattern", "")):
            return "a look around"
    return None


def anthropic(schema: Any, of_tool: bool = True) -> str | None:
    if problem := valid(schema) or (_root(schema, ("anyOf", "oneOf", "allOf")) if of_tool else None):
        return problem
    return _names(schema)


def _names(schema: Any) -> str | None:
    for piece in inside(schema):
        if bad := [key for key in piece.get("properties", {}) if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,64}", key)]:
            return f"property keys {bad}"
    return None


def anthropic_strict(schema: Any, of_tool: bool = True) -> str | None:
    if problem := anthropic(schema, of_tool):
        return problem
    allowed = {"type", "enum", "const", "anyOf", "properties", "additionalProperties", "required", "items", "$defs",
               "$ref", "title", "description", "format", "minItems"}  # fmt: skip
    for piece in inside(schema):
        if extra := piece.keys() - allowed:
            return f"{sorted(extra)} is not supported"
        if isinstance(piece.get("type"), list):
            return "a list of types"
        if piece.get("type") == "object" and piece.get("additionalProperties") is not False:
            return "an open object"
        if piece.get("minItems", 0) > 1:
            return "minItems"
    return _circle(schema)


def _circle(schema: Json) -> str | None:
    seen: set[str] = set()

    def walk(piece: Any, path: tuple[str, ...]) -> bool:
        for each in inside({key: value for key, value in piece.items() if key != "$defs"}):
            ref = each.get("$ref")
            if ref in path:
                return True
            if ref is None or ref in seen:
                continue
            found: Any = schema
            for step in ref[1:].split("/")[1:]:
                step = step.replace("~1", "/").replace("~0", "~")
                found = found[int(step)] if isinstance(found, list) else found.get(step)
            if isinstance(found, dict) and walk(found, (*path, ref)):
                return True
            seen.add(ref)
        return False

    return "it refers to itself" if walk(schema, ("#",)) else None


def gemini(schema: Any, of_tool: bool = True) -> str | None:
    allowed = {"type", "format", "title", "description", "nullable", "enum", "items", "minItems", "maxItems",
               "properties", "required", "minimum", "maximum", "minLength", "maxLength", "pattern", "anyOf",
               "propertyOrdering"}  # fmt: skip
    for piece in inside(schema):
        if extra := piece.keys() - allowed:
            return f"Unknown name {sorted(extra)}"
        if not isinstance(piece.get("type", ""), str) or not all(isinstance(w, str) for w in piece.get("enum", [])):
            return "a type that is a list, or words that are none"
        if set(piece.get("required", [])) - piece.get("properties", {}).keys():
            return "required: property is not defined"
        if "anyOf" in piece:
            if len(piece) > 1:
                return "schema specified other fields alongside any_of"
        elif "type" not in piece:
            return "schema didn't specify the schema type field"
        elif piece["type"] == "array" and "items" not in piece:
            return "items: missing field"
        for key, kind in (("properties", "object"), ("items", "array"), ("enum", "string")):
            if key in piece and piece["type"] != kind:
                return f"{key}: only allowed for {kind.upper()} type"
    return _root(schema, ()) if of_tool else None


def grammar(schema: Any, of_tool: bool = True) -> str | None:
    """llama.cpp's converter."""
    if problem := valid(schema):
        return problem
    for piece in inside(schema):
        if "pattern" in piece and not _rule(piece["pattern"]):
            return f"pattern {piece['pattern']!r}"
        if "$ref" in piece and not (piece["$ref"].startswith("#/") and refers(schema, piece["$ref"])):
            return "Unsupported ref"
        if piece and not piece.keys() & {"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const", "properties",
         "items",
                                         "prefixItems", "additionalProperties", "pattern"}:  # fmt: skip
            if piece.keys() - {"$defs", "definitions", "$schema"}:
                return f"Unrecognized schema {piece}"
        if max(piece.get(key, 0) for key in ("minLength", "maxLength", "minItems", "maxItems")) > 2_000:
            return "number of repetitions exceeds sane defaults"
    return None


def _rule(pattern: str) -> bool:
    if not (pattern.startswith("^") and pattern.endswith("$")) or "(?" in pattern.replace("(?:", "("):
        return False
    return not re.search(r"\\[dDwWsSbBAZpP]", pattern) and compiles(pattern)


def _types(piece: Json) -> list[str]:
    kind = piece.get("type", [])
    return [kind] if isinstance(kind, str) else kind
