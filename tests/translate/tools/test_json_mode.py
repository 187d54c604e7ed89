"""JSON mode: OpenAI takes it where a message says "json", of which Google's and Ollama's clients know nothing."""

from __future__ import annotations

from typing import Any

import pytest

from translate import dialects
from translate.ollama import request as ollama
from translate.target import Policy, Target
from translate.tools import json_mode

MODE = {"response_format": {"type": "json_object"}}
ASKED = "Answer as JSON."


def gemini(text: str, system: str = "", answered: str = "") -> dict[str, Any]:
    said = {"systemInstruction": {"parts": [{"text": system}]}} if system else {}
    user = {"role": "user", "parts": [{"text": text}]}
    more = [{"role": "model", "parts": [{"text": answered}]}, user] if answered else []
    return said | {"contents": [user, *more],
                   "generationConfig": {"responseMimeType": "application/json"}}  # fmt: skip


def chat(text: str, system: str = "") -> dict[str, Any]:
    head = [{"role": "system", "content": system}] if system else []
    return MODE | {"model": "m", "messages": [*head, {"role": "user", "content": text}]}


def responses(text: str, system: str = "") -> dict[str, Any]:
    return {"model": "m", "input": text, "text": {"format": {"type": "json_object"}}} | (
        {"instructions": system} if system else {}
    )


@pytest.mark.parametrize(
    ("client", "body", "upstream", "times"),
    [
        ("gemini", gemini("Three colours"), "chat", 1),
        ("gemini", gemini("Three colours", ASKED), "chat", 0),
        ("gemini", gemini("Three colours as Json"), "chat", 0),
        ("gemini", gemini("Three colours"), "responses", 1),
        ("gemini", gemini("Three colours", ASKED), "responses", 1),
        ("gemini", gemini("Three colours as json"), "responses", 0),
        ("gemini", gemini("Three colours", answered="As json?"), "chat", 1),  # only the model says so
        ("chat", chat("Three colours", ASKED), "responses", 1),
        ("chat", chat(f"Three colours. {ASKED}"), "responses", 0),
        ("responses", responses("Three colours", ASKED), "chat", 0),
        ("chat", chat("Three colours", ASKED), "chat", 0),
        ("responses", responses("Three colours", ASKED), "responses", 0),
    ],
)
def test_it_is_said_once_where_openai_looks_for_it(client: Any, body: Any, upstream: Any, times: int) -> None:
    conversation = dialects.of(client).decode_request(body)
    sent = dialects.of(upstream).encode_request(conversation, Target("gpt-9", Policy())).body
    looked_at = str(sent["messages" if upstream == "chat" else "input"])
    assert looked_at.count(json_mode.ONE_OBJECT) == times and str(sent).count(json_mode.ONE_OBJECT) == times
    if client != upstream:
        assert "json" in looked_at.lower()


@pytest.mark.parametrize("upstream", ["messages", "responses", "gemini"])
@pytest.mark.parametrize("system", ["", "Be brief."])
def test_it_is_said_once_for_ollamas_clients(upstream: Any, system: str) -> None:
    asked = {"model": "m", "format": "json", "prompt": "Three colours", "system": system}
    conversation = dialects.of("chat").decode_request(ollama.of_generate(asked)[0])
    sent = str(dialects.of(upstream).encode_request(conversation, Target("m", Policy())).body)
    assert sent.count(json_mode.ONE_OBJECT) == 1 and system in sent


def test_a_schema_needs_no_word() -> None:
    body = gemini("Three colours")
    body["generationConfig"]["responseJsonSchema"] = {"type": "object", "properties": {"a": {"type": "string"}}}
    sent = (
        dialects.of("chat").encode_request(dialects.of("gemini").decode_request(body), Target("gpt-9", Policy())).body
    )
    assert json_mode.ONE_OBJECT not in str(sent) and sent["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(("text", "times"), [("Three colours", 1), ("Three colours as JSON", 0)])
def test_ollamas_clients(text: str, times: int) -> None:
    asks: list[dict[str, Any]] = [
        ollama.of_chat({"model": "m", "format": "json", "messages": [{"role": "user", "content": text}]})[0],
        ollama.of_chat({"model": "m", "format": "json", "messages": [
            {"role": "user", "content": text, "images": ["iVBORw0KGgo="]}, {"role": "assistant", "content": '{"a":1}'},
            {"role": "user", "content": "More"}]})[0],
        ollama.of_generate({"model": "m", "format": "json", "prompt": text, "system": "Be brief."})[0],
    ]  # fmt: skip
    for sent in asks:
        assert str(sent["messages"]).count(json_mode.ONE_OBJECT) == times
    plain = ollama.of_chat({"model": "m", "messages": [{"role": "user", "content": text}]})[0]
    assert json_mode.ONE_OBJECT not in str(plain)
