"""May a JSON schema be sent with OpenAI's strict mode?"""

from __future__ import annotations

from typing import Any


def may_be_strict(schema: Any) -> bool:
    """OpenAI wants every object closed and every property required, and answers 400 to the rest; Anthropic lets
    properties be optional."""
    if isinstance(schema, list):
        return all(map(may_be_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        required = schema.get("required") or []
        if schema.get("additionalProperties") is not False or set(properties or {}) != set(required):
            return False
    named = [item for key in ("properties", "$defs", "definitions") for item in (schema.get(key) or {}).values()]
    nested = [schema[key] for key in ("items", "prefixItems", "anyOf", "oneOf", "allOf") if key in schema]
    return may_be_strict(named + nested)
