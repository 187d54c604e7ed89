"""Cursor's agent: requests in the form of Responses at Chat's address, before upstreams of every protocol."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.gateway.flow.test_gemini import PROTOCOLS, house, part, told
from tests.support.script import Answer, Request, Upstream
from translate import dialects
from translate.chat import responses_body
from translate.conversation import Text, ToolCall
from translate.target import Asked

PATH = "/v1/chat/completions"
PATCH = '*** Begin Patch\n*** Add File: "a"\n+hi\n*** End Patch\n'
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "read", "description": "d", "parameters": {"type": "object", "properties": {}}},
    {"type": "custom", "name": "ApplyPatch", "description": "e", "format": GRAMMAR},
]
ASK: dict[str, Any] = {
    "model": "m", "stream": True, "tools": TOOLS, "tool_choice": "auto", "store": False, "metadata": {"cursor": "x"},
    "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
    "input": [
        {"role": "system", "content": "Be Cursor."},
        {"role": "user", "content": [{"type": "input_text", "text": "look"},
                                     {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}]},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "read", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "ApplyPatch", "arguments": PATCH},
        {"type": "function_call_output", "call_id": "c1", "output": "of read"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "of patch"}]},
    ],
}  # fmt: skip


def patching(protocol: str, request: Request) -> Answer:
    """A reply that calls ApplyPatch."""
    if request.method == "GET":
        return Answer.json({"data": []})
    free = protocol in ("chat", "responses")
    call = part(ToolCall("c3", "ApplyPatch", custom=free), PATCH if free else json.dumps({"input": PATCH}))
    events = told(part(Text(""), "I patch."), call, reason="tool_calls")
    asked = Asked("up", "k1", include_usage=True, free_text=True)
    dialect = dialects.of(protocol)
    if request.json.get("stream") or "streamGenerateContent" in request.path:
        raw = dialect.encoder(asked).emit(events)
        return Answer.sse([raw[:333], raw[333:]])
    return Answer.json(dialect.collect(events, asked))


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_calls_come_as_those_of_functions(protocol: str, streamed: bool) -> None:
    with Upstream(lambda request: patching(protocol, request)) as up, house(up, protocol) as here:
        with openai.OpenAI(base_url=f"{here.url}/v1", api_key="k", max_retries=0) as client:
            body = {**ASK, "stream": streamed}
            if streamed:
                reply: Any = client.post(PATH[3:], cast_to=object, body=body, stream=True,
                                         stream_cls=openai.Stream[openai.types.chat.ChatCompletionChunk])  # fmt: skip
                deltas = [chunk.choices[0].delta for chunk in reply if chunk.choices]
                calls = [call for delta in deltas for call in delta.tool_calls or ()]
                text = "".join(delta.content or "" for delta in deltas)
            else:
                whole = client.post(PATH[3:], cast_to=openai.types.chat.ChatCompletion, body=body)
                calls = list(whole.choices[0].message.tool_calls or ())
                text = whole.choices[0].message.content or ""
    assert text == "I patch." and all(call.function is not None for call in calls)
    assert calls[0].type == "function" and calls[0].function.name == "ApplyPatch" and calls[0].id
    assert "".join(call.function.arguments or "" for call in calls) == PATCH


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_all_of_the_history_reaches_the_model(protocol: str) -> None:
    with Upstream(lambda request: patching(protocol, request)) as up, house(up, protocol) as here:
        status, headers, _ = here.post(PATH, ASK)
        sent = json.dumps([request.json for request in up.requests if request.method == "POST"])
    assert status == 200
    for words in ("Be Cursor.", "look", "iVBORw0KGgo=", "of read", "of patch", "*** Add File", "start: /x/"):
        assert words in sent, words
    if protocol != "responses":  # which keeps them so
        assert '"input_text"' not in sent
    dropped = headers.get("x-proxy-dropped", "")
    assert "input.reasoning" in dropped and "reasoning.summary" in dropped and "metadata" in dropped


def test_what_chat_is_asked() -> None:
    more = {"max_output_tokens": 99, "instructions": "First.", "temperature": 0.5,
            "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
            "tool_choice": {"type": "custom", "name": "ApplyPatch"}}  # fmt: skip
    with Upstream(lambda request: patching("chat", request)) as up, house(up, "chat") as here:
        assert here.post(PATH, ASK | more)[0] == 200
        assert here.post(PATH, {"model": "m", "input": "hi"})[0] == 200
        sent, plain = [request.json for request in up.requests if request.method == "POST"]
    first, system, user, calls, *results = sent["messages"]
    assert (first, system["role"], user["content"][1]["type"]) == (
        {"role": "system", "content": "First."}, "system", "image_url")  # fmt: skip
    assert [call["type"] for call in calls["tool_calls"]] == ["function", "custom"]
    assert [(each["role"], each["tool_call_id"]) for each in results] == [("tool", "c1"), ("tool", "c2")]
    assert sent["tools"][1]["custom"]["format"]["grammar"] == {"syntax": "lark", "definition": "start: /x/"}
    assert sent["tools"][0]["function"]["name"] == "read" and sent["tool_choice"]["custom"] == {"name": "ApplyPatch"}
    assert (sent["max_tokens"], sent["reasoning_effort"], sent["verbosity"]) == (99, "low", "low")
    assert sent["response_format"]["json_schema"] == {"name": "n", "schema": {"type": "object"}}
    assert not {"input", "include", "reasoning", "text", "metadata", "instructions"} & set(sent)
    assert plain["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "item_reference"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "x"}]}]}, "images"),
        ({"input": 7}, "input"),
        ({"input": [7]}, "input[0]"),
    ],
)
def test_what_chat_has_no_word_for_is_refused(more: dict[str, Any], words: str) -> None:
    with Upstream([]) as up, house(up, "chat") as here:
        status, _, raw = here.post(PATH, ASK | more)
    error = json.loads(raw)["error"]
    assert status == 400 and error["type"] == "invalid_request_error" and words in error["message"]


@pytest.mark.parametrize("protocol", ["messages", "responses", "gemini"])
def test_tools_without_an_object_of_their_own_are_read_among_messages_too(protocol: str) -> None:
    """As Cursor's questions have them."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": TOOLS}
    with Upstream(lambda request: patching(protocol, request)) as up, house(up, protocol) as here:
        assert here.post(PATH, body)[0] == 200
        sent = json.dumps([request.json for request in up.requests if request.method == "POST"])
    assert '"read"' in sent and "ApplyPatch" in sent and "start: /x/" in sent


BLOCKS: dict[str, Any] = {
    "model": "m", "stream": True, "tool_choice": {"type": "any"},
    "tools": [{"name": "read", "description": "d", "input_schema": {"type": "object", "properties": {"PATH": {}}}}],
    "messages": [
        {"role": "system", "content": "Be Cursor."},
        {"role": "user", "content": [{"type": "text", "text": "look"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "I do."},
                                          {"type": "tool_use", "id": "t1", "name": "read", "input": {"PATH": "a"}},
                                          {"type": "tool_use", "id": "t2", "name": "read", "input": {"PATH": "b"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "of a"}]},
            {"type": "tool_result", "tool_use_id": "t2", "content": "of b"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            {"type": "text", "text": "and now?"}]},
    ],
}  # fmt: skip


@pytest.mark.parametrize("protocol", ["messages", "responses", "gemini"])
def test_blocks_of_messages_are_read_among_chats(protocol: str) -> None:
    """As Cursor has them for models whose names say Claude."""
    with Upstream(lambda request: patching(protocol, request)) as up, house(up, protocol) as here:
        for _ in range(2):  # the second time all of it is remembered
            status, headers, raw = here.post(PATH, BLOCKS)
            assert status == 200 and "x-proxy-dropped" not in headers, (headers, raw)
        first, second = [request.json for request in up.requests if request.method == "POST"]
    sent = json.dumps(first)
    assert first == second
    for words in ("Be Cursor.", "look", "I do.", "of a", "of b", "iVBORw0KGgo=", "and now?", "PATH", "read"):
        assert words in sent, words
    if protocol == "messages":
        said, results = first["messages"][1:]
        assert [block["type"] for block in said["content"]] == ["text", "tool_use", "tool_use"]
        assert [block["type"] for block in results["content"]] == ["tool_result", "tool_result", "image", "text"]
        assert said["content"][1]["input"] == {"PATH": "a"} and first["tool_choice"] == {"type": "any"}


@pytest.mark.parametrize("given", [None, [], [{"id": "c0", "type": "function", "function": {"name": "f"}}]])
def test_calls_are_added_to_a_list_of_their_own(given: Any) -> None:
    said = {"role": "assistant", "content": "x", "tool_calls": given}
    call = {"type": "function_call", "call_id": "c1", "name": "read", "arguments": "{}"}
    out, _ = responses_body.opened({"model": "m", "input": [said, call]})
    assert [each["id"] for each in out["messages"][0]["tool_calls"]] == [*(["c0"] if given else []), "c1"]
    assert said["tool_calls"] == given and len(given or []) < 2


def test_a_tool_with_messages_of_its_own_makes_no_request_of_chat() -> None:
    properties = {"messages": {"type": "array", "items": {"type": "string"}}}
    tool = {"type": "function", "name": "send", "parameters": {"type": "object", "properties": properties}}
    with Upstream(lambda request: patching("chat", request)) as up, house(up, "chat") as here:
        assert here.post(PATH, {"model": "m", "input": "hi", "tools": [tool]})[0] == 200
        (sent,) = [request.json for request in up.requests if request.method == "POST"]
    assert sent["messages"] == [{"role": "user", "content": "hi"}] and "input" not in sent
