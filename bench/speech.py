"""The protocols, as far as a measurement needs them: the smallest request of each, and what brings the key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from bench.client import Request

MOST = 16  # tokens of a reply; the least that OpenAI Responses takes
WORDS = "Count to three."
TOKENS_IN = 15  # of such a request, about


class Speech(NamedTuple):
    """path, stream_path: its addresses, in which {model} stands for the model's name; else the body names it. asks:
    makes a body of a prompt. done: what a whole stream holds."""

    name: str
    path: str
    asks: Callable[[str], dict[str, Any]]
    done: bytes
    stream_path: str = ""

    def address(self, model: str, *, stream: bool) -> str:
        path = self.stream_path if stream and self.stream_path else self.path
        return path.replace("{model}", quote(model, safe=""))

    def body(self, model: str, *, stream: bool, words: str = WORDS) -> dict[str, Any]:
        if self.stream_path:
            return self.asks(words)
        return {"model": model} | self.asks(words) | ({"stream": True} if stream else {})

    def request(self, model: str, key: str, *, stream: bool, words: str = WORDS) -> Request:
        body = json.dumps(self.body(model, stream=stream, words=words)).encode()
        return self.of(body, key, self.address(model, stream=stream))

    def of(self, body: bytes, key: str, path: str = "") -> Request:
        return Request("POST", path or self.path, (("content-type", "application/json"), *credentials(key)), body)


def credentials(key: str) -> tuple[tuple[str, str], ...]:
    """All that any of the servers may want."""
    version = ("anthropic-version", "2023-06-01")
    keys = ("authorization", f"Bearer {key}"), ("x-api-key", key), ("x-goog-api-key", key)
    return (*keys, version) if key else (version,)


def _messages(words: str) -> dict[str, Any]:
    return {"max_tokens": MOST, "messages": [{"role": "user", "content": words}]}


def _input(words: str) -> dict[str, Any]:
    return {"max_output_tokens": MOST, "input": words, "store": False}


def _contents(words: str) -> dict[str, Any]:
    contents = [{"role": "user", "parts": [{"text": words}]}]
    return {"contents": contents, "generationConfig": {"maxOutputTokens": MOST}}


SPEECHES = (
    Speech("messages", "/v1/messages", _messages, b"message_stop"),
    Speech("chat", "/v1/chat/completions", _messages, b"[DONE]"),
    Speech("responses", "/v1/responses", _input, b"response.completed"),
    Speech("gemini", "/v1beta/models/{model}:generateContent", _contents, b"finishReason",
           "/v1beta/models/{model}:streamGenerateContent?alt=sse"),
)  # fmt: skip
NAMES = tuple(speech.name for speech in SPEECHES)


def named(name: str) -> Speech:
    return next(speech for speech in SPEECHES if speech.name == name)
