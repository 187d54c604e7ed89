"""A conversation of another protocol, made into a request that Anthropic accepts: its turns."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.messages.written import CACHE, HOUR, NEW, OLD, assistant, messages, system, text, user, write
from translate.conversation import (
    Image,
    OutputFormat,
    Reasoning,
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
from translate.messages.decode_request import decode, encode
from translate.target import Target
from translate.tools.pairing import LOST_RESULT


def test_the_least_request() -> None:
    assert write(model="claude-sonnet-5").body == {
        "model": "claude-sonnet-5",
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [text("Hi")]}],
    }


USER, ANSWER = user(Text("Hi")), assistant(Text("Hello"))
HELLO = {"role": "assistant", "content": [text("Hello")]}
HI = {"role": "user", "content": [text("Hi")]}
GET, GOT = ToolCall("t1", "get", '{"a":1}'), ToolResult("t1", [Text("done")])
CALL = {"type": "tool_use", "id": "t1", "name": "get", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "done"}

TURNS: dict[str, tuple[list[Turn], list[dict[str, Any]]]] = {
    "consecutive turns merge": (
        [USER, user(Text("you")), ANSWER, assistant(Text("!"))],
        [
            {"role": "user", "content": [text("Hi"), text("you")]},
            {"role": "assistant", "content": [text("Hello"), text("!")]},
        ],
    ),
    "user comes first": (
        [ANSWER, USER],
        [{"role": "user", "content": [text("(conversation continues)")]}, HELLO, HI],
    ),
    "nothing is left of a turn": ([USER, assistant(Text(" \n"), Thinking("Hm")), user(Text(""))], [HI]),
    "thinking cannot come last": (
        [USER, assistant(Thinking("Hm", "sig")), assistant(Text("Hello"), Thinking("Hm", "sig")), USER],
        [HI, HELLO, HI],
    ),
    "white space after a prefill": (
        [USER, assistant(Text("{ "), Text("[ \n"))],
        [HI, {"role": "assistant", "content": [text("{ "), text("[")]}],
    ),
    "an instruction in mid-conversation": (
        [USER, system("Be brief."), ANSWER, USER],
        [
            {
                "role": "user",
                "content": [text("Hi"), text("<system-reminder>\nBe brief.\n</system-reminder>")],
            },
            HELLO,
            HI,
        ],
    ),
    "tool results come first": (
        [USER, assistant(GET), system("Be brief."), user(Text("and")), user(Image(url="https://i"), GOT)],
        [
            HI,
            {"role": "assistant", "content": [CALL]},
            {
                "role": "user",
                "content": [
                    RESULT,
                    text("<system-reminder>\nBe brief.\n</system-reminder>"),
                    text("and"),
                    {"type": "image", "source": {"type": "url", "url": "https://i"}},
                ],
            },
        ],
    ),
    "a call without a result gets one": (
        [USER, assistant(GET), USER],
        [
            HI,
            {"role": "assistant", "content": [CALL]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": LOST_RESULT, "is_error": True},
                    text("Hi"),
                ],
            },
        ],
    ),
    "a result without a call becomes text": (
        [USER, ANSWER, user(GOT)],
        [
            HI,
            HELLO,
            {"role": "user", "content": [text("[result of an earlier tool call t1]"), text("done")]},
        ],
    ),
    "ids that come again": (
        [USER, assistant(GET), user(GOT), assistant(GET), user(GOT)],
        [
            HI,
            {"role": "assistant", "content": [CALL]},
            {"role": "user", "content": [RESULT]},
            {"role": "assistant", "content": [CALL | {"id": "t1_2"}]},
            {"role": "user", "content": [RESULT | {"tool_use_id": "t1_2"}]},
        ],
    ),
    "a cache mark on a message": (
        [Turn("user", [Text("a"), Text("b")], {"cache": CACHE})],
        [{"role": "user", "content": [text("a"), text("b", **CACHE)]}],
    ),
    "a cache mark on a block that is not ours": (
        [Turn("user", [Unknown("messages", {"type": "container_upload", "file_id": "f"})], {"cache": CACHE})],
        [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"} | CACHE]}],
    ),
    "a cache mark of a part wins": (
        [Turn("user", [Text("a", {"cache": HOUR})], {"cache": CACHE})],
        [{"role": "user", "content": [text("a", **HOUR)]}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TURNS)
def test_turns_become_messages(name: str) -> None:
    turns, expected = TURNS[name]
    assert messages(*turns, model=OLD) == expected


ASKED_ON = {"role": "user", "content": [text("Go on exactly where your answer above ends, and repeat nothing of it.")]}
BEGUN = {"role": "assistant", "content": [text("{ ")]}
SEARCH = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}


@pytest.mark.parametrize("model", [NEW, "claude-opus-4-6", "us.anthropic.claude-sonnet-4-6-v1:0", "claude-fable-5"])
def test_newer_models_are_asked_for_the_rest_of_an_answer_that_has_begun(model: str) -> None:
    """They answer 400 to a conversation that ends with a message of the model's."""
    assert messages(USER, assistant(Text("{ ")), model=model) == [HI, BEGUN, ASKED_ON]
    paused = [USER, assistant(Text("I search."), Unknown("messages", SEARCH))]
    assert messages(*paused, model=model)[-1]["role"] == "assistant"


@pytest.mark.parametrize("model", [OLD, "claude-haiku-4-5", "claude-3-7-sonnet-latest", "glm-4.7", "deepseek-chat"])
def test_other_models_go_on_with_it_themselves(model: str) -> None:
    assert messages(USER, assistant(Text("{ ")), model=model) == [HI, {"role": "assistant", "content": [text("{")]}]


def test_nothing_left_at_all() -> None:
    with pytest.raises(BadRequest, match="at least one message"):
        write(user(Text("  ")), assistant(Thinking("Hm")))


def test_odd_ids_are_cleaned_alike() -> None:
    call, result = ToolCall("functions.get:0", "get", ""), ToolResult("functions.get:0", [])
    _, asked, answered = messages(USER, assistant(call), user(result))
    assert asked["content"][0]["id"] == answered["content"][0]["tool_use_id"]
    assert asked["content"][0]["input"] == {}
    assert answered["content"][0].keys() == {"type", "tool_use_id"}


def test_names_are_cleaned_everywhere() -> None:
    name = "server.tool/" + "x" * 70
    out = write(
        *[USER, assistant(ToolCall("t1", name)), user(GOT)],
        tools=[Tool(name, schema={"type": "object"})],
        tool_choice=ToolChoice("tool", name),
        model="claude-opus-5",
    )
    (sent,) = out.tool_names
    assert len(sent) == 64 and out.tool_names == {sent: name}
    body: Any = out.body
    assert body["tools"][0]["name"] == body["tool_choice"]["name"] == sent
    assert body["messages"][1]["content"][0]["name"] == sent


def test_system_text_is_written() -> None:
    assert write(system=[Text("Be brief.")]).body["system"] == "Be brief."
    assert write(system=[Text("a"), Text("b")]).body["system"] == [text("a"), text("b")]
    assert write(system=[Text("a", {"messages": CACHE})]).body["system"] == [text("a", **CACHE)]
    assert "system" not in write(system=[Text("")]).body


def test_structured_output() -> None:
    schema = {"type": "object", "properties": {}}
    out = write(output=OutputFormat("json_schema", schema, "person", strict=True))
    assert out.body["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert out.dropped == []
    out = write(output=OutputFormat("json_schema"), reasoning=Reasoning(effort="high"))
    assert out.body["output_config"] == {
        "effort": "high",
        "format": {"type": "json_schema", "schema": {"type": "object"}},
    }
    out = write(output=OutputFormat("json_object"), system=[Text("Be brief.")])
    assert [block["text"][:12] for block in out.body["system"]] == ["Be brief.", "Answer with "]  # type: ignore[index,attr-defined]
    assert out.dropped == ["response_format"] and "output_config" not in out.body


def test_own_fields_go_back() -> None:
    body = {
        "model": "m",
        "max_tokens": 5,
        "system": [text("a"), text("b", **CACHE)],
        "messages": [
            {"role": "assistant", "content": [text("first ", citations=[1])]},
            {"role": "system", "content": [text("now")], "output_config": {"effort": "low"}},
            {"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]},
            {"role": "user", "content": [{"type": "thinking", "thinking": "x", "signature": ""}]},
            {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]},
        ],
        "temperature": 1.5,
        "top_p": 0.5,
        "top_k": 2,
        "stop_sequences": [" "],
        "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted", "block_binding": {}},
        "output_config": {"effort": "max", "task_budget": 1, "format": {"type": "json_schema", "schema": {}}},
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "tools": [{"name": "a", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}],
        "metadata": {"user_id": "u", "team": "t"},
        "service_tier": "standard_only",
        "container": "c",
        "stream": True,
    }
    again = encode(decode(body), Target("m"))
    assert again.body == body
    assert again.dropped == []
