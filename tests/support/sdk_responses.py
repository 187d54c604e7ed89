"""Responses replies as the official SDK reads them: sdk.py's third protocol.

Streams go through `responses.stream`, whose helper builds the response from the deltas and compares; every event and
every body is validated strictly against the SDK's types as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support import sdk

ASK: dict[str, Any] = {"model": "m", "input": "hi"}
_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def responses_stream(raw: bytes | Iterable[bytes]) -> dict[str, Any]:
    """The response that the stream adds up to. Raises RuntimeError where it does not complete."""
    pieces = [raw] if isinstance(raw, bytes) else list(raw)
    last: dict[str, Any] = {}
    with sdk._feeding(pieces, 200, "text/event-stream"):
        with sdk._openai().responses.stream(**ASK) as stream:
            for event in stream:
                if event.type in ("response.incomplete", "response.failed"):
                    last = sdk._plain(event.response)
            if not last:
                last = sdk._plain(stream.get_final_response())
    for data in sdk._data_of(b"".join(pieces)):
        if data.get("type") != "keepalive":
            _EVENT.validate_json(json.dumps(data), strict=True)
    return last


def responses_body(raw: bytes, status: int = 200) -> dict[str, Any]:
    """The whole response. Raises openai.APIStatusError for a status of 400 and up."""
    with sdk._feeding([raw], status, "application/json"):
        response = sdk._openai().responses.create(**ASK)
    Response.model_validate_json(raw, strict=True)
    return sdk._plain(response)
