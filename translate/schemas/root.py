"""The root of a schema that must be a plain object, as arguments and OpenAI's reply formats must be.

References at the root are put in place, and allOf is merged. A choice among objects becomes one object with the
properties of all of them, if the caller allows that; it requires what each of them requires, and `notes` say which
belong together. Anything else at the root is wrapped into an object of one property, and unwrapped in what the model
writes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from translate.schemas.places import Schema, dict_in, found_at, list_in

WRAPPED = "value"  # the one property of an object around something else

MAX_MERGED = 256  # alternatives and parts, in total
_OF_OBJECTS = ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties",
               "propertyNames", "dependentRequired", "dependentSchemas", "unevaluatedProperties")  # fmt: skip
_OF_OTHERS = ("items", "prefixItems", "enum", "const", "pattern", "minLength", "maxLength", "minimum", "maximum",
              "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems",
              "format", "contains")  # fmt: skip
_CHOICES = ("anyOf", "oneOf")


class Rooted(NamedTuple):
    """notes: what the merging lost, for the description. wrapped: the schema is the object around the given one."""

    schema: Schema
    notes: Schema
    wrapped: bool = False


def rooted(schema: Schema, merges: bool) -> Rooted:
    """Returns the schema with an object at its root. merges: a choice among objects becomes one of them."""
    if schema.get("type") == "object" and not any(key in schema for key in ("$ref", "allOf", *_CHOICES)):
        return Rooted(schema, {})
    root = _Root(schema)
    flat = root.flat(schema, ())
    if any(key in flat for key in _CHOICES):
        merged = root.merged(flat) if merges else None
        if merged is None:
            return _wrapped(schema)
        flat = merged
    if not _is_object(flat):
        return _wrapped(schema)
    return Rooted({"type": "object"} | flat | {"type": "object"}, root.notes)


def _wrapped(schema: Schema) -> Rooted:
    """Wraps the schema. Definitions stay at the root, where references look for them."""
    own = {key: value for key, value in schema.items() if key in ("$defs", "definitions", "$schema")}
    inner = {key: value for key, value in schema.items() if key not in own}
    outer = {"type": "object", "properties": {WRAPPED: _moved(inner)}, "required": [WRAPPED]}
    return Rooted(own | outer | {"additionalProperties": False}, {}, wrapped=True)


def _moved(piece: Any) -> Any:
    """Lets references from the root go through the object that is now around it."""
    if isinstance(piece, list):
        return [_moved(each) for each in piece]
    if not isinstance(piece, dict):
        return piece
    out = {key: _moved(value) for key, value in piece.items()}
    ref = out.get("$ref")
    if isinstance(ref, str) and (ref == "#" or ref.startswith("#/")) and ref[1:].split("/")[1:2] not in (
        ["$defs"], ["definitions"],
    ):  # fmt: skip
        out["$ref"] = f"#/properties/{WRAPPED}{ref[1:]}"
    return out


def _is_object(schema: Schema) -> bool:
    kind = schema.get("type")
    if kind is not None:
        return kind == "object" or (isinstance(kind, list) and "object" in kind)
    return any(key in schema for key in _OF_OBJECTS) or not any(key in schema for key in _OF_OTHERS)


class _Root:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._merged = 0
        self.notes: Schema = {}

    def __repr__(self) -> str:
        return f"<_Root {self._merged} merged>"

    def flat(self, schema: Schema, path: tuple[str, ...]) -> Schema:
        """Returns the piece with what its $ref and allOf stand for put in place. path: the references that it stands
        in."""
        while isinstance(ref := schema.get("$ref"), str):
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            found = None if ref in path else found_at(self._schema, ref)
            path = (*path, ref)
            schema = _all_of([found or {}, beside])
        parts = list_in(schema, "allOf")
        if "allOf" in schema:
            schema = {key: value for key, value in schema.items() if key != "allOf"}
        held = [schema]
        for part in parts:
            self._merged += 1
            if self._merged > MAX_MERGED:
                self.notes["allOf"] = parts
                break
            if isinstance(part, dict):
                held.append(self.flat(part, path))
        return _all_of(held[::-1]) if len(held) > 1 else schema

    def merged(self, schema: Schema) -> Schema | None:
        """Returns one object for a choice among objects; None if none of them is an object."""
        for key in _CHOICES:
            if key not in schema:
                continue
            rest = {name: value for name, value in schema.items() if name != key}
            options = [self._option(option) for option in list_in(schema, key)]
            objects = [option for option in options if option is not None]
            if not objects:
                return None
            schema = _one_of(rest, objects)
            if len(objects) > 1:
                self.notes[key] = list(map(_told, objects))
        return schema

    def _option(self, option: Any) -> Schema | None:
        self._merged += 1
        if not isinstance(option, dict) or self._merged > MAX_MERGED:
            return None
        flat = self.flat(option, ())
        if any(key in flat for key in _CHOICES):
            inner = self.merged(flat)
            if inner is None:
                return None
            flat = inner
        return flat if _is_object(flat) else None


def _all_of(pieces: list[Schema]) -> Schema:
    """Returns what holds if all of them hold: the last one's own words, with the properties and requirements of all.
    They are merged at once, since each copy may be large."""
    out: Schema = {}
    properties: Schema = {}
    for piece in pieces:
        own = dict_in(piece, "properties")
        if out.get("additionalProperties") is False and "properties" in piece and "additionalProperties" not in piece:
            if any(name not in properties for name in own):
                del out["additionalProperties"]  # what is closed does not know the properties of the others
        for name, value in own.items():
            known = properties.get(name, value)
            properties[name] = value if known == value else {"allOf": [*_parts(known), *_parts(value)]}
        out.update(piece)
    if properties:
        out["properties"] = properties
    if len(required := [list_in(piece, "required") for piece in pieces if "required" in piece]) > 1:
        out["required"] = list(dict.fromkeys(name for names in required for name in names))
    for key in ("$defs", "definitions"):
        if len(named := [dict_in(piece, key) for piece in pieces if key in piece]) > 1:
            out[key] = {name: value for definitions in named for name, value in definitions.items()}
    if "allOf" in out:
        out["allOf"] = [part for piece in pieces for part in list_in(piece, "allOf")]
    return out


def _parts(piece: Any) -> list[Any]:
    return list_in(piece, "allOf") if isinstance(piece, dict) and piece.keys() == {"allOf"} else [piece]


def _one_of(rest: Schema, options: list[Schema]) -> Schema:
    """Returns `rest` with the properties of all options, and what every one of them requires."""
    properties = dict(dict_in(rest, "properties"))
    kinds: dict[str, list[Any]] = {}
    for option in options:
        for name, piece in dict_in(option, "properties").items():
            known = kinds.setdefault(name, [])
            if piece not in known:
                known.append(piece)
    for name, pieces in kinds.items():
        if name not in properties:
            properties[name] = _any_of(pieces)
    out = rest | ({"properties": properties} if properties else {})
    for option in options:
        for key in ("$defs", "definitions"):
            if key in option:
                out[key] = dict_in(option, key) | dict_in(out, key)
    common = [name for name in list_in(options[0], "required")
              if all(name in list_in(option, "required") for option in options)]  # fmt: skip
    if required := list(dict.fromkeys([*list_in(rest, "required"), *common])):
        out["required"] = required
    if "additionalProperties" not in rest and all(option.get("additionalProperties") is False for option in options):
        out["additionalProperties"] = False
    if "additionalProperties" in rest and rest["additionalProperties"] is False and set(kinds) - set(
        dict_in(rest, "properties")
    ):  # fmt: skip
        del out["additionalProperties"]
    about = [option["description"] for option in options if isinstance(option.get("description"), str)]
    if about and "description" not in rest:
        out["description"] = " | ".join(about)
    return out


def _told(option: Schema) -> Schema:
    """Returns what distinguishes the option."""
    properties = dict_in(option, "properties")
    said = {name: piece["const"] for name, piece in properties.items() if isinstance(piece, dict) and "const" in piece}
    told = {"required": list_in(option, "required"), "const": said, "properties": list(properties)}
    return {key: value for key, value in told.items() if value}


def _any_of(pieces: list[Any]) -> Any:
    """Returns a choice among the pieces. Constants that tell the alternatives apart become one enum."""
    if len(pieces) == 1:
        return pieces[0]
    words: list[Any] = []
    for piece in pieces:
        said = [piece["const"]] if isinstance(piece, dict) and "const" in piece else list_in(
            piece if isinstance(piece, dict) else {}, "enum")  # fmt: skip
        if not said or set(piece) - {"const", "enum", "type"} or not all(isinstance(word, str) for word in said):
            return {"anyOf": pieces}
        words += [word for word in said if word not in words]
    return {"type": "string", "enum": words}
