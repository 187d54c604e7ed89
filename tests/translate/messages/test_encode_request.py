"""A conversation of another protocol, made into a request that Anthropic accepts."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support import params
from tests.support.conversations import of_client
from translate.conversation import (
    Audio,
    Document,
    Image,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Unknown,
)
from translate.errors import BadRequest
from translate.messages.decode_request import decode, encode
from translate.pairing import LOST_RESULT
from translate.target import Encoded, Policy, Target

NEW, OLD = "claude-opus-5-5", "claude-sonnet-4-5-20250929"
CACHE = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def user(*parts: Part) -> Turn:
    return Turn("user", list(parts))


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", list(parts))


def system(text: str) -> Turn:
    return Turn("system", [Text(text)])


def write(*turns: Turn, model: str = NEW, policy: Policy | None = None, **fields: Any) -> Encoded:
    """Encodes a Chat client's conversation; the result is valid by the SDK's types, the input unchanged."""
    ext = fields.pop("ext", {"chat": {}})
    conversation = of_client("asked", list(turns) or [user(Text("Hi"))], ext=ext, **fields)
    before = copy.deepcopy(conversation)
    out = encode(conversation, Target(model, policy or Policy()))
    assert conversation == before
    assert params.check_messages(out.body, beta=True) == []
    return out


def messages(*turns: Turn, **fields: Any) -> Any:
    return write(*turns, **fields).body["messages"]


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words} | more


def test_the_least_request() -> None:
    assert write().body == {
        "model": NEW,
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [text("Hi")]}],
    }


# ---------------------------------------------------------------------------------------------- turns

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
def test_turns(name: str) -> None:
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
    )
    (sent,) = out.tool_names
    assert len(sent) == 64 and out.tool_names == {sent: name}
    body: Any = out.body
    assert body["tools"][0]["name"] == body["tool_choice"]["name"] == sent
    assert body["messages"][1]["content"][0]["name"] == sent


# ---------------------------------------------------------------------------------------------- parts


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
def test_parts(part: Part, block: dict[str, Any] | None) -> None:
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


# ------------------------------------------------------------------------------------------- system


def test_system() -> None:
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


# ---------------------------------------------------------------------------------------------- tools

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = Tool("get", "gets", SCHEMA)


def test_tools() -> None:
    tools = [
        Tool("get", "gets", SCHEMA, strict=True, ext={"messages": CACHE}),
        Tool("bare"),
        Tool("loose", schema={"properties": {}}),
        Tool("w", kind="server", protocol="chat", raw={"type": "web_search"}),
        Tool("s", kind="server", protocol="messages", raw={"type": "web_search_20250305", "name": "web_search"}),
    ]
    out = write(tools=tools)
    assert out.body["tools"] == [
        {"name": "get", "description": "gets", "input_schema": SCHEMA, "strict": True} | CACHE,
        {"name": "bare", "input_schema": {"type": "object", "properties": {}}},
        {"name": "loose", "input_schema": {"type": "object", "properties": {}}},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    assert out.dropped == ["tools.web_search"]


@pytest.mark.parametrize(
    ("choice", "parallel", "expected", "dropped"),
    [
        (None, None, None, []),
        (None, True, None, []),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}, []),
        (ToolChoice("auto"), True, {"type": "auto", "disable_parallel_tool_use": False}, []),
        (ToolChoice("any"), False, {"type": "any", "disable_parallel_tool_use": True}, []),
        (ToolChoice("none"), False, {"type": "none"}, []),
        (ToolChoice("tool", "get"), None, {"type": "tool", "name": "get"}, []),
        (ToolChoice("tool", "gone"), None, None, ["tool_choice"]),
    ],
)
def test_tool_choice(choice: Any, parallel: Any, expected: Any, dropped: list[str]) -> None:
    out = write(tools=[TOOL], tool_choice=choice, parallel_tools=parallel)
    assert out.body.get("tool_choice") == expected
    assert out.dropped == dropped


def test_no_tools() -> None:
    out = write(tool_choice=ToolChoice("auto"), parallel_tools=False)
    assert not out.body.keys() & {"tools", "tool_choice"}
    assert out.dropped == ["tool_choice"]


def test_calls_in_the_history_want_tools() -> None:
    body = write(USER, assistant(GET), user(GOT)).body
    assert body["tools"] == [{"name": "get", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


# ------------------------------------------------------------------------------------- limits, sampling


@pytest.mark.parametrize(
    ("model", "given", "clamp", "expected"),
    [
        ("claude-3-opus-20240229", None, 0, 4096),
        ("claude-3-haiku-20240307", None, 0, 4096),
        ("claude-3-5-sonnet-20241022", None, 0, 8192),
        ("anthropic/claude-3.7-sonnet", None, 0, 8192),
        ("claude-opus-4-1", None, 0, 32_000),
        ("something-else", None, 0, 32_000),
        ("something-else", None, 8000, 8000),
        ("something-else", 100, 8000, 100),
        ("something-else", 9000, 8000, 8000),
    ],
)
def test_max_tokens(model: str, given: int | None, clamp: int, expected: int) -> None:
    out = write(model=model, max_tokens=given, policy=Policy(max_tokens=clamp))
    assert (out.body["max_tokens"], out.dropped) == (expected, [])


SAMPLED: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"temperature": 0.0}, {"temperature": 0.0}, []),
    ({"temperature": 1.7}, {"temperature": 1}, []),
    ({"top_p": 0.5, "top_k": 3}, {"top_p": 0.5, "top_k": 3}, []),
    ({"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ["top_p"]),
    ({"stop": ["END", "\n", ""]}, {"stop_sequences": ["END"]}, ["stop"]),
    ({"stop": [" "]}, {}, ["stop"]),
    (
        {"seed": 0, "frequency_penalty": 0.0, "presence_penalty": 1.0},
        {},
        ["seed", "frequency_penalty", "presence_penalty"],
    ),
]


@pytest.mark.parametrize(("sampling", "expected", "dropped"), SAMPLED)
def test_sampling(sampling: dict[str, Any], expected: dict[str, Any], dropped: list[str]) -> None:
    out = write(model="claude-opus-4-6", sampling=Sampling(**sampling))
    assert {key: out.body[key] for key in out.body if key not in ("model", "max_tokens", "messages")} == expected
    assert out.dropped == dropped


@pytest.mark.parametrize(
    ("sampling", "expected", "dropped"),
    [
        ({"temperature": 1.0}, {}, []),
        ({"temperature": 0.5}, {}, ["temperature"]),
        ({"top_p": 0.95}, {"top_p": 0.95}, []),
        ({"top_p": 0.9}, {}, ["top_p"]),
        ({"temperature": 0.5, "top_p": 0.99, "top_k": 4}, {"top_p": 0.99}, ["temperature", "top_k"]),
    ],
)
def test_sampling_beside_thinking(sampling: dict[str, Any], expected: dict[str, Any], dropped: list[str]) -> None:
    out = write(model="claude-opus-4-6", sampling=Sampling(**sampling), reasoning=Reasoning(effort="low"))
    assert {key: out.body[key] for key in ("temperature", "top_p", "top_k") if key in out.body} == expected
    assert out.dropped == dropped


def test_the_other_fields() -> None:
    out = write(
        user="u1",
        cache_key="k",
        service_tier="flex",
        stream=True,
        ext={"chat": {"logit_bias": {}, "n": 1, "logprobs": True}},
    )
    assert out.body["metadata"] == {"user_id": "u1"} and out.body["stream"] is True
    assert out.dropped == ["prompt_cache_key", "service_tier", "logit_bias", "logprobs"]
    assert write(service_tier="auto", ext={"chat": {"store": False, "logprobs": False}}).dropped == []


@pytest.mark.parametrize("name", ["bob@example.org", "x" * 257])
def test_a_user_that_anthropic_would_refuse(name: str) -> None:
    metadata: Any = write(user=name).body["metadata"]
    assert len(metadata["user_id"]) == 64
    assert metadata == write(user=name).body["metadata"] != write(user=name + "x").body["metadata"]


@pytest.mark.parametrize(
    ("ext", "words"),
    [
        ({"chat": {}}, ["reasoning_effort", "response_format", "stop", "prompt_cache_key"]),
        ({"responses": {}}, ["reasoning", "text.format", "stop", "prompt_cache_key"]),
        ({}, ["reasoning_effort", "response_format", "stop", "prompt_cache_key"]),
    ],
)
def test_fields_are_named_in_the_clients_words(ext: dict[str, Any], words: list[str]) -> None:
    out = write(
        ext=ext,
        model="claude-3-opus",
        reasoning=Reasoning(effort="high"),
        output=OutputFormat("json_object"),
        sampling=Sampling(stop=[" "]),
        cache_key="k",
    )
    assert out.dropped == words


# ------------------------------------------------------------------------------------------ thinking

MODES = {
    "claude-3-opus-20240229": "never",
    "claude-3-5-sonnet-latest": "never",
    "claude-2.1": "never",
    "claude-3-7-sonnet-20250219": "budget",
    "us.anthropic.claude-3-7-sonnet-20250219-v1:0": "budget",
    "claude-opus-4-20250514": "budget",
    "claude-sonnet-4@20250514": "budget",
    "claude-sonnet-4-0": "budget",
    "claude-opus-4-1-20250805": "budget",
    "claude-haiku-4-5-20251001": "budget",
    "anthropic/claude-sonnet-4.5": "budget",
    "claude-sonnet-4": "budget",
    "anthropic/claude-4-sonnet": "budget",
    "claude-opus-4-6": "effort",
    "claude-opus-4-8": "effort",
    "anthropic/claude-opus-4.7": "effort",
    "claude-sonnet-5": "effort",
    "claude-opus-5-5": "effort",
    "my-model": "effort",
}


@pytest.mark.parametrize("model", MODES)
def test_how_a_model_is_told_to_think(model: str) -> None:
    out = write(model=model, reasoning=Reasoning(effort="medium"))
    expected: dict[str, Any] = {
        "never": None,
        "budget": {"type": "enabled", "budget_tokens": 8192},
        "effort": {"type": "adaptive"},
    }
    assert out.body.get("thinking") == expected[MODES[model]]
    assert ("output_config" in out.body) is (MODES[model] == "effort")
    assert out.dropped == (["reasoning_effort"] if MODES[model] == "never" else [])


@pytest.mark.parametrize(
    ("reasoning", "thinking", "effort"),
    [
        (Reasoning(), None, None),
        (Reasoning(effort="none"), {"type": "disabled"}, None),
        (Reasoning(enabled=False, effort="high"), {"type": "disabled"}, None),
        (Reasoning(enabled=True), {"type": "adaptive"}, None),
        (Reasoning(effort="minimal"), {"type": "adaptive"}, "low"),
        (Reasoning(effort="xhigh"), {"type": "adaptive"}, "xhigh"),
        (Reasoning(effort="max"), {"type": "adaptive"}, "max"),
        (Reasoning(effort="extreme"), {"type": "adaptive"}, "medium"),
        (Reasoning(budget=2048), {"type": "adaptive"}, "low"),
        (Reasoning(effort="high", display="omitted"), {"type": "adaptive", "display": "omitted"}, "high"),
    ],
)
def test_effort(reasoning: Reasoning, thinking: Any, effort: str | None) -> None:
    out = write(reasoning=reasoning)
    assert out.body.get("thinking") == thinking
    assert out.body.get("output_config") == ({"effort": effort} if effort else None)
    assert out.dropped == []


def test_a_model_that_always_thinks() -> None:
    out = write(model="claude-mythos-5", reasoning=Reasoning(effort="none"))
    assert "thinking" not in out.body and out.body["output_config"] == {"effort": "low"}
    assert out.dropped == ["reasoning_effort"]


@pytest.mark.parametrize(
    ("reasoning", "given", "clamp", "max_tokens", "budget"),
    [
        (Reasoning(effort="high"), 30_000, 0, 30_000, 24_576),
        (Reasoning(enabled=True), None, 0, 32_000, 8192),
        (Reasoning(budget=500), None, 0, 32_000, 1024),
        (Reasoning(budget=20_000), 10_000, 0, 10_000, 7500),  # a chosen limit stands
        (Reasoning(budget=20_000), 1100, 0, 1100, 1024),
        (Reasoning(effort="xhigh"), None, 0, 64_000, 32_768),  # ours is raised
        (Reasoning(effort="xhigh"), None, 20_000, 20_000, 15_000),
        (Reasoning(effort="low"), 1024, 0, 1024, None),
        (Reasoning(effort="low"), None, 800, 800, None),
        (Reasoning(effort="none"), 5000, 0, 5000, None),
    ],
)
def test_budget(reasoning: Reasoning, given: int | None, clamp: int, max_tokens: int, budget: int | None) -> None:
    out = write(model=OLD, reasoning=reasoning, max_tokens=given, policy=Policy(max_tokens=clamp))
    assert out.body["max_tokens"] == max_tokens
    assert out.body.get("thinking") == (budget and {"type": "enabled", "budget_tokens": budget})
    assert out.dropped == ([] if budget or reasoning.effort == "none" else ["reasoning_effort"])


def test_a_budget_does_not_raise_opus_4_above_what_it_writes() -> None:
    out = write(model="claude-opus-4-1", reasoning=Reasoning(effort="xhigh"))
    assert out.body["max_tokens"] == 32_000
    assert out.body["thinking"] == {"type": "enabled", "budget_tokens": 24_000}


LOOP = [USER, assistant(GET), user(GOT)]
SIGNED = [USER, assistant(Thinking("Hm", "sig"), GET), user(GOT)]


@pytest.mark.parametrize(
    ("turns", "choice", "model", "thinks"),
    [
        (LOOP, None, OLD, False),
        (LOOP, None, NEW, True),  # adaptive thinking may begin anywhere
        (SIGNED, None, OLD, True),
        ([*LOOP, ANSWER, USER], None, OLD, True),
        ([USER], ToolChoice("any"), OLD, False),
        ([USER], ToolChoice("tool", "get"), NEW, False),
        ([USER], ToolChoice("auto"), NEW, True),
        ([USER, assistant(Text("{"))], None, OLD, False),  # a prefilled answer
        ([USER, assistant(Text("{"))], None, NEW, True),  # which is asked to go on
    ],
)
def test_thinking_gives_way(turns: list[Turn], choice: Any, model: str, thinks: bool) -> None:
    out = write(*turns, model=model, tools=[TOOL], tool_choice=choice, reasoning=Reasoning(effort="low"))
    assert ("thinking" in out.body, out.dropped) == (thinks, [] if thinks else ["reasoning_effort"])


# ------------------------------------------------------------------------------- from Messages itself


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
