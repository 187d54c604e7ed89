"""Fields of replies: each that the official SDKs' types know, in a reply that says it and in one that does not.

`fields(protocol)` walks the types of a whole reply and gives, for each field, its name ("stop_details.category",
"block:mcp_tool_result.content", "item:mcp_call.output", "part:fileData.fileUri", "usage.inference_geo") and two pairs
of replies, without it and with it: once with all else that may be there, once with what must be.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import typing_extensions as te
from anthropic.types.beta import BetaMessage
from google.genai import types as google
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import BaseModel

from tests.support.sample import members
from translate.target import Protocol

Json = dict[str, Any]
Path = tuple[str | int, ...]

DEPTH = 4
TEXT, COUNT = "zq", 7

# What a field must hold so that its protocol's server could have said it.
_MEANT: dict[str, Any] = {
    "arguments": '{"zq":7}', "input": {"zq": COUNT}, "b64_json": "enE=", "result": "enE=", "data": "enE=",
    "mimeType": "image/png", "args": {"zq": COUNT}, "startIndex": 1, "endIndex": 2, "groundingChunkIndices": [0],
    "cached_tokens": 1, "cache_write_tokens": 2, "title": "zq title",
}  # fmt: skip

_MESSAGE: Json = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "hi"}],
                  "stop_reason": "end_turn"}  # fmt: skip
_RESPONSE: Json = {"object": "response", "status": "completed", "error": None, "incomplete_details": None, "output": [
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}]}  # fmt: skip
_CHOICE: Json = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
_CANDIDATE: Json = {"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0}


@dataclass(frozen=True, slots=True)
class Field:
    """pairs: (without it, with it)."""

    name: str
    pairs: tuple[tuple[Json, Json], ...]


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is walked through by itself. reply: puts one into a reply."""

    name: str
    model: Any
    reply: Callable[[Json], Json]
    tag: Json


def fields(protocol: Protocol) -> Iterator[Field]:
    if protocol == "gemini":
        yield from _of_texts()
    for unit in _units(protocol):
        full, least = _of(unit.model, DEPTH, whole=True) | unit.tag, _of(unit.model, DEPTH, whole=False) | unit.tag
        for path in paths(full, DEPTH):
            if path[0] in unit.tag:
                continue
            name = ".".join([unit.name, *(str(step) for step in path if step != 0)]).removeprefix(".")
            pairs = [_pair(base, full, path) for base in (full, least)]
            yield Field(name, tuple((unit.reply(without), unit.reply(having)) for without, having in pairs))


def wholes(protocol: Protocol) -> Iterator[tuple[str, Json]]:
    """Replies that say all that there is: one for each kind of part, with all of its fields, and one for the rest."""
    for unit in _units(protocol):
        yield unit.name or "the rest", unit.reply(_of(unit.model, DEPTH, whole=True) | unit.tag)


def _of_texts() -> Iterator[Field]:
    """Fields of a part that are no objects: what stands beside a text, and the text."""
    for name, each in google.Part.model_fields.items():
        if not next(_models(each.annotation), None):
            key = each.alias or name
            alone = {key: _value(name, each, DEPTH, whole=True)}
            pair = _generated({} if key == "text" else {"text": TEXT}), _generated({"text": TEXT} | alone)
            yield Field(f"part:{key}", (pair,))


def _units(protocol: Protocol) -> Iterator[_Unit]:
    if protocol == "messages":
        for kind, model in _kinds(BetaMessage, "content"):
            yield _Unit(f"block:{kind}", model, lambda block: _MESSAGE | {"content": [block]}, {"type": kind})
        yield _Unit("", BetaMessage, lambda said: said | _MESSAGE, _MESSAGE)
    elif protocol == "responses":
        for kind, model in _kinds(Response, "output"):
            yield _Unit(f"item:{kind}", model, lambda item: _RESPONSE | {"output": [item]}, {"type": kind})
        yield _Unit("", Response, lambda said: said | _RESPONSE, _RESPONSE)
    elif protocol == "chat":
        choice = _item_of(ChatCompletion.model_fields["choices"].annotation)
        end = {"index": 0, "finish_reason": "stop"}
        yield _Unit("choice", choice, lambda said: {"choices": [said | end]}, end)
        yield _Unit("", ChatCompletion, lambda said: said | {"choices": [_CHOICE]}, {"choices": [_CHOICE]})
    else:
        for name, each in google.Part.model_fields.items():
            key = each.alias or name
            if (inner := next(_models(each.annotation), None)) is not None:
                yield _Unit(f"part:{key}", inner, _as_part(key), {})
        yield _Unit("candidate", google.Candidate, lambda said: {"candidates": [said | _CANDIDATE]}, _CANDIDATE)
        whole = {"candidates": [_CANDIDATE]}
        yield _Unit("", google.GenerateContentResponse, lambda said: said | whole, whole)


def _as_part(key: str) -> Callable[[Json], Json]:
    return lambda said: _generated({key: said})


def _generated(part: Json) -> Json:
    return {"candidates": [_CANDIDATE | {"content": {"role": "model", "parts": [part]}}]}


def _kinds(model: type[BaseModel], field: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for one in _models(_item_of(model.model_fields[field].annotation)):
        for kind in _literals(one.model_fields["type"].annotation):
            yield kind, one


# ------------------------------------------------------------------------------------------------ the values


def whole(model: type[BaseModel], depth: int) -> Json:
    """An object with all of its fields."""
    return _of(model, depth, whole=True)


def least(model: type[BaseModel], depth: int) -> Json:
    """An object with what must be there."""
    return _of(model, depth, whole=False)


def _item_of(declared: Any) -> Any:
    return next(get_args(one)[0] for one in members(declared) if get_origin(one) in (list, te.List))


def _models(declared: Any) -> Iterator[type[BaseModel]]:
    return (one for one in members(declared) if isinstance(one, type) and issubclass(one, BaseModel))


def _literals(declared: Any) -> list[Any]:
    return [word for one in members(declared) if get_origin(one) in (Literal, te.Literal) for word in get_args(one)]


def _of(model: type[BaseModel], depth: int, *, whole: bool) -> Json:
    """An object with all of its fields, or with those alone that are required and not null."""
    found: Json = {}
    for name, field in model.model_fields.items():
        nullable = type(None) in members(field.annotation) or not field.is_required()
        if (whole or not nullable) and (value := _value(name, field, depth, whole=whole)) is not None:
            found[field.alias or name] = value
    return found


def _value(name: str, field: Any, depth: int, *, whole: bool) -> Any:
    if (key := field.alias or name) in _MEANT and not next(_models(field.annotation), None):
        return copy.deepcopy(_MEANT[key])
    return _telling(field.annotation, depth, whole=whole)


def _telling(declared: Any, depth: int, *, whole: bool) -> Any:
    if words := _literals(declared):
        return words[-1]
    if (model := next(_models(declared), None)) is not None:
        return _of(model, depth - 1, whole=whole) if depth > 1 else None
    for one in members(declared):
        origin = get_origin(one) or one
        if origin is list:
            inner = _telling(get_args(one)[0], depth, whole=whole)
            return [inner] if inner is not None else None
        if origin is dict:
            return {TEXT: TEXT}
        if origin in (bool, int, float, str, bytes):
            return {bool: True, int: COUNT, float: 0.5, str: TEXT, bytes: "enE="}[origin]
        if isinstance(origin, type) and issubclass(origin, str):  # an enum
            return list(origin)[-1].value  # type: ignore[call-overload]
    return TEXT


def paths(value: Any, depth: int) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "type":
                continue
            yield (key,)
            yield from ((key, *path) for path in paths(inner, depth - 1))
    elif isinstance(value, list) and value:
        yield from ((0, *path) for path in paths(value[0], depth - 1))


def _pair(base: Json, full: Json, path: Path) -> tuple[Json, Json]:
    """`base` without what is at the path, and with what `full` has there."""
    having = copy.deepcopy(base)
    source: Any = full
    at: Any = having
    for step, after in zip(path, path[1:], strict=False):
        source = source[step]
        if isinstance(at, dict) and not at.get(step):
            at[step] = [] if after == 0 else _tagged(source)
        if isinstance(at, list) and not at:
            at.append(_tagged(source))
        at = at[step]
    at[path[-1]] = copy.deepcopy(source[path[-1]])
    without = at = copy.deepcopy(having)
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return without, having


def _tagged(source: Any) -> Json:
    return {"type": source["type"]} if isinstance(source, dict) and "type" in source else {}
