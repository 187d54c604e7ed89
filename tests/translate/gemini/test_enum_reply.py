"""One of several words as a reply (`text/x.enum`): Google's clients read the word itself, other models write JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import pair
from translate.target import Asked, Encoded, Protocol, Target

WORDS = ["in-stock", 'the "best"']
ASKED: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "Which?"}]}],
    "generationConfig": {
        "responseMimeType": "text/x.enum",
        "responseSchema": {"type": "STRING", "format": "enum", "enum": WORDS},
    },
}
WRAPPED = json.dumps({"value": WORDS[1]})


def chat(text: str) -> Any:
    message = {"role": "assistant", "content": text}
    return {"id": "1", "object": "chat.completion", "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}  # fmt: skip


def messages(*content: Any) -> Any:
    return {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": list(content),
            "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip


def responses(text: str) -> Any:
    item = {"type": "message", "id": "i", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}  # fmt: skip
    return {"id": "1", "object": "response", "status": "completed", "model": "m", "output": [item]}


def sent(upstream: Protocol, model: str = "m") -> Encoded:
    return pair.request("gemini", upstream, ASKED, Target(model))


def reply(upstream: Protocol, encoded: Encoded, body: Any) -> str:
    asked = Asked("m", reshaped=encoded.reshaped, answer_tool=encoded.answer_tool)
    said = json.loads(pair.Crossing("gemini", upstream, asked).whole(json.dumps(body).encode()))
    text: str = said["candidates"][0]["content"]["parts"][0]["text"]
    return text


@pytest.mark.parametrize(
    ("upstream", "body"),
    [
        ("chat", chat(WRAPPED)),
        ("chat", chat(WORDS[1])),  # a server that ignores the schema
        ("responses", responses(WRAPPED)),
        ("messages", messages({"type": "text", "text": json.dumps(WORDS[1])})),
    ],
)
def test_the_schema_crosses_and_the_word_comes_back_bare(upstream: Protocol, body: Any) -> None:
    encoded = sent(upstream)
    assert json.dumps(WORDS) in json.dumps(encoded.body)
    assert encoded.dropped == []
    assert reply(upstream, encoded, body) == WORDS[1]


def test_a_model_without_formats_is_given_a_tool() -> None:
    encoded = sent("messages", "claude-3-5-haiku-20241022")
    assert encoded.answer_tool
    call = {"type": "tool_use", "id": "t", "name": encoded.answer_tool, "input": {"value": WORDS[1]}}
    assert reply("messages", encoded, messages(call)) == WORDS[1]


@pytest.mark.parametrize("schema", [{"type": "STRING"}, {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}])
def test_an_enum_without_words_is_named(schema: Any) -> None:
    config = {"responseMimeType": "text/x.enum", "responseSchema": schema}
    encoded = pair.request("gemini", "chat", ASKED | {"generationConfig": config}, Target("m"))
    assert encoded.dropped == ["generationConfig.responseMimeType", "generationConfig.responseSchema"]
