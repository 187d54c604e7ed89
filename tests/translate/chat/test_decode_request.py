"""A Chat client's body in the neutral form, and what is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from translate.chat.decode_request import decode
from translate.conversation import (
    Audio,
    Conversation,
    Document,
    Image,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Sampling,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Unknown,
)

HI = {"role": "user", "content": "Hi"}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MARK = {"type": "ephemeral"}
MARKED = {"cache": {"cache_control": MARK}}
ODD_URL = {"type": "image_url", "image_url": {"url": "data:,plain"}}


def ask(*messages: Any, **fields: Any) -> Conversation:
    return decode({"model": "m", "messages": list(messages) or [HI]} | fields)


def parts(content: Any) -> list[Part]:
    return ask({"role": "user", "content": content}).turns[0].parts


def test_the_least() -> None:
    assert ask() == Conversation("m", [Turn("user", [Text("Hi")])], ext={"chat": {}})


def test_azure_names_the_model_in_the_path() -> None:
    assert decode({"messages": [HI]}).model == ""


def test_instructions_at_the_head_are_the_system() -> None:
    conversation = ask(
        {"role": "system", "content": "one"},
        {"role": "developer", "content": [{"type": "text", "text": "two", "cache_control": MARK}]},
        HI,
        {"role": "system", "content": "later"},
    )
    assert [part.text for part in conversation.system if isinstance(part, Text)] == ["one", "two"]
    assert conversation.system[1].ext["cache"] == {"cache_control": MARK}
    assert [turn.role for turn in conversation.turns] == ["user", "system"]


def test_user_content() -> None:
    told = parts(
        [
            {"type": "text", "text": "a", "cache_control": MARK},
            {"type": "text", "text": ""},
            "b",
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            {"type": "image_url", "image_url": "https://x/y.png"},
            ODD_URL,
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            {"type": "clip_url", "clip_url": {"url": "https://x"}},
        ]
    )
    assert told == [
        Text("a", {"chat": {"cache_control": MARK}} | MARKED),
        Text("b"),
        Image(data="AAAA", media_type="image/png", detail="low"),
        Image(url="https://x/y.png"),
        Image(data="cGxhaW4=", ext={"chat.form": {"raw": ODD_URL}}),
        Audio("AA", "wav"),
        Unknown("chat", {"type": "clip_url", "clip_url": {"url": "https://x"}}),
    ]


def test_empty_text_is_left_out() -> None:
    assert parts("") == []
    assert ask({"role": "assistant", "content": "", "tool_calls": [CALL]}).turns[0].parts == [ToolCall("a", "f", "{}")]


def test_mistrals_audio_is_a_string() -> None:
    [part] = parts([{"type": "input_audio", "input_audio": "AA"}])
    assert isinstance(part, Audio)
    assert (part.data, part.format) == ("AA", "")


FILES: list[tuple[dict[str, str], Document]] = [
    (
        {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
        Document("AA", "application/pdf", title="a.pdf"),
    ),
    ({"file_data": "AA"}, Document("AA", "application/pdf")),
    ({"filename": "a.txt", "file_data": base64.b64encode(b"words").decode()}, Document(text="words", title="a.txt")),
    ({"file_data": "https://x/a.pdf"}, Document(url="https://x/a.pdf")),
    ({"file_id": "file-1", "filename": "n"}, Document(file_id="file-1", title="n")),
]


@pytest.mark.parametrize(("file", "document"), FILES)
def test_a_file_part_becomes_a_document(file: dict[str, str], document: Document) -> None:
    [part] = parts([{"type": "file", "file": file}])
    part.ext = {}
    assert part == document


# As Mistral, Perplexity, z.ai, OpenRouter and vLLM have them.
OTHERS_FILES: list[tuple[dict[str, Any], Document | Audio]] = [
    ({"type": "document_url", "document_url": "https://x/a.pdf"}, Document(url="https://x/a.pdf")),
    (
        {"type": "document_url", "document_url": "data:application/pdf;base64,AA", "document_name": "a.pdf"},
        Document("AA", "application/pdf", title="a.pdf"),
    ),
    ({"type": "document_url", "document_url": {"url": "https://x/a.pdf"}}, Document(url="https://x/a.pdf")),
    (
        {"type": "file_url", "file_url": {"url": "https://x/a.pdf"}, "file_name": "a"},
        Document(url="https://x/a.pdf", title="a"),
    ),
    ({"type": "file_url", "file_url": {"url": "AA"}}, Document("AA", "application/pdf")),
    ({"type": "document_url", "document_url": "HTTPS://x/a.pdf"}, Document(url="HTTPS://x/a.pdf")),
    ({"type": "file_url", "file_url": {"url": "gs://x/a.pdf"}}, Document(url="gs://x/a.pdf")),
    ({"type": "file", "file_id": "file-1"}, Document(file_id="file-1")),
    (
        {"type": "video_url", "video_url": {"url": "https://x/a.webm?b"}},
        Document(url="https://x/a.webm?b", media_type="video/webm"),
    ),
    (
        {"type": "video_url", "video_url": "https://youtu.be/x"},
        Document(url="https://youtu.be/x", media_type="video/mp4"),
    ),
    ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}, Document("AA==", "video/mp4")),
    (
        {"type": "audio_url", "audio_url": {"url": "https://x/a.wav"}},
        Document(url="https://x/a.wav", media_type="audio/wav"),
    ),
    ({"type": "audio_url", "audio_url": {"url": "data:audio/mpeg;base64,AA=="}}, Audio("AA==", "mp3")),
]


@pytest.mark.parametrize(("file", "document"), OTHERS_FILES)
def test_other_servers_files(file: dict[str, Any], document: Document | Audio) -> None:
    [part] = parts([file])
    assert part.ext == {"chat.form": {"raw": file}}  # a Chat upstream gets it as it was
    part.ext = {}
    assert part == document


def test_an_assistants_message() -> None:
    [turn] = ask(
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": "a"},
                {"type": "refusal", "refusal": "r"},
            ],
            "refusal": "no",
            "tool_calls": [CALL, {"id": "b", "type": "custom", "custom": {"name": "g", "input": "go"}}],
            "name": "bob",
            "audio": None,
        }
    ).turns
    thought, text, inner, refusal, call, custom = turn.parts
    assert isinstance(thought, Thinking)
    assert thought.text == "hm"
    assert text == Text("a")
    assert isinstance(inner, Refusal)
    assert inner.text == "r"
    assert refusal == Refusal("no")
    assert call == ToolCall("a", "f", "{}")
    assert isinstance(custom, ToolCall)
    assert (custom.name, custom.arguments, custom.custom) == ("g", "go", True)
    assert turn.ext["chat"] == {"name": "bob"}


REASONED: list[tuple[dict[str, Any], list[Thinking]]] = [
    ({"reasoning_content": "hm"}, [Thinking("hm")]),
    ({"reasoning": "hm", "reasoning_content": "hm"}, [Thinking("hm")]),
    ({"reasoning": "", "reasoning_details": []}, []),
    (
        {
            "reasoning": "hm",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "hm", "signature": "S"},
                {"type": "reasoning.summary", "summary": "s"},
                {"type": "reasoning.encrypted", "data": "E", "format": "x"},
                None,
            ],
        },
        [Thinking("hm", "S"), Thinking("s"), Thinking(encrypted="E", provider="x")],
    ),
]


@pytest.mark.parametrize(("fields", "thoughts"), REASONED)
def test_reasoning_in_the_history(fields: dict[str, Any], thoughts: list[Thinking]) -> None:
    [turn] = ask({"role": "assistant", "content": None, **fields}).turns
    for part in turn.parts:
        part.ext = {}
    assert turn.parts == thoughts


def test_tool_messages_are_one_turn() -> None:
    turns = ask(
        HI,
        {"role": "assistant", "tool_calls": [CALL, CALL | {"id": "b", "cache_control": MARK}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}], "cache_control": MARK},
        HI,
    ).turns
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "user"]
    one, two = turns[2].parts
    assert one == ToolResult("a", [Text("1")])
    assert isinstance(two, ToolResult)
    assert (two.id, two.parts, two.ext["cache"]) == ("b", [Text("2")], MARKED["cache"])
    assert turns[1].parts[1].ext["cache"] == MARKED["cache"]


def test_a_legacy_call_and_its_result_find_each_other() -> None:
    turns = ask(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "function", "name": "unknown", "content": None},
    ).turns
    call, (result, other) = turns[0].parts[0], turns[1].parts
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert isinstance(other, ToolResult)
    assert call.id == result.id
    assert other == ToolResult("call_unknown", [], ext=other.ext)


def test_results_without_ids_answer_the_calls_in_their_order() -> None:
    """As clients of Writer and z.ai send them; the former's calls have no ids either."""
    bare = {"type": "function", "function": {"name": "g", "arguments": "{}"}}
    turns = ask(
        {"role": "assistant", "content": "", "tool_calls": [CALL, CALL | {"id": "b"}, bare]},
        {"role": "tool", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "tool", "name": "", "content": "3"},
        {"role": "assistant", "content": "", "tool_calls": [bare]},
        {"role": "tool", "content": "4"},
    ).turns
    calls = [part.id for turn in turns for part in turn.parts if isinstance(part, ToolCall)]
    results = [part.id for turn in turns for part in turn.parts if isinstance(part, ToolResult)]
    assert results == calls and calls[:2] == ["a", "b"] and len(set(calls)) == 4


def test_a_result_that_names_its_function_leaves_the_next_one_its_call() -> None:
    turns = ask(
        {"role": "assistant", "tool_calls": [CALL, CALL | {"id": "b"}]},
        {"role": "tool", "name": "f", "content": "1"},
        {"role": "tool", "content": "2"},
    ).turns
    assert [part.id for part in turns[1].parts if isinstance(part, ToolResult)] == ["a", "b"]


def test_a_messages_cache_mark_counts_for_its_last_part() -> None:
    [turn] = ask(
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "cache_control": MARK,
        }
    ).turns
    assert [part.ext.get("cache") for part in turn.parts] == [None, {"cache_control": MARK}]


# -------------------------------------------------------------------------------------------------- fields


def test_fields_become_their_neutral_words() -> None:
    conversation = ask(
        max_tokens=5,
        max_completion_tokens=9,
        temperature=1,
        top_p=0.5,
        top_k=3,
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        stop="END",
        parallel_tool_calls=False,
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        service_tier="flex",
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        n=1,
        logit_bias={"1": 2},
        metadata={"a": "b"},
        store=None,
        response_format={"type": "text"},
    )
    assert conversation.max_tokens == 9
    assert conversation.sampling == Sampling(1, 0.5, 3, ["END"], 7, 0.1, 0.2)
    assert conversation.parallel_tools is False
    assert (conversation.user, conversation.cache_key, conversation.service_tier) == ("u", "k", "flex")
    assert conversation.stream
    assert conversation.output is None
    assert conversation.ext == {
        "chat": {
            "logit_bias": {"1": 2},
            "stream_options": {"include_obfuscation": False},
        },
        "openai": {"metadata": {"a": "b"}, "safety_identifier": "s"},
    }


def test_fields_that_say_nothing_more_leave_nothing_behind() -> None:
    conversation = ask(safety_identifier="s", stream_options={"include_usage": True}, stop=["a", ""], max_tokens=3.0)
    assert (conversation.user, conversation.ext, conversation.max_tokens) == ("s", {"chat": {}}, 3)
    assert conversation.sampling.stop == ["a"]


def test_response_formats_are_read() -> None:
    assert ask(response_format={"type": "json_object"}).output == OutputFormat("json_object")
    wanted = {"name": "n", "schema": {"type": "object"}, "strict": True, "description": "d"}
    told = ask(response_format={"type": "json_schema", "json_schema": wanted})
    assert told.output == OutputFormat("json_schema", {"type": "object"}, "n", "d", True)
    assert told.ext == {"chat": {}}
    grammar = {"type": "grammar", "grammar": "x"}
    told = ask(response_format=grammar)
    assert (told.output, told.ext["chat"]) == (None, {"response_format": grammar})


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
def test_a_schema_beside_the_formats_type(kind: str) -> None:
    """As llama.cpp, Together and Fireworks have it."""
    told = ask(response_format={"type": kind, "schema": {"type": "object"}})
    assert told.output == OutputFormat("json_schema", {"type": "object"})


@pytest.mark.parametrize("none", [-1, -2, 0])
def test_a_limit_that_is_none(none: int) -> None:
    """LM Studio's clients say -1, llama.cpp's -1 and -2, Ollama's 0; LangChain writes max_tokens by the newer name."""
    assert ask(max_tokens=none).max_tokens is None and ask(max_completion_tokens=none).max_tokens is None
    assert ask(max_tokens=none, max_completion_tokens=5).max_tokens == 5
    assert ask(max_tokens=5, max_completion_tokens=none).max_tokens == 5


REASONING: list[tuple[dict[str, Any], Reasoning]] = [
    ({}, Reasoning()),
    ({"reasoning_effort": "high"}, Reasoning(True, "high")),
    ({"reasoning_effort": "none"}, Reasoning(False, "none")),
    ({"reasoning_effort": "default"}, Reasoning()),  # Groq's
    ({"reasoning": {"effort": "auto", "enabled": True}}, Reasoning(True)),
    ({"reasoning": {"effort": "low", "exclude": True}}, Reasoning(True, "low", display="omitted")),
    ({"reasoning": {"max_tokens": 2000}}, Reasoning(True, budget=2000)),
    ({"reasoning": {"enabled": True}}, Reasoning(True)),
    ({"reasoning": {"enabled": False, "effort": "low"}}, Reasoning(False, "low")),
    ({"thinking": {"type": "enabled", "budget_tokens": 99}}, Reasoning(True, budget=99)),
    ({"thinking": {"type": "disabled"}}, Reasoning(False)),
    ({"thinking": {"type": "auto"}}, Reasoning(True, adaptive=True)),
    ({"thinking": False}, Reasoning(False)),
    ({"enable_thinking": True, "thinking_budget": 50}, Reasoning(True, budget=50)),
    ({"enable_thinking": False}, Reasoning(False)),
]


@pytest.mark.parametrize(("fields", "reasoning"), REASONING)
def test_six_ways_to_say_how_much_to_think(fields: dict[str, Any], reasoning: Reasoning) -> None:
    conversation = ask(**fields)
    assert conversation.reasoning == reasoning
    wording = {"chat.form": {"reasoning": fields}} if fields else {}
    assert conversation.ext == {"chat": {}} | wording


def test_what_else_is_said_about_thinking_is_left_over() -> None:
    said = {"thinking": {"type": "enabled", "clear_thinking": False}}
    assert ask(**said).ext == {"chat": {"thinking": {"clear_thinking": False}}, "chat.form": {"reasoning": said}}


def test_the_body_is_not_changed() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "assistant", "content": [{"type": "text", "text": "a"}], "tool_calls": [CALL]}],
        "stream_options": {"include_usage": True},
        "tools": [{"type": "custom", "custom": {"name": "h"}}],
    }
    before = repr(body)
    decode(body)
    assert repr(body) == before


def test_a_history_tells_its_size_in_its_repr() -> None:
    from translate.chat.decode_messages import _History

    assert repr(_History([])) == "<_History 0 system parts, 0 turns>"
