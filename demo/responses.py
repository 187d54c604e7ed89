"""The demo upstream's OpenAI Responses: body -> Ask, Answer -> whole body or stream frames.

`Stream.frames()` yields (is_delta, bytes): response.created, in_progress, per output item added, its parts
and deltas, done, then response.completed (or response.incomplete at max_output_tokens). Every frame has
the next sequence_number. `Stream.failure()` is the response.failed that ends a broken stream. Errors and
the model list are Chat's. Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from demo.answer import (
    CREATED,
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

Frame = tuple[bool, bytes]


def read(body: dict[str, Any], key: str) -> Ask:
    """The request in neutral form. Raises BadRequest."""
    items = body.get("input")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadRequest("Missing required parameter: 'model'.", "model")
    if items is None:
        raise BadRequest("Missing required parameter: 'input'.", "input")
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise BadRequest("Invalid type for 'input': expected a string or an array of objects.", "input")
    choice, choice_name = _choice(body.get("tool_choice"))
    form = as_dict(as_dict(body.get("text")).get("format"))
    schema = as_dict(form.get("schema")) if form.get("type") == "json_schema" else None
    return Ask(
        key=key,
        model=body["model"],
        stream=body.get("stream") is True,
        body=body,
        turns=tuple(turn for item in items if (turn := _turn(item))),
        tools=tuple(_tools(as_list(body.get("tools")), None)),
        input_tokens=input_tokens(body.get("instructions"), items, body.get("tools")),
        choice=choice,
        choice_name=choice_name,
        schema={"const": {"ok": True}} if form.get("type") == "json_object" else schema,
        max_tokens=limit(body, "max_output_tokens"),
        compact=any(item.get("type") == "compaction_trigger" for item in items),
    )


def _turn(item: dict[str, Any]) -> Turn | None:
    kind = str(item.get("type") or "message")
    if kind == "message" and item.get("role") == "user":
        return Turn("user", content_text(item.get("content")))
    if kind == "message" and item.get("role") == "assistant":
        return Turn("assistant")
    if kind.endswith("_output"):
        output = item.get("output")
        return Turn("result", content_text(output))
    return Turn("assistant", calls=(str(item.get("name")),)) if kind.endswith("_call") else None


def _tools(entries: list[Any], namespace: str | None) -> Iterator[Tool]:
    for entry in map(as_dict, entries):
        kind, name = entry.get("type"), entry.get("name")
        if not isinstance(name, str) or entry.get("defer_loading") is True:
            continue
        if kind == "namespace" and namespace is None:
            yield from _tools(as_list(entry.get("tools")), name)
        elif kind == "function":
            yield Tool(name, entry.get("parameters") or {}, "function", namespace)
        elif kind == "custom":
            yield Tool(name, None, "custom", namespace)


def _choice(choice: Any) -> tuple[Any, str | None]:
    """tool_choice -> (auto | any | none | tool, the name for tool)."""
    if choice in ("none", "auto"):
        return choice, None
    if choice == "required" or as_dict(choice).get("mode") == "required":
        return "any", None
    if as_dict(choice).get("type") in ("function", "custom") and "name" in choice:
        return "tool", choice["name"]
    return "auto", None


def _response(
    ask: Ask,
    status: str,
    output: list[dict[str, Any]],
    answer: Answer | None = None,
    error: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The response object. answer: None = it is not complete, and has no usage yet."""
    body = ask.body
    return {
        "id": f"resp_demo{ask.key}",
        "object": "response",
        "created_at": CREATED,
        "completed_at": CREATED if status == "completed" else None,
        "status": status,
        "background": False,
        "error": error,
        "frequency_penalty": 0.0,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": ask.max_tokens,
        "max_tool_calls": None,
        "model": ask.model,
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "presence_penalty": 0.0,
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None} | as_dict(body.get("reasoning")),
        "safety_identifier": None,
        "service_tier": "default",
        "store": body.get("store") is not False,
        "temperature": 1.0,
        "text": {"format": _format(body)} | {k: v for k, v in as_dict(body.get("text")).items() if k != "format"},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": as_list(body.get("tools")),
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": _usage(ask, answer) if answer is not None else None,
        "user": None,
        "metadata": as_dict(body.get("metadata")),
    }


def _usage(ask: Ask, answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": ask.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.thinking_tokens},
        "total_tokens": ask.input_tokens + answer.output_tokens,
    }


def _format(body: dict[str, Any]) -> dict[str, Any]:
    """The reply's format as the API repeats it, with the defaults that the client has left out."""
    asked = as_dict(as_dict(body.get("text")).get("format")) or {"type": "text"}
    return {"description": None, "strict": False} | asked if asked.get("type") == "json_schema" else asked


def _items(ask: Ask, answer: Answer) -> list[dict[str, Any]]:
    """The output items of the complete response."""
    if ask.compact:
        return [{"type": "compaction", "id": f"cmp_demo{ask.key}", "encrypted_content": _sealed(ask)}]
    items: list[dict[str, Any]] = []
    if answer.thinking:
        item: dict[str, Any] = {
            "type": "reasoning",
            "id": f"rs_demo{ask.key}",
            "summary": [{"type": "summary_text", "text": answer.thinking}],
        }
        if "reasoning.encrypted_content" in as_list(ask.body.get("include")):
            item["encrypted_content"] = _sealed(ask)
        items.append(item)
    if answer.text:
        part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
        head = {"type": "message", "id": f"msg_demo{ask.key}", "role": "assistant"}
        items.append(head | {"status": _status(answer), "content": [part]})
    if answer.call:
        items.append(_call_item(ask, answer.call))
    return items


def _call_item(ask: Ask, call: Call) -> dict[str, Any]:
    custom = call.kind == "custom"
    item = {
        "type": "custom_tool_call" if custom else "function_call",
        "id": f"{'ctc' if custom else 'fc'}_demo{ask.key}",
        "call_id": f"call_demo{ask.key}",
        "name": call.name,
        "input" if custom else "arguments": call.arguments,
        "status": "completed",
    }
    return item | {"namespace": call.namespace} if call.namespace else item


def _sealed(ask: Ask) -> str:
    return base64.b64encode(b"demo-sealed:" + ask.key.encode()).decode()


def _status(answer: Answer) -> str:
    return "incomplete" if answer.stop == "length" else "completed"


def whole(ask: Ask, answer: Answer) -> dict[str, Any]:
    """The body of a reply that is not streamed."""
    return _response(ask, _status(answer), _items(ask, answer), answer)


class Stream:
    """A streamed reply."""

    def __init__(self, ask: Ask, answer: Answer) -> None:
        self.ask = ask
        self.answer = answer
        self.sequence = 0

    def __repr__(self) -> str:
        return f"<responses Stream {self.ask.model} sequence={self.sequence}>"

    def frames(self) -> Iterator[Frame]:
        ask, answer = self.ask, self.answer
        items = _items(ask, answer)
        yield False, self._event("response.created", response=_response(ask, "in_progress", []))
        yield False, self._event("response.in_progress", response=_response(ask, "in_progress", []))
        for index, item in enumerate(items):
            inner = {
                "reasoning": self._reasoning,
                "message": self._message,
                "function_call": self._call,
                "custom_tool_call": self._call,
            }.get(item["type"])
            yield False, self._event("response.output_item.added", output_index=index, item=_opened(item))
            if inner:
                yield from inner(item, {"item_id": item["id"], "output_index": index})
            yield False, self._event("response.output_item.done", output_index=index, item=item)
        status = _status(answer)
        yield False, self._event(f"response.{status}", response=_response(ask, status, items, answer))

    def _reasoning(self, item: dict[str, Any], place: dict[str, Any]) -> Iterator[Frame]:
        place = place | {"summary_index": 0}
        name, text = "response.reasoning_summary", self.answer.thinking
        yield False, self._event(f"{name}_part.added", **place, part={"type": "summary_text", "text": ""})
        for piece in pieces(text, self.answer.piece_chars):
            yield True, self._event(f"{name}_text.delta", **place, delta=piece)
        yield False, self._event(f"{name}_text.done", **place, text=text)
        yield False, self._event(f"{name}_part.done", **place, part=item["summary"][0])

    def _message(self, item: dict[str, Any], place: dict[str, Any]) -> Iterator[Frame]:
        place = place | {"content_index": 0}
        part = item["content"][0]
        yield False, self._event("response.content_part.added", **place, part=part | {"text": ""})
        for piece in pieces(part["text"], self.answer.piece_chars):
            yield True, self._event("response.output_text.delta", **place, delta=piece, logprobs=[])
        yield False, self._event("response.output_text.done", **place, text=part["text"], logprobs=[])
        yield False, self._event("response.content_part.done", **place, part=part)

    def _call(self, item: dict[str, Any], place: dict[str, Any]) -> Iterator[Frame]:
        custom = item["type"] == "custom_tool_call"
        field = "input" if custom else "arguments"
        name = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
        for piece in pieces(item[field], self.answer.piece_chars):
            yield True, self._event(f"{name}.delta", **place, delta=piece)
        done = {field: item[field]} if custom else {field: item[field], "name": item["name"]}
        yield False, self._event(f"{name}.done", **place, **done)

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self.sequence, **fields}
        self.sequence += 1
        return f"event: {kind}\ndata: {dumps(data)}\n\n".encode()

    def failure(self) -> bytes:
        """The frame that ends a stream when the model fails in the middle of it."""
        error = {"code": "server_error", "message": "The server had an error (demo-error)"}
        return self._event("response.failed", response=_response(self.ask, "failed", [], error=error))


def _opened(item: dict[str, Any]) -> dict[str, Any]:
    """An output item without its content, as the stream announces it."""
    empty: dict[str, Any] = {
        "summary": [],
        "content": [],
        "arguments": "",
        "input": "",
        "status": "in_progress",
    }
    return {key: empty.get(key, value) for key, value in item.items()}
