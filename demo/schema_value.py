"""Makes a small value that a JSON schema accepts, for arguments and structured answers of the demo upstream.

The value has only required properties and the first of any choices. Its words make sense for the one who runs the call:
a command is an echo, a city is Paris. The functions are pure and deterministic. Schemas come from clients, so nothing
in one is trusted to have the right type, and recursive ones come to an end.
"""

from __future__ import annotations

from typing import Any

COMMAND = "echo hello-from-tool"
SCHEMA_DEPTH = 12  # a recursive schema ends in empty arrays and strings
MAX_ITEMS = 100
MAX_LENGTH = 10_000
FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "demo@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: Any, name: str = "", root: Any = None, depth: int = 0) -> Any:
    """A small value that a JSON schema accepts: required properties only, first of any choice."""
    if not isinstance(schema, dict):
        return "x"
    root = schema if root is None else root
    if depth > SCHEMA_DEPTH:
        return [] if schema.get("type") == "array" else "x"
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    if isinstance(schema.get("$ref"), str):
        return sample(_resolve(schema["$ref"], root), name, root, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        branches = [b for b in as_list(schema.get(key)) if as_dict(b).get("type") != "null"]
        if branches:
            return sample(branches[0], name, root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if kind == "object" or "properties" in schema:
        required = as_list(schema.get("required"))
        return {
            key: sample(value, key, root, depth + 1)
            for key, value in as_dict(schema.get("properties")).items()
            if key in required
        }
    if kind == "array":
        if name in ("command", "cmd"):
            return ["bash", "-lc", COMMAND]
        return [
            sample(schema.get("items", {}), name, root, depth + 1)
            for _ in range(min(max(1, _whole(schema.get("minItems"), 1)), MAX_ITEMS))
        ]
    return _scalar(kind, schema, name)


def _scalar(kind: Any, schema: dict[str, Any], name: str) -> Any:
    if kind in ("integer", "number"):
        # 1, unless the bounds say otherwise
        low = max(-(-_whole(schema.get("minimum"), 1) // 1), _whole(schema.get("exclusiveMinimum"), 0) + 1)
        return min(low, _whole(schema.get("maximum"), low), _whole(schema.get("exclusiveMaximum"), low + 1) - 1)
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    if name in ("command", "cmd"):
        return COMMAND
    if name in ("city", "location"):
        return "Paris"
    length = min(max(1, _whole(schema.get("minLength"), 1)), MAX_LENGTH)
    return FORMATS.get(str(schema.get("format")), "x" * length)


def _resolve(ref: str, root: Any) -> Any:
    """The part of the schema that a local reference such as #/$defs/City names; {} when there is none."""
    node = root
    for step in ref.removeprefix("#").strip("/").split("/"):
        if step:
            node = as_dict(node).get(step.replace("~1", "/").replace("~0", "~"))
    return node if node is not None else {}


def _whole(value: Any, default: int) -> int:
    return int(value) if isinstance(value, int | float) else default


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
