"""Replaces property names that a target refuses, in the schema, in what the model writes, and in the history.

The new name carries a hash of the old one, so that no two are equal, and one flat table maps them back, wherever they
stand in the arguments.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from translate.schemas.places import Schema, changed, dict_in, pieces

_ODD = re.compile(r"[^a-zA-Z0-9_.-]+")
MAX_NAME = 64
_VALUES = ("enum", "const", "default", "examples")


def renamed(schema: Schema, allowed: re.Pattern[str]) -> tuple[Schema, dict[str, str]]:
    """The schema with names that `allowed` matches in full, and the table: as sent -> as given."""
    taken = {name: None for piece in pieces(schema) for name in dict_in(piece, "properties")}
    given = [name for name in taken if not allowed.fullmatch(name)]
    if not given:
        return schema, {}
    sent: dict[str, str] = {}
    for name in given:
        new, n = _sent(name), 2
        while new in taken:
            new, n = _sent(f"{name}\0{n}"), n + 1
        taken[new] = None
        sent[name] = new
    return _in_schema(schema, sent), {new: name for name, new in sent.items()}


def _sent(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return _ODD.sub("_", name.partition("\0")[0]).strip("_")[: MAX_NAME - 9] + "_" + digest


def _in_schema(piece: Any, sent: dict[str, str]) -> Any:
    if not isinstance(piece, dict):
        return piece
    out = changed(piece, lambda inner: _in_schema(inner, sent))
    for key, value in out.items():
        new = value
        if key == "properties" and isinstance(value, dict):
            new = {sent.get(name, name): _told(name, inner, sent) for name, inner in value.items()}
        elif key == "required":
            new = _listed(value, sent)
        elif key in _VALUES:
            new = in_value(value, sent)
        elif key == "dependentRequired" and isinstance(value, dict):
            new = {sent.get(name, name): _listed(each, sent) for name, each in value.items()}
        elif key == "dependentSchemas" and isinstance(value, dict):
            new = {sent.get(name, name): each for name, each in value.items()}
        elif key == "$ref" and isinstance(value, str) and "/properties/" in value:
            new = _in_ref(value, sent)
        if new is not value:
            out = out | {key: new}
    return out


def _told(name: str, piece: Any, sent: dict[str, str]) -> Any:
    """Adds the original name to the property's description."""
    if name not in sent or not isinstance(piece, dict):
        return piece
    about = piece.get("description")
    return piece | {"description": f"{about} ({name})" if isinstance(about, str) and about else name}


def _in_ref(ref: str, sent: dict[str, str]) -> str:
    steps = ref.split("/")
    for i in range(1, len(steps)):
        name = steps[i].replace("~1", "/").replace("~0", "~")
        if steps[i - 1] == "properties" and name in sent:
            steps[i] = sent[name]
    return "/".join(steps)


def _listed(value: Any, sent: dict[str, str]) -> Any:
    if not isinstance(value, list):
        return value
    return [sent.get(name, name) if isinstance(name, str) else name for name in value]


def in_value(value: Any, table: dict[str, str]) -> Any:
    """Returns a JSON value with the keys of its objects as `table` has them; the same object where none is in it."""
    if isinstance(value, list):
        inner = [in_value(each, table) for each in value]
        return inner if any(a is not b for a, b in zip(inner, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    out = {table.get(key, key): in_value(inner, table) for key, inner in value.items()}
    same = out.keys() == value.keys() and all(out[key] is inner for key, inner in value.items())
    return value if same else out
