"""OpenAI Responses, as the kit speaks it."""

from __future__ import annotations

import json
from typing import Any

from conformance import sdk_types
from conformance.grammar import check_responses
from conformance.grammar.framing import events
from conformance.grammar.responses import TERMINAL
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

REASONS: dict[str, Stop] = {"max_output_tokens": "length", "content_filter": "other"}


class Responses(Speech):
    name = "responses"
    path = "/v1/responses"
    count_path = "/v1/responses/input_tokens"
    stored_path = "/v1/responses"
    error_fields = OPENAI_ERROR_FIELDS
    types = sdk_types.of("responses")
    history = "input"
    sdk_final = "get_final_response"
    forced = "required"

    def headers(self, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}

    def asking(self, model: str, words: str, most: int) -> Body:
        asked = [{"role": "user", "content": words}]
        return {"model": model, "max_output_tokens": most, "store": False, "input": asked}

    def tool(self) -> Body:
        return {"type": "function", "name": TOOL, "description": TOOL_WORDS, "parameters": CITY, "strict": True}

    def called(self, cities: tuple[str, ...]) -> list[Body]:
        calls = [
            {"type": "function_call", "call_id": f"call_{n}", "name": TOOL, "arguments": json.dumps({"city": c})}
            for n, c in enumerate(cities)
        ]
        results = [
            {"type": "function_call_output", "call_id": f"call_{n}", "output": f"Sunny in {c}."}
            for n, c in enumerate(cities)
        ]
        return [{"role": "user", "content": WEATHER.format(" and in ".join(cities))}, *calls, *results]

    def picture(self, words: str, png: str) -> list[Body]:
        image = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{png}"}
        return [{"role": "user", "content": [{"type": "input_text", "text": words}, image]}]

    def schema(self) -> Body:
        return {"text": {"format": {"type": "json_schema", "name": "side", "strict": True, "schema": SIDE}}}

    def read(self, reply: Any) -> Said:
        response = as_object(reply)
        said = Said(stop_word=str(response.get("status")))
        for item in objects(response.get("output")):
            if item.get("type") == "message":
                said.text += "".join(str(part.get("text") or "") for part in objects(item.get("content")))
            elif item.get("type") == "function_call":
                words = item.get("arguments")
                said.calls.append(Call(str(item.get("call_id") or ""), str(item.get("name")), arguments(words)))
        if response.get("status") == "completed":
            said.stop = "tool" if said.calls else "end"
        elif response.get("status") == "incomplete":
            said.stop_word = str(as_object(response.get("incomplete_details")).get("reason"))
            said.stop = REASONS.get(said.stop_word, "")
        usage = as_object(response.get("usage"))
        said.tokens_in, said.tokens_out = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
        return said

    def read_stream(self, raw: bytes) -> Said:
        """As clients do: items as they end; usage and the rest of the last event."""
        items: list[Any] = []
        last: dict[str, Any] = {}
        for _, data in events(raw, [], house=False):
            event = parsed(data)
            if event.get("type") == "response.output_item.done":
                items.append(event.get("item"))
            elif event.get("type") in TERMINAL:
                last = as_object(event.get("response"))
        return self.read(last | {"output": items})

    def stream_problems(self, raw: bytes, usage: bool | None) -> list[str]:
        return check_responses(raw, house=False)

    def error_problems(self, error: Any) -> list[str]:
        return openai_error_problems(error)

    def model_problems(self, listed: Any) -> list[str]:
        return openai_model_problems(listed)
