"""The demo upstream speaks Responses, as the official SDK reads it."""

from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx
import openai
import pytest

from demo.answer import THINKING
from tests.demo.running import ASK, PATHS, R_TOOL, Weather, body, events


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
