"""Deferred tools: which are offered, what a search finds, how the client sees it, how it comes back in the history."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from anthropic.types import Message
from openai.types.responses import Response

from translate import dialects, pair
from translate.conversation import Tool
from translate.target import Asked, Encoded, Policy, Protocol, Target, ToolSearch
from translate.tools import tool_search
from translate.tools.search_pattern import BadPattern, Pattern

Json = dict[str, Any]

ABOUTS = {1: "Tells the weather.", 2: "Reads mails.", 3: "Sends mails and messages to a person."}
BM25 = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
REGEX = {"type": "tool_search_tool_regex", "name": "tool_search_tool_regex"}
HOSTED = {"type": "tool_search"}
CLIENTS = {"type": "tool_search", "execution": "client"}
NOW = "now"


def tools(client: Protocol, count: int, deferred: bool = True) -> list[Json]:
    later = {"defer_loading": True} if deferred else {}
    made: list[Json] = [
        {"name": f"tool_{i}", "description": ABOUTS.get(i, "Other."), "input_schema": {"type": "object"}} | later
        for i in range(count)
    ]
    if client == "messages":
        return made
    names = {"input_schema": "parameters"}
    return [{"type": "function"} | {names.get(key, key): value for key, value in tool.items()} for tool in made]


def own(client: Protocol) -> Json:
    schema = {"type": "object"}
    if client == "messages":
        return {"name": NOW, "input_schema": schema}
    return {"type": "function", "name": NOW, "parameters": schema}


def ask(client: Protocol, upstream: Protocol, given: list[Json], policy: Policy = Policy(), **more: Any) -> Encoded:
    body: Json = {"model": "m", "tools": given}
    hi = {"role": "user", "content": "hi"}
    body |= {"input": [hi]} if client == "responses" else {"messages": [hi], "max_tokens": 9}
    return pair.request(client, upstream, body | more, Target("up", policy))


def offered(encoded: Encoded) -> list[str]:
    found: Any = encoded.body.get("tools", [])
    return [tool.get("function", tool)["name"] for tool in found]


# ------------------------------------------------------------------------------------------------ what is offered

FEW, MANY = [f"tool_{i}" for i in range(3)], 20

# client, its tools beside the deferred ones, how many of these, what is offered, what is dropped
OFFERS: list[tuple[Protocol, list[Json], int, list[str], list[str]]] = [
    ("messages", [BM25], 3, FEW, []),
    ("messages", [REGEX, BM25], 3, FEW, []),
    ("messages", [BM25], MANY, ["tool_search_tool_bm25"], []),
    ("messages", [REGEX, BM25], MANY, ["tool_search_tool_regex", "tool_search_tool_bm25"], []),
    ("messages", [], 3, FEW, []),  # nothing else could ever show them
    ("messages", [own("messages")], 3, [NOW], []),  # it may be a search of the client's, as Claude Code's is
    ("messages", [own("messages"), BM25], 3, [NOW, *FEW], []),
    ("messages", [own("messages"), BM25], 0, [NOW], ["tools.tool_search_tool_bm25_20251119"]),
    ("responses", [HOSTED], 3, FEW, []),
    ("responses", [HOSTED], MANY, ["tool_search"], []),
    ("responses", [own("responses")], 3, [NOW, *FEW], []),
    ("responses", [own("responses")], MANY, [NOW, *(f"tool_{i}" for i in range(MANY))], []),
    ("responses", [CLIENTS, own("responses")], 0, ["tool_search", NOW], []),
    ("responses", [CLIENTS, own("responses")], 3, ["tool_search", NOW], []),
    ("responses", [HOSTED, own("responses")], 0, [NOW], ["tools.tool_search"]),
]


@pytest.mark.parametrize(("client", "beside", "count", "names", "dropped"), OFFERS)
@pytest.mark.parametrize("other", [0, 1])
def test_no_tool_is_lost(
    client: Protocol, beside: list[Json], count: int, names: list[str], dropped: list[str], other: int
) -> None:
    upstreams: tuple[Protocol, ...] = ("chat", "responses" if client == "messages" else "messages")
    encoded = ask(client, upstreams[other], [*beside, *tools(client, count)])
    assert (offered(encoded), encoded.dropped) == (names, dropped)


@pytest.mark.parametrize(("bound", "searches"), [(4, False), (3, True), (0, True)])
def test_the_bound_is_a_setting(bound: int, searches: bool) -> None:
    encoded = ask("messages", "chat", [BM25, *tools("messages", 3)], Policy(deferred_tools=bound))
    assert (offered(encoded) == ["tool_search_tool_bm25"]) == searches


def test_a_tool_that_must_be_called_is_offered() -> None:
    choice = {"type": "tool", "name": "tool_2"}
    encoded = ask("messages", "chat", [BM25, *tools("messages", MANY)], tool_choice=choice)
    assert offered(encoded) == ["tool_search_tool_bm25", "tool_2"]


@pytest.mark.parametrize("name", ["tool_search_tool_bm25", "tool_7"])
def test_a_tool_that_was_found_or_called_is_offered(name: str) -> None:
    content = {"type": "tool_search_tool_search_result", "tool_references": [
        {"type": "tool_reference", "tool_name": "tool_7"},
    ]}  # fmt: skip
    said: list[Json] = [
        {"type": "server_tool_use", "id": "s", "name": "tool_search_tool_bm25", "input": {"query": "q"}},
        {"type": "tool_search_tool_result", "tool_use_id": "s", "content": content},
    ]
    history = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": said}]
    if name == "tool_7":
        history[1]["content"] = [{"type": "tool_use", "id": "s", "name": "tool_7", "input": {}}]
    encoded = ask("messages", "chat", [BM25, *tools("messages", MANY)], messages=history)
    assert offered(encoded) == ["tool_search_tool_bm25", "tool_7"]


# ------------------------------------------------------------------------------------------------------ histories


def test_searches_in_a_messages_history() -> None:
    """Two at once, one that failed, one whose result is missing, and what was said between them."""

    def search(id: str, query: str) -> Json:
        return {"type": "server_tool_use", "id": id, "name": "tool_search_tool_regex", "input": {"pattern": query}}

    def found(id: str, *names: str) -> Json:
        references = [{"type": "tool_reference", "tool_name": name} for name in names]
        content = {"type": "tool_search_tool_search_result", "tool_references": references}
        return {"type": "tool_search_tool_result", "tool_use_id": id, "content": content}

    failed = {"type": "tool_search_tool_result", "tool_use_id": "s3", "content": {
        "type": "tool_search_tool_result_error", "error_code": "unavailable",
    }}  # fmt: skip
    said = [
        {"type": "text", "text": "I look."}, search("s1", "a"), search("s2", "b"), found("s1", "tool_1"), found("s2"),
        {"type": "text", "text": "Again."}, search("s3", "c"), failed,
        {"type": "tool_use", "id": "t", "name": "tool_1", "input": {}},
    ]  # fmt: skip
    history: list[Json] = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": said},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sun"}]},
    ]
    encoded = ask("messages", "chat", [REGEX, *tools("messages", MANY)], messages=history)
    messages: Any = encoded.body["messages"]
    told = [
        (m["role"], m["content"], [call["id"] for call in m.get("tool_calls", [])] or m.get("tool_call_id"))
        for m in messages
    ]
    assert told == [
        ("user", "hi", None),
        ("assistant", "I look.", ["s1", "s2"]),
        ("tool", "Tools now available: tool_1.", "s1"),
        ("tool", "No tool matches; try other words.", "s2"),
        ("assistant", "Again.", ["s3"]),
        ("tool", "Error: The search failed: unavailable", "s3"),
        ("assistant", None, ["t"]),
        ("tool", "sun", "t"),
    ]
    assert json.loads(messages[1]["tool_calls"][0]["function"]["arguments"]) == {"pattern": "a"}
    assert encoded.dropped == []


def test_searches_in_a_responses_history() -> None:
    """OpenAI's own have no call_id: the output belongs to the call before it."""
    later = tools("responses", MANY)
    items: list[Json] = [
        {"role": "user", "content": "hi"},
        {"type": "tool_search_call", "id": "ts_1", "execution": "server", "call_id": None, "arguments": {"q": 1}},
        {"type": "tool_search_output", "id": "to_1", "execution": "server", "call_id": None, "tools": [later[5]]},
        {"type": "function_call", "call_id": "c", "name": "tool_5", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
    ]
    encoded = ask("responses", "messages", [HOSTED, *later], input=items)
    assert offered(encoded) == ["tool_search", "tool_5"]
    messages: Any = encoded.body["messages"]
    kinds = [[block["type"] for block in m["content"]] for m in messages]
    assert kinds == [["text"], ["tool_use"], ["tool_result"], ["tool_use"], ["tool_result"]]
    assert messages[1]["content"][0] == {"type": "tool_use", "id": "ts_1", "name": "tool_search", "input": {"q": 1}}
    assert messages[2]["content"][0]["tool_use_id"] == "ts_1"


def test_an_output_that_answers_nothing_is_an_instruction() -> None:
    shown = {"type": "tool_search_output", "execution": "server", "tools": tools("responses", 1)}
    encoded = ask("responses", "chat", [HOSTED], input=[{"role": "user", "content": "hi"}, shown])
    assert offered(encoded) == ["tool_0"] and "tool_0" in json.dumps(encoded.body["messages"])


def test_a_search_that_was_forced_is_made_once() -> None:
    choice = {"type": "tool", "name": "tool_search_tool_bm25"}
    given = [BM25, *tools("messages", MANY)]
    encoded = ask("messages", "chat", given, tool_choice=choice)
    assert encoded.body["tool_choice"] == {"type": "function", "function": {"name": "tool_search_tool_bm25"}}
    crossing = pair.Crossing("messages", "chat", Asked("m", search=encoded.search))
    call = {"id": "c", "type": "function", "function": {"name": "tool_search_tool_bm25", "arguments": '{"query":"x"}'}}
    message = {"role": "assistant", "tool_calls": [call]}
    reply = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    assert crossing.whole(reply) == b"" and crossing.goes_on
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "tools": given}
    again = pair.request("messages", "chat", body | {"tool_choice": choice}, Target("up"), crossing.turns)
    assert again.body["tool_choice"] == "auto"


# ----------------------------------------------------------------------------------------------------- the search

GIVEN = (
    Tool("get_weather", "Tells the weather of a city.", {"properties": {"city": {"description": "Town"}, "x": 1}}),
    Tool("sendMail", "Writes to people.", {"properties": {"address": {}}}),
    Tool("list_pull_requests", "GitHub: what waits for review."),
    Tool("close", "Ends one.", namespace="agents"),
    Tool("patch", kind="custom", raw={"type": "text"}),
)
WORDS = [
    ("weather", ["get_weather"]),
    ("the WEATHER in a town", ["get_weather"]),
    ("mail", ["sendMail"]),
    ("pull request", ["list_pull_requests"]),
    ("agents", ["close"]),
    ("address", ["sendMail"]),
    ("nothing like it", []),
    ("!!", []),
]
PATTERNS = [
    ("weather", ["get_weather"]),
    ("get_.*|SEND", ["get_weather", "sendMail"]),
    ("^agents", ["close"]),
    ("(list|get)_(pull|push)_requests?", ["list_pull_requests"]),
    (".*", ["get_weather", "sendMail", "list_pull_requests", "close", "patch"]),
    ("zzz", []),
]


@pytest.mark.parametrize(("kind", "query", "names"), [
    *(("bm25", *case) for case in WORDS), *(("hosted", *case) for case in WORDS),
    *(("regex", *case) for case in PATTERNS),
])  # fmt: skip
def test_what_is_found(kind: str, query: str, names: list[str]) -> None:
    found = tool_search.search(ToolSearch({"s": kind}, GIVEN), "s", json.dumps({"query": query}))
    assert [tool.name for tool in found.tools] == names and not found.problem


@pytest.mark.parametrize("arguments", ["{", "[]", "", "{}", '{"query": 3}', '{"query": " "}', '{"pattern": "("}'])
def test_arguments_that_are_none_are_told(arguments: str) -> None:
    found = tool_search.search(ToolSearch({"s": "regex"}, GIVEN), "s", arguments)
    assert found.problem and found.tools == []


def test_the_best_come_first_and_no_more_than_a_few() -> None:
    many = tuple(Tool(f"mail_{i}", "mail " * (i + 1)) for i in range(30))
    found = tool_search.by_words(many, "mail")
    assert len(found) == tool_search.MOST_FOUND
    rare = (*many, Tool("mail_weather", "mail"))
    assert tool_search.by_words(rare, "mail weather")[0].name == "mail_weather"
    assert tool_search.by_words((), "mail") == []


def test_thousands_of_tools_take_no_time() -> None:
    """The loop serves everybody: neither words nor patterns may hold it up."""
    many = tuple(Tool(f"tool_{i}", "a" * 3000) for i in range(500))
    began = time.process_time()
    for kind, query in (("bm25", "a " * 5000), ("regex", "(a|aa)+b"), ("regex", "(a*)*b"), ("regex", "a?" * 5 + "b")):
        tool_search.search(ToolSearch({"s": kind}, many), "s", json.dumps({"query": query}))
    assert time.process_time() - began < 30  # where a pattern went back and forth it would be years


# ------------------------------------------------------------------------------------------------------- patterns

FITS = [
    ("get.*weather", "get_the_weather", True), ("foo.*bar", "bar foo", False), ("(?i)GitHub", "github", True),
    ("a{2,3}b", "aab", True), ("(a+)+$", "aaaa", True), (r"[a-c]\w+x", "bqqx", True), (r"\bcat\b", "a cat b", True),
    (r"\bcat\b", "concat", False), ("a{x}", "a{x}", True), (".{0,5}x", "x", True), ("(ab)?c", "c", True),
    ("(ab)*c", "c", True), ("a?b", "b", True), ("", "anything", True), ("(?:a|b)c", "bc", True), (r"\.", "a.b", True),
    ("[]a]", "]", True), (r"[^\]]b", "ab", True), ("a|", "z", True), (r"\d+", "v12", True), ("x+?y", "xxy", True),
    ("a.c", "a\nc", True), ("[(]", "(", True), (r"\{", "{", True),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "text", "fits"), FITS)
def test_a_pattern_fits_where_pythons_would(pattern: str, text: str, fits: bool) -> None:
    assert Pattern(pattern).search(text) is fits and "Pattern" in repr(Pattern(pattern))


BAD = ["(", "*a", "x" * 201, "(?!a)b", "(?<=a)b", r"(a)\1", "(?P<n>a)", "(a|b|c)(d|e|f)(g|h|i)(j|k|l)", "a?" * 20,
       "\0", "(?P=n)", "(a"]  # fmt: skip


@pytest.mark.parametrize("pattern", BAD)
def test_a_pattern_that_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        Pattern(pattern)


# ----------------------------------------------------------------------------------------------- the client's words


def test_the_sdks_read_what_clients_are_told() -> None:
    search = ToolSearch({"tool_search_tool_bm25": "bm25"}, GIVEN)
    for arguments in ('{"query":"weather"}', "{"):
        found = tool_search.search(search, "tool_search_tool_bm25", arguments)
        told = dialects.of("messages").search_reply(search, found, "tool_search_tool_bm25", "k", 0)
        content = [part.raw for part in told]
        usage = {"input_tokens": 1, "output_tokens": 1}
        Message.model_validate({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": content,
                                "stop_reason": "end_turn", "stop_sequence": None, "usage": usage})  # fmt: skip
    search = ToolSearch({"s": "hosted"}, GIVEN, {"agents": "Agents"})
    for query in ("agents", "patch", "mail"):
        found = tool_search.search(search, "s", json.dumps({"query": query}))
        output = [part.raw for part in dialects.of("responses").search_reply(search, found, "s", "k", 1)]
        assert output[1]["tools"]
        Response.model_validate({
            "id": "r", "object": "response", "created_at": 1, "model": "m", "output": output, "tools": [],
            "parallel_tool_calls": True, "tool_choice": "auto",
        })  # fmt: skip
    twice = tool_search.Found({}, [GIVEN[3], GIVEN[3]])
    spaces = dialects.of("responses").search_reply(search, twice, "s", "k", 2)[1].raw["tools"]
    assert [(space["name"], space["description"], len(space["tools"])) for space in spaces] == [("agents", "Agents", 2)]


def test_namespaces_are_named_to_the_model() -> None:
    tool = tool_search.function("s", "hosted", list(GIVEN))
    assert "5 that are not shown" in tool.description and "They are of agents." in tool.description
