"""Google's SDK in front of the proxy, and its types as judges of what is written."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_origin

from google import genai
from google.genai import types

QUIET = types.AutomaticFunctionCallingConfig(disable=True)
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="The weather of a city.",
            parameters=types.Schema(
                type=types.Type.OBJECT,
                properties={
                    "city": types.Schema(type=types.Type.STRING),
                    "days": types.Schema(type=types.Type.INTEGER, nullable=True),
                },
                required=["city"],
            ),
        )
    ]
)


@contextlib.contextmanager
def client(url: str, key: str = "sk-test", version: str = "v1beta") -> Iterator[genai.Client]:
    """A client of the proxy (or of any server) at `url`."""
    made = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url, api_version=version))
    try:
        yield made
    finally:
        made.close()


def problems(said: Any) -> list[str]:
    """What in a reply, or an event of a stream, the SDK's types do not know or would not take."""
    found: list[str] = []
    _look(said, types.GenerateContentResponse, "", found)
    try:
        with warnings.catch_warnings(action="error", category=UserWarning):  # a word that the SDK does not know
            types.GenerateContentResponse.model_validate_json(json.dumps(said))
    except UserWarning as word:
        found.append(str(word))
    except (ValueError, AttributeError) as why:  # the SDK's own enumerations fall over what is no text
        found.append(str(why))
    return found


_FREE = frozenset({"args", "response", "functionCall.args"})


def _look(said: Any, model: Any, where: str, found: list[str]) -> None:
    """Names that the types do not declare, at any depth."""
    if isinstance(said, list):
        for each in said:
            _look(each, model, where, found)
        return
    if isinstance(said, dict) and isinstance(model, _Named):
        for each in said.values():
            _look(each, model.of, where, found)
        return
    if not isinstance(said, dict) or not hasattr(model, "model_fields"):
        return
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, value in said.items():
        if key not in known:
            found.append(f"{where}{key}: not declared")
        elif key not in _FREE:
            _look(value, _model_in(known[key].annotation), f"{where}{key}.", found)


@dataclass
class _Named:
    """Objects by names that the client gives."""

    of: Any


def _model_in(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    if get_origin(annotation) is dict:
        return _Named(_model_in(annotation.__args__[1]))
    inner = [_model_in(each) for each in getattr(annotation, "__args__", ())]
    return next((each for each in inner if each is not None), None)


def events(raw: bytes) -> list[Any]:
    """The objects of a stream's data lines."""
    return [json.loads(line[6:]) for line in raw.decode().splitlines() if line.startswith("data: ")]


def request_problems(body: Any) -> list[str]:
    """What in a request body Google's own types do not know."""
    found: list[str] = []
    known: dict[str, Any] = {
        "contents": types.Content, "systemInstruction": types.Content, "tools": types.Tool,
        "toolConfig": types.ToolConfig, "generationConfig": types.GenerationConfig,
        "safetySettings": types.SafetySetting, "serviceTier": str,
    }  # fmt: skip
    for key, value in body.items():
        if key not in known:
            found.append(f"{key}: not declared")
        else:
            _look(value, known[key], f"{key}.", found)
            for each in value if isinstance(value, list) else [value]:
                if hasattr(known[key], "model_validate_json"):
                    try:
                        known[key].model_validate_json(json.dumps(each))
                    except ValueError as why:
                        found.append(f"{key}: {why}")
    return found
