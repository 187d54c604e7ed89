"""Resolves references within a schema, for dialects that allow only a reference without neighbours, or no circular
one."""

from __future__ import annotations

from typing import Any

from translate.schemas.places import Schema, changed, dict_in, found_at, list_in, pieces

MAX_PLACED = 2_000  # pieces that take the places of references: these can unfold into more than any memory holds
AT_ONCE = 100  # properties that are copied in the time of one such piece


def closed_over(schema: Schema) -> Schema:
    """Returns the schema with allOf merged and without neighbours of references: what stands beside a reference is
    merged with what it refers to. Definitions are in $defs."""
    return _Placing(_under_defs(schema)).placed()


def _under_defs(schema: Schema) -> Schema:
    """Changes "definitions", the name of draft 7, to "$defs" everywhere. Nested definitions stay where they are, and so
    do references to them."""
    if "definitions" not in schema:
        return schema
    old = dict_in(schema, "definitions")

    def each(piece: Any) -> Any:
        if not isinstance(piece, dict):
            return piece
        ref = piece.get("$ref")
        if isinstance(ref, str) and ref.startswith("#/definitions/"):
            piece = piece | {"$ref": "#/$defs/" + ref.removeprefix("#/definitions/")}
        return changed(piece, each)

    root = {key: value for key, value in schema.items() if key != "definitions"}
    moved = each(root | {"$defs": old | dict_in(schema, "$defs")})
    assert isinstance(moved, dict)
    return moved


class _Placing:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._placed = 0

    def __repr__(self) -> str:
        return f"<_Placing {self._placed}>"

    def placed(self) -> Schema:
        out = self._each(self._root, ())
        assert isinstance(out, dict)
        return out

    def _each(self, piece: Any, path: tuple[str, ...]) -> Any:
        if not isinstance(piece, dict):
            return piece
        self._placed += bool(path)  # what replaces a reference is walked again
        piece, path = self._alone(piece, path)
        return changed(piece, lambda inner: self._each(inner, path))

    def _alone(self, piece: Schema, path: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """Returns the piece with parts of allOf merged, and without a reference that has a neighbour."""
        while "allOf" in piece or (isinstance(piece.get("$ref"), str) and len(piece) > 1 and piece is not self._root):
            self._placed += 1
            if self._placed > MAX_PLACED:
                return piece, path
            if "allOf" in piece:
                piece, path, is_merged = self._all_merged(piece, path)
                self._placed += len(dict_in(piece, "properties")) // AT_ONCE
                if not is_merged:
                    return piece, path
                continue
            ref = piece["$ref"]
            found = found_at(self._root, ref)
            if found is None or ref in path:
                return piece, path
            path = (*path, ref)
            piece = found | {key: value for key, value in piece.items() if key != "$ref"}
        return piece, path

    def _all_merged(self, piece: Schema, path: tuple[str, ...]) -> tuple[Schema, tuple[str, ...], bool]:
        """Merges the parts of allOf into the piece. Returns False, and leaves allOf, where one of them refers to
        nothing or leads in a circle, or there are too many."""
        parts = [part for part in list_in(piece, "allOf") if isinstance(part, dict)]
        piece = {key: value for key, value in piece.items() if key != "allOf"}
        layers: list[Schema] = []
        for part in parts:
            if "$ref" in part and (len(parts) > 1 or piece):
                self._placed += 1
                found, ref = found_at(self._root, part["$ref"]), part["$ref"]
                if found is None or ref in path or self._placed > MAX_PLACED:
                    return _merged(layers, piece) | {"allOf": parts}, path, False
                path = (*path, ref)
                part = found | {key: value for key, value in part.items() if key != "$ref"}
            layers.append(part)
        return _merged(layers, piece), path, True


def _merged(parts: list[Schema], piece: Schema) -> Schema:
    """Merges all parts at once, since each copy may be large. The piece's own words count, then the first part's."""
    out: Schema = {}
    properties: Schema = {}
    required: dict[Any, None] = {}
    for each in [*reversed(parts), piece]:
        out.update(each)
        properties.update(dict_in(each, "properties"))
        required.update(dict.fromkeys(list_in(each, "required")))
    out.pop("allOf", None)
    if properties:
        out["properties"] = properties
    if required:
        out["required"] = list(required)
    if inner := [each for part in parts for each in list_in(part, "allOf")]:
        out["allOf"] = inner
    return out


def is_recursive(root: Schema) -> bool:
    """Tells whether a reference leads back to itself. Each reference is looked at once. Those that lead nowhere are
    removed, until none is left, or only circles are."""
    leads: dict[str, list[str]] = {}
    waiting = _refs(root)
    while waiting:
        ref = waiting.pop()
        if ref not in leads:
            leads[ref] = _refs(found_at(root, ref) or {})
            waiting += leads[ref]
    leading: dict[str, list[str]] = {ref: [] for ref in leads}
    for ref, others in leads.items():
        for other in others:
            leading[other].append(ref)
    left = {ref: len(others) for ref, others in leads.items()}
    ends = [ref for ref, count in left.items() if not count]
    while ends:
        for ref in leading[ends.pop()]:
            left[ref] -= 1
            if not left[ref]:
                ends.append(ref)
    return any(left.values())


def _refs(schema: Schema) -> list[str]:
    """Returns the references in a piece. Definitions within it count only for pieces that refer to them."""
    return [ref for piece in pieces(schema, definitions=False) if isinstance(ref := piece.get("$ref"), str)]
