"""Google's Schema, a part of OpenAPI's, and JSON Schema: the one as the other.

Google writes types in capitals, says that a value may be null by a field beside its type, has numbers as strings (they
are int64 in its own files), and a list of the properties in their order. Names of properties are the author's own.
"""

from __future__ import annotations

from typing import Any

from translate.gemini.fields import camel

Schema = dict[str, Any]

MAX_DEPTH = 100
_TYPES = ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_SAME = ("description", "enum", "required", "minimum", "maximum", "pattern", "default", "title")
_RENAMED = {"ref": "$ref", "$ref": "$ref", "example": "examples"}


def as_json_schema(given: Any, depth: int = 0) -> Schema:
    """Returns Google's schema as JSON Schema. What is no object says nothing."""
    if not isinstance(given, dict) or depth > MAX_DEPTH:
        return {}
    raw = camel(given)
    out: Schema = {}
    if kind := _type(raw):
        out["type"] = kind
    out |= {key: raw[key] for key in _SAME if key in raw}
    for key in _COUNTS:
        if (count := _count(raw.get(key))) is not None:
            out[key] = count
    if isinstance(form := raw.get("format"), str) and form != "enum":
        out["format"] = form
    if isinstance(properties := raw.get("properties"), dict):
        out["properties"] = {name: as_json_schema(properties[name], depth + 1) for name in _ordered(raw, properties)}
    if "items" in raw:
        out["items"] = as_json_schema(raw["items"], depth + 1)
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if isinstance(raw.get(key), list):
            out[key] = [as_json_schema(each, depth + 1) for each in raw[key]]
    if raw.get("nullable") is True and "anyOf" in out:
        out["anyOf"].append({"type": "null"})
    if isinstance(rest := raw.get("additionalProperties"), bool | dict):
        out["additionalProperties"] = rest if isinstance(rest, bool) else as_json_schema(rest, depth + 1)
    if isinstance(defs := raw.get("$defs", raw.get("defs")), dict):
        out["$defs"] = {name: as_json_schema(each, depth + 1) for name, each in defs.items()}
    for key, name in _RENAMED.items():
        if key in raw:
            out[name] = [raw[key]] if name == "examples" else raw[key]
    return out


def _type(raw: Schema) -> str | list[str]:
    kind = raw.get("type")
    if isinstance(kind, list):  # it is JSON Schema's already
        return [str(each).lower() for each in kind]
    if type(kind) is int and 0 <= kind < len(_TYPES):  # Google's older library says it by its number
        kind = _TYPES[kind]
    word = kind.lower() if isinstance(kind, str) and kind != "TYPE_UNSPECIFIED" else ""
    if raw.get("nullable") is True and word and word != "null" and "anyOf" not in raw:
        return [word, "null"]
    return word


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _ordered(raw: Schema, properties: Schema) -> list[str]:
    """Returns the names in the order in which the model is to write them."""
    order = raw.get("propertyOrdering")
    named = [name for name in order if isinstance(name, str)] if isinstance(order, list) else []
    first = [name for name in named if name in properties]
    return list(dict.fromkeys([*first, *properties]))


def as_google(schema: Any, depth: int = 0) -> Any:
    """Returns what is left of a JSON Schema for Google (see schemas/gemini.py) in Google's spelling."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return schema
    out = dict(schema)
    if isinstance(kind := out.get("type"), str):
        out["type"] = kind.upper()
    if isinstance(properties := out.get("properties"), dict):
        out["properties"] = {name: as_google(each, depth + 1) for name, each in properties.items()}
    if "items" in out:
        out["items"] = as_google(out["items"], depth + 1)
    if isinstance(choices := out.get("anyOf"), list):
        out["anyOf"] = [as_google(each, depth + 1) for each in choices]
    return out
