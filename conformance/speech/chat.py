"""OpenAI Chat Completions, as the kit speaks it."""

from __future__ import annotations

import json
from typing import Any

from conformance import sdk_types
from conformance.grammar import check_chat
from conformance.grammar.framing import events
from conformance.speech.base import (
    CITY,
    OPENAI_ERROR_FIELDS,
    SIDE,
    TOOL,
    TOOL_WORDS,
    WEATHER,
    Body,
    Call,
    Said,
    Speech,
    Stop,
    arguments,
    as_object,
    count,
    objects,
    openai_error_problems,
    openai_model_problems,
    parsed,
)  # fmt: skip

STOPS: dict[str, Stop] = {"stop": "end", "tool_calls": "tool", "length": "length", "content_filter": "other"}


class Chat(Speech):
    name = "chat"
    path = "/v1/chat/completions"
    error_fields = OPENAI_ERROR_FIELDS
    types = sdk_types.of("chat")
    usage_by_choice = True
    sdk_final = "get_final_completion"
    forced = "required"

    def headers(self, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}

    def asking(self, model: str, words: str, most: int) -> Body:
        return {"model": model, "max_tokens": most, "messages": [{"role": "user", "content": words}]}

    def tool(self) -> Body:
        return {"type": "function", "function": {"name": TOOL, "description": TOOL_WORDS, "parameters": CITY}}

    def called(self, cities: tuple[str, ...]) -> list[Body]:
        calls = [
            {"id": f"call_{n}", "type": "function", "function": {"name": TOOL, "arguments": json.dumps({"city": c})}}
            for n, c in enumerate(cities)
        ]
        results = [
            {"role": "tool", "tool_call_id": f"call_{n}", "content": f"Sunny in {c}."} for n, c in enumerate(cities)
        ]
        question = {"role": "user", "content": WEATHER.format(" and in ".join(cities))}
        return [question, {"role": "assistant", "content": None, "tool_calls": calls}, *results]

    def picture(self, words: str, png: str) -> list[Body]:
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png}"}}
        return [{"role": "user", "content": [{"type": "text", "text": words}, image]}]

    def schema(self) -> Body:
        return {
            "response_format": {"type": "json_schema", "json_schema": {"name": "side", "strict": True, "schema": SIDE}}
        }

    def stop_at(self, words: str) -> Body:
        return {"stop": [words]}

    def asking_for_usage(self) -> Body:
        return {"stream_options": {"include_usage": True}}

    def read(self, reply: Any) -> Said:
        choice = next(iter(objects(as_object(reply).get("choices"))), {})
        message = as_object(choice.get("message"))
        said = Said(text=str(message.get("content") or ""), stop_word=str(choice.get("finish_reason")))
        said.stop = STOPS.get(said.stop_word, "")
        for call in objects(message.get("tool_calls")):
            function = as_object(call.get("function"))
            words = function.get("arguments")
            said.calls.append(Call(str(call.get("id") or ""), str(function.get("name")), arguments(words)))
        usage = as_object(as_object(reply).get("usage"))
        said.tokens_in, said.tokens_out = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
        return said

    def read_stream(self, raw: bytes) -> Said:
        message: dict[str, Any] = {"content": "", "tool_calls": []}
        calls: dict[Any, dict[str, Any]] = {}
        whole: dict[str, Any] = {"message": message}
        usage: Any = None
        for _, data in events(raw, [], house=False):
            chunk = parsed(data)
            usage = chunk.get("usage") or usage
            for choice in objects(chunk.get("choices"))[:1]:
                whole["finish_reason"] = choice.get("finish_reason") or whole.get("finish_reason")
                delta = as_object(choice.get("delta"))
                message["content"] += str(delta.get("content") or "")
                for call in objects(delta.get("tool_calls")):
                    _grown(calls, call)
        message["tool_calls"] = list(calls.values())
        return self.read({"choices": [whole], "usage": usage})

    def stream_problems(self, raw: bytes, usage: bool | None) -> list[str]:
        return check_chat(raw, house=False, usage=usage)

    def error_problems(self, error: Any) -> list[str]:
        return openai_error_problems(error)

    def model_problems(self, listed: Any) -> list[str]:
        return openai_model_problems(listed)


def _grown(calls: dict[Any, dict[str, Any]], piece: dict[str, Any]) -> None:
    """Puts a piece of a call to what is there of it."""
    function = as_object(piece.get("function"))
    call = calls.setdefault(piece.get("index"), {"id": piece.get("id"), "function": {"name": "", "arguments": ""}})
    call["function"]["name"] += str(function.get("name") or "")
    call["function"]["arguments"] += str(function.get("arguments") or "")
