"""The demo upstream's Anthropic Messages: body -> Ask, Answer -> whole body or stream frames, errors.

`Stream.frames()` yields (is_delta, bytes) in the order of the protocol's grammar: message_start, then per
block start, deltas, stop, then message_delta and message_stop. `Stream.failure()` is the frame that ends
a broken stream. Source: https://platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import ujson

from demo.answer import (
    CREATED_ISO,
    MODELS,
    Answer,
    Ask,
    BadRequest,
    Tool,
    Turn,
    content_text,
    dumps,
    input_tokens,
    limit,
    pieces,
)
from demo.schema_value import as_dict, as_list

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
STOP_REASONS = {"end": "end_turn", "tool": "tool_use", "length": "max_tokens", "sequence": "stop_sequence"}
# Anthropic-defined tools that the client runs come without a schema; this is the one that the demo can call.
BASH_SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}

THREADS = "thread: the demo keeps no conversations; send all of it"


def read(body: dict[str, Any], key: str, counting: bool = False) -> Ask:
    """The request in neutral form. counting: it is for count_tokens, which has no max_tokens. Raises BadRequest."""
    messages = body.get("messages")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadRequest("model: Field required", "model")
    if not isinstance(messages, list):
        raise BadRequest(
            "messages: Field required" if messages is None else "messages: Input should be a valid list",
            "messages",
        )
    if not messages:
        raise BadRequest("messages: at least one message is required", "messages")
    if not counting and body.get("max_tokens") is None:
        raise BadRequest("max_tokens: Field required", "max_tokens")
    if body.get("thread") is not None:  # then only what is new may be here
        raise BadRequest(THREADS, "thread")
    choice = as_dict(body.get("tool_choice"))
    form = as_dict(as_dict(body.get("output_config")).get("format") or body.get("output_format"))
    return Ask(
        key=key,
        model=body["model"],
        stream=body.get("stream") is True,
        body=body,
        turns=tuple(turn for at, message in enumerate(messages) if (turn := _turn(at, message))),
        tools=tuple(tool for entry in as_list(body.get("tools")) if (tool := _tool(as_dict(entry)))),
        input_tokens=input_tokens(body.get("system"), messages, body.get("tools")),
        choice=choice["type"] if choice.get("type") in ("any", "none", "tool") else "auto",
        choice_name=choice.get("name"),
        schema=as_dict(form.get("schema")) if form.get("type") == "json_schema" else None,
        max_tokens=limit(body, "max_tokens"),
        stop_sequences=tuple(s for s in as_list(body.get("stop_sequences")) if isinstance(s, str)),
    )


def _turn(at: int, message: Any) -> Turn | None:
    role = as_dict(message).get("role")
    if role not in ("user", "assistant", "system"):
        raise BadRequest(f"messages.{at}.role: Input should be 'user' or 'assistant'", "messages")
    content = message.get("content")
    blocks = [block for block in as_list(content) if isinstance(block, dict)]
    if role == "assistant":
        return Turn("assistant", calls=tuple(str(b.get("name")) for b in blocks if b.get("type") == "tool_use"))
    if role == "system":
        return None
    results = [block for block in blocks if block.get("type") == "tool_result"]
    if results:
        return Turn("result", content_text(results[-1].get("content")))
    return Turn("user", content_text(content))


def _tool(entry: dict[str, Any]) -> Tool | None:
    if not isinstance(entry.get("name"), str) or entry.get("defer_loading") is True:
        return None
    if "input_schema" in entry:
        return Tool(entry["name"], entry["input_schema"])
    return Tool(entry["name"], BASH_SCHEMA) if str(entry.get("type")).startswith("bash_") else None


def _head(ask: Ask) -> dict[str, Any]:
    return {
        "id": f"msg_demo{ask.key}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": ask.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 1,
            "service_tier": "standard",
        },
    }


def _usage(ask: Ask, answer: Answer) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "input_tokens": ask.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": answer.output_tokens,
    }
    if answer.thinking:
        usage["output_tokens_details"] = {"thinking_tokens": answer.thinking_tokens}
    return usage


def _signature(ask: Ask) -> str:
    return base64.b64encode(b"demo-signature:" + ask.key.encode()).decode()


def whole(ask: Ask, answer: Answer) -> dict[str, Any]:
    """The body of a reply that is not streamed."""
    content: list[dict[str, Any]] = []
    if answer.thinking:
        content.append({"type": "thinking", "thinking": answer.thinking, "signature": _signature(ask)})
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    if answer.call:
        content.append(
            {
                "type": "tool_use",
                "id": f"toolu_demo{ask.key}",
                "name": answer.call.name,
                "input": ujson.loads(answer.call.arguments),
            }
        )
    return _head(ask) | {
        "content": content,
        "stop_reason": STOP_REASONS[answer.stop],
        "stop_sequence": answer.stop_sequence,
        "usage": _usage(ask, answer) | {"service_tier": "standard"},
    }


def _frame(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {dumps(data)}\n\n".encode()


class Stream:
    """A streamed reply."""

    def __init__(self, ask: Ask, answer: Answer) -> None:
        self.ask = ask
        self.answer = answer
        self.index = 0  # of the content block that is open or comes next

    def __repr__(self) -> str:
        return f"<messages Stream {self.ask.model} block={self.index}>"

    def frames(self) -> Iterator[tuple[bool, bytes]]:
        ask, answer = self.ask, self.answer
        yield False, _frame({"type": "message_start", "message": _head(ask)})
        if answer.thinking:
            deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces(answer.thinking, answer.piece_chars)]
            deltas.append({"type": "signature_delta", "signature": _signature(ask)})
            yield from self._block({"type": "thinking", "thinking": "", "signature": ""}, deltas)
        if answer.text:
            yield from self._block(
                {"type": "text", "text": ""},
                [{"type": "text_delta", "text": p} for p in pieces(answer.text, answer.piece_chars)],
            )
        if answer.call:
            start = {"type": "tool_use", "id": f"toolu_demo{ask.key}", "name": answer.call.name, "input": {}}
            json = [""] + (pieces(answer.call.arguments, answer.piece_chars) if answer.call.arguments != "{}" else [])
            yield from self._block(start, [{"type": "input_json_delta", "partial_json": p} for p in json])
        delta = {"stop_reason": STOP_REASONS[answer.stop], "stop_sequence": answer.stop_sequence}
        yield False, _frame({"type": "message_delta", "delta": delta, "usage": _usage(ask, answer)})
        yield False, _frame({"type": "message_stop"})

    def _block(self, start: dict[str, Any], deltas: list[dict[str, Any]]) -> Iterator[tuple[bool, bytes]]:
        yield False, _frame({"type": "content_block_start", "index": self.index, "content_block": start})
        if self.index == 0:
            yield False, _frame({"type": "ping"})
        for delta in deltas:
            yield True, _frame({"type": "content_block_delta", "index": self.index, "delta": delta})
        yield False, _frame({"type": "content_block_stop", "index": self.index})
        self.index += 1

    def failure(self) -> bytes:
        """The frame that ends a stream when the model fails in the middle of it."""
        return _frame({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded (demo-error)"}})


def error(status: int, message: str, param: str | None = None, key: str = "") -> dict[str, Any]:
    """The error body for `status`; Messages has no place for `param`, its messages name the field."""
    said: dict[str, Any] = {"type": ERROR_TYPES.get(status, "api_error"), "message": message}
    if param == "thread":  # by which Anthropic's SDKs know to send the whole conversation
        said["details"] = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    return {"type": "error", "error": said, "request_id": f"req_demo{key}"}


def model(name: str) -> dict[str, Any]:
    """One entry of the model list."""
    return {
        "type": "model",
        "id": name,
        "display_name": "Demo" + name.removeprefix("demo").replace("-", " "),
        "created_at": CREATED_ISO,
        "lifecycle": "active",
        "max_input_tokens": 1_000_000,
        "max_tokens": 128_000,
    }


def models() -> dict[str, Any]:
    """The model list, on one page."""
    return {
        "data": [model(name) for name in MODELS],
        "has_more": False,
        "first_id": MODELS[0],
        "last_id": MODELS[-1],
    }
