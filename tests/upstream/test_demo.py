"""The demo upstream over real sockets, with the official SDKs as clients: every model in every protocol.

The server runs in a loop of its own in a thread, so that the SDKs' blocking clients can be used as users
use them. What an SDK forgives (order of events, numbering) the raw streams are checked for beside it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2 as httpx
import openai
import pydantic
import pytest

from demo import messages as demo_messages
from demo.answer import MODELS, THINKING, BadRequest, Turn, answer, progress
from demo.door import MAX_STRANGERS
from demo.schema_value import sample
from demo.server import Demo
from tests.support.waiting import soon, until

TOKEN = "demo-token-of-the-test"
LONG_EVENTS = 5_000
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
    "required": ["city"],
}
A_TOOL = {"name": "get_weather", "description": "weather", "input_schema": PARAMETERS}
C_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
R_TOOL = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}
ASK: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses")


class Weather(pydantic.BaseModel):
    city: str
    degrees: int


class Running:
    """A Demo in a thread of its own."""

    def __init__(self, **options: Any) -> None:
        self.demo = Demo(TOKEN, **options)
        self.url = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self) -> Running:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self.url = self.demo.start()
        self._ready.set()
        await self._end.wait()
        await self.demo.stop()


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with Running(slow_first_byte_s=0.3, slow_event_s=0.01, long_events=LONG_EVENTS) as server:
        yield server


@pytest.fixture(scope="module")
def claude(running: Running) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=running.url, api_key=TOKEN, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def gpt(running: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=running.url + "/v1", api_key=TOKEN, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def http(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, headers={"x-api-key": TOKEN}, timeout=30) as client:
        yield client


def body(path: str, model: str = "demo", **more: Any) -> dict[str, Any]:
    if path == "/v1/responses":
        return {"model": model, "input": ASK, **more}
    return {
        "model": model,
        "messages": ASK,
        **({"max_tokens": 9_999} if path == "/v1/messages" else {}),
        **more,
    }


def events(text: str) -> list[dict[str, Any]]:
    """The data of each event; the event line, where there is one, must name the data's type."""
    found = []
    assert text.endswith("\n\n")
    for block in text.split("\n\n")[:-1]:
        *names, data = block.split("\n")
        assert data.startswith("data: ") and len(names) <= 1
        value = json.loads(data[6:]) if data != "data: [DONE]" else {"done": True}
        assert not names or names == [f"event: {value['type']}"]
        found.append(value)
    return found


# --- Messages ---------------------------------------------------------------------------------------------


def test_messages_whole(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(model="claude-x", max_tokens=999, messages=ASK, system="be brief")
    assert message.model == "claude-x" and message.stop_reason == "end_turn" and message.role == "assistant"
    assert (
        "built-in demo upstream" in message.content[0].text and "ANTHROPIC_API_KEY" in message.content[0].text
    )
    assert 'You wrote: "What is the weather in Paris?"' in message.content[0].text
    count = claude.messages.count_tokens(model="claude-x", messages=ASK, system="be brief")
    assert message.usage.input_tokens == count.input_tokens > 5
    assert message.usage.output_tokens == -(-len(message.content[0].text) // 4)


def test_messages_stream_says_what_the_whole_body_says(claude: anthropic.Anthropic) -> None:
    whole = claude.messages.create(model="demo", max_tokens=999, messages=ASK)
    with claude.messages.stream(model="demo", max_tokens=999, messages=ASK) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_message()
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    assert streamed.content[0].text == whole.content[0].text and streamed.stop_reason == "end_turn"
    assert streamed.usage.input_tokens == whole.usage.input_tokens
    assert streamed.usage.output_tokens == whole.usage.output_tokens


@pytest.mark.parametrize("streamed", [False, True])
def test_messages_tool_round_trip(claude: anthropic.Anthropic, streamed: bool) -> None:
    def ask(messages: list[Any]) -> Any:
        options: Any = {"model": "demo", "max_tokens": 500, "messages": messages, "tools": [A_TOOL]}
        if not streamed:
            return claude.messages.create(**options)
        with claude.messages.stream(**options) as stream:
            return stream.get_final_message()

    first = ask(ASK)
    assert first.stop_reason == "tool_use" and [b.type for b in first.content] == ["text", "tool_use"]
    assert first.content[1].name == "get_weather" and first.content[1].input == {"city": "Paris"}
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "sunny"}
    reminder = {"type": "text", "text": "<system-reminder>be good</system-reminder>"}
    history = [
        *ASK,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result, reminder]},
    ]
    second = ask(history)
    assert second.stop_reason == "end_turn" and 'The tool answered: "sunny"' in second.content[0].text
    assert 'You wrote: "What is the weather' in second.content[0].text
    third = ask(
        [*history, {"role": "assistant", "content": "sunny"}, {"role": "user", "content": "and Rome?"}]
    )
    assert third.stop_reason == "tool_use" and third.content[1].id != first.content[1].id


def test_messages_tool_choice(claude: anthropic.Anthropic) -> None:
    other = {"name": "other", "input_schema": {"type": "object"}}
    deferred = {"name": "Bash", "input_schema": {}, "defer_loading": True}
    search: Any = {"type": "web_search_20250305", "name": "web_search"}

    def ask(tools: list[Any], **more: Any) -> Any:
        return claude.messages.create(model="demo", max_tokens=500, messages=ASK, tools=tools, **more)

    assert ask([other, A_TOOL]).content[-1].name == "get_weather"
    assert ask([deferred, other]).content[-1].name == "other"
    assert ask([{"type": "bash_20250124", "name": "bash"}]).content[-1].input == {
        "command": "echo hello-from-tool"
    }
    assert ask([A_TOOL, other], tool_choice={"type": "tool", "name": "other"}).content[-1].name == "other"
    assert ask([A_TOOL], tool_choice={"type": "none"}).stop_reason == "end_turn"
    assert ask([search]).stop_reason == "end_turn"
    assert ask([search], tool_choice={"type": "tool", "name": "web_search"}).stop_reason == "end_turn"
    with pytest.raises(anthropic.BadRequestError, match="not found in provided tools"):
        ask([A_TOOL], tool_choice={"type": "tool", "name": "nobody"})


def test_messages_limits(claude: anthropic.Anthropic) -> None:
    cut = claude.messages.create(model="demo", max_tokens=5, messages=ASK)
    assert cut.stop_reason == "max_tokens" and cut.usage.output_tokens == 5 and len(cut.content[0].text) == 20
    stopped = claude.messages.create(
        model="demo", max_tokens=500, messages=ASK, stop_sequences=["zz", " demo"]
    )
    assert stopped.stop_reason == "stop_sequence" and stopped.stop_sequence == " demo"
    assert stopped.content[0].text == "This is the built-in"
    thought_tokens = -(-len(THINKING) // 4)
    both = claude.messages.create(model="demo-think", max_tokens=thought_tokens + 2, messages=ASK)
    assert both.stop_reason == "max_tokens" and both.usage.output_tokens == thought_tokens + 2
    assert both.content[0].thinking == THINKING and both.content[1].text == "This is "
    no_room = claude.messages.create(model="demo", max_tokens=6, messages=ASK, tools=[A_TOOL])
    assert no_room.stop_reason == "max_tokens" and [b.type for b in no_room.content] == ["text"]


def test_messages_structured_and_thinking(claude: anthropic.Anthropic) -> None:
    parsed = claude.messages.parse(model="demo", max_tokens=99, messages=ASK, output_format=Weather)
    assert parsed.parsed_output == Weather(city="Paris", degrees=1)
    with claude.messages.stream(model="demo-think", max_tokens=999, messages=ASK, tools=[A_TOOL]) as stream:
        message = stream.get_final_message()
    assert [b.type for b in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[0].thinking == THINKING and message.content[0].signature
    whole = claude.messages.create(model="demo-think", max_tokens=999, messages=ASK, tools=[A_TOOL])
    assert whole.content[0].thinking == THINKING and whole.content[0].signature


def test_messages_grammar(http: httpx.Client) -> None:
    for more in ({}, {"tools": [A_TOOL]}, {"max_tokens": 3}):
        reply = http.post("/v1/messages", json=body("/v1/messages", "demo-think", stream=True) | more)
        assert reply.headers["content-type"].startswith("text/event-stream")
        found = events(reply.text)
        kinds = [e["type"] for e in found]
        assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
        assert kinds.count("ping") == 1
        inner = [e for e in found[1:-2] if e["type"] != "ping"]
        open_block = None
        following = 0
        for event in inner:
            if event["type"] == "content_block_start":
                assert open_block is None and event["index"] == following
                open_block = event
            elif event["type"] == "content_block_delta":
                assert event["index"] == following
                block = open_block["content_block"]["type"]
                assert (
                    event["delta"]["type"]
                    in {
                        "thinking": ("thinking_delta", "signature_delta"),
                        "text": ("text_delta",),
                        "tool_use": ("input_json_delta",),
                    }[block]
                )
            else:
                assert event["type"] == "content_block_stop" and event["index"] == following
                open_block = None
                following += 1
        assert open_block is None and following > 0


# --- Chat Completions -------------------------------------------------------------------------------------


def test_chat_whole_and_stream(gpt: openai.OpenAI) -> None:
    whole = gpt.chat.completions.create(model="gpt-x", messages=ASK)
    assert whole.model == "gpt-x" and whole.choices[0].finish_reason == "stop"
    text = whole.choices[0].message.content
    assert "OPENAI_API_KEY" in text and whole.usage.completion_tokens == -(-len(text) // 4)
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    with gpt.chat.completions.stream(
        model="gpt-x", messages=ASK, stream_options={"include_usage": True}
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == text and final.usage == whole.usage


@pytest.mark.parametrize("streamed", [False, True])
def test_chat_tool_round_trip(gpt: openai.OpenAI, streamed: bool) -> None:
    def ask(messages: list[Any], **more: Any) -> Any:
        options: Any = {"model": "demo", "messages": messages, "tools": [C_TOOL], **more}
        if not streamed:
            return gpt.chat.completions.create(**options).choices[0]
        with gpt.chat.completions.stream(**options) as stream:
            for _ in stream:
                pass
            return stream.get_final_completion().choices[0]

    first = ask(ASK, tool_choice="required")
    call = first.message.tool_calls[0]
    assert first.finish_reason == "tool_calls" and first.message.content == "Let me use a tool."
    assert call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": "Paris"}
    sent = {"id": call.id, "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    history = [
        *ASK,
        {"role": "assistant", "tool_calls": [sent]},
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    assert ask(history).finish_reason == "stop"
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    assert ask([*history, {"role": "user", "content": [image]}]).finish_reason == "stop"
    assert ask([*history, {"role": "assistant", "content": "a"}, *ASK]).finish_reason == "tool_calls"
    assert ask(ASK, tool_choice="none").finish_reason == "stop"
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert ask(history, tool_choice=named).finish_reason == "tool_calls"


def test_chat_other_outputs(gpt: openai.OpenAI) -> None:
    custom: Any = {"type": "custom", "custom": {"name": "sql"}}
    made = (
        gpt.chat.completions.create(model="demo", messages=ASK, tools=[custom])
        .choices[0]
        .message.tool_calls[0]
    )
    assert made.type == "custom" and made.custom.input == "echo hello-from-tool"
    parsed = gpt.chat.completions.parse(model="demo", messages=ASK, response_format=Weather)
    assert parsed.choices[0].message.parsed == Weather(city="Paris", degrees=1)
    loose = gpt.chat.completions.create(model="demo", messages=ASK, response_format={"type": "json_object"})
    assert json.loads(loose.choices[0].message.content) == {"ok": True}
    cut = gpt.chat.completions.create(model="demo", messages=ASK, max_completion_tokens=5, max_tokens=50)
    assert cut.choices[0].finish_reason == "length" and cut.usage.completion_tokens == 5
    stopped = gpt.chat.completions.create(model="demo", messages=ASK, stop=" demo")
    assert stopped.choices[0].finish_reason == "stop"
    assert stopped.choices[0].message.content == "This is the built-in"
    thought = gpt.chat.completions.create(model="demo-think", messages=ASK)
    assert thought.choices[0].message.reasoning_content == THINKING
    assert thought.usage.completion_tokens_details.reasoning_tokens > 0
    chunks = gpt.chat.completions.create(model="demo-think", messages=ASK, stream=True)
    reasoning = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in chunks]
    assert "".join(filter(None, reasoning)) == THINKING


def test_chat_grammar(http: httpx.Client) -> None:
    for more in ({}, {"tools": [C_TOOL]}, {"stream_options": {"include_usage": True}}):
        reply = http.post(PATHS[1], json=body(PATHS[1], stream=True) | more)
        *chunks, done = events(reply.text)
        assert done == {"done": True} and "event:" not in reply.text
        if "stream_options" in more:
            last = chunks.pop()
            assert last["choices"] == [] and last["usage"]["total_tokens"] > 0
            assert all(chunk["usage"] is None for chunk in chunks)
        else:
            assert not any("usage" in chunk for chunk in chunks)
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert [("role" in chunk["choices"][0]["delta"]) for chunk in chunks].count(True) == 1
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        content = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
        whole = http.post(PATHS[1], json=body(PATHS[1]) | more | {"stream_options": None}).json()
        assert content == whole["choices"][0]["message"]["content"]
        reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
        assert reasons[-1] == ("tool_calls" if "tools" in more else "stop") and set(reasons[:-1]) == {None}
        heads = [
            c for chunk in chunks for c in chunk["choices"][0]["delta"].get("tool_calls", []) if "id" in c
        ]
        assert len(heads) == (1 if "tools" in more else 0)


# --- Responses --------------------------------------------------------------------------------------------


def test_responses_whole_and_stream(gpt: openai.OpenAI) -> None:
    whole = gpt.responses.create(model="gpt-x", input="hi", instructions="brief")
    assert whole.status == "completed" and whole.model == "gpt-x" and 'You wrote: "hi"' in whole.output_text
    assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens > 10
    with gpt.responses.stream(model="gpt-x", input="hi", instructions="brief") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert final.output_text == whole.output_text and final.usage == whole.usage


@pytest.mark.parametrize("streamed", [False, True])
def test_responses_tool_round_trip(gpt: openai.OpenAI, streamed: bool) -> None:
    def ask(items: list[Any], tools: list[Any], **more: Any) -> Any:
        options: Any = {"model": "demo", "input": items, "tools": tools, "store": False, **more}
        if not streamed:
            return gpt.responses.create(**options).output
        with gpt.responses.stream(**options) as stream:
            for _ in stream:
                pass
            return stream.get_final_response().output

    lead, call = ask(ASK, [R_TOOL])
    assert lead.content[0].text == "Let me use a tool."
    assert (call.type, call.name, json.loads(call.arguments)) == (
        "function_call",
        "get_weather",
        {"city": "Paris"},
    )
    history = [
        *ASK,
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": "{}"},
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    answered = ask(history, [R_TOOL])
    assert answered[0].type == "message" and 'The tool answered: "sunny"' in answered[0].content[0].text
    assert ask([*history, {"role": "assistant", "content": "a"}, *ASK], [R_TOOL])[-1].type == "function_call"
    space: Any = {
        "type": "namespace",
        "name": "agents",
        "description": "d",
        "tools": [{"type": "function", "name": "close", "parameters": {"type": "object"}}],
    }
    nested = ask(ASK, [space])[-1]
    assert (nested.type, nested.namespace, nested.name, nested.arguments) == (
        "function_call",
        "agents",
        "close",
        "{}",
    )
    patch: Any = {
        "type": "custom",
        "name": "apply_patch",
        "format": {"type": "grammar", "syntax": "lark", "definition": ""},
    }
    custom = ask(ASK, [R_TOOL, patch], tool_choice={"type": "custom", "name": "apply_patch"})[-1]
    assert custom.type == "custom_tool_call" and custom.input.startswith("*** Begin Patch") and custom.call_id
    assert ask(ASK, [R_TOOL], tool_choice="none")[0].type == "message"
    assert ask(history, [R_TOOL], tool_choice="required")[-1].type == "function_call"


def test_responses_other_outputs(gpt: openai.OpenAI) -> None:
    parsed = gpt.responses.parse(model="demo", input="hi", text_format=Weather)
    assert parsed.output_parsed == Weather(city="Paris", degrees=1)
    cut = gpt.responses.create(model="demo", input="hi", max_output_tokens=5)
    assert cut.status == "incomplete" and cut.incomplete_details.reason == "max_output_tokens"
    thought = gpt.responses.create(model="demo-think", input="hi", include=["reasoning.encrypted_content"])
    assert [item.type for item in thought.output] == ["reasoning", "message"]
    assert thought.output[0].summary[0].text == THINKING and thought.output[0].encrypted_content
    trigger: Any = [*ASK, {"type": "compaction_trigger"}]
    compact = gpt.responses.create(model="demo", input=trigger, tools=[R_TOOL])
    assert [item.type for item in compact.output] == ["compaction"] and compact.output[0].encrypted_content


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"tools": [R_TOOL]},
        {"max_output_tokens": 3},
        {"tools": [{"type": "custom", "name": "sql"}]},
        {"input": [*ASK, {"type": "compaction_trigger"}]},
    ],
    ids=["text", "function", "cut", "custom", "compaction"],
)
def test_responses_grammar(http: httpx.Client, more: dict[str, Any]) -> None:
    reply = http.post(PATHS[2], json=body(PATHS[2], "demo-think", stream=True) | more)
    found = events(reply.text)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"] for event in found[:2]] == ["response.created", "response.in_progress"]
    status = "incomplete" if "max_output_tokens" in more else "completed"
    assert found[-1]["type"] == f"response.{status}" and found[-1]["response"]["status"] == status
    done = []
    for event in found[2:-1]:
        assert event["output_index"] == len(done)
        if event["type"] == "response.output_item.added":
            opened = event["item"]
            assert not opened.get("content") and not opened.get("summary") and not opened.get("arguments")
        elif event["type"] == "response.output_item.done":
            assert {"id": opened["id"], "type": opened["type"]}.items() <= event["item"].items()
            done.append(event["item"])
        else:
            assert event["item_id"] == opened["id"]
    assert done == found[-1]["response"]["output"] and found[-1]["response"]["usage"]["output_tokens"] > 0
    texts = "".join(e["delta"] for e in found if e["type"].endswith(".delta"))
    whole = [
        item.get("arguments") or item.get("input") or (item.get("content") or item.get("summary"))[0]["text"]
        for item in done
        if item["type"] != "compaction"
    ]
    assert texts == "".join(whole)


# --- trouble ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (529, "overloaded_error", "overloaded"),
        (500, "api_error", None),
    ],
)
def test_refusals(
    claude: anthropic.Anthropic, gpt: openai.OpenAI, streamed: bool, status: int, kind: str, code: str | None
) -> None:
    model: Any = f"demo-{status}"
    with pytest.raises(anthropic.APIStatusError) as refused:
        claude.messages.create(model=model, max_tokens=9, messages=ASK, stream=streamed)
    assert refused.value.status_code == status and refused.value.body["error"]["type"] == kind
    assert refused.value.response.headers.get("retry-after") == ("1" if status == 429 else None)
    for call in (
        lambda: gpt.chat.completions.create(model=model, messages=ASK, stream=streamed),
        lambda: gpt.responses.create(model=model, input="hi", stream=streamed),
    ):
        with pytest.raises(openai.APIStatusError) as answer:
            call()
        assert answer.value.status_code == status and answer.value.body["code"] == code
        assert answer.value.response.headers.get("retry-after") == ("1" if status == 429 else None)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("streamed", [False, True])
def test_cut_is_a_reset_after_some_text(running: Running, path: str, streamed: bool) -> None:
    payload = json.dumps(body(path, "demo-cut", stream=streamed)).encode()
    with socket.create_connection(running.url.removeprefix("http://").split(":"), timeout=10) as sock:
        sock.sendall(
            b"POST %s HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (path.encode(), TOKEN.encode(), len(payload), payload)
        )
        got = b""
        with pytest.raises(ConnectionResetError):
            while chunk := sock.recv(65536):
                got += chunk
    assert got.startswith(b"HTTP/1.1 200") and b"This is the " in got
    assert b"message_stop" not in got and b"response.completed" not in got and b"[DONE]" not in got


def test_cut_and_error_as_the_sdks_see_them(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    seen: list[str] = []
    with pytest.raises(Exception, match=r"(?i)peer|read|reset|closed|connection"):
        with claude.messages.stream(model="demo-cut", max_tokens=99, messages=ASK) as stream:
            seen.extend(stream.text_stream)
    assert "".join(seen).startswith("This is the built-in demo")
    seen.clear()
    with pytest.raises(anthropic.APIStatusError, match="Overloaded") as broken:
        with claude.messages.stream(model="demo-error", max_tokens=99, messages=ASK) as stream:
            seen.extend(stream.text_stream)
    assert broken.value.body["error"]["type"] == "overloaded_error" and "".join(seen).startswith(
        "This is the"
    )
    with pytest.raises(openai.APIError, match="demo-error"):
        list(gpt.chat.completions.create(model="demo-error", messages=ASK, stream=True))
    *_, last = gpt.responses.create(model="demo-error", input="hi", stream=True)
    assert last.type == "response.failed" and last.response.error.code == "server_error"
    for call in (
        lambda: gpt.chat.completions.create(model="demo-error", messages=ASK),
        lambda: gpt.responses.create(model="demo-error", input="hi"),
    ):
        with pytest.raises(openai.InternalServerError):
            call()
    with pytest.raises(anthropic.InternalServerError):
        claude.messages.create(model="demo-error", max_tokens=9, messages=ASK)


@pytest.mark.parametrize("path", PATHS)
def test_short_answers_break_too(http: httpx.Client, path: str) -> None:
    tool = {PATHS[0]: A_TOOL, PATHS[1]: C_TOOL, PATHS[2]: R_TOOL}[path]
    choice: Any = {"type": "any"} if path == PATHS[0] else "required"
    reply = http.post(path, json=body(path, "demo-error", stream=True, tools=[tool], tool_choice=choice))
    assert "error" in events(reply.text)[-1] or events(reply.text)[-1]["response"]["status"] == "failed"


def test_long(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    with claude.messages.stream(model="demo-long", max_tokens=32_000, messages=ASK) as stream:
        texts = list(stream.text_stream)
    assert texts == [f"{n:04d} " for n in range(LONG_EVENTS)]
    chunks = gpt.chat.completions.create(model="demo-long", messages=ASK, stream=True)
    assert sum(1 for chunk in chunks if chunk.choices[0].delta.content) == LONG_EVENTS
    deltas = gpt.responses.create(model="demo-long", input="hi", stream=True)
    assert sum(event.type == "response.output_text.delta" for event in deltas) == LONG_EVENTS


@pytest.mark.parametrize("path", PATHS)
def test_slow(http: httpx.Client, path: str) -> None:
    begin = time.monotonic()
    with http.stream("POST", path, json=body(path, "demo-slow", stream=True)) as reply:
        first_s = time.monotonic() - begin
        text = reply.read().decode()
    assert first_s >= 0.3
    paced = text.count("data: ") - 5  # at most five frames come with the first delta
    assert paced > 10 and time.monotonic() - begin - first_s >= 0.01 * paced * 0.9
    begin = time.monotonic()
    assert http.post(path, json=body(path, "demo-slow")).status_code == 200
    assert time.monotonic() - begin >= 0.3


# --- the door, the lists, the ends ------------------------------------------------------------------------


def test_key_is_asked_for(running: Running) -> None:
    with httpx.Client(base_url=running.url) as stranger:
        for headers in (
            {},
            {"x-api-key": "other"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "Bearer", "x-api-key": ""},
        ):
            for path in (*PATHS, "/v1/messages/count_tokens"):
                assert stranger.post(path, json=body(path), headers=headers).status_code == 401
            assert stranger.get("/v1/models", headers=headers).status_code == 401
        assert stranger.post(PATHS[0], json={}).json()["error"]["type"] == "authentication_error"
        assert stranger.post(PATHS[1], json={}).json()["error"]["code"] == "invalid_api_key"
        assert stranger.get("/v1/models", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    with pytest.raises(ValueError, match="token"):
        Demo("")


def test_strangers_hold_nothing(running: Running) -> None:
    """Neither their bodies nor their connections: each is answered at its head, and the latest few stay."""
    port = int(running.url.rpartition(":")[2])
    head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 5) as stranger:
        stranger.sendall(head)
        assert stranger.recv(100).startswith(b"HTTP/1.1 401")  # no byte of the body was sent
    many = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(3 * MAX_STRANGERS)]
    for first in many[:MAX_STRANGERS]:
        first.settimeout(5)
        assert first.recv(1) == b""
    with httpx.Client(base_url=running.url, headers={"Authorization": f"Bearer {TOKEN}"}) as own:
        assert own.get("/v1/models").status_code == 200
    for each in many:
        each.close()


def test_models(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    assert tuple(model.id for model in claude.models.list(limit=3)) == MODELS
    assert (
        claude.models.retrieve("demo-slow").type == "model"
        and claude.models.retrieve("demo").display_name == "Demo"
    )
    assert tuple(model.id for model in gpt.models.list()) == MODELS
    assert gpt.models.retrieve("demo-cut").object == "model"
    with pytest.raises(openai.NotFoundError, match="demo-think"):
        gpt.models.retrieve("nobody")
    with pytest.raises(anthropic.NotFoundError, match="demo-think"):
        claude.models.retrieve("nobody")


@pytest.mark.parametrize("path", [*PATHS, "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        b"",
        b"{}",
        b'{"model":"demo"}',
        b'{"messages":[],"input":[],"max_tokens":9}',
        b'{"model":"","messages":[{"role":"user","content":"x"}],"input":"x","max_tokens":9}',
        b'{"model":"demo","messages":[],"input":[],"max_tokens":9}',
        b'{"model":"demo","messages":"x","input":7,"max_tokens":9}',
        b'{"model":"demo","messages":["x"],"input":["x"],"max_tokens":9}',
        b'{"model":"demo","messages":[{"role":"user","content":"x"}],"input":"x","max_tokens":0,"max_output_tokens":0}',
    ],
)
def test_bad_requests(http: httpx.Client, path: str, payload: bytes) -> None:
    reply = http.post(path, content=payload)
    assert reply.status_code == 400 and reply.headers["content-type"] == "application/json"
    error = reply.json()["error"]
    assert error["type"] == "invalid_request_error" and error["message"]
    assert (reply.json().get("type") == "error") == path.startswith("/v1/messages")
    assert ("code" in error) != path.startswith("/v1/messages")


def test_max_tokens_is_required_for_messages(http: httpx.Client) -> None:
    refused = http.post(PATHS[0], json={"model": "demo", "messages": ASK})
    assert refused.status_code == 400 and "max_tokens" in refused.json()["error"]["message"]


@pytest.mark.parametrize("path", PATHS)
def test_odd_bodies_are_answered(http: httpx.Client, path: str) -> None:
    """Fields of the wrong type are not the demo's to judge, but never a 500 either."""
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    odd = {
        "tools": [7, {}, {"name": None}, {"type": "function", "function": 1}],
        "tool_choice": 7,
        "stop": 7,
        "stop_sequences": [7, ""],
        "response_format": [],
        "output_config": 3,
        "text": "x",
        "metadata": deep,
        "system": 7,
        "reasoning": [],
        "include": 3,
        "stream_options": 9,
        "stream": "yes",
    }
    contents = [None, 7, [], [7, {"type": "text"}, {"type": "tool_result", "content": 7}], "\ud83d lone"]
    for content in contents:
        messages = [
            {"role": "user", "content": content},
            {"role": "assistant", "content": content, "tool_calls": [1]},
            {"role": "user", "content": content},
        ]
        reply = http.post(
            path,
            content=json.dumps(
                {"model": "demo", "max_tokens": 99, "messages": messages, "input": messages, **odd}
            ),
        )
        assert reply.status_code == 200, reply.text


def test_unknown_paths_and_methods(http: httpx.Client) -> None:
    assert http.get("/v1/nothing").status_code == 404
    assert http.get("/v1/nothing", headers={"anthropic-version": "2023-06-01"}).json()["type"] == "error"
    assert http.get(PATHS[0]).status_code == 405 and http.get(PATHS[0]).json()["type"] == "error"
    assert http.get(PATHS[1]).json()["error"]["code"] == "method_not_supported"


@pytest.mark.parametrize("path", PATHS)
def test_same_request_same_bytes(http: httpx.Client, path: str) -> None:
    for more in ({}, {"stream": True}):
        first, second = (http.post(path, json=body(path, "demo-think", **more)) for _ in range(2))
        assert first.content == second.content and len(first.content) > 300


def test_a_client_that_leaves_ends_the_stream(running: Running) -> None:
    with Running(slow_first_byte_s=60, slow_event_s=60) as patient:
        for model, reads in (("demo-slow", 0), ("demo-long", 1)):
            payload = json.dumps(body(PATHS[0], model, stream=True)).encode()
            sock = socket.create_connection(patient.url.removeprefix("http://").split(":"), timeout=10)
            sock.sendall(
                b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: %d\r\n\r\n%s"
                % (TOKEN.encode(), len(payload), payload)
            )
            until(lambda: len(patient.demo.running) == 1)
            if reads:
                assert sock.recv(100)
            sock.close()
            until(lambda: not patient.demo.running)


def test_a_slow_reader_slows_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    frames = demo_messages.Stream.frames

    def counted(self: demo_messages.Stream) -> Iterator[tuple[bool, bytes]]:
        nonlocal made
        for frame in frames(self):
            made += 1
            yield frame

    monkeypatch.setattr(demo_messages.Stream, "frames", counted)
    total = 200_000  # about 24 MB on the wire, far more than the sockets of both ends hold
    with Running(long_events=total) as server, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = server.url.removeprefix("http://").split(":")
        sock.connect((host, int(port)))
        payload = json.dumps(body(PATHS[0], "demo-long", stream=True, max_tokens=1_000_000)).encode()
        sock.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (TOKEN.encode(), len(payload), payload)
        )
        seen = -1
        while made == 0 or seen != made:  # until it stands still
            seen = made
            threading.Event().wait(0.2)
        assert made < total / 2
        sock.recv(1)
    assert not server.demo.running


def test_stop_hangs_up_on_what_is_running() -> None:
    async def run() -> None:
        demo = Demo(TOKEN, slow_first_byte_s=60)
        url = demo.start()
        assert demo.start() == url and url in repr(demo)
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        payload = json.dumps(body(PATHS[1], "demo-slow")).encode()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (TOKEN.encode(), len(payload), payload)
        )
        await soon(lambda: demo.running)
        await asyncio.wait_for(demo.stop(), 5)
        assert not demo.running and await reader.read() == b""
        writer.close()
        with pytest.raises(OSError):
            await asyncio.open_connection(host, int(port))
        await demo.stop()

    asyncio.run(run())


# --- what it says, without sockets ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 4}, 4),
        ({"enum": ["b", "c"]}, "b"),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "null"}, None),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        ({"type": "number", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "string", "minLength": 3}, "xxx"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        (
            {
                "type": "object",
                "required": ["cmd", "location"],
                "properties": {"cmd": {"type": "string"}, "location": {}, "not": {"type": "string"}},
            },
            {"cmd": "echo hello-from-tool", "location": "Paris"},
        ),
        (
            {"type": "object", "required": ["command"], "properties": {"command": {"type": "array"}}},
            {"command": ["bash", "-lc", "echo hello-from-tool"]},
        ),
        (
            {
                "$ref": "#/$defs/A",
                "$defs": {
                    "A": {"type": "object", "required": ["b"], "properties": {"b": {"$ref": "#/$defs/B"}}},
                    "B": {"enum": [7]},
                },
            },
            {"b": 7},
        ),
        ({"$ref": "#/$defs/none"}, "x"),
        (True, "x"),
        ({"type": "object", "properties": 7, "required": 8}, {}),
    ],
)
def test_sample(schema: Any, value: Any) -> None:
    assert sample(schema) == value


def test_sample_of_an_endless_schema_ends() -> None:
    tree: Any = {
        "type": "object",
        "required": ["children"],
        "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
    }
    assert len(json.dumps(sample(tree))) < 1_000
    assert sample({"$ref": "#"}) == "x"


def test_progress_of_a_turn() -> None:
    user, result = Turn("user", "u"), Turn("result", "r")
    call, said = Turn("assistant", calls=("a",)), Turn("assistant")
    assert progress((user,)) == (False, set())
    assert progress((user, call, result)) == (True, {"a"})
    assert progress((user, call, result, user)) == (True, {"a"})
    assert progress((user, call, result, said)) == (True, {"a"})
    assert progress((user, call, result, said, user)) == (False, set())


def test_insisting_on_tools_comes_to_an_end() -> None:
    tools = [{"name": n, "input_schema": {"type": "object"}} for n in ("get_weather", "final")]
    used = {"type": "tool_use", "id": "t", "name": "get_weather", "input": {}}
    back = {"type": "tool_result", "tool_use_id": "t", "content": "sunny"}
    history = [*ASK, {"role": "assistant", "content": [used]}, {"role": "user", "content": [back]}]
    request = body(PATHS[0], messages=history, tools=tools, tool_choice={"type": "any"})
    said = answer(demo_messages.read(request, "k"))
    assert said.call is not None and said.call.name == "final"
    compact = body(
        PATHS[0], messages=[{"role": "user", "content": "Summarize. Do NOT call any tools."}], tools=tools
    )
    assert answer(demo_messages.read(compact, "k")).call is None
    with pytest.raises(BadRequest):
        demo_messages.read({"model": "demo", "max_tokens": True, "messages": ASK}, "k")


def test_the_text_fits_in_64_tokens() -> None:
    wordy = [{"role": "user", "content": "why " * 200}]
    back = {"type": "tool_result", "tool_use_id": "t", "content": "sunny " * 200}
    request = body(PATHS[0], messages=[*wordy, {"role": "user", "content": [back]}])
    said = answer(demo_messages.read(request, "k"))
    assert "The tool answered" in said.text and 'why w..."' in said.text and said.output_tokens <= 64
