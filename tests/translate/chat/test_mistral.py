"""Conversations of other protocols as Mistral's models take them: whose turn it is."""

from __future__ import annotations

from typing import Any

import pytest

from translate import pair
from translate.chat.mistral import BETWEEN
from translate.parts.readable import GO_ON
from translate.target import Target

Json = dict[str, Any]

MODELS = ["mistral-large-latest", "mistralai/Devstral-Small-2-24B-Instruct-2512", "codestral-latest"]
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


def said(text: str) -> Json:
    return {"type": "text", "text": text}


def sent(model: str, *turns: tuple[str, Any]) -> list[tuple[str, Any]]:
    """(role, content) of each message as the upstream has it."""
    messages = [{"role": role, "content": content} for role, content in turns]
    body: Any = {"model": "m", "max_tokens": 9, "messages": messages}
    told: Any = pair.request("messages", "chat", body, Target(model)).body
    return [(message["role"], message["content"]) for message in told["messages"]]


def call(id: str = "t") -> Json:
    return {"type": "tool_use", "id": id, "name": "f", "input": {}}


def result(content: Any = "r", id: str = "t") -> Json:
    return {"type": "tool_result", "tool_use_id": id, "content": content}


@pytest.mark.parametrize("model", MODELS)
def test_the_model_has_a_word_between_a_tools_and_the_users(model: str) -> None:
    turns: list[tuple[str, Any]] = [("user", "hi"), ("assistant", [call()]), ("user", [result(), said("stop this")])]
    assert sent(model, *turns) == [
        ("user", "hi"), ("assistant", None), ("tool", "r"), ("assistant", BETWEEN), ("user", "stop this"),
    ]  # fmt: skip
    assert [role for role, _ in sent("gpt-5.2", *turns)] == ["user", "assistant", "tool", "user"]


def test_so_with_a_picture_that_a_tool_has_made() -> None:
    picture = result([{"type": "image", "source": PNG}])
    told = sent(MODELS[0], ("user", "hi"), ("assistant", [call()]), ("user", [picture]))
    assert [role for role, _ in told] == ["user", "assistant", "tool", "assistant", "user"]


def test_results_alone_stay_as_they_are() -> None:
    both = [result(id="t"), result(id="u")]
    told = sent(MODELS[0], ("user", "hi"), ("assistant", [call("t"), call("u")]), ("user", both), ("assistant", "done"),
                ("user", "thanks"))  # fmt: skip
    assert [role for role, _ in told] == ["user", "assistant", "tool", "tool", "assistant", "user"]


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_has_begun_is_asked_for_the_rest(model: str) -> None:
    told = sent(model, ("user", "hi"), ("assistant", "It is"))
    assert told == [("user", "hi"), ("assistant", "It is"), ("user", GO_ON)]
    assert sent("gpt-5.2", ("user", "hi"), ("assistant", "It is")) == told[:2]
