"""May a JSON schema be sent with OpenAI's strict mode?"""

from __future__ import annotations

from typing import Any

from translate.fields import list_of


def may_be_strict(schema: Any) -> bool:
    """OpenAI wants every object closed and every property required, and answers 400 to the rest; Anthropic lets
    properties be optional. A schema that is none is the upstream's to refuse."""
    if isinstance(schema, list):
        return all(map(may_be_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        required = list_of(schema, "required")
        names = {name for name in required if isinstance(name, str)}
        if schema.get("additionalProperties") is not False or names != set(_named(schema, "properties")):
            return False
    named = [item for key in ("properties", "$defs", "definitions") for item in _named(schema, key).values()]
    nested = [schema[key] for key in ("items", "prefixItems", "anyOf", "oneOf", "allOf") if key in schema]
    return may_be_strict(named + nested)


def _named(schema: dict[str, Any], key: str) -> dict[str, Any]:
    value = schema.get(key)
    return value if isinstance(value, dict) else {}
