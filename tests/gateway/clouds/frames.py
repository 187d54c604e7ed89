"""Streams of Bedrock, as a scripted upstream sends them."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.support.script import Answer, Item
from translate.envelopes.eventstream import CONTENT_TYPE, encode, encode_headers

TEXT = "Hello, w\u00f6rld"


def events(text: str = TEXT) -> list[dict[str, Any]]:
    usage = {"input_tokens": 7, "output_tokens": 1}
    message = {"id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": usage}  # fmt: skip
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in
          (text[:5], text[5:])),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
         "usage": {"output_tokens": 5}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 5}},
    ]  # fmt: skip


def compact(event: dict[str, Any]) -> bytes:
    """As Bedrock writes it."""
    return json.dumps(event, separators=(",", ":")).encode()


def said(event: dict[str, Any]) -> bytes:
    """What an event of Bedrock's is for a client of Messages."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), compact(event))


def chunk(event: dict[str, Any] | bytes) -> bytes:
    data = event if isinstance(event, bytes) else compact(event)
    head = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    return encode(encode_headers(head), compact({"bytes": base64.b64encode(data).decode(), "p": "abcdefgh"}))


def exception(name: str, message: str) -> bytes:
    head = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return encode(encode_headers(head), json.dumps({"message": message}).encode())


def stream(pieces: list[Item], **more: Any) -> Answer:
    return Answer(200, {"Content-Type": CONTENT_TYPE}, pieces, framing="chunked", **more)


def whole() -> dict[str, Any]:
    return {"id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-x",
            "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 7, "output_tokens": 5}}  # fmt: skip
