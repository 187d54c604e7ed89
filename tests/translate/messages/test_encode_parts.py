"""Parts of other protocols, written as blocks of Messages, refused, or left out by their names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.conversations import of_client
from tests.translate.messages.test_encode_request import CALL, GET, GOT, RESULT, USER
from tests.translate.messages.written import CACHE, NEW, assistant, messages, text, user, write
from translate.conversation import Audio, Document, Image, Part, Refusal, Text, Thinking, ToolCall, ToolResult, Unknown
from translate.failures.errors import BadRequest
from translate.messages.decode_request import encode
from translate.target import Target

PARTS: list[tuple[Part, dict[str, Any] | None]] = [
    (Text("a", {"messages": CACHE, "chat": {"x": 1}}), text("a", **CACHE)),
    (Refusal("No."), text("No.")),
    (
        Image(data="AA==", media_type="image/jpg"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AA=="}},
    ),
    (Image(url="https://i", detail="auto"), {"type": "image", "source": {"type": "url", "url": "https://i"}}),
    (
        Document(data="JVBE", media_type="application/pdf", title="a.pdf", context="c"),
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            "title": "a.pdf",
            "context": "c",
        },
    ),
    (
        Document(data="w6k=", media_type="text/csv"),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
    ),
    (
        Document(text="words"),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
    ),
    (Document(url="https://d"), {"type": "document", "source": {"type": "url", "url": "https://d"}}),
    (
        Document(parts=[Text("a"), Text("")]),
        {"type": "document", "source": {"type": "content", "content": [text("a")]}},
    ),
    (Thinking("Hm"), None),
    (Thinking("Hm", "sig"), {"type": "thinking", "thinking": "Hm", "signature": "sig"}),
    (
        Thinking("Hm", "sig", provider="anthropic-claude-v1"),
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
    ),
    (Thinking("Hm", "sig", provider="google-gemini-v1"), None),
    (Thinking(encrypted="xyz"), {"type": "redacted_thinking", "data": "xyz"}),
    (Thinking(encrypted="xyz", provider="openai-responses-v1"), None),
    (ToolCall("t1", "get", "not json"), CALL | {"input": {"_raw": "not json"}}),
    (Unknown("messages", {"type": "fallback"}), {"type": "fallback"}),
]


@pytest.mark.parametrize(("part", "block"), PARTS, ids=lambda value: str(value)[:60])
def test_a_part_becomes_its_block(part: Part, block: dict[str, Any] | None) -> None:
    conversation = of_client("asked", [USER, assistant(part, Text("end")), user(GOT)])
    body: Any = encode(conversation, Target(NEW)).body
    assert body["messages"][1]["content"] == ([block] if block else []) + [text("end")]


REFUSED: list[tuple[Part, str]] = [
    (Audio("AA==", "wav"), "input_audio: "),
    (Image(file_id="file-1"), "image: file id 'file-1' belongs to another provider"),
    (Document(file_id="file-1"), "file: file id 'file-1' belongs to another provider"),
    (Document(data="AA==", media_type="application/msword"), "file: media type 'application/msword' cannot"),
    (Document(data="AA=="), "file: media type 'unknown' cannot"),
    (Document(data="/w==", media_type="text/plain"), "file: the data is not base64 of UTF-8 text"),
    (Document(data="?", media_type="text/plain"), "file: the data is not base64 of UTF-8 text"),
    (Unknown("chat", {"type": "video_url"}), "video_url: "),
    (ToolResult("t1", [Audio("AA==", "wav")]), "input_audio: "),
]


@pytest.mark.parametrize(("part", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_cannot_cross_is_refused(part: Part, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        write(USER, assistant(GET), user(part, GOT))
    assert caught.value.message.startswith(words)


def test_what_may_be_left_out_is_named_once() -> None:
    odd = Unknown("chat", {"type": "audio"})
    out = write(USER, assistant(odd, odd), user(Image(url="https://i", detail="high")))
    assert out.dropped == ["audio", "image_url.detail"]


def test_tool_results() -> None:
    result = ToolResult("t1", [Text("a"), Image(url="https://i"), Text("b", {"messages": CACHE})], is_error=True)
    content = messages(USER, assistant(GET), user(result))[2]["content"]
    image = {"type": "image", "source": {"type": "url", "url": "https://i"}}
    assert content == [RESULT | {"content": [text("a"), image, text("b", **CACHE)], "is_error": True}]
