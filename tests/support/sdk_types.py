"""Replies held against the official SDKs' response models, and Responses also against Open Responses: strictly, each
event and each whole body. Where the SDKs build replies of what they read, sdk.py looks at what comes of it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter, ValidationError

from tests.support import open_responses

_EVENT: dict[str, Any] = {
    "messages": RawMessageStreamEvent,
    "chat": ChatCompletionChunk,
    "responses": ResponseStreamEvent,
}
_BODY: dict[str, Any] = {"messages": Message, "chat": ChatCompletion, "responses": Response}


@cache
def _adapter(kind: str, protocol: str) -> TypeAdapter[Any]:
    return TypeAdapter((_EVENT if kind == "event" else _BODY)[protocol])


def stream_problems(protocol: str, raw: bytes) -> list[str]:
    """What is wrong with a stream's events; pings and errors, which the SDKs read apart from the others, aside."""
    found = []
    for line in raw.split(b"\n"):
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            if event.get("type") not in ("ping", "error", "keepalive") and "error" not in event:
                found += _problems(_adapter("event", protocol), line[6:])
    return found + (open_responses.stream_problems(raw) if protocol == "responses" else [])


def body_problems(protocol: str, raw: bytes) -> list[str]:
    """What is wrong with a whole reply."""
    found = _problems(_adapter("body", protocol), raw)
    return found + (open_responses.body_problems(raw) if protocol == "responses" else [])


def _problems(adapter: TypeAdapter[Any], raw: bytes) -> list[str]:
    try:
        adapter.validate_json(raw, strict=True)
    except ValidationError as error:
        return [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5]]
    return []
