"""Replies held against Open Responses (openresponses.org), by its published types: a specification of Responses that is
stricter in places than OpenAI's SDK. Its extensions (events and items of other names) are not judged here."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import openresponses_types.types as spec
from pydantic import BaseModel, ValidationError

ITEMS = frozenset({"message", "reasoning", "function_call"})
"""Types of output items that the specification has."""


@cache
def events() -> dict[str, type[BaseModel]]:
    """Type of an event -> its model."""
    found: dict[str, type[BaseModel]] = {}
    for name, model in vars(spec).items():
        if name.endswith("StreamingEvent") and isinstance(model, type) and issubclass(model, BaseModel):
            kinds = model.model_fields["type"].annotation
            found[next(iter(kinds)).value] = model  # type: ignore[union-attr, arg-type, call-overload]
    return found


def body_problems(raw: bytes) -> list[str]:
    """What is wrong with a whole response."""
    return _held(spec.ResponseResource, _own(json.loads(raw)))


def stream_problems(raw: bytes) -> list[str]:
    """What is wrong with a stream's events."""
    found: list[str] = []
    for line in raw.split(b"\n"):
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            model = events().get(event.get("type"))
            item = event.get("item")
            if model is not None and (item is None or item.get("type") in ITEMS):
                if isinstance(response := event.get("response"), dict):
                    event["response"] = _own(response)
                found += [f"{event['type']}: {problem}" for problem in _held(model, event)]
    return found


def _own(response: dict[str, Any]) -> dict[str, Any]:
    output = response.get("output")
    if not isinstance(output, list):
        return response
    return response | {"output": [item for item in output if item.get("type") in ITEMS]}


def _held(model: type[BaseModel], value: Any) -> list[str]:
    try:
        model.model_validate(value)
    except ValidationError as error:
        return [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return []
