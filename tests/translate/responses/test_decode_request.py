"""A Responses client's request in the neutral form: what each field and item becomes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from translate import pair
from translate.conversation import (
    Audio,
    Conversation,
    Document,
    Image,
    OutputFormat,
    Reasoning,
    Refusal,
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
from translate.reasoning import sealed_reasoning
from translate.responses.decode_request import decode
from translate.target import Target

PNG = "data:image/png;base64,AAAA"
PDF = "data:application/pdf;base64,BBBB"
TXT = "data:text/plain;base64,aGk="
CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "a", "output": "done"}


def ask(*items: Any, **fields: Any) -> Conversation:
    return decode({"model": "m", "input": list(items) or "hi", **fields})


def words(turns: list[Turn]) -> list[tuple[str, list[str]]]:
    """Roles, and the types of their parts; texts as themselves."""
    return [(t.role, [p.text if isinstance(p, Text) else type(p).__name__ for p in t.parts]) for t in turns]


def test_a_string_is_what_the_user_says() -> None:
    asked = ask(instructions="Be brief.")
    assert words(asked.turns) == [("user", ["hi"])]
    assert [part.text for part in asked.system if isinstance(part, Text)] == ["Be brief."]
    assert asked.ext["responses"] == {}


def test_messages_easy_and_whole() -> None:
    asked = ask(
        {"role": "developer", "content": "one"},
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "two"}]},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "ho"}, {"type": "refusal", "refusal": "no"}]},
        {"role": "developer", "content": "three"},
        {"role": "user", "content": ""},
    )
    assert [part.text for part in asked.system if isinstance(part, Text)] == ["one", "two"]
    assert words(asked.turns) == [
        ("user", ["hi"]),
        ("assistant", ["ho", "Refusal"]),
        ("system", ["three"]),
        ("user", []),
    ]
    assert isinstance(asked.turns[1].parts[1], Refusal)


def test_what_the_model_wrote_in_one_go_is_one_turn() -> None:
    asked = ask(
        {"role": "user", "content": "x"},
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "so"}]},
        {"type": "message", "role": "assistant", "phase": "commentary", "id": "msg", "content": "wait"},
        CALL,
        {**CALL, "call_id": "b", "namespace": "ns"},
        OUTPUT,
        {
            **OUTPUT,
            "call_id": "b",
            "output": [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": PNG}],
        },
        {"role": "user", "content": "and?"},
        {"role": "assistant", "content": "so"},
    )
    assert words(asked.turns) == [
        ("user", ["x"]),
        ("assistant", ["Thinking", "wait", "ToolCall", "ToolCall"]),
        ("user", ["ToolResult", "ToolResult"]),
        ("user", ["and?"]),
        ("assistant", ["so"]),
    ]
    thought, said, call, spaced = asked.turns[1].parts
    assert isinstance(thought, Thinking) and thought.text == "so"
    assert said.ext["responses"] == {"phase": "commentary", "id": "msg"}
    assert call == ToolCall("a", "f", "{}")
    assert spaced == ToolCall("b", "f", "{}", namespace="ns")
    result = asked.turns[2].parts[1]
    assert isinstance(result, ToolResult)
    assert [type(part) for part in result.parts] == [Text, Image]


def test_custom_calls_are_free_text() -> None:
    item = {
        "type": "custom_tool_call",
        "call_id": "a",
        "name": "patch",
        "input": "*** x",
        "id": "ctc",
        "status": "completed",
    }
    turns = ask(item, {"type": "custom_tool_call_output", "call_id": "a", "output": "ok"}).turns
    assert turns[0].parts == [
        ToolCall("a", "patch", "*** x", {"responses": {"id": "ctc", "status": "completed"}}, custom=True)
    ]
    assert isinstance(result := turns[1].parts[0], ToolResult) and result.parts == [Text("ok")]


def test_reasoning_keeps_its_proof() -> None:
    both = {"type": "reasoning", "id": "rs", "summary": [{"text": "a"}, {"text": "b"}], "encrypted_content": "E"}
    own = {
        "type": "reasoning",
        "id": "rs",
        "summary": [{"text": "short"}],
        "content": [{"type": "reasoning_text", "text": "long"}],
    }
    ours = {
        "type": "reasoning",
        "summary": [{"text": "so"}],
        "encrypted_content": sealed_reasoning.of_thinking(Thinking("so", "SIG"), ""),
    }
    first, second, third = ask(both, own, ours).turns[0].parts
    assert isinstance(first, Thinking) and first.text == "a\n\nb"
    assert sealed_reasoning.item_in(first.signature) == {"id": "rs", "encrypted_content": "E"}
    assert isinstance(second, Thinking) and (second.text, second.signature) == ("long", "")
    assert isinstance(third, Thinking) and (third.text, third.signature) == ("so", "SIG")


CONTENT: list[tuple[dict[str, Any], Any]] = [
    (
        {"type": "input_image", "image_url": PNG, "detail": "low"},
        Image(data="AAAA", media_type="image/png", detail="low"),
    ),
    ({"type": "input_image", "image_url": "https://x/y.png"}, Image(url="https://x/y.png")),
    ({"type": "input_image", "file_id": "file-1"}, Image(file_id="file-1")),
    (
        {"type": "input_file", "filename": "a.pdf", "file_data": PDF},
        Document(data="BBBB", media_type="application/pdf", title="a.pdf"),
    ),
    ({"type": "input_file", "filename": "a.txt", "file_data": TXT}, Document(text="hi", title="a.txt")),
    ({"type": "input_file", "filename": "a.md", "file_data": "aGk="}, Document(text="hi", title="a.md")),
    ({"type": "input_file", "file_url": "https://x/y.pdf"}, Document(url="https://x/y.pdf")),
    ({"type": "input_file", "file_id": "file-2"}, Document(file_id="file-2")),
    ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, Audio("AAAA", "wav")),
    ({"type": "input_audio", "audio": "A"}, Unknown("responses", {"type": "input_audio", "audio": "A"})),
    ({"type": "input_video"}, Unknown("responses", {"type": "input_video"})),
]


@pytest.mark.parametrize(("raw", "part"), CONTENT)
def test_a_content_part_is_read(raw: dict[str, Any], part: Any) -> None:
    [found] = ask({"role": "user", "content": [raw]}).turns[0].parts
    found.ext = {}
    assert found == part


def test_items_without_a_word_here_are_kept_whole() -> None:
    search = {"type": "web_search_call", "id": "ws"}
    shell = {"type": "shell_call_output", "call_id": "x", "output": []}
    turns = ask(search, shell).turns
    assert [(t.role, t.parts) for t in turns] == [
        ("assistant", [Unknown("responses", search)]),
        ("user", [Unknown("responses", shell)]),
    ]


# ------------------------------------------------------------------------------------------------------ tools

TOOLS: list[tuple[dict[str, Any], list[Tool]]] = [
    (
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
        [Tool("f", "d", {"type": "object"}, True)],
    ),
    (
        {"type": "function", "name": "f", "description": None, "parameters": None, "async": True},
        [Tool("f", ext={"responses": {"async": True}})],
    ),
    ({"type": "custom", "name": "c", "format": {"type": "text"}}, [Tool("c", kind="custom", raw={"type": "text"})]),
    ({"type": "custom", "name": "c"}, [Tool("c", kind="custom")]),
    (
        {
            "type": "namespace",
            "name": "ns",
            "description": "about",
            "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}],
        },
        [
            Tool("f", namespace="ns", about_namespace="about"),
            Tool("c", kind="custom", namespace="ns"),
        ],
    ),
    ({"type": "namespace", "name": "ns", "tools": []}, []),
    (
        {"type": "web_search", "x": 1},
        [Tool("web_search", kind="server", protocol="responses", raw={"type": "web_search", "x": 1})],
    ),
]


@pytest.mark.parametrize(("raw", "tools"), TOOLS)
def test_a_tool_is_read(raw: dict[str, Any], tools: list[Tool]) -> None:
    assert ask(tools=[raw]).tools == tools


LATER = {"type": "function", "name": "later", "defer_loading": True}


def deferred(*items: Any, tool: Any = LATER) -> list[tuple[str, bool]]:
    return [(t.name, t.deferred) for t in ask({"role": "user", "content": "x"}, *items, tools=[tool]).tools]


def test_deferred_tools_wait_until_they_are_shown() -> None:
    found = {"type": "tool_search_output", "call_id": "s", "tools": [LATER]}
    assert deferred() == [("later", True)]
    assert deferred(found) == [("later", False)]
    assert deferred({**CALL, "name": "later"}, OUTPUT) == [("later", False)]
    spaced = {"type": "namespace", "name": "ns", "tools": [LATER]}
    assert deferred({**CALL, "name": "later"}, tool=spaced) == [("later", True)]
    assert deferred({**CALL, "name": "later", "namespace": "ns"}, tool=spaced) == [("later", False)]


def test_tools_that_come_with_the_history_are_offered_too() -> None:
    more = {
        "type": "additional_tools",
        "role": "developer",
        "tools": [{"type": "function", "name": "new"}, {"type": "mcp"}],
    }
    asked = ask({"role": "user", "content": "x"}, more, tools=[{"type": "function", "name": "old"}])
    assert [tool.name for tool in asked.tools] == ["old", "new", "mcp"]
    assert asked.turns[1] == Turn("system", [Unknown("responses", more, parts=[Text("Tools now available: new.")])])


def test_tools_of_a_namespace_are_shown_under_the_names_that_the_model_calls() -> None:
    space = {"type": "namespace", "name": "mcp__x", "tools": [{"type": "function", "name": "add"}]}
    shown = {"type": "additional_tools", "role": "developer", "tools": [space]}
    body: Any = {"model": "m", "input": [{"role": "user", "content": "x"}, shown]}
    sent = pair.request("responses", "chat", body, Target("up")).body
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["mcp__x__add"]  # type: ignore[attr-defined]
    assert "Tools now available: mcp__x__add." in str(sent["messages"])


CHOICES: list[tuple[Any, ToolChoice | None]] = [
    (None, None),
    ("auto", ToolChoice("auto")),
    ("required", ToolChoice("any")),
    ("none", ToolChoice("none")),
    ({"type": "function", "name": "f"}, ToolChoice("tool", "f")),
    ({"type": "function", "name": "f", "namespace": "ns"}, ToolChoice("tool", "f", "ns")),
    ({"type": "custom", "name": "c"}, ToolChoice("tool", "c")),
    ({"type": "web_search_preview"}, ToolChoice("tool", "web_search_preview")),
    ({"type": "allowed_tools", "mode": "required", "tools": []}, ToolChoice("any")),
    ({"type": "allowed_tools", "mode": "auto", "tools": None}, ToolChoice("auto")),
]


@pytest.mark.parametrize(("raw", "choice"), CHOICES)
def test_tool_choice(raw: Any, choice: ToolChoice | None) -> None:
    assert ask(tool_choice=raw).tool_choice == choice


def test_allowed_tools_leave_the_others_out() -> None:
    tools = [
        {"type": "function", "name": "a"},
        {"type": "function", "name": "b"},
        {"type": "web_search"},
        {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "c"}]},
    ]
    only = [{"type": "function", "name": "b"}, {"type": "web_search"}, {"type": "namespace", "name": "ns"}, 7]
    as_chat = [{"type": "function", "function": {"name": "b"}}, *only[1:]]
    for said in ({"mode": "required", "tools": only}, {"allowed_tools": {"mode": "required", "tools": as_chat}}):
        asked = ask(tools=tools, tool_choice={"type": "allowed_tools"} | said)
        assert [tool.name for tool in asked.tools] == ["b", "web_search", "c"]
        assert asked.tool_choice == ToolChoice("any")


# ----------------------------------------------------------------------------------------------------- values


def test_the_other_fields() -> None:
    schema = {"type": "object"}
    asked = ask(
        parallel_tool_calls=False,
        max_output_tokens=100,
        temperature=0.5,
        top_p=1,
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        service_tier="flex",
        stream=True,
        reasoning={"effort": "high", "summary": "detailed", "context": "all"},
        text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}, "verbosity": "low"},
        truncation="auto",
        metadata=None,
    )
    assert asked.parallel_tools is False
    assert (asked.max_tokens, asked.sampling.temperature, asked.sampling.top_p) == (100, 0.5, 1)
    assert (asked.user, asked.cache_key, asked.service_tier, asked.stream) == ("u", "k", "flex", True)
    assert asked.reasoning == Reasoning(True, "high", display="summarized")
    assert asked.output == OutputFormat("json_schema", schema, "n", "", True)
    assert asked.ext["responses"] == {"truncation": "auto", "reasoning.context": "all"}
    assert (asked.ext["openai"], asked.verbosity) == ({"safety_identifier": "s"}, "low")
    assert ask(safety_identifier="s").user == "s"


def test_values_that_say_little() -> None:
    assert ask(reasoning={"effort": "none"}).reasoning == Reasoning(False, "none")
    assert ask(reasoning={"effort": "default"}).reasoning == Reasoning()  # left to the model
    shown = Reasoning(True, adaptive=True, display="summarized")  # Codex, for models that it does not know
    assert ask(reasoning={"summary": "auto"}).reasoning == shown
    assert ask(reasoning={"summary": "auto", "effort": "none"}).reasoning.enabled is False
    assert ask(reasoning={"summary": None}).reasoning == ask(reasoning={}).reasoning == Reasoning()
    assert ask(reasoning={"summary": None}, text={"format": {"type": "text"}}).output is None
    assert ask(text={"format": {"type": "json_object"}}).output == OutputFormat("json_object")
    odd = ask(text={"format": {"type": "grammar"}})
    assert odd.output is None and odd.ext["responses"] == {"text.format": {"type": "grammar"}}
    assert decode({"input": "x"}).model == ""


def test_the_body_is_not_changed() -> None:
    body = {
        "model": "m",
        "input": [CALL, OUTPUT],
        "tools": [LATER],
        "reasoning": {"effort": "low"},
        "metadata": {"a": "b"},
    }
    before = repr(body)
    decode(body)
    assert repr(body) == before


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"input": None}, "input", "Missing required parameter: 'input'."),
    ({"input": 7}, "input", "expected a string or an array"),
    ({"input": [7]}, "input[0]", "expected an object"),
    ({"input": [{}]}, "input[0].type", "Missing"),
    ({"input": [{"type": "message", "content": "x"}]}, "input[0].role", "Missing"),
    ({"input": [{"role": "bot", "content": "x"}]}, "input[0].role", "'bot' is none of"),
    ({"input": [{"role": "user"}]}, "input[0].content", "but got null"),
    ({"input": [{"role": "user", "content": [7]}]}, "input[0].content[0]", "expected an object"),
    ({"input": [{"role": "user", "content": [{}]}]}, "input[0].content[0].type", "Missing"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        "input[0].content[0].text",
        "expected a string",
    ),
    ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url", "Missing"),
    ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data", "Missing"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file", "filename": "a.txt", "file_data": "a"}]}]},
        "input[0].content[0].file_data",
        "not base64",
    ),
    ({"input": [{**CALL, "call_id": ""}]}, "input[0].call_id", "Missing"),
    ({"input": [{**CALL, "name": None}]}, "input[0].name", "Missing"),
    ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id", "Missing"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]", "send the item itself"),
    ({"previous_response_id": "resp_1"}, "previous_response_id", "has not stored"),
    ({"conversation": "conv_1"}, "conversation", "keeps no conversations"),
    ({"prompt": {"id": "p"}}, "prompt", "keeps no prompts"),
    ({"background": True}, "background", "in the background"),
    ({"model": 7}, "model", "expected a string"),
    ({"instructions": 7}, "instructions", "expected a string"),
    ({"tools": 7}, "tools", "expected an array"),
    ({"tools": [7]}, "tools[0]", "expected an object"),
    ({"tools": [{}]}, "tools[0].type", "Missing"),
    ({"tools": [{"type": "function"}]}, "tools[0].name", "Missing"),
    ({"tools": [{"type": "function", "name": "f", "parameters": 7}]}, "tools[0].parameters", "expected an object"),
    ({"tools": [{"type": "namespace", "name": "n", "tools": [{}]}]}, "tools[0].tools[0].type", "Missing"),
    ({"tool_choice": "maybe"}, "tool_choice", "'maybe' is none of"),
    ({"tool_choice": 7}, "tool_choice", "expected a string or an object"),
    ({"tool_choice": {"type": "function"}}, "tool_choice.name", "Missing"),
    ({"max_output_tokens": "x"}, "max_output_tokens", "expected an integer"),
    ({"max_output_tokens": 0}, "max_output_tokens", "below minimum"),
    ({"temperature": "x"}, "temperature", "expected a number"),
    ({"reasoning": "high"}, "reasoning", "expected an object"),
    ({"text": {"format": "json"}}, "text.format", "expected an object"),
    ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema", "Missing"),
]


@pytest.mark.parametrize(("fields", "param", "why"), REFUSED)
def test_refusals_name_the_field(fields: dict[str, Any], param: str, why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode({"model": "m", "input": "hi"} | fields)
    assert caught.value.param == param
    assert why in caught.value.message


def test_state_that_is_not_asked_for_is_no_matter() -> None:
    assert ask(previous_response_id=None, background=False, conversation=None).ext["responses"] == {"background": False}
