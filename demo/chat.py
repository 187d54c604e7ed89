"""The demo upstream's OpenAI Chat Completions: body -> Ask, Answer -> whole body or stream frames, errors.

`Stream.frames()` yields (is_delta, bytes): a chunk with the role, chunks of reasoning_content, content or
tool_calls, one with the finish_reason, the usage chunk when include_usage asks for it, then [DONE].
`Stream.failure()` is the data line with an error object after which a broken stream ends.
Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from demo.answer import (
    CREATED,
    MODELS,
    Answer,
    Ask,
    BadRequest,
    Call,
    Tool,
    Turn,
    content_text,
    dumps,
    input_tokens,
    limit,
    pieces,
)
from demo.schema_value import as_dict, as_list

# status -> (type, code)
ERROR_TYPES: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "not_found"),
    405: ("invalid_request_error", "method_not_supported"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    529: ("server_error", "overloaded"),
}
FINISH_REASONS = {"end": "stop", "tool": "tool_calls", "length": "length", "sequence": "stop"}


def read(body: dict[str, Any], key: str) -> Ask:
    """The request in neutral form. Raises BadRequest."""
    messages = body.get("messages")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadRequest("you must provide a model parameter", "model")
    if messages is None:
        raise BadRequest("Missing required parameter: 'messages'.", "messages")
    if not isinstance(messages, list) or not all(isinstance(m, dict) and m.get("role") for m in messages):
        raise BadRequest("Invalid type for 'messages': expected an array of objects, each with a role.", "messages")
    if not messages:
        raise BadRequest("Invalid 'messages': empty array. Expected an array with minimum length 1.", "messages")
    choice, choice_name = _choice(body.get("tool_choice"))
    stop = body.get("stop")
    return Ask(
        key=key,
        model=body["model"],
        stream=body.get("stream") is True,
        body=body,
        turns=tuple(turn for message in messages if (turn := _turn(message))),
        tools=tuple(tool for entry in as_list(body.get("tools")) if (tool := _tool(as_dict(entry)))),
        input_tokens=input_tokens(messages, body.get("tools")),
        choice=choice,
        choice_name=choice_name,
        schema=_schema(as_dict(body.get("response_format"))),
        max_tokens=limit(body, "max_completion_tokens", "max_tokens"),
        stop_sequences=tuple(s for s in ([stop] if isinstance(stop, str) else as_list(stop)) if isinstance(s, str)),
    )


def _turn(message: dict[str, Any]) -> Turn | None:
    role = message["role"]
    if role == "user":
        return Turn("user", content_text(message.get("content")))
    if role in ("tool", "function"):
        return Turn("result", content_text(message.get("content")))
    if role == "assistant":
        calls = [as_dict(call) for call in as_list(message.get("tool_calls"))]
        return Turn(
            "assistant",
            calls=tuple(str(as_dict(call.get("function") or call.get("custom")).get("name")) for call in calls),
        )
    return None


def _tool(entry: dict[str, Any]) -> Tool | None:
    kind = entry.get("type")
    inner = as_dict(entry.get(kind)) if kind in ("function", "custom") else {}
    if not isinstance(inner.get("name"), str):
        return None
    return (
        Tool(inner["name"], kind="custom") if kind == "custom" else Tool(inner["name"], inner.get("parameters") or {})
    )


def _choice(choice: Any) -> tuple[Any, str | None]:
    """tool_choice -> (auto | any | none | tool, the name for tool)."""
    if choice in ("none", "auto"):
        return choice, None
    if choice == "required":
        return "any", None
    inner = as_dict(as_dict(choice).get(str(as_dict(choice).get("type"))))
    if "name" in inner:
        return "tool", inner["name"]
    return ("any" if inner.get("mode") == "required" else "auto"), None


def _schema(form: dict[str, Any]) -> Any:
    if form.get("type") == "json_schema":
        return as_dict(as_dict(form.get("json_schema")).get("schema"))
    return {"const": {"ok": True}} if form.get("type") == "json_object" else None


def _head(ask: Ask, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-demo{ask.key}",
        "object": kind,
        "created": CREATED,
        "model": ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    }


def _usage(ask: Ask, answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": ask.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": ask.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.thinking_tokens, "audio_tokens": 0},
    }


def _call(ask: Ask, call: Call, arguments: str) -> dict[str, Any]:
    inner = {"name": call.name, "input" if call.kind == "custom" else "arguments": arguments}
    return {"id": f"call_demo{ask.key}", "type": call.kind, call.kind: inner}


def whole(ask: Ask, answer: Answer) -> dict[str, Any]:
    """The body of a reply that is not streamed."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text,
        "refusal": None,
        "annotations": [],
    }
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if answer.call:
        message["tool_calls"] = [_call(ask, answer.call, answer.call.arguments)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH_REASONS[answer.stop]}
    return _head(ask, "chat.completion") | {"choices": [choice], "usage": _usage(ask, answer)}


class Stream:
    """A streamed reply."""

    def __init__(self, ask: Ask, answer: Answer) -> None:
        self.ask = ask
        self.answer = answer
        self.head = _head(ask, "chat.completion.chunk")
        self.with_usage = as_dict(ask.body.get("stream_options")).get("include_usage") is True

    def __repr__(self) -> str:
        return f"<chat Stream {self.ask.model} usage={self.with_usage}>"

    def frames(self) -> Iterator[tuple[bool, bytes]]:
        answer = self.answer
        yield False, self._chunk({"role": "assistant", "content": "", "refusal": None})
        for piece in pieces(answer.thinking, answer.piece_chars):
            yield True, self._chunk({"reasoning_content": piece})
        for piece in pieces(answer.text, answer.piece_chars):
            yield True, self._chunk({"content": piece})
        if answer.call:
            yield False, self._chunk({"tool_calls": [{"index": 0, **_call(self.ask, answer.call, "")}]})
            kind, field = answer.call.kind, "input" if answer.call.kind == "custom" else "arguments"
            for piece in pieces(answer.call.arguments, answer.piece_chars):
                yield True, self._chunk({"tool_calls": [{"index": 0, kind: {field: piece}}]})
        yield False, self._chunk({}, FINISH_REASONS[answer.stop])
        if self.with_usage:
            yield False, _data(self.head | {"choices": [], "usage": _usage(self.ask, answer)})
        yield False, b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = self.head | {"choices": [choice]}
        return _data(chunk | {"usage": None} if self.with_usage else chunk)

    def failure(self) -> bytes:
        """The frame that ends a stream when the model fails in the middle of it."""
        return _data(error(500, "The server had an error while processing your request (demo-error)"))


def _data(value: dict[str, Any]) -> bytes:
    return f"data: {dumps(value)}\n\n".encode()


def error(status: int, message: str, param: str | None = None, key: str = "") -> dict[str, Any]:
    """The error body for `status`, in the dialect that Chat Completions and Responses share."""
    kind, code = ERROR_TYPES.get(status, ("server_error", None))
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def model(name: str) -> dict[str, Any]:
    """One entry of the model list."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "demo"}


def models() -> dict[str, Any]:
    """The model list."""
    return {"object": "list", "data": [model(name) for name in MODELS]}
