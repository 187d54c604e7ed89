"""Calls of custom tools, which take free text: as such for clients that have offered one, else as functions' calls.

The SDK's chunks have no type for them, though its whole replies do and OpenAI streams them; who has offered such a tool
reads `custom`, and nobody else has to.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.support import sdk
from translate import pair
from translate.chat.decode_stream import Decoder
from translate.conversation import Delta, Open, ToolCall
from translate.json.wire import text_of
from translate.target import Asked, Target

TEXT = 'say "hi" \\ to 😀\n'
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CUSTOM = {"type": "custom", "custom": {"name": "patch"}}


def crossing(*tools: dict[str, Any], **body: Any) -> pair.Crossing:
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": list(tools)} | body
    encoded = pair.request("chat", "responses", {key: value for key, value in asked.items() if value}, Target("m"))
    return pair.Crossing("chat", "responses", Asked("m", functions=encoded.functions, free_text=encoded.free_text))


def reply(text: str = TEXT) -> bytes:
    item = {"type": "custom_tool_call", "id": "ctc", "call_id": "c1", "name": "patch", "input": text}
    return json.dumps({"id": "r", "object": "response", "status": "completed", "output": [item]}).encode()


def chunks(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in raw.split(b"\n\n") if line.startswith(b"data: {")]


def test_who_has_offered_one_gets_its_call() -> None:
    call = json.loads(crossing(FUNCTION, CUSTOM).whole(reply()))["choices"][0]["message"]["tool_calls"][0]
    assert call == {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": TEXT}}
    raw = crossing(FUNCTION, CUSTOM).whole_as_stream(reply())
    calls = [call for each in chunks(raw) for call in each["choices"][0]["delta"].get("tool_calls", [])]
    assert calls[0] == {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "patch", "input": ""}}
    assert "".join(call["custom"]["input"] for call in calls) == TEXT
    [call] = sdk.chat_stream(raw, typed=False)["choices"][0]["message"]["tool_calls"]
    assert call["type"] == "custom" and call["custom"] == {"name": "patch", "input": TEXT}


@pytest.mark.parametrize("text", [TEXT, ""])
def test_others_get_a_functions_call(text: str) -> None:
    whole = ChatCompletion.model_validate_json(crossing(FUNCTION).whole(reply(text)), strict=True)
    call = (whole.choices[0].message.tool_calls or [])[0]
    assert call.type == "function" and json.loads(call.function.arguments) == {"input": text}
    raw = crossing(FUNCTION).whole_as_stream(reply(text))
    read = [ChatCompletionChunk.model_validate(each, strict=True).choices[0].delta.tool_calls for each in chunks(raw)]
    calls = [call for each in read for call in each or []]
    assert calls[0].type == "function" and calls[0].function is not None and calls[0].function.name == "patch"
    assert json.loads("".join(call.function.arguments or "" for call in calls if call.function)) == {"input": text}
    assert whole.choices[0].finish_reason == chunks(raw)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_who_speaks_of_functions_gets_one() -> None:
    functions = [FUNCTION["function"]]
    call = json.loads(crossing(functions=functions).whole(reply()))["choices"][0]["message"]["function_call"]
    assert call["name"] == "patch" and json.loads(call["arguments"]) == {"input": TEXT}
    events = Decoder().feed(crossing(functions=functions).whole_as_stream(reply()))
    opened = [event.part for event in events if isinstance(event, Open)]
    assert [part.name for part in opened if isinstance(part, ToolCall)] == ["patch"]
    said = text_of([piece for event in events if isinstance(event, Delta) for piece in event.pieces])
    assert json.loads(said) == {"input": TEXT}
