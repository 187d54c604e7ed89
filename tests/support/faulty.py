"""Good replies in all three protocols, in pieces: what a faulty upstream breaks, and what its client may hope for.

`Good(protocol, mark)` says one sentence that carries `mark`, so that a client which gets another's answer is seen.
`body` is the whole reply; `begun` and `rest` are its stream's events, cut after the first words; `last` are those that
end it. `error` is an error in the protocol's own dialect. `text_of` and `error_of` read what a client got, without
the translators' help.
"""

from __future__ import annotations

import json
from typing import Any, Literal, get_args

Json = dict[str, Any]
Protocol = Literal["messages", "chat", "responses"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}

_ERRORS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
           429: "rate_limit_error", 529: "overloaded_error"}  # fmt: skip


def ask(protocol: Protocol, model: str, stream: bool) -> Json:
    """The smallest request."""
    if protocol == "responses":
        return {"model": model, "input": "hi", "stream": stream}
    limit = {"max_tokens": 50} if protocol == "messages" else {}
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream} | limit


def error(protocol: Protocol, status: int, message: str) -> Json:
    kind = _ERRORS.get(status, "api_error" if protocol == "messages" else "server_error")
    if protocol == "messages":
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def error_event(protocol: Protocol, status: int, message: str) -> bytes:
    """The same within a stream."""
    if protocol == "responses":
        fault = error("chat", status, message)["error"]
        return _named({"type": "error", "sequence_number": 0, "code": fault["type"], "message": message, "param": None})
    body = error(protocol, status, message)
    return _named(body) if protocol == "messages" else _data(body)


class Good:
    """usage: whether a Chat stream says what was used."""

    def __init__(self, protocol: Protocol, mark: str, usage: bool = False) -> None:
        self.words = [f"[{mark}]", " all", " is", " well."]
        self.text = "".join(self.words)
        made = {"messages": self._messages, "chat": self._chat, "responses": self._responses}[protocol]
        self.whole: Json
        self.begun: list[bytes]
        self.rest: list[bytes]
        self.last: list[bytes]
        made(mark, usage)
        self.body = json.dumps(self.whole).encode()
        self.events = self.begun + self.rest

    def _messages(self, model: str, _: bool) -> None:
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}
        usage = {"input_tokens": 3, "output_tokens": 4}
        self.whole = head | {"content": [{"type": "text", "text": self.text}], "stop_reason": "end_turn",
                             "usage": usage}  # fmt: skip
        start = {"type": "message_start", "message": head | {"content": [], "stop_reason": None, "usage": usage}}
        opened = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        said = [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            for word in self.words
        ]
        closed = {"type": "content_block_stop", "index": 0}
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        self.last = [_named({"type": "message_delta", "delta": stop, "usage": usage}), _named({"type": "message_stop"})]
        self.begun = [*map(_named, (start, opened, said[0]))]
        self.rest = [*map(_named, (*said[1:], closed)), *self.last]

    def _chat(self, model: str, usage: bool) -> None:
        used = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        head = {"id": "chatcmpl-1", "created": 1, "model": model}
        message = {"role": "assistant", "content": self.text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        self.whole = head | {"object": "chat.completion", "choices": [choice], "usage": used}

        def chunk(delta: Json, finish: str | None = None) -> bytes:
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            return _data(head | {"object": "chat.completion.chunk", "choices": choices})

        said = [chunk({"content": word}) for word in self.words]
        counted = _data(head | {"object": "chat.completion.chunk", "choices": [], "usage": used})
        self.last = [chunk({}, "stop"), *([counted] if usage else []), b"data: [DONE]\n\n"]
        self.begun = [chunk({"role": "assistant", "content": ""}), said[0]]
        self.rest = [*said[1:], *self.last]

    def _responses(self, model: str, _: bool) -> None:
        part = {"type": "output_text", "text": self.text, "annotations": [], "logprobs": []}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        # fmt: off
        usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7,
                 "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        begun = {"id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress", "model": model,
                 "output": [], "error": None, "incomplete_details": None, "parallel_tool_calls": True,
                 "tool_choice": "auto", "tools": [], "usage": None}
        # fmt: on
        self.whole = begun | {"status": "completed", "output": [item], "usage": usage}
        where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        events: list[Json] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
            {"type": "response.output_item.added", "output_index": 0,
             "item": item | {"status": "in_progress", "content": []}},
            {"type": "response.content_part.added", "part": part | {"text": ""}, **where},
            *({"type": "response.output_text.delta", "delta": word, "logprobs": [], **where} for word in self.words),
            {"type": "response.output_text.done", "text": self.text, "logprobs": [], **where},
            {"type": "response.content_part.done", "part": part, **where},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": self.whole},
        ]  # fmt: skip
        out = [_named(event | {"sequence_number": number}) for number, event in enumerate(events)]
        self.begun, self.rest, self.last = out[:5], out[5:], out[-1:]


def _named(event: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())


def _data(chunk: Json) -> bytes:
    return b"data: %b\n\n" % json.dumps(chunk).encode()


# ----------------------------------------------------------------------------------------------- reading


def events_of(raw: bytes) -> list[Json]:
    """Every event of a stream whose data is a JSON object, as a lenient reader sees them."""
    out = []
    for block in raw.replace(b"\r\n", b"\n").split(b"\n\n"):
        data = b"\n".join(line[5:].lstrip() for line in block.split(b"\n") if line.startswith(b"data:"))
        try:
            event = json.loads(data)
        except ValueError:
            continue
        if isinstance(event, dict):
            out.append(event)
    return out


def text_of(protocol: Protocol, raw: bytes, stream: bool) -> str:
    """The words of a reply, whole or streamed; KeyError and the like where it is none."""
    if stream:
        return "".join(_delta(protocol, event) for event in events_of(raw))
    body = json.loads(raw)
    if protocol == "messages":
        return "".join(block["text"] for block in body["content"])
    if protocol == "chat":
        return str(body["choices"][0]["message"]["content"])
    return "".join(part["text"] for item in body["output"] for part in item["content"])


def _delta(protocol: Protocol, event: Json) -> str:
    if protocol == "messages":
        found = (event.get("delta") or {}).get("text")
    elif protocol == "chat":
        choices = event.get("choices") or [{}]
        found = (choices[0].get("delta") or {}).get("content")
    else:
        found = event.get("delta") if event.get("type") == "response.output_text.delta" else ""
    return found if isinstance(found, str) else ""


def error_of(protocol: Protocol, event: Any) -> str:
    """The message of an error body or error event in the protocol's dialect; "" where it is none."""
    if not isinstance(event, dict):
        return ""
    if protocol == "responses" and "type" in event:
        if event["type"] == "error":  # flat, as the provider's own streams have it
            return str(event.get("message") or "")
        event = event.get("response") or {}
    inner = event.get("error")
    if not isinstance(inner, dict) or (protocol == "messages" and event.get("type") != "error"):
        return ""
    kind = inner.get("code") if protocol == "responses" and "type" not in inner else inner.get("type")
    return str(inner.get("message") or "") if isinstance(kind, str) else ""
