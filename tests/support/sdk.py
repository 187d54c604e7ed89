"""Replies as the official SDKs read them.

`messages_stream`, `messages_body`, `chat_stream` and `chat_body` feed bytes to the real clients through a
transport in memory (hundreds of exchanges a second), let the SDK's own decoders and accumulators build the
reply, validate every event strictly against the SDK's types, and give the reply back as a dict. A terminal
error is raised as the SDK raises it. `anthropic_client` and `openai_client` talk to a real address instead.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import anthropic
import httpx2
import openai
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, TypeAdapter

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def anthropic_client(url: str, **options: Any) -> anthropic.Anthropic:
    """A client of the proxy (or of any server) at `url`; close it, or use it with `with`."""
    return anthropic.Anthropic(**({"base_url": url, "api_key": "sk-test", "max_retries": 0} | options))


def openai_client(url: str, **options: Any) -> openai.OpenAI:
    """The same for OpenAI's SDK; `url` is without /v1."""
    return openai.OpenAI(**({"base_url": f"{url}/v1", "api_key": "sk-test", "max_retries": 0} | options))


def messages_stream(raw: bytes | Iterable[bytes]) -> dict[str, Any]:
    """The message that the stream adds up to. Raises anthropic.APIError for an error event, pydantic's
    ValidationError for an event that the types do not allow."""
    pieces = [raw] if isinstance(raw, bytes) else list(raw)
    for data in _data_of(b"".join(pieces)):
        if data.get("type") not in ("ping", "error"):
            _EVENT.validate_json(json.dumps(data), strict=True)
    with _feeding(pieces, 200, "text/event-stream"):
        with _anthropic().messages.stream(max_tokens=9, **ASK) as stream:
            return _plain(stream.get_final_message())


def messages_body(raw: bytes, status: int = 200) -> dict[str, Any]:
    """The whole message. Raises anthropic.APIStatusError for a status of 400 and up."""
    with _feeding([raw], status, "application/json"):
        message = _anthropic().messages.create(max_tokens=9, **ASK)
    Message.model_validate_json(raw, strict=True)
    return _plain(message)


def chat_stream(raw: bytes | Iterable[bytes], *, typed: bool = True) -> dict[str, Any]:
    """The completion that the stream adds up to. Raises openai.APIError for an error object. typed: every chunk is one
    that the SDK's types know."""
    pieces = [raw] if isinstance(raw, bytes) else list(raw)
    with _feeding(pieces, 200, "text/event-stream"):
        with _openai().chat.completions.stream(**ASK) as stream:
            for _ in stream:
                continue
            snapshot = _plain(stream.current_completion_snapshot)
    for data in _data_of(b"".join(pieces)) if typed else ():
        ChatCompletionChunk.model_validate_json(json.dumps(data), strict=True)
    return snapshot


def chat_body(raw: bytes, status: int = 200) -> dict[str, Any]:
    """The whole completion. Raises openai.APIStatusError for a status of 400 and up."""
    with _feeding([raw], status, "application/json"):
        completion = _openai().chat.completions.create(**ASK)
    ChatCompletion.model_validate_json(raw, strict=True)
    return _plain(completion)


# ------------------------------------------------------------------------------------ in-memory clients


class _Wire:
    """The transport's answer: set for one call at a time."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.status = 200
        self.kind = ""

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(self.status, headers={"content-type": self.kind}, content=self._body())

    def _body(self) -> Iterator[bytes]:
        yield from self.pieces


class _feeding:
    """with _feeding(pieces, status, kind): what the clients get; quiet about the SDKs' own warnings."""

    def __init__(self, pieces: list[bytes], status: int, kind: str) -> None:
        self.told = pieces, status, kind
        self.quiet = warnings.catch_warnings()

    def __enter__(self) -> None:
        wire = _wire()
        wire.pieces, wire.status, wire.kind = self.told
        self.quiet.__enter__()
        warnings.simplefilter("ignore", UserWarning)  # pydantic's serializer on unions of blocks

    def __exit__(self, *exc: Any) -> None:
        self.quiet.__exit__(*exc)
        _wire().pieces = []


@cache
def _wire() -> _Wire:
    return _Wire()


@cache
def _http() -> httpx2.Client:
    return httpx2.Client(transport=httpx2.MockTransport(_wire().answer))


@cache
def _anthropic() -> anthropic.Anthropic:
    return anthropic_client("http://upstream.invalid", http_client=_http())


@cache
def _openai() -> openai.OpenAI:
    return openai_client("http://upstream.invalid", http_client=_http())


def _plain(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", warnings=False)


def _data_of(raw: bytes) -> Iterator[dict[str, Any]]:
    for line in raw.split(b"\n"):
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])
