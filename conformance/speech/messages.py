"""Anthropic Messages, as the kit speaks it."""

from __future__ import annotations

from typing import Any, ClassVar

from conformance import sdk_types
from conformance.grammar import check_messages
from conformance.grammar.framing import events
from conformance.grammar.messages import ERRORS
from conformance.speech.base import (
    CITY,
    SIDE,
    TOOL,
    TOOL_WORDS,
    WEATHER,
    Body,
    Call,
    Said,
    Speech,
    Stop,
    anthropic_model_problems,
    arguments,
    as_object,
    count,
    objects,
    parsed,
    total,
)  # fmt: skip

VERSION = "2023-06-01"
STOPS: dict[str, Stop] = {
    "end_turn": "end", "tool_use": "tool", "max_tokens": "length", "stop_sequence": "sequence", "refusal": "other",
}  # fmt: skip
INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Messages(Speech):
    name = "messages"
    path = "/v1/messages"
    count_path = "/v1/messages/count_tokens"
    id_header = "request-id"
    types = sdk_types.of("messages")
    sdk_final = "get_final_message"
    unforced: ClassVar[Any] = {"type": "auto"}
    forced = {"type": "any"}  # noqa: RUF012 - nobody writes to it

    def headers(self, key: str) -> dict[str, str]:
        return {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})

    def asking(self, model: str, words: str, most: int) -> Body:
        return {"model": model, "max_tokens": most, "messages": [{"role": "user", "content": words}]}

    def tool(self) -> Body:
        return {"name": TOOL, "description": TOOL_WORDS, "input_schema": CITY}

    def called(self, cities: tuple[str, ...]) -> list[Body]:
        calls = [
            {"type": "tool_use", "id": f"toolu_{n}", "name": TOOL, "input": {"city": c}} for n, c in enumerate(cities)
        ]
        results = [
            {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": f"Sunny in {c}."}
            for n, c in enumerate(cities)
        ]
        return [
            {"role": "user", "content": WEATHER.format(" and in ".join(cities))},
            {"role": "assistant", "content": calls},
            {"role": "user", "content": results},
        ]

    def picture(self, words: str, png: str) -> list[Body]:
        source = {"type": "base64", "media_type": "image/png", "data": png}
        parts = [{"type": "image", "source": source}, {"type": "text", "text": words}]
        return [{"role": "user", "content": parts}]

    def schema(self) -> Body:
        return {"output_config": {"format": {"type": "json_schema", "schema": SIDE}}}

    def stop_at(self, words: str) -> Body:
        return {"stop_sequences": [words]}

    def read(self, reply: Any) -> Said:
        message = as_object(reply)
        said = Said(stopped_at=str(message.get("stop_sequence") or ""))
        for block in objects(message.get("content")):
            kind = block.get("type")
            if kind == "text":
                said.text += str(block.get("text"))
            elif kind == "tool_use":
                given = block["input"] if isinstance(block.get("input"), dict) else None
                said.calls.append(Call(str(block.get("id") or ""), str(block.get("name")), given))
        _ending(said, message, as_object(message.get("usage")))
        return said

    def read_stream(self, raw: bytes) -> Said:
        message: dict[str, Any] = {}
        blocks: list[dict[str, Any]] = []
        fed: list[str] = []
        usage: dict[str, Any] = {}
        for _, data in events(raw, [], house=False):
            event = parsed(data)
            delta = as_object(event.get("delta"))
            match event.get("type"):
                case "message_start":
                    message = dict(as_object(event.get("message")))
                    usage |= as_object(message.get("usage"))
                case "content_block_start":
                    blocks.append(dict(as_object(event.get("content_block"))))
                    fed.append("")
                case "content_block_delta" if blocks:
                    fed[-1] += str(delta.get("text") or delta.get("partial_json") or "")
                case "message_delta":
                    message |= delta
                    usage |= as_object(event.get("usage"))
        for block, text in zip(blocks, fed, strict=True):
            if block.get("type") == "text":
                block["text"] = str(block.get("text") or "") + text
            elif block.get("type") == "tool_use" and text:
                block["input"] = arguments(text)
        return self.read(message | {"content": blocks, "usage": usage})

    def stream_problems(self, raw: bytes, usage: bool | None) -> list[str]:
        return check_messages(raw, house=False)

    def error_problems(self, error: Any) -> list[str]:
        if not isinstance(error, dict) or error.get("type") != "error" or not isinstance(error.get("error"), dict):
            return ["the error is no {'type': 'error', 'error': {...}}"]
        inner = error["error"]
        found = [] if inner.get("type") in ERRORS else [f"error.type is {inner.get('type')!r}"]
        is_said = isinstance(inner.get("message"), str) and inner["message"]
        return found + ([] if is_said else [f"error.message is {inner.get('message')!r}"])

    def model_problems(self, listed: Any) -> list[str]:
        return anthropic_model_problems(listed)


def _ending(said: Said, message: dict[str, Any], usage: dict[str, Any]) -> None:
    said.stop_word = str(message.get("stop_reason"))
    said.stop = STOPS.get(said.stop_word, "")
    said.tokens_in = total(*(usage.get(key) for key in INPUT))
    said.tokens_out = count(usage.get("output_tokens"))
