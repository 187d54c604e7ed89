"""A street for the lessons: clients at one end, scripted upstreams at the other, the whole proxy between.

    reply = street.ask("messages", "chat", ASK | {"stream": True}, chat(ROLE, HI, END))
    reply.sent      # what the upstream was asked
    reply.read()    # what the official SDK makes of the answer, after the grammar checker has passed it

Real sockets throughout. One proxy for each set of upstream settings is kept for the whole run, since a lesson is
about what crosses it, not about how it starts.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.support import grammar, params, sdk
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Request, Upstream
from translate.target import Protocol

Json = dict[str, Any]

PATHS: dict[Protocol, str] = {"messages": "/v1/messages", "chat": "/v1/chat/completions"}
ASK: Json = {"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": "hello"}]}
OTHER: dict[Protocol, Protocol] = {"messages": "chat", "chat": "messages"}


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
        return grammar.check_messages(self.raw) if self.client == "messages" else grammar.check_chat(self.raw)

    def read(self) -> Json:
        """The SDK's message (Messages) or completion (Chat). Raises the SDK's error for a stream that ends in one."""
        assert self.status == 200, self.raw[:500]
        if not self.streamed:
            return sdk.messages_body(self.raw) if self.client == "messages" else sdk.chat_body(self.raw)
        assert self.problems() == [], self.raw.decode()
        return sdk.messages_stream(self.raw) if self.client == "messages" else sdk.chat_stream(self.raw)

    def said(self) -> Json:
        """read(), in words that both protocols share: thinking, text, calls (id, name, input), stop, usage."""
        body = self.read()
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
            settings = one_upstream(self._up.url, upstream, f"api_key = sk-up\n{more}")
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
    return params.check_messages(body) if upstream == "messages" else params.check_chat(body)


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
