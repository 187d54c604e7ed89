"""A street for the lessons: clients at one end, scripted upstreams at the other, the whole proxy between.

    reply = street.ask("messages", "chat", ASK | {"stream": True}, chat(ROLE, HI, END))
    reply.sent      # what the upstream was asked
    reply.read()    # what the official SDK makes of the answer, after the grammar checker has passed it

Real sockets throughout. One proxy for each set of upstream settings is kept for the whole run, since a lesson is
about what crosses it, not about how it starts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from conformance import grammar
from tests.support import params, sdk, sdk_responses, streams
from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Request, Upstream
from translate.target import Protocol

Json = dict[str, Any]

PATHS: dict[Protocol, str] = {
    "messages": "/v1/messages",
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
}
ASK: Json = {"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": "hello"}]}
ASK_RESPONSES: Json = {"model": "m", "max_output_tokens": 4000, "input": "hello"}
ASKS: dict[Protocol, Json] = {"messages": ASK, "chat": ASK, "responses": ASK_RESPONSES}
OTHER: dict[Protocol, Protocol] = {"messages": "chat", "chat": "messages"}
LANES: list[tuple[Protocol, Protocol]] = [(client, upstream) for client in PATHS for upstream in PATHS]
CROSSINGS = [lane for lane in LANES if lane[0] != lane[1]]
SAME = [lane for lane in LANES if lane[0] == lane[1]]


@dataclass
class Reply:
    """client: the protocol that it speaks. request: as it came to the upstream, None if nothing did."""

    client: Protocol
    streamed: bool
    status: int
    headers: dict[str, str]
    raw: bytes
    request: Request | None

    @property
    def sent(self) -> Json:
        assert self.request is not None, self.raw[:300]
        body: Json = self.request.json
        return body

    @property
    def json(self) -> Json:
        body: Json = json.loads(self.raw)
        return body

    @property
    def error(self) -> Json:
        """The error object of a refusal, after a look at its shape."""
        body = self.json
        if self.client == "messages":
            assert body["type"] == "error" and body["error"]["type"]
        else:
            assert {"message", "type", "param", "code"} <= body["error"].keys()
        error: Json = body["error"]
        assert error["message"]
        return error

    @property
    def dropped(self) -> list[str]:
        return [name for name in self.headers.get("x-proxy-dropped", "").split(", ") if name]

    def problems(self) -> list[str]:
        """Of a stream: what is not legal in it."""
        return CHECK[self.client](self.raw)

    def read(self) -> Json:
        """The SDK's message, completion or response. Raises the SDK's error for a stream that ends in one."""
        assert self.status == 200, self.raw[:500]
        if not self.streamed:
            return BODY[self.client](self.raw)
        assert self.problems() == [], self.raw.decode()
        return STREAM[self.client](self.raw)

    def said(self) -> Json:
        """read(), in words that the protocols share: thinking, text, calls (id, name, input), stop, model. A custom
        call's input is a text. The stop of a response is its status, or why it is incomplete."""
        body = self.read()
        if self.client == "responses":
            return _said_in_response(body)
        if self.client == "messages":
            blocks = body["content"]
            return {
                "thinking": "".join(b["thinking"] for b in blocks if b["type"] == "thinking"),
                "text": "".join(b["text"] for b in blocks if b["type"] == "text"),
                "calls": [(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"],
                "stop": body["stop_reason"],
                "model": body["model"],
            }
        choice = body["choices"][0]
        message = choice["message"]
        return {
            "thinking": message.get("reasoning_content") or "",
            "text": message["content"] or "",
            "calls": [
                (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"]))
                for c in message["tool_calls"] or []
            ],
            "stop": choice["finish_reason"],
            "model": body["model"],
        }


def _said_in_response(body: Json) -> Json:
    items = body["output"]
    calls: list[tuple[str, str, Any]] = []
    for item in items:
        name = f"{item['namespace']}/{item['name']}" if item.get("namespace") else item.get("name")
        if item["type"] == "function_call":
            calls.append((item["call_id"], str(name), json.loads(item["arguments"])))
        elif item["type"] == "custom_tool_call":
            calls.append((item["call_id"], str(name), item["input"]))
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    thoughts = [part for item in items if item["type"] == "reasoning" for part in item["summary"]]
    return {
        "thinking": "".join(part["text"] for part in thoughts),
        "text": "".join(part["text"] for part in parts if part["type"] == "output_text"),
        "calls": calls,
        "stop": (body.get("incomplete_details") or {}).get("reason") or body["status"],
        "model": body["model"],
    }


class Street:
    """ask() sends one request through; `sent` bodies of a crossing are checked against the SDK's types."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._answer = Answer()
        self._up = self._stack.enter_context(Upstream(lambda request: self._answer))
        self._houses: dict[tuple[Protocol, str], House] = {}

    def close(self) -> None:
        self._stack.close()

    @property
    def requests(self) -> list[Request]:
        """All that came to the upstream since the last ask() began."""
        return self._up.requests

    def house(self, upstream: Protocol, more: str = "") -> House:
        """more: lines of the upstream's section."""
        key = (upstream, more)
        if key not in self._houses:
            settings = one_upstream(self._up.url, upstream, f"api_key = sk-up\n{more}") + ONCE
            self._houses[key] = self._stack.enter_context(House(settings))
        return self._houses[key]

    def ask(
        self,
        client: Protocol,
        upstream: Protocol,
        body: Any,
        answer: Answer | Json | bytes,
        more: str = "",
        headers: Json | None = None,
        valid: bool = True,
    ) -> Reply:
        """answer: a stream's bytes, a whole reply's body, or an Answer. valid: the translated request must be
        legal by the upstream SDK's own types."""
        if isinstance(answer, bytes):
            answer = Answer.sse(answer)
        self._answer = Answer.json(answer) if isinstance(answer, dict) else answer
        self._up.requests.clear()
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, back, raw = self.house(upstream, more).post(PATHS[client], data, headers)
        request = self._up.requests[-1] if self._up.requests else None
        reply = Reply(client, "event-stream" in back.get("content-type", ""), status, back, raw, request)
        if valid and request is not None and client != upstream:
            assert legal(upstream, request.json) == []
        return reply


def legal(upstream: Protocol, body: Json) -> list[str]:
    """Problems of a request body by the types of the SDK whose service it is for."""
    if upstream == "responses":
        return params.check_responses(body)
    return params.check_messages(body) if upstream == "messages" else params.check_chat(body)


CHECK: dict[Protocol, Callable[[bytes], list[str]]] = {
    "messages": grammar.check_messages,
    "chat": grammar.check_chat,
    "responses": grammar.check_responses,
}
BODY: dict[Protocol, Callable[..., Json]] = {
    "messages": sdk.messages_body,
    "chat": sdk.chat_body,
    "responses": sdk_responses.responses_body,
}
STREAM: dict[Protocol, Callable[[bytes], Json]] = {
    "messages": sdk.messages_stream,
    "chat": sdk.chat_stream,
    "responses": sdk_responses.responses_stream,
}


# --------------------------------------------------------------------------------- replies, by their parts


def completion(message: Json, finish: str | None = "stop", **more: Any) -> Json:
    """A whole Chat reply."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": None} | message}
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    head = {"id": "c1", "object": "chat.completion", "created": 1, "model": "up"}
    return head | {"choices": [choice], "usage": usage} | more


def message(*content: Json, stop: str | None = "end_turn", **more: Any) -> Json:
    """A whole Messages reply."""
    usage = {"input_tokens": 10, "output_tokens": 4}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up"}
    return head | {"content": list(content), "stop_reason": stop, "stop_sequence": None, "usage": usage} | more


def function(name: str, arguments: Any = "{}", id: str = "call_1") -> Json:
    """A tool call of a Chat message."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def response(*items: Json, status: str = "completed", **more: Any) -> Json:
    """A whole Responses reply."""
    usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
             "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 14}  # fmt: skip
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "up", "parallel_tool_calls": True,
            "tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None}  # fmt: skip
    return head | {"status": status, "output": list(items), "usage": usage} | more


def said(text: str, **more: Any) -> Json:
    """The message of a response."""
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]} | more


def called(name: str, arguments: str = "{}", id: str = "call_1", **more: Any) -> Json:
    """A function call of a response."""
    head = {"type": "function_call", "id": f"fc_{id}", "call_id": id, "name": name, "arguments": arguments}
    return head | {"status": "completed"} | more


def responses(*items: Json, end: str = "completed", **more: Any) -> bytes:
    """A response's stream, each item in one delta. end: completed, incomplete, failed, or "" for none."""
    whole = response(*items, status=end or "completed", **more)
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    events: list[Json] = [{"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")]
    for index, item in enumerate(items):
        events += _item_events(index, item)
    if end:
        events.append({"type": f"response.{end}", "response": whole})
    numbered = [{"sequence_number": i} | event for i, event in enumerate(events)]
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in numbered)


def _item_events(index: int, item: Json) -> list[Json]:
    place = {"output_index": index, "item_id": item["id"]}
    bare: Json = item | {"status": "in_progress"}
    inner: list[Json] = []
    if item["type"] == "message":
        bare["content"] = []
        at = place | {"content_index": 0, "logprobs": []}
        for part in item["content"]:
            empty = part | {"text": ""}
            inner.append({"type": "response.content_part.added", "part": empty} | at)
            inner.append({"type": "response.output_text.delta", "delta": part["text"]} | at)
            inner.append({"type": "response.output_text.done", "text": part["text"]} | at)
            inner.append({"type": "response.content_part.done", "part": part} | at)
    elif item["type"] == "function_call":
        bare["arguments"] = ""
        kind = "response.function_call_arguments"
        inner.append({"type": f"{kind}.delta", "delta": item["arguments"]} | place)
        inner.append({"type": f"{kind}.done", "arguments": item["arguments"], "name": item["name"]} | place)
    elif item["type"] == "custom_tool_call":
        bare["input"] = ""
        inner.append({"type": "response.custom_tool_call_input.delta", "delta": item["input"]} | place)
        inner.append({"type": "response.custom_tool_call_input.done", "input": item["input"]} | place)
    elif item["type"] == "reasoning":
        bare["summary"] = []
        for i, part in enumerate(item["summary"]):
            at = place | {"summary_index": i}
            kind = "response.reasoning_summary"
            inner.append({"type": f"{kind}_part.added", "part": part | {"text": ""}} | at)
            inner.append({"type": f"{kind}_text.delta", "delta": part["text"]} | at)
            inner.append({"type": f"{kind}_text.done", "text": part["text"]} | at)
            inner.append({"type": f"{kind}_part.done", "part": part} | at)
    added = {"type": "response.output_item.added", "output_index": index, "item": bare}
    return [added, *inner, {"type": "response.output_item.done", "output_index": index, "item": item}]


# A plain "ok" of each protocol, whole and streamed.
WHOLE: dict[Protocol, Json] = {
    "messages": message({"type": "text", "text": "ok"}),
    "chat": completion({"content": "ok"}),
    "responses": response(said("ok")),
}
STREAMED: dict[Protocol, bytes] = {
    "messages": streams.messages(streams.START, *streams.text(0, "ok"), streams.ending(), streams.STOP),
    "chat": streams.chat(streams.ROLE, streams.chunk({"content": "ok"}), streams.END),
    "responses": responses(said("ok")),
}


def okay(upstream: Protocol, stream: bool) -> Json | bytes:
    return STREAMED[upstream] if stream else WHOLE[upstream]
