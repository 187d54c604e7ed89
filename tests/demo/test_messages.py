"""The demo upstream speaks Messages, as the official SDK reads it."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2 as httpx
import pytest

from demo.answer import THINKING
from tests.demo.running import A_TOOL, ASK, Weather, body, events


def test_messages_whole(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(model="claude-x", max_tokens=999, messages=ASK, system="be brief")
    assert message.model == "claude-x" and message.stop_reason == "end_turn" and message.role == "assistant"
    assert "built-in demo upstream" in message.content[0].text and "ANTHROPIC_API_KEY" in message.content[0].text
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
    third = ask([*history, {"role": "assistant", "content": "sunny"}, {"role": "user", "content": "and Rome?"}])
    assert third.stop_reason == "tool_use" and third.content[1].id != first.content[1].id


def test_messages_tool_choice(claude: anthropic.Anthropic) -> None:
    other = {"name": "other", "input_schema": {"type": "object"}}
    deferred = {"name": "Bash", "input_schema": {}, "defer_loading": True}
    search: Any = {"type": "web_search_20250305", "name": "web_search"}

    def ask(tools: list[Any], **more: Any) -> Any:
        return claude.messages.create(model="demo", max_tokens=500, messages=ASK, tools=tools, **more)

    assert ask([other, A_TOOL]).content[-1].name == "get_weather"
    assert ask([deferred, other]).content[-1].name == "other"
    assert ask([{"type": "bash_20250124", "name": "bash"}]).content[-1].input == {"command": "echo hello-from-tool"}
    assert ask([A_TOOL, other], tool_choice={"type": "tool", "name": "other"}).content[-1].name == "other"
    assert ask([A_TOOL], tool_choice={"type": "none"}).stop_reason == "end_turn"
    assert ask([search]).stop_reason == "end_turn"
    assert ask([search], tool_choice={"type": "tool", "name": "web_search"}).stop_reason == "end_turn"
    with pytest.raises(anthropic.BadRequestError, match="not found in provided tools"):
        ask([A_TOOL], tool_choice={"type": "tool", "name": "nobody"})


def test_messages_limits(claude: anthropic.Anthropic) -> None:
    cut = claude.messages.create(model="demo", max_tokens=5, messages=ASK)
    assert cut.stop_reason == "max_tokens" and cut.usage.output_tokens == 5 and len(cut.content[0].text) == 20
    stopped = claude.messages.create(model="demo", max_tokens=500, messages=ASK, stop_sequences=["zz", " demo"])
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
