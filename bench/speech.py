"""The three protocols, as far as a measurement needs them: the smallest request of each, and what brings the key."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from bench.client import Request

MOST = 16  # tokens of a reply; the least that OpenAI Responses takes
WORDS = "Count to three."
TOKENS_IN = 15  # of such a request, about


class Speech(NamedTuple):
    """limit: the field that bounds the reply. done: what a whole stream holds."""

    name: str
    path: str
    limit: str
    done: bytes

    def body(self, model: str, *, stream: bool, words: str = WORDS) -> dict[str, Any]:
        asked: dict[str, Any] = {"model": model, self.limit: MOST}
        if stream:
            asked["stream"] = True
        if self.limit == "max_output_tokens":
            return asked | {"input": words, "store": False}
        return asked | {"messages": [{"role": "user", "content": words}]}

    def request(self, model: str, key: str, *, stream: bool, words: str = WORDS) -> Request:
        return self.of(json.dumps(self.body(model, stream=stream, words=words)).encode(), key)

    def of(self, body: bytes, key: str) -> Request:
        return Request("POST", self.path, (("content-type", "application/json"), *credentials(key)), body)


def credentials(key: str) -> tuple[tuple[str, str], ...]:
    """All that any of the servers may want."""
    version = ("anthropic-version", "2023-06-01")
    return (("authorization", f"Bearer {key}"), ("x-api-key", key), version) if key else (version,)


SPEECHES = (
    Speech("messages", "/v1/messages", "max_tokens", b"message_stop"),
    Speech("chat", "/v1/chat/completions", "max_tokens", b"[DONE]"),
    Speech("responses", "/v1/responses", "max_output_tokens", b"response.completed"),
)
NAMES = tuple(speech.name for speech in SPEECHES)


def named(name: str) -> Speech:
    return next(speech for speech in SPEECHES if speech.name == name)
