"""OpenAI's models hear which of their messages were the answer, from a history that has no word for it."""

from __future__ import annotations

from typing import Any

import pytest

from translate import pair
from translate.responses.encode_messages import know_phases
from translate.target import Protocol, Target

Json = dict[str, Any]

USER: Json = {"role": "user", "content": "x"}
CALL: Json = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT: Json = {"role": "tool", "tool_call_id": "c1", "content": "r"}
USE: Json = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
USED: Json = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "r"}]}


def said(text: Any, **more: Any) -> Json:
    return {"role": "assistant", "content": text, **more}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


# (client, its history, the phase of each message of the model's)
HISTORIES: list[tuple[Protocol, list[Json], list[str]]] = [
    ("chat", [USER, said("Let me.", tool_calls=[CALL]), RESULT, said("It is."), USER], ["commentary", "final_answer"]),
    ("chat", [USER, said("Let me."), said(None, tool_calls=[CALL]), RESULT], ["commentary"]),
    ("chat", [USER, said("It is."), USER, said("It was."), USER], ["final_answer", "final_answer"]),
    ("messages", [USER, said([text("Let me."), USE]), USED], ["commentary"]),
    ("messages", [USER, said([USE, text("I wait.")]), USED], ["commentary"]),
    ("messages", [USER, said([text("Let me.")]), said([USE]), USED, said([text("It is.")]), USER],
     ["commentary", "final_answer"]),
    ("gemini",
     [{"role": "user", "parts": [{"text": "x"}]},
      {"role": "model", "parts": [{"text": "Let me."}, {"functionCall": {"name": "f", "args": {}}}]},
      {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "r"}}}]},
      {"role": "model", "parts": [{"text": "It is."}]},
      {"role": "user", "parts": [{"text": "x"}]}],
     ["commentary", "final_answer"]),
]  # fmt: skip


def sent(client: Protocol, history: list[Json], model: str) -> list[Json]:
    body: Json = {"contents" if client == "gemini" else "messages": history, "model": "m", "max_tokens": 99}
    items: list[Json] = pair.request(client, "responses", body, Target(model)).body["input"]
    return [item for item in items if item.get("role") == "assistant"]


@pytest.mark.parametrize(("client", "history", "wanted"), HISTORIES)
def test_each_message_has_its_phase(client: Protocol, history: list[Json], wanted: list[str]) -> None:
    assert [item["phase"] for item in sent(client, history, "gpt-5.5")] == wanted
    assert not any("phase" in item for item in sent(client, history, "gpt-5.2"))


@pytest.mark.parametrize("model", ["gpt-5.3-codex", "gpt-5.4", "gpt-5-4-mini", "openai/gpt-5.5-pro", "gpt-6-sol"])
def test_models_that_know_phases(model: str) -> None:
    assert know_phases(model)


@pytest.mark.parametrize(
    "model", ["gpt-5", "gpt-5.1-codex", "gpt-5.3", "gpt-5.5-chat-latest", "gpt-4.1", "grok-5", "m"]
)
def test_others_are_not_told_of_them(model: str) -> None:
    assert not know_phases(model)
