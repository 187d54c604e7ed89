"""Replies held against Open Responses (openresponses.org), by its published types: a specification of Responses that is
stricter in places than OpenAI's SDK. Its extensions (events, items, tools of other names) are not judged."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from functools import cache
from typing import Any

PACKAGE, MODULE = "openresponses-types", "openresponses_types.types"
ITEMS = frozenset({"message", "reasoning", "function_call"})
"""Types of output items that the specification has."""
TOOLS = frozenset({"function"})


@cache
def found() -> Any:
    """The module with the types, or None where it is not installed."""
    try:
        return importlib.import_module(MODULE)
    except ModuleNotFoundError:
        return None


def installed() -> str:
    """Its version; "" where it is missing."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return ""


@cache
def events() -> dict[str, Any]:
    """Type of an event -> its model."""
    models: dict[str, Any] = {}
    for name, model in vars(found()).items():
        if name.endswith("StreamingEvent") and isinstance(model, type):
            kinds = model.model_fields["type"].annotation  # type: ignore[attr-defined]  # each is pydantic's
            models[next(iter(kinds)).value] = model
    return models


def body_problems(raw: bytes) -> list[str]:
    """What is wrong with a whole response."""
    return _held(found().ResponseResource, _own(json.loads(raw)))


def stream_problems(raw: bytes) -> list[str]:
    """What is wrong with a stream's events."""
    problems: list[str] = []
    for line in raw.split(b"\n"):
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            model = events().get(event.get("type"))
            item = event.get("item")
            if model is not None and (not isinstance(item, dict) or item.get("type") in ITEMS):
                if isinstance(response := event.get("response"), dict):
                    event["response"] = _own(response)
                problems += [f"{event['type']}: {problem}" for problem in _held(model, event)]
    return problems


def _own(response: dict[str, Any]) -> dict[str, Any]:
    """The parts of a response that the specification has a word for."""
    own = dict(response)
    for key, known in (("output", ITEMS), ("tools", TOOLS)):
        if isinstance(listed := response.get(key), list):
            own[key] = [each for each in listed if not isinstance(each, dict) or each.get("type") in known]
    text = response.get("text")
    if isinstance(text, dict) and isinstance(text.get("format"), dict) and "schema" in text["format"]:
        own["text"] = text | {"format": text["format"] | {"schema": None}}  # the published type takes nothing else
    return own


def _held(model: Any, value: Any) -> list[str]:
    try:
        model.model_validate(value)
    except ValueError as error:  # pydantic's ValidationError is one
        return [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]  # type: ignore[attr-defined]  # the same
    return []
