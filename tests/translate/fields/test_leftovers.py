"""Small things that cross in another form, or whose loss is told: marks for caches, efforts, probabilities."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.crossed import TOOLS, base, crossed
from translate import dialects, pair
from translate.target import Encoded, Protocol, Target

Json = dict[str, Any]

MARK = {"mode": "explicit"}
PDF = "data:application/pdf;base64,eA=="
CHAT_PARTS: list[Json] = [
    {"type": "text", "text": "long"},
    {"type": "image_url", "image_url": {"url": "http://x/a.png"}},
    {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
]
RESPONSES_PARTS: list[Json] = [
    {"type": "input_text", "text": "long"},
    {"type": "input_image", "image_url": "http://x/a.png", "detail": "auto"},
    {"type": "input_file", "filename": "a.pdf", "file_data": PDF},
]
PARTS = [("chat", part) for part in CHAT_PARTS] + [("responses", part) for part in RESPONSES_PARTS]


def sent(client: Protocol, upstream: Protocol, body: Json) -> Encoded:
    out = crossed(client, upstream, body)
    assert isinstance(out, Encoded), out
    return out


def history(client: Protocol, *messages: Json) -> Json:
    return base(client) | {"input" if client == "responses" else "messages": list(messages)}


# ------------------------------------------------------------------------------------------ marks for caches


@pytest.mark.parametrize(("client", "part"), PARTS)
def test_a_breakpoint_of_openais_is_a_mark_of_anthropics(client: Protocol, part: Json) -> None:
    for mark, control in ((MARK, {"type": "ephemeral"}), (MARK | {"ttl": "12h"}, {"type": "ephemeral", "ttl": "1h"})):
        body = history(client, {"role": "user", "content": [part | {"prompt_cache_breakpoint": mark}]})
        out = sent(client, "messages", body)
        assert out.body["messages"][0]["content"][0]["cache_control"] == control  # type: ignore[index]
        assert out.dropped == []


@pytest.mark.parametrize(("client", "part"), PARTS)
def test_a_breakpoint_crosses_between_openais_protocols(client: Protocol, part: Json) -> None:
    upstream: Protocol = "responses" if client == "chat" else "chat"
    marked = part | {"prompt_cache_breakpoint": MARK}
    out = sent(client, upstream, history(client, {"role": "user", "content": [marked]}))
    turns: Any = out.body["input" if upstream == "responses" else "messages"]
    assert turns[0]["content"][0]["prompt_cache_breakpoint"] == MARK and out.dropped == []
    system = {"role": "system", "content": [marked]}
    if "text" in part:
        out = sent(client, upstream, history(client, system, {"role": "user", "content": "hi"}))
        assert out.dropped == ["prompt_cache_breakpoint"]


OUTPUTS: dict[Protocol, list[Json]] = {
    "chat": [
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "x", "content": [
            {"type": "text", "text": "one"}, {"type": "text", "text": "two", "prompt_cache_breakpoint": MARK}]},
    ],
    "responses": [
        {"type": "function_call", "call_id": "x", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "x", "output": [
            {"type": "input_text", "text": "one"},
            {"type": "input_text", "text": "two", "prompt_cache_breakpoint": MARK}]},
    ],
}  # fmt: skip


def test_a_breakpoint_behind_a_tools_output_crosses() -> None:
    out = sent("chat", "responses", history("chat", *OUTPUTS["chat"]))
    assert out.body["input"][1]["output"][1]["prompt_cache_breakpoint"] == MARK and out.dropped == []
    out = sent("responses", "chat", history("responses", *OUTPUTS["responses"]))
    text = {"type": "text", "text": "one\ntwo", "prompt_cache_breakpoint": MARK}
    assert out.body["messages"][1]["content"] == [text] and out.dropped == []


def test_a_breakpoint_within_the_models_words_is_reported() -> None:
    """Where it crosses as a string."""
    part = {"type": "text", "text": "well", "prompt_cache_breakpoint": MARK}
    body = history("chat", {"role": "assistant", "content": [part]}, {"role": "user", "content": "hi"})
    out = sent("chat", "responses", body)
    assert out.body["input"][0]["content"] == "well" and out.dropped == ["prompt_cache_breakpoint"]


@pytest.mark.parametrize("client", ["chat", "responses"])
def test_a_breakpoint_stays_behind_before_google_and_is_told(client: Protocol) -> None:
    part = {"type": "text" if client == "chat" else "input_text", "text": "hi", "prompt_cache_breakpoint": MARK}
    body = history(client, {"role": "user", "content": [part]})
    assert sent(client, "gemini", body).dropped == ["prompt_cache_breakpoint"]


def test_a_mark_of_anthropics_stays_beside_one_of_openais() -> None:
    part = CHAT_PARTS[0] | {"prompt_cache_breakpoint": MARK, "cache_control": {"type": "ephemeral", "ttl": "5m"}}
    out = sent("chat", "messages", history("chat", {"role": "user", "content": [part]}))
    assert out.body["messages"][0]["content"][0]["cache_control"]["ttl"] == "5m"  # type: ignore[index]


@pytest.mark.parametrize("upstream", ["chat", "responses"])
def test_a_mark_on_a_block_that_is_said_in_words_is_reported(upstream: Protocol) -> None:
    block = {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [],
        "cache_control": {"type": "ephemeral"},
    }
    out = sent("messages", upstream, history("messages", {"role": "user", "content": [block]}))
    assert out.dropped == ["cache_control"]


# --------------------------------------------------------------------------------------- efforts and others


@pytest.mark.parametrize("upstream", ["chat", "responses"])
@pytest.mark.parametrize(
    ("asked", "model", "lowered"),
    [
        ("max", "gpt-5.5", True),
        ("max", "gpt-5.6", False),
        ("xhigh", "gpt-5.5", False),
        ("xhigh", "other", True),
        ("high", "other", False),
    ],
)
def test_an_effort_that_is_lowered_is_reported(upstream: Protocol, asked: str, model: str, lowered: bool) -> None:
    body = base("messages") | {"thinking": {"type": "adaptive"}, "output_config": {"effort": asked}}
    out = pair.request("messages", upstream, body, Target(model))
    assert out.dropped == (["output_config.effort"] if lowered else [])


def test_lowered_in_the_words_of_each_client() -> None:
    body = base("chat") | {"reasoning_effort": "max"}
    assert pair.request("chat", "responses", body, Target("gpt-5.5")).dropped == ["reasoning_effort"]
    body = base("responses") | {"reasoning": {"effort": "max"}}
    assert pair.request("responses", "chat", body, Target("gpt-5.5")).dropped == ["reasoning.effort"]


def test_probabilities_are_not_asked_for_where_they_cannot_be_told() -> None:
    out = sent("chat", "responses", base("chat") | {"logprobs": True, "top_logprobs": 2})
    assert out.dropped == ["logprobs", "top_logprobs"] and "top_logprobs" not in out.body


def test_a_documents_context_is_said() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "words"}
    document = {"type": "document", "source": source, "context": "from the archive"}
    for upstream in ("chat", "responses"):
        out = sent("messages", upstream, history("messages", {"role": "user", "content": [document]}))  # type: ignore[arg-type]
        assert "[context of the document: from the archive]" in json.dumps(out.body) and out.dropped == []


def test_the_description_of_an_answers_form_goes_into_its_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    form = {"name": "n", "description": "what it is", "schema": schema}
    body = base("chat") | {"response_format": {"type": "json_schema", "json_schema": form}}
    config: Any = sent("chat", "messages", body).body["output_config"]
    assert config["format"]["schema"] == schema | {"description": "what it is"}
    assert "description" not in schema


def test_a_failed_result_in_words_says_so() -> None:
    failed = {"type": "mcp_tool_result", "tool_use_id": "x", "content": "no such file", "is_error": True}
    said = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [failed]},
        {"role": "user", "content": "?"},
    ]
    assert "Error: no such file" in json.dumps(sent("messages", "chat", history("messages", *said)).body)


@pytest.mark.parametrize("upstream", ["messages", "chat"])
def test_what_a_tool_says_beside_is_reported(upstream: Protocol) -> None:
    tools = [TOOLS["responses"][0] | {"async": True, "output_schema": {"type": "string"}}]
    out = sent("responses", upstream, base("responses") | {"tools": tools})
    assert out.dropped == ["async", "output_schema"]


def test_what_two_protocols_share_crosses_between_them_and_is_reported_elsewhere() -> None:
    """The fields that OpenAI's two protocols spell alike, and the marks up to which a prompt is cached."""
    ephemeral = {"type": "ephemeral"}
    said = {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": ephemeral}]}
    body = {"model": "m", "messages": [said], "metadata": {"a": "b"}, "store": True, "verbosity": "low"}
    out = pair.request("chat", "responses", body, Target("gpt-5.5"))
    assert (out.body["metadata"], out.body["store"], out.body["text"]) == ({"a": "b"}, True, {"verbosity": "low"})
    assert out.dropped == ["cache_control"]
    out = pair.request("chat", "messages", body, Target("claude-opus-5-5"))
    messages: Any = out.body["messages"]
    assert messages[0]["content"][0]["cache_control"] == ephemeral
    assert sorted(out.dropped) == ["metadata", "store", "verbosity"]


def test_an_empty_mark_for_the_cache_is_none() -> None:
    said = {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}], "cache_control": {}}
    out = pair.request("chat", "messages", {"model": "m", "messages": [said]}, Target("claude-opus-5-5"))
    messages: Any = out.body["messages"]
    assert messages[0]["content"] == [{"type": "text", "text": "x"}]


ROOT = Path(pair.__file__).parent
_READS = re.compile(r'ext(?:\.get\(|\.setdefault\(|\[)"(\w+)')


def test_no_file_reads_the_leftovers_of_another_protocol() -> None:
    """What two protocols share has a word in the neutral form, or a group of its own."""
    names = set(dialects.names())
    read = [
        (str(path.relative_to(ROOT)), group)
        for path in sorted(ROOT.rglob("*.py"))
        for group in _READS.findall(path.read_text())
        if group in names
    ]
    assert len(read) > 20
    foreign = {(path, group) for path, group in read if path.partition("/")[0] != group}
    # A seal of ours carries what OpenRouter says beside a proof through a client of Responses.
    assert foreign == {("reasoning/sealed_reasoning.py", "chat")}
