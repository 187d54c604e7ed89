"""Makes a schema valid for every reader of JSON Schema, without a change of its meaning.

Clients pass on what plug-ins write: null for a list, forms of draft 3 and draft 4, OpenAPI's nullable, types of a
programming language. What has a valid form gets it; what says nothing is left out; what cannot be understood is left
out and named. An ordinary schema is returned as the same object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from translate.json.json_fields import is_number
from translate.schemas.places import LISTS, MAPS, ONES, Schema, changed, list_in, noted

TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
_MEANT = {
    "str": "string", "text": "string", "int": "integer", "int32": "integer", "int64": "integer", "long": "integer",
    "float": "number", "double": "number", "decimal": "number", "bool": "boolean", "dict": "object", "map": "object",
    "list": "array", "tuple": "array", "none": "null", "nonetype": "null", **{name: name for name in TYPES},
}  # fmt: skip
_ANY = ("", "any", "unknown", "mixed")

_TEXTS = frozenset({"title", "description", "format", "pattern", "$ref", "$schema", "$id", "$comment", "$anchor"})
_NUMBERS = frozenset({"minimum", "maximum", "multipleOf"})
_BOUND = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
_LIMITS = frozenset(_BOUND)
_COUNTS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
                     "minContains", "maxContains"})  # fmt: skip
_FLAGS = frozenset({"uniqueItems", "deprecated", "readOnly", "writeOnly", "nullable"})
_BOOLS_STAY = frozenset({"additionalProperties", "additionalItems", "unevaluatedProperties", "unevaluatedItems"})


def sound(schema: Schema, cut: set[str]) -> Schema:
    """Returns the schema in the words of the current draft. cut: takes the keywords that are left out although they may
    have said something."""

    def each(piece: Any) -> Schema:
        if not isinstance(piece, dict):
            return {"not": {}} if piece is False else {}
        return sound(piece, cut)

    wrong = [key for key, value in schema.items() if key in _RULES and not _RULES[key](value)]
    if wrong or "nullable" in schema:
        schema = _mended(schema, wrong, cut)
    if type(schema.get("items")) is list:
        schema = _tuple(schema)
    schema = _required_by_themselves(schema)
    schema = changed(schema, each)
    for key in ONES - _BOOLS_STAY:  # true and false are schemas too, but not every server knows
        if isinstance(schema.get(key), bool):
            schema = schema | {key: each(schema[key])}
    return schema


def _mended(schema: Schema, wrong: list[str], cut: set[str]) -> Schema:
    out, notes = dict(schema), {}
    for key in wrong:
        value = out.pop(key, None)
        mend = _MENDS.get(key) or (_whole if key in _COUNTS else None)
        new = mend(value) if mend is not None else None
        if new is not None:
            out[key] = new
        elif key in _LIMITS and value is True:
            if is_number(out.get(bound := _BOUND[key])):  # draft 4: a boolean that makes the other bound exclusive
                out[key] = out.pop(bound)
        elif not _says_nothing(key, value):
            notes[key] = value
            cut.add(key)
    if out.pop("nullable", None) is True:
        _may_be_null(out)
    return noted(out, notes)


def _says_nothing(key: str, value: Any) -> bool:
    if key == "required" and value is True:  # in draft 3, it is about the object around it
        return True
    return value in (None, "", [], {}, False) or (key == "type" and str(value).lower() in _ANY)


def _may_be_null(out: Schema) -> None:
    """Writes OpenAPI's nullable in JSON Schema's words."""
    kinds = out.get("type")
    if isinstance(kinds, str | list):
        kinds = [kinds] if isinstance(kinds, str) else kinds
        out["type"] = out["type"] if "null" in kinds else [*kinds, "null"]
        if "enum" in out and None not in out["enum"]:
            out["enum"] = [*out["enum"], None]
    elif "anyOf" in out:
        out["anyOf"] = [*out["anyOf"], {"type": "null"}]
    elif said := {key: out.pop(key) for key in list(out) if key not in ("description", "title", "default", "$defs")}:
        out["anyOf"] = [said, {"type": "null"}]


def _tuple(schema: Schema) -> Schema:
    """Reads a list of items, as drafts before 2020-12 have it."""
    out = {key: value for key, value in schema.items() if key not in ("items", "additionalItems")}
    if schema["items"]:
        out["prefixItems"] = schema["items"]
        rest = schema.get("additionalItems")
        out["items"] = rest if isinstance(rest, dict) else {} if rest is not False else {"not": {}}
    return out


def _required_by_themselves(schema: Schema) -> Schema:
    """Draft 3: each property says whether it is required, as many plug-ins still do; and a property that may never be
    is none."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return schema
    names = [name for name, piece in properties.items() if isinstance(piece, dict) and piece.get("required") is True]
    never = [name for name, piece in properties.items() if piece is False]
    if never:
        schema = schema | {"properties": {name: piece for name, piece in properties.items() if name not in never}}
    if not names:
        return schema
    known = list_in(schema, "required")
    return schema | {"required": [*known, *(name for name in names if name not in known)]}


# ------------------------------------------------------------------------------------------- what keywords hold


def _is_type(value: Any) -> bool:
    if isinstance(value, str):
        return value in TYPES
    return isinstance(value, list) and len(value) > 1 and len(set(map(str, value))) == len(value) and all(
        isinstance(kind, str) and kind in TYPES for kind in value
    )  # fmt: skip


def _type(value: Any) -> Any:
    given = value if isinstance(value, list) else [value]
    said = [kind.lower() if isinstance(kind, str) else "null" if kind is None else "" for kind in given]
    found = list({_MEANT[kind]: None for kind in said if kind in _MEANT}) if value is not None else []
    return None if not found else found[0] if len(found) == 1 else found


def _is_required(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    return all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def _required(value: Any) -> Any:
    if not isinstance(value, list):
        return None
    return list({name: None for name in value if isinstance(name, str)}) or None


def _is_enum(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    if all(isinstance(each, str) for each in value):
        return len(set(value)) == len(value)
    return len({_key(each) for each in value}) == len(value)


def _enum(value: Any) -> Any:
    return list({_key(each): each for each in value}.values()) or None if isinstance(value, list) else None


def _key(value: Any) -> str:
    return f"{type(value).__name__}:{value!r}"


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _whole(value: Any) -> Any:
    return int(value) if is_number(value) and value >= 0 and int(value) == value else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_limit(value: Any) -> bool:
    return is_number(value)


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)


def _is_choice(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _is_one(value: Any) -> bool:
    return isinstance(value, dict | bool)


def _is_item(value: Any) -> bool:
    return isinstance(value, dict | bool | list)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return is_number(value) and value > 0


_RULES: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_TEXTS, _is_text),
    **dict.fromkeys(_NUMBERS | _LIMITS, _is_limit),
    **dict.fromkeys(_COUNTS, _is_count),
    **dict.fromkeys(_FLAGS, _is_flag),
    **dict.fromkeys(MAPS, _is_map),
    **dict.fromkeys(LISTS, _is_choice),
    **dict.fromkeys(ONES, _is_one),
    "items": _is_item,
    "multipleOf": _is_positive,
    "type": _is_type,
    "required": _is_required,
    "enum": _is_enum,
}
_MENDS: dict[str, Callable[[Any], Any]] = {"type": _type, "required": _required, "enum": _enum}
