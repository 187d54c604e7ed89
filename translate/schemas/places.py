"""The places of schemas within a schema, the values of keywords, and the notes about keywords that were left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from translate.json import wire

Schema = dict[str, Any]

MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
ONES = frozenset({"items", "additionalItems", "additionalProperties", "not", "if", "then", "else", "contains",
                  "propertyNames", "unevaluatedItems", "unevaluatedProperties", "contentSchema"})  # fmt: skip
NESTED = MAPS | LISTS | ONES

# These say nothing about a value that helps a model, and are left out without a report.
SILENT = frozenset({"$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "deprecated", "readOnly",
                    "writeOnly", "nullable", "propertyOrdering", "title", "encrypted"})  # fmt: skip
# These help a model but constrain nothing: the description keeps them, and nothing is reported.
HINTS = frozenset({"default", "examples", "example"})

MAX_NOTE = 500  # characters about one keyword


def changed(schema: Schema, each: Callable[[Any], Any]) -> Schema:
    """Returns the schema with `each` made of the schemas right within it; the same object where that changes none of
    them. true and false stay where they may stand."""
    out = schema
    for key, value in schema.items():
        if key not in NESTED:
            continue
        new = value
        if key in ONES:
            new = value if isinstance(value, bool) else each(value)
        elif key in MAPS and isinstance(value, dict):
            inner = {name: each(piece) for name, piece in value.items()}
            new = inner if any(inner[name] is not piece for name, piece in value.items()) else value
        elif key in LISTS and isinstance(value, list):
            pieces = [each(piece) for piece in value]
            new = pieces if any(a is not b for a, b in zip(pieces, value, strict=True)) else value
        if new is not value:
            out = dict(schema) if out is schema else out
            out[key] = new
    return out


def pieces(schema: Schema, definitions: bool = True) -> Iterator[Schema]:
    """Yields the schema and all those within it, in no order; without its definitions, if so wanted."""
    waiting: list[Any] = [schema]
    while waiting:
        piece = waiting.pop()
        if not isinstance(piece, dict):
            continue
        yield piece
        for key, value in piece.items():
            if key in ONES:
                waiting.append(value)
            elif key in LISTS and isinstance(value, list):
                waiting += value
            elif key in MAPS and isinstance(value, dict) and (definitions or key not in ("$defs", "definitions")):
                waiting += value.values()


def noted(schema: Schema, notes: Schema) -> Schema:
    """Returns the schema with `notes` in its description, as Anthropic's own SDK puts them there: {minimum: 0, maximum:
    9}."""
    if not notes:
        return schema
    said = "{" + ", ".join(f"{key}: {_short(value)}" for key, value in notes.items()) + "}"
    about = schema.get("description")
    return schema | {"description": f"{about}\n\n{said}" if isinstance(about, str) and about else said}


def _short(value: Any) -> str:
    try:
        text = wire.dumps_text(value)
    except (ValueError, OverflowError):  # a number that JSON cannot say
        text = repr(value)
    return text if len(text) <= MAX_NOTE else text[:MAX_NOTE] + "..."


def list_in(schema: Schema, key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def dict_in(schema: Schema, key: str) -> Schema:
    value = schema.get(key)
    return value if isinstance(value, dict) else {}


def found_at(root: Schema, ref: Any) -> Schema | None:
    """Returns what a reference into the same schema stands for; None where there is nothing."""
    if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
        return None
    found: Any = root
    for step in ref[2:].split("/") if ref != "#" else ():
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and len(name) < 6 and int(name) < len(found):
            found = found[int(name)]
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None
