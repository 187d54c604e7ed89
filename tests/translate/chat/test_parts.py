"""Parts that Chat has to put in other words, or in another place: documents, thoughts, results with pictures."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.support.conversations import of_client
from translate.chat.encode_request import encode
from translate.conversation import (
    Document,
    Image,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Unknown,
)
from translate.failures.errors import BadRequest
from translate.target import Encoded, Policy, Target


def encoded(*turns: Turn, policy: Policy = Policy(), **fields: Any) -> Encoded:
    return encode(of_client("m", list(turns), **({"ext": {"messages": {}}} | fields)), Target("m", policy))


def said(*parts: Part) -> Any:
    (message,) = encoded(Turn("user", list(parts))).body["messages"]  # type: ignore[misc]
    return message["content"]


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def file(name: str, data: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": data}}


@pytest.mark.parametrize(
    ("document", "want"),
    [
        (Document(data="QQ==", media_type="application/pdf", title="a.pdf"),
         [file("a.pdf", "data:application/pdf;base64,QQ==")]),
        (Document(data="QQ==", media_type="application/pdf"),
         [file("document.pdf", "data:application/pdf;base64,QQ==")]),
        (Document(data="QQ=="), [file("document.pdf", "data:application/pdf;base64,QQ==")]),
        (Document(data="QQ==", media_type="text/csv", context="why"),
         [text("[context of the document: why]"), file("document.csv", "data:text/csv;base64,QQ==")]),
        (Document(parts=[Text("a"), Image(url="u")], title="T"),
         [text("[document: T]"), text("a"), {"type": "image_url", "image_url": {"url": "u"}}]),
        (Document(parts=[Text("a"), Image(url="u", detail="low")]),
         [text("a"), {"type": "image_url", "image_url": {"url": "u", "detail": "low"}}]),
        (Document(parts=[Text("a"), Text("b")]), "a\n\nb"),
        (Document(text="a", context="why"), "[context of the document: why]\n\n<document>\na\n</document>"),
    ],
)  # fmt: skip
def test_a_document_becomes_a_file_part(document: Document, want: Any) -> None:
    assert said(document) == want


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Document(url="https://x"), "the document at https://x cannot be sent to this model's upstream"),
        (Document(file_id="f"), "the document 'f' cannot be sent to this model's upstream; send it as base64"),
        (Image(file_id="f"), "image 'f' is a file of another provider; send it as base64 or by URL"),
    ],
)
def test_what_must_not_be_lost(part: Part, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        said(Text("a"), part)


def test_results_carry_their_pictures_to_the_users_message() -> None:
    calls = Turn("assistant", [ToolCall("a", "f"), ToolCall("b", "f")])
    one = ToolResult("a", [Text("x"), Image(url="u")])
    two = ToolResult("b", [Image(url="v"), Document(data="QQ==")], is_error=True)
    messages: Any = encoded(calls, Turn("user", [one, two, Text("so?")])).body["messages"]
    assert [m["role"] for m in messages] == ["assistant", "tool", "tool", "user"]
    assert messages[1]["content"] == "x\n[image: see the next user message]"
    assert "[image: see the next user message]\n[file: see the next user message]" in messages[2]["content"]
    assert messages[3]["content"] == [
        text("[output of the tool call a]"),
        {"type": "image_url", "image_url": {"url": "u"}},
        text("[output of the tool call b]"),
        {"type": "image_url", "image_url": {"url": "v"}},
        file("document.pdf", "data:application/pdf;base64,QQ=="),
        text("so?"),
    ]


ANSWER = Turn("user", [ToolResult("a", [Text("1")])])
HI = Turn("user", [Text("Hi")])
THOUGHT = Turn("assistant", [Thinking("hm", "sig"), Thinking("so", "sig"), Text("yes")])
WORDLESS = Turn("assistant", [Thinking("hm", "sig"), ToolCall("a", "f", "{}")])


@pytest.mark.parametrize(
    ("policy", "turn", "want", "dropped"),
    [
        (Policy(), THOUGHT, {"content": "yes"}, True),
        (Policy(reasoning_history="tool_calls"), THOUGHT, {"content": "yes"}, True),
        (Policy(reasoning_history="true", reasoning="none"), THOUGHT, {"content": "yes"}, True),
        (Policy(reasoning_history="true", reasoning="think_tags"), THOUGHT,
         {"content": "<think>\nhm\n\nso\n</think>\n\nyes"}, False),
        (Policy(reasoning_history="true", reasoning="reasoning"), THOUGHT,
         {"content": "yes", "reasoning": "hm\n\nso"}, False),
        (Policy(reasoning_history="tool_calls", reasoning="think_tags"), WORDLESS,
         {"content": "<think>\nhm\n</think>"}, False),
    ],
)  # fmt: skip
def test_how_thoughts_go_back(policy: Policy, turn: Turn, want: dict[str, Any], dropped: bool) -> None:
    out = encoded(HI, turn, ANSWER if turn is WORDLESS else HI, policy=policy)
    message: Any = out.body["messages"][1]  # type: ignore[index]
    assert {key: message[key] for key in ("content", "reasoning", "reasoning_content") if key in message} == want
    assert ("messages.thinking" in out.dropped) is dropped


def test_an_assistant_that_says_nothing_does_not_part_the_users_words() -> None:
    messages = encoded(HI, Turn("assistant", [Thinking("hm")]), HI).body["messages"]
    assert messages == [{"role": "user", "content": "Hi\n\nHi"}]


def test_other_protocols_parts_are_named() -> None:
    out = encoded(HI, Turn("system", [Unknown("messages", {"type": "new"}), Text("later")]))
    assert out.dropped == ["new"]
    assert "later" in str(out.body["messages"])


@pytest.mark.parametrize(("mode", "dropped"), [("any", True), ("tool", True), ("auto", False), ("none", False)])
def test_a_choice_among_tools_that_did_not_cross(mode: Any, dropped: bool) -> None:
    tool = Tool("t", kind="server", protocol="messages", raw={"type": "code_execution"})
    out = encoded(HI, tools=[tool], tool_choice=ToolChoice(mode, "t" if mode == "tool" else ""))
    assert "tools" not in out.body and "tool_choice" not in out.body
    assert out.dropped == ["tools.code_execution"] + ["tool_choice"] * dropped


def test_a_long_user_is_hashed() -> None:
    for length, want in ((64, "u" * 64), (65, hashlib.sha256(b"u" * 65).hexdigest())):
        assert encoded(HI, user="u" * length).body["user"] == want
