"""Nothing makes a decoder raise anything but its own two errors: BadRequest for requests, BadReply for replies.

Bodies that are nearly legal (see `mangled`), any JSON at all, and values that JSON parsers let through though JSON
does not know them: NaN, half a character, integers without end, depth.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import strategies_requests as bodies
from tests.support.strategies import HOSTILE, VALUES, few, mangled, places, replaced
from tests.support.strategies_replies import replies
from translate import dialects, pair
from translate.chat import decode_stream as chat
from translate.conversation import (
    Citation,
    Close,
    Delta,
    Event,
    Fault,
    Open,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
    Usage,
)
from translate.failures import errors
from translate.json import wire
from translate.messages import decode_stream as messages
from translate.responses import decode_stream as responses
from translate.streams import sse
from translate.target import Asked, Policy, Protocol, Target

PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses")
ALL = st.one_of(bodies.messages_bodies(), bodies.chat_bodies(), bodies.responses_bodies())
OF = {"messages": bodies.messages_bodies(), "chat": bodies.chat_bodies(), "responses": bodies.responses_bodies()}
# Nearly all that the decoders look for; what they do not know is carried as it is.
FIELDS_OF = {
    "messages": (
        "model", "max_tokens", "messages", "system", "tools", "tool_choice", "stop_sequences", "temperature", "top_k",
        "thinking", "output_config", "output_format", "metadata", "service_tier", "stream", "container",
    ),
    "chat": (
        "model", "messages", "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls", "max_tokens",
        "max_completion_tokens", "temperature", "top_k", "seed", "stop", "n", "response_format", "reasoning_effort",
        "reasoning", "thinking", "enable_thinking", "thinking_budget", "user", "safety_identifier", "stream_options",
        "prompt_cache_key", "service_tier", "stream", "metadata",
    ),
    "responses": (
        "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens",
        "temperature", "text", "reasoning", "user", "safety_identifier", "prompt_cache_key", "service_tier", "stream",
        "previous_response_id", "conversation", "prompt", "include", "metadata", "truncation",
    ),
}  # fmt: skip
FIELDS = {
    "messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
    "chat": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    "responses": {"model": "m", "input": "x"},
}


def cross(client: Protocol, body: Any, target: Target = Target("m")) -> None:  # noqa: B008
    """To every protocol, as the gateway does; only a BadRequest may come of it, and what is sent is JSON."""
    for upstream in PROTOCOLS:
        try:
            sent = pair.request(client, upstream, body, target)
        except errors.BadRequest as error:
            error.message.encode("utf-8", "replace")
            continue
        try:
            sent.json()
        except (ValueError, OverflowError):
            assert not _is_json(body), "the proxy made something that is no JSON"


def _is_json(body: Any) -> bool:
    """May it have come over the wire? NaN and infinity may not."""
    if isinstance(body, dict):
        return all(map(_is_json, body.values()))
    if isinstance(body, list):
        return all(map(_is_json, body))
    return not isinstance(body, float) or abs(body) < float("inf")


@pytest.mark.parametrize("client", PROTOCOLS)
@few
@given(data=st.data())
def test_a_mangled_request(client: Protocol, data: st.DataObject) -> None:
    body = data.draw(mangled(OF[client]))
    if isinstance(body, dict):
        cross(client, body)


@pytest.mark.parametrize("client", PROTOCOLS)
@few
@given(body=ALL | st.dictionaries(st.sampled_from(["model", "messages", "input", "tools", "stop", "n"]), VALUES))
def test_another_protocols_request(client: Protocol, body: Any) -> None:
    cross(client, body)


@pytest.mark.parametrize("client", PROTOCOLS)
def test_every_field_with_every_oddity(client: Protocol) -> None:
    """Systematic where chance is thin: each field that the protocol knows, with each hostile value."""
    for field in FIELDS_OF[client]:
        for odd in HOSTILE:
            for value in (odd, [odd], {"type": odd}, {"type": "json_schema", "schema": odd}):
                cross(client, FIELDS[client] | {field: value})


PICKY = Target("m", Policy(tool_schema="gemini", images=False, reasoning_history="true"))
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
BODIES: dict[str, dict[str, Any]] = {
    "messages": {
        "model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "s"}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
                {"type": "document", "title": "t", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"a": 1}},
                {"type": "server_tool_use", "id": "b", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "b", "content": [
                    {"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "e"}]},
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "is_error": True, "content": [
                {"type": "tool_reference", "tool_name": "g"}]}]},
        ],
        "tools": [{"name": "f", "input_schema": SCHEMA, "strict": True}, {"name": "g", "defer_loading": True,
                  "input_schema": {}},
                  {"type": "web_search_20250305", "name": "web_search", "user_location": {"city": "x"},
                   "allowed_domains": ["d"]}],
        "tool_choice": {"type": "tool", "name": "f"}, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
        "metadata": {"user_id": "u"}, "stop_sequences": ["x"],
    },
    "chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s"}]},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
                {"type": "file", "file": {"filename": "a.txt", "file_data": "QQ=="}},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            ]},
            {"role": "assistant", "content": "x", "refusal": "no", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
             "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}},
                  {"type": "custom", "custom": {"name": "g", "format": {
                      "type": "grammar", "grammar": {"syntax": "lark"}}}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
            {"type": "function", "function": {"name": "f"}}]}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
        "reasoning": {"effort": "low", "max_tokens": 9}, "stream_options": {"include_usage": True}, "stop": ["x"],
        "web_search_options": {"user_location": {"approximate": {"city": "x"}}},
    },
    "responses": {
        "model": "m", "instructions": "s",
        "input": [
            {"type": "message", "role": "user", "content": [
                {"type": "input_image", "image_url": "data:image/png;base64,AA"},
                {"type": "input_file", "filename": "a.txt", "file_data": "QQ=="}]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}],
             "encrypted_content": "e"},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "x", "annotations": [{"type": "url_citation", "url": "u"}]}]},
            {"type": "web_search_call", "id": "w", "action": {
                "type": "search", "query": "q", "sources": [{"url": "u"}]}},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}", "namespace": "n"},
            {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "1"}]},
            {"type": "custom_tool_call", "call_id": "b", "name": "g", "input": "x"},
            {"type": "tool_search_output", "call_id": "c", "tools": [
                {"type": "function", "name": "h", "parameters": {}}]},
        ],
        "tools": [{"type": "namespace", "name": "n", "description": "d", "tools": [
            {"type": "function", "name": "f", "parameters": SCHEMA, "defer_loading": True}]},
            {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
            {"type": "web_search", "filters": {"allowed_domains": ["d"]}, "user_location": {"city": "x"}}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}, "verbosity": "low"},
        "include": ["reasoning.encrypted_content"], "metadata": {"a": "b"},
    },
}  # fmt: skip


@pytest.mark.parametrize("client", PROTOCOLS)
def test_every_node_of_a_request_with_every_oddity(client: Protocol) -> None:
    """A body with all that the translators look into, each node of it replaced in turn."""
    cross(client, BODIES[client])
    for place in places(BODIES[client]):
        for odd in HOSTILE:
            cross(client, body := replaced(BODIES[client], place, odd))
            cross(client, body, PICKY)


# --------------------------------------------------------------------------------------------------- nesting


def nested(levels: int, key: str, inner: Any) -> Any:
    """{key: [{key: [...]}]}, as far as JSON parsers go."""
    for _ in range(levels):
        inner = {"type": "object", key: [inner]}
    return inner


@pytest.mark.parametrize("levels", [10, 250, 500])
@pytest.mark.parametrize("key", ["anyOf", "content", "error"])
@pytest.mark.parametrize("client", PROTOCOLS)
def test_depth_is_refused_or_crosses(client: Protocol, key: str, levels: int) -> None:
    """The parser takes more levels than a walk that calls itself has frames."""
    deep = wire.loads(wire.dumps(nested(levels, key, {})))
    for body in (
        {"output_config": {"format": {"type": "json_schema", "schema": deep}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": deep}}},
        {"text": {"format": {"type": "json_schema", "schema": deep}}},
        {"messages": [{"role": "user", "content": [{"type": "search_result"} | deep]}]},
        {"input": [{"type": "web_search_call"} | deep]},
    ):
        cross(client, FIELDS[client] | body)


def test_what_is_nested_too_deeply_is_refused_by_name() -> None:
    content: Any = "x"
    for _ in range(330):
        content = [{"type": "document", "source": {"type": "content", "content": content}}]
    with pytest.raises(errors.BadRequest, match="nested too deeply"):
        pair.request("messages", "chat", FIELDS["messages"] | {"messages": [{"role": "user", "content": content}]},
                     Target("m"))  # fmt: skip


# --------------------------------------------------------------------------------------------------- replies

EVENTS = {protocol: replies(protocol) for protocol in PROTOCOLS}
TAGS = Policy(reasoning="think_tags")
DECODER: dict[str, Any] = {
    "messages": messages.Decoder, "chat": lambda: chat.Decoder(TAGS), "responses": lambda: responses.Decoder(TAGS),
}  # fmt: skip
ASKED = Asked("m", "k", include_usage=True)
FULL: list[Event] = [
    Start("id", "m", Usage(1, 2, 3, 1, 4, 5)),
    Open(Thinking()), Delta([b"so"]), Close("c2ln"),
    Open(Text("")), Delta([b"hello"]), Close(citations=[Citation(p, {"url": "u"}, "u") for p in PROTOCOLS]),
    Open(Refusal()), Delta([b"no"]), Close(),
    Open(ToolCall("c", "f")), Delta([b"{}"]), Close(),
    Open(ToolCall("d", "g", custom=True, namespace="n")), Delta([b"x"]), Close(),
    Open(Unknown("messages", {"type": "server_tool_use", "input": {"a": 1}})), Close(),
    Open(Unknown("responses", {"type": "web_search_call", "action": {"a": 1}})), Close(),
    Stop("tool_calls", Usage(1, 2, 3, 1, 4, 5)),
]  # fmt: skip
_NOISE = st.binary(max_size=60) | st.sampled_from([b"data: ", b"\n\n", b"data: {", b"\xff", b"event: error\n", b"\r"])


def whole(upstream: Protocol, raw: bytes) -> None:
    """To every client, whole and as a stream."""
    for client in PROTOCOLS:
        for way in ("whole", "whole_as_stream"):
            try:
                out = getattr(pair.Crossing(client, upstream, ASKED), way)(raw)
            except errors.ApiError as error:
                assert error.message
                continue
            assert out


def stream(upstream: Protocol, pieces: list[bytes]) -> None:
    """To every client: always with an end. The decoder keeps its promise whatever comes."""
    for client in PROTOCOLS:
        crossing = pair.Crossing(client, upstream, ASKED)
        out = b"".join([*map(crossing.feed, pieces), crossing.end()])
        assert crossing.ended if out else crossing.fault is not None
        if crossing.fault is not None and not out:
            assert dialects.of(client).errors.event(crossing.fault)
    decoder = DECODER[upstream]()
    events: list[Event] = [*(event for piece in pieces for event in decoder.feed(piece)), *decoder.end()]
    assert isinstance(events[-1], Stop | Fault)
    assert sum(isinstance(event, Stop | Fault) for event in events) == 1


def cut_up(raw: bytes, size: int) -> list[bytes]:
    return [raw[i : i + size] for i in range(0, len(raw), size)]


@pytest.mark.parametrize("upstream", PROTOCOLS)
@few
@given(data=st.data())
def test_a_mangled_body(upstream: Protocol, data: st.DataObject) -> None:
    body = dialects.of(upstream).collect(data.draw(EVENTS[upstream]), ASKED)
    whole(upstream, json.dumps(data.draw(mangled(st.just(body)))).encode())


@pytest.mark.parametrize("upstream", PROTOCOLS)
@few
@given(body=VALUES | st.dictionaries(
    st.sampled_from(["type", "choices", "content", "output", "error", "usage", "status", "object", "message"]), VALUES
), noise=st.binary(max_size=40))  # fmt: skip
def test_any_json_and_any_bytes_as_a_body(upstream: Protocol, body: Any, noise: bytes) -> None:
    whole(upstream, json.dumps(body).encode())
    whole(upstream, noise)
    stream(upstream, [json.dumps(body).encode(), noise])


@pytest.mark.parametrize("upstream", PROTOCOLS)
@few
@given(data=st.data())
def test_a_mangled_stream(upstream: Protocol, data: st.DataObject) -> None:
    """Events with changed insides, left out, said twice, in another order, with noise between; a few bytes lost."""
    raw = dialects.of(upstream).encoder(ASKED).emit(data.draw(EVENTS[upstream]))
    frames = [sse.fields(event) for event in raw.split(b"\n\n") if event]
    told = []
    for name, inside in frames:
        odd = data.draw(st.sampled_from(["", "", "", "mangle", "leave out", "twice", "noise"]))
        if odd == "mangle" and inside.startswith(b"{"):
            inside = json.dumps(data.draw(mangled(st.just(json.loads(inside)), most=2))).encode()
        frame = (b"event: %b\n" % name if name else b"") + b"data: %b\n\n" % inside
        told += {"leave out": [], "twice": [frame] * 2, "noise": [data.draw(_NOISE), frame]}.get(odd, [frame])
    if data.draw(st.booleans()):
        told = data.draw(st.permutations(told))
    out = b"".join(told)
    at = data.draw(st.integers(0, len(out)))
    stream(upstream, cut_up(out[:at] + out[at + data.draw(st.integers(0, 9)) :], data.draw(st.integers(1, 400))))


@pytest.mark.parametrize("upstream", PROTOCOLS)
def test_every_node_of_a_reply_with_every_oddity(upstream: Protocol) -> None:
    """Systematic where chance is thin: a reply with all kinds of parts, each node of it replaced in turn."""
    body = dialects.of(upstream).collect(FULL, ASKED)
    for place in places(body):
        for odd in HOSTILE:
            try:
                dialects.of(upstream).explode(replaced(body, place, odd), TAGS)
            except errors.BadReply as error:
                assert error.message
