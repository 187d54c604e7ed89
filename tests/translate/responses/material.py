"""What the tests of Responses are made of: streams built by hand, and events in one line each."""

from __future__ import annotations

import json
from typing import Any

from translate.conversation import (
    Close,
    Delta,
    Event,
    Fault,
    Open,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
)
from translate.json import wire
from translate.responses.decode_stream import Decoder

Json = dict[str, Any]

RESPONSE: Json = {"id": "resp_1", "object": "response", "status": "in_progress", "model": "up", "output": []}
USAGE: Json = {
    "input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 14,
}  # fmt: skip


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


CREATED = event("response.created", response=RESPONSE)


def done(status: str = "completed", **fields: Any) -> bytes:
    return event(f"response.{status}", response=RESPONSE | {"status": status, "usage": USAGE} | fields)


def added(index: Any, **item: Any) -> bytes:
    return event("response.output_item.added", output_index=index, item=item)


def over(index: Any, **item: Any) -> bytes:
    return event("response.output_item.done", output_index=index, item=item)


def text(index: Any, said: str, number: int = 0, **more: Any) -> bytes:
    fields = {"sequence_number": number, "item_id": "msg_1", "output_index": index, "content_index": 0, "delta": said}
    return event("response.output_text.delta", **(fields | more))


def part(said: str, **more: Any) -> Json:
    return {"type": "output_text", "text": said, "annotations": []} | more


def message(said: str, **more: Any) -> Json:
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part(said)]} | more


def call(arguments: str = "{}", **more: Any) -> Json:
    return {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": arguments} | more


def read(*pieces: bytes) -> list[Event]:
    decoder = Decoder()
    return [*(e for piece in pieces for e in decoder.feed(piece)), *decoder.end()]


def short(events: list[Event]) -> list[str]:
    """One line for each part ("open", where the reply broke off in it) and for the end; the rest is left out."""
    out: list[str] = []
    said: list[bytes] = []
    head = ""  # "" between two parts
    for e in events:
        match e:
            case Open(part=Text()):
                head, said = "text", []
            case Open(part=Refusal()):
                head, said = "refusal", []
            case Open(part=Thinking() as thought):
                head, said = "thinking" + (f" <{thought.encrypted}>" if thought.encrypted else ""), []
            case Open(part=ToolCall() as tool):
                kind = "custom" if tool.custom else "call"
                space = f"{tool.namespace}/" if tool.namespace else ""
                head, said = f"{kind} {space}{tool.name}#{tool.id}", []
            case Open(part=Unknown() as other):
                head, said = f"unknown {other.kind}", []
            case Delta():
                said += e.pieces
            case Close():
                signed = " signed" if e.signature else ""
                out.append(f"{head}: {wire.text_of(said)}{signed}".rstrip(": "))
                head = ""
            case Stop():
                out.append(f"stop {e.reason}")
            case Fault():
                if head:  # what is not whole is never closed
                    out.append(f"open {head}: {wire.text_of(said)}")
                out.append(f"fault {e.error}")
            case Start():
                pass
    return out
