"""No field within a field of a Gemini client's request is lost without a word: each that google-genai's types know
crosses, is reported or refused, or needs none of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from google.genai import types
from pydantic import BaseModel

from tests.support.crossed import MODELS
from tests.support.reply_fields import least, paths, whole
from translate import pair
from translate.failures.errors import BadRequest
from translate.target import Encoded, Protocol, Target

Json = dict[str, Any]

UPSTREAMS: tuple[Protocol, ...] = ("messages", "chat", "responses")
DEPTH = 5
CALL: Json = {"id": "i", "name": "f", "args": {}}
RESULT: Json = {"id": "i", "name": "f", "response": {"a": 1}}
PLACES: dict[str, type[BaseModel]] = {
    "generationConfig": types.GenerationConfig, "toolConfig": types.ToolConfig, "tools": types.Tool,
    "function": types.FunctionDeclaration, "safetySettings": types.SafetySetting, "part": types.Part,
    "functionResponse": types.FunctionResponse, "functionCall": types.FunctionCall,
}  # fmt: skip
# A schema's own fields are another test's; the others need no word.
SCHEMAS = ("properties", "items", "anyOf", "parameters", "response", "responseSchema")
SILENT = {
    "*.displayName": "names a picture; other protocols' pictures have no names",
    "part.thought": "a thought of the user's is none",
    "part.thoughtSignature": "the same",
    "*functionResponse.name": "the call says it",
    "*.allowedFunctionNames": "means nothing without a mode",
    "safetySettings.*": "named as a whole",
    "generationConfig.thinkingConfig.includeThoughts": "what is told of the model's thinking is told",
}


def said(place: str, value: Json) -> Json:
    function: Json = {"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}
    body: Json = {
        "model": "m",
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "tools": [{"functionDeclarations": [function]}],
        "generationConfig": {"maxOutputTokens": 5000},
    }
    call, result = CALL, RESULT
    match place:
        case "generationConfig":
            body[place] |= value
        case "toolConfig":
            body[place] = value
        case "safetySettings":
            body[place] = [value]
        case "tools":
            body[place].append(value)
        case "function":
            function.update(value)
        case "part":
            body["contents"][0]["parts"].append(value)
        case "functionCall":
            call = CALL | value
        case "functionResponse":
            result = RESULT | value
    if place in ("functionCall", "functionResponse"):
        body["contents"].append({"role": "model", "parts": [{"functionCall": call}]})
        body["contents"].append({"role": "user", "parts": [{"functionResponse": result}]})
    return body


def fields(place: str) -> Iterator[tuple[str, Json, Json]]:
    """(name, the request without it, with it) for each field at any depth."""
    full, bare = whole(PLACES[place], DEPTH), least(PLACES[place], DEPTH)
    for path in paths(full, DEPTH):
        if set(path) & set(SCHEMAS) or path[-1] == 0:
            continue
        having = _alone(full, bare, path)
        without = copy.deepcopy(having)
        at: Any = without
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]
        name = ".".join([place, *(step for step in path if isinstance(step, str))])
        yield name, said(place, without), said(place, having)


KEPT = ("name", "mimeType", "data", "fileUri")  # without which a thing is none


def _alone(full: Any, bare: Any, path: tuple[str | int, ...]) -> Any:
    """What is at the path, with what must stand beside it."""
    if not path:
        return copy.deepcopy(full)
    if isinstance(full, list):
        return [_alone(full[0], {}, path[1:])]
    beside = {key: value for key, value in full.items() if key in KEPT}
    return bare | beside | {path[0]: _alone(full[path[0]], {}, path[1:])}


def crossed(upstream: Protocol, body: Json) -> Encoded | None:
    try:
        return pair.request("gemini", upstream, copy.deepcopy(body), Target(MODELS[upstream]))
    except BadRequest:
        return None


@cache
def lost() -> list[str]:
    found: dict[str, None] = {}
    for place in PLACES:
        for name, without, having in fields(place):
            for upstream in UPSTREAMS:
                before, after = crossed(upstream, without), crossed(upstream, having)
                if before is None or after is None or before.body != after.body:
                    continue
                if {step for field in after.dropped for step in field.split(".")}.isdisjoint(name.split(".")[1:]):
                    found[name] = None
    return list(found)


def test_what_is_lost_without_a_word_needs_none() -> None:
    assert [name for name in lost() if not any(fnmatchcase(name, pattern) for pattern in SILENT)] == []


def test_every_silence_is_needed() -> None:
    assert [each for each in SILENT if not any(fnmatchcase(name, each) for name in lost())] == []


def test_the_walk_sees_what_it_should() -> None:
    seen = {name for place in PLACES for name, _, _ in fields(place)}
    assert {"generationConfig.thinkingConfig.thinkingBudget", "part.inlineData.data", "tools.googleSearch"} <= seen
    assert len(seen) > 150
