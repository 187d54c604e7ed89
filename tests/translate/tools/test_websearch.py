"""The provider's own search of the web: declared, called and answered in each other's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance import grammar
from tests.support import corpus, meaning, sdk, sdk_responses, streams
from tests.support.meaning_responses import of_responses
from translate import dialects, pair
from translate.json import wire
from translate.reasoning import foreign_reasoning, sealed_reasoning
from translate.target import Asked, Encoded, Policy, Protocol, Target
from translate.tools import websearch

Json = dict[str, Any]

PLACE: Json = {"type": "approximate", "city": "Bern", "country": "CH"}
ASKED = Asked("m", "k1", 1_700_000_000, 11, include_usage=True)
CALL: Json = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "ruby"}}
FOUND: Json = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [
        {"type": "web_search_result", "url": u, "title": u.upper(), "encrypted_content": "X", "page_age": None}
        for u in ("http://a", "http://b")
    ],
}
CITED: Json = {
    "type": "web_search_result_location", "url": "http://a", "title": "A", "cited_text": "t", "encrypted_index": "E",
}  # fmt: skip
SEARCHED: Json = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "ruby", "queries": ["ruby"], "sources": [{"type": "url", "url": "http://a"}]},
}
NOTE: Json = {"type": "url_citation", "url": "http://a", "title": "A", "start_index": 0, "end_index": 2}


def request(client: Protocol, upstream: Protocol, fields: Json, model: str = "", **policy: Any) -> Encoded:
    ask: Json = {"model": "m", "input" if client == "responses" else "messages": [{"role": "user", "content": "hi"}]}
    own = {"messages": "claude-opus-5", "chat": "gpt-5.5", "responses": "gpt-5.5"}
    body = ask | ({"max_tokens": 99} if client == "messages" else {}) | fields
    return pair.request(client, upstream, body, Target(model or own[upstream], Policy(**policy)))


# -------------------------------------------------------------------------------------------- the declaration

FROM_MESSAGES: list[tuple[Json, Json, list[str]]] = [
    ({}, {}, []),
    ({"allowed_domains": None, "max_uses": None, "user_location": None, "strict": False}, {}, []),
    ({"allowed_domains": ["a.ch"]}, {"filters": {"allowed_domains": ["a.ch"]}}, []),
    ({"user_location": PLACE}, {"user_location": PLACE}, []),
    ({"max_uses": 3, "blocked_domains": ["b"]}, {}, ["blocked_domains", "max_uses"]),
    ({"allowed_callers": ["direct"], "response_inclusion": "full"}, {}, []),
    ({"allowed_callers": ["code_execution_20260120"]}, {}, ["allowed_callers"]),
    ({"response_inclusion": "excluded"}, {}, ["response_inclusion"]),
]


@pytest.mark.parametrize("kind", ["web_search_20250305", "web_search_20260209", "web_search_20260318"])
@pytest.mark.parametrize(("said", "wanted", "dropped"), FROM_MESSAGES)
def test_from_messages_to_responses(kind: str, said: Json, wanted: Json, dropped: list[str]) -> None:
    out = request("messages", "responses", {"tools": [{"type": kind, "name": "web_search"} | said]})
    assert out.body["tools"] == [{"type": "web_search"} | wanted]
    assert out.dropped == [f"tools.{kind}.{field}" for field in dropped]
    assert out.body["include"] == ["reasoning.encrypted_content", "web_search_call.action.sources"]


def test_a_cache_mark_is_told_by_its_own_name() -> None:
    tool = {"type": "web_search_20250305", "name": "web_search", "cache_control": {"type": "ephemeral"}}
    assert request("messages", "responses", {"tools": [tool]}).dropped == ["cache_control"]


FROM_RESPONSES: list[tuple[Json, Json, list[str]]] = [
    ({}, {}, []),
    ({"external_web_access": True, "search_context_size": "medium"}, {}, []),
    ({"filters": {"allowed_domains": ["a.ch"]}}, {"allowed_domains": ["a.ch"]}, []),
    ({"filters": {"blocked_domains": ["b"]}}, {"blocked_domains": ["b"]}, []),
    ({"filters": {"excluded_domains": ["b"]}}, {"blocked_domains": ["b"]}, []),
    ({"filters": {"allowed_domains": ["a"], "blocked_domains": ["b"]}}, {"allowed_domains": ["a"]},
     ["blocked_domains"]),
    ({"filters": None, "user_location": PLACE}, {"user_location": PLACE}, []),
    ({"user_location": {"type": "approximate"}}, {}, []),
    ({"search_context_size": "high", "search_content_types": ["image"]}, {},
     ["search_content_types", "search_context_size"]),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview", "web_search_2025_08_26"])
@pytest.mark.parametrize(("said", "wanted", "dropped"), FROM_RESPONSES)
def test_from_responses_to_messages(kind: str, said: Json, wanted: Json, dropped: list[str]) -> None:
    out = request("responses", "messages", {"tools": [{"type": kind} | said]})
    assert out.body["tools"] == [{"type": "web_search_20250305", "name": "web_search"} | wanted]
    assert out.dropped == [f"tools.{kind}.{field}" for field in dropped]


def test_a_search_that_is_to_keep_off_the_live_web_is_not_made_a_live_one() -> None:
    out = request("responses", "messages", {"tools": [{"type": "web_search", "external_web_access": False}]})
    assert "tools" not in out.body and out.dropped == ["tools.web_search"]


def test_chats_own_search() -> None:
    options = {"search_context_size": "low", "user_location": {"type": "approximate", "approximate": {"city": "Bern"}}}
    where = {"type": "approximate", "city": "Bern"}
    out = request("chat", "responses", {"web_search_options": options})
    assert out.body["tools"] == [{"type": "web_search", "user_location": where, "search_context_size": "low"}]
    assert out.dropped == []
    out = request("chat", "messages", {"web_search_options": options})
    assert out.body["tools"] == [{"type": "web_search_20250305", "name": "web_search", "user_location": where}]
    assert out.dropped == ["web_search_options.search_context_size"]
    for given in (options, {}, {"type": "x", "new": 1}):
        home = request("chat", "chat", {"web_search_options": given})
        assert home.body["web_search_options"] == given and "tools" not in home.body
    routed = {"type": "openrouter:web_search", "parameters": {"max_uses": 2}}
    assert request("chat", "messages", {"tools": [routed]}).body["tools"][0]["max_uses"] == 2  # type: ignore[index]


@pytest.mark.parametrize(
    ("upstream", "model", "setting", "crosses"),
    [
        ("messages", "claude-sonnet-4-5", "auto", True),
        ("messages", "anthropic/claude-3", "auto", True),
        ("messages", "qwen3", "auto", False),
        ("messages", "qwen3", "true", True),
        ("messages", "claude-sonnet-4-5", "false", False),
        ("responses", "gpt-5.2", "auto", True),
        ("responses", "grok-4", "auto", True),
        ("responses", "o3", "auto", True),
        ("responses", "gpt-oss-20b", "auto", False),
        ("responses", "foo3", "auto", False),
        ("responses", "gpt-oss-20b", "true", True),
        ("chat", "gpt-5.2", "auto", False),
        ("chat", "gpt-5.2", "true", False),
    ],
)
def test_who_searches(upstream: Protocol, model: str, setting: str, crosses: bool) -> None:
    client: Protocol = "responses" if upstream == "messages" else "messages"
    kind = "web_search" if client == "responses" else "web_search_20250305"
    tool = {"type": kind} | ({"name": "web_search"} if client == "messages" else {})
    out = request(client, upstream, {"tools": [tool]}, model, web_search=setting)
    assert ("tools" in out.body) == crosses
    assert out.dropped == ([] if crosses else [f"tools.{kind}"])


def test_it_can_be_chosen() -> None:
    tool: Json = {"type": "web_search_20250305", "name": "web_search"}
    ask = {"tools": [tool], "tool_choice": {"type": "tool", "name": "web_search"}}
    assert request("messages", "responses", ask).body["tool_choice"] == {"type": "web_search"}
    back = {"tools": [{"type": "web_search_preview"}], "tool_choice": {"type": "web_search_preview"}}
    assert request("responses", "messages", back).body["tool_choice"] == {"type": "tool", "name": "web_search"}
    out = request("responses", "messages", back, "qwen3")
    assert "tool_choice" not in out.body and out.dropped == ["tools.web_search_preview", "tool_choice"]


def test_the_clients_own_tool_of_that_name_goes_before() -> None:
    own = {"type": "function", "name": "web_search", "parameters": {"type": "object"}}
    out = request("responses", "messages", {"tools": [{"type": "web_search"}, own]})
    assert [tool.get("type") for tool in out.body["tools"]] == [None]  # type: ignore[attr-defined]
    assert out.dropped == ["tools.web_search"]


def test_earlier_searches_go_where_it_is_offered() -> None:
    history = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [CALL, FOUND]}]
    tool = {"type": "web_search_20250305", "name": "web_search"}
    out = request("messages", "responses", {"messages": history, "tools": [tool]})
    call, said = out.body["input"][1:3]  # type: ignore[index]
    assert call == {
        "type": "web_search_call",
        "id": call["id"],
        "status": "completed",
        "action": {"type": "search", "query": "ruby", "queries": ["ruby"]},
    }
    assert "HTTP://B" in said["content"] and out.dropped == []
    out = request("messages", "responses", {"messages": history})
    assert out.dropped == ["server_tool_use"] and "web_search_call" not in str(out.body)


# --------------------------------------------------------------------------------------- calls and results


def streamed(client: Protocol, upstream: Protocol, raw: bytes) -> bytes:
    """The same however it is cut."""
    ways = ([raw], list(corpus.bytewise(raw)), corpus.cuts(raw, "search", 9))
    outs = []
    for pieces in ways:
        crossing = pair.Crossing(client, upstream, ASKED)
        outs.append(b"".join([*map(crossing.feed, pieces), crossing.end()]))
    assert all(meaning.events(out) and READ[client](out) == READ[client](outs[0]) for out in outs)
    return outs[0]


READ: dict[str, Any] = {"messages": meaning.of_messages, "chat": meaning.of_chat, "responses": of_responses}


def block(index: int, raw: Json, *deltas: Json) -> list[Json]:
    return [streams.opened(index, **raw), *(streams.delta(index, **d) for d in deltas), streams.closed(index)]


def from_anthropic(*blocks: list[Json]) -> bytes:
    return streams.messages(streams.START, *[e for each in blocks for e in each], streams.ending(), streams.STOP)


ANSWER = block(
    2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "4"}, {"type": "citations_delta", "citation": CITED}
)


def items_in(out: bytes) -> list[Json]:
    done = [data for _, data in meaning.events(out) if data["type"] == "response.output_item.done"]
    return [data["item"] for data in done]


def test_anthropics_search_for_a_responses_client() -> None:
    out = streamed("responses", "messages", from_anthropic(block(0, CALL), block(1, FOUND), ANSWER))
    assert grammar.check_responses(out) == []
    sdk_responses.responses_stream(out)
    search, message = items_in(out)
    assert search == {
        "id": "ws_k1_0",
        "type": "web_search_call",
        "status": "completed",
        "action": {
            "type": "search",
            "query": "ruby",
            "queries": ["ruby"],
            "sources": [{"type": "url", "url": "http://a"}, {"type": "url", "url": "http://b"}],
        },
    }
    assert message["content"][0]["annotations"][0]["url"] == "http://a"
    steps = [name for name, _ in meaning.events(out) if "web_search_call" in name]
    assert [step.rpartition(".")[2] for step in steps] == ["in_progress", "searching", "completed"]
    whole = {"type": "message", "content": [CALL, FOUND, {"type": "text", "text": "4", "citations": [CITED]}]}
    body = json.loads(pair.Crossing("responses", "messages", ASKED).whole(wire.dumps(whole)))
    assert body["output"] == [search, message]


def test_searches_side_by_side_and_one_without_an_end() -> None:
    second = CALL | {"id": "srvtoolu_2", "input": {"query": "gem"}}
    third = CALL | {"id": "srvtoolu_3", "input": {"query": "late"}}
    failed = {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_2",
        "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
    }
    blocks = [block(0, CALL), block(1, second), block(2, failed), block(3, FOUND), block(4, third)]
    out = streamed("responses", "messages", from_anthropic(*blocks))
    assert grammar.check_responses(out) == []
    said = [(item["action"]["query"], item["status"], len(item["action"].get("sources", []))) for item in items_in(out)]
    assert said == [("gem", "failed", 0), ("ruby", "completed", 2), ("late", "completed", 0)]


def from_openai(*items: Json) -> bytes:
    events: list[Json] = [{"type": "response.created", "response": {"id": "r", "status": "in_progress"}}]
    for i, item in enumerate(items):
        events.append({"type": "response.output_item.added", "output_index": i, "item": item | {"content": []}})
        events.append({"type": "response.output_item.done", "output_index": i, "item": item})
    events.append({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": list(items)}})
    return b"".join(b"data: %b\n\n" % wire.dumps(event) for event in events)


MESSAGE: Json = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "4.0", "annotations": [NOTE]}],
}


def test_openais_search_for_a_messages_client() -> None:
    out = streamed("messages", "responses", from_openai(SEARCHED, MESSAGE))
    assert grammar.check_messages(out) == []
    call, found, text = sdk.messages_stream(out)["content"]
    assert (call["id"], call["name"], call["input"]) == ("srvtoolu_k1_0", "web_search", {"query": "ruby"})
    assert found["tool_use_id"] == call["id"]
    assert [(page["url"], page["title"]) for page in found["content"]] == [("http://a", "http://a")]
    assert text["text"] == "4.0" and [c["url"] for c in text["citations"]] == ["http://a"]
    raw = wire.dumps({"object": "response", "status": "completed", "output": [SEARCHED, MESSAGE]})
    body = json.loads(pair.Crossing("messages", "responses", ASKED).whole(raw))
    assert [b["type"] for b in body["content"]] == ["server_tool_use", "web_search_tool_result", "text"]
    assert body["stop_reason"] == "end_turn" and body["content"][2]["citations"][0]["title"] == "A"


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (SEARCHED, 2),
        (SEARCHED | {"action": {"type": "search", "queries": ["ruby"]}}, 2),
        (SEARCHED | {"action": {"type": "open_page", "url": "http://a"}}, 0),
        (SEARCHED | {"action": None}, 0),
        (SEARCHED | {"type": "file_search_call"}, 0),
        (SEARCHED | {"action": {"query": "ruby", "queries": [], "sources": [None, {"url": 1}, "x"]}}, 2),
    ],
)
def test_what_else_it_did_has_no_blocks(raw: Json, count: int) -> None:
    blocks = websearch.blocks(raw, "srvtoolu_1")
    assert len(blocks) == count
    assert not blocks or blocks[0]["input"] == {"query": "ruby"}


def test_a_failed_search_says_so() -> None:
    _, result = websearch.blocks(SEARCHED | {"status": "failed"}, "srvtoolu_1")
    assert result["content"] == {"type": "web_search_tool_result_error", "error_code": "unavailable"}


# ------------------------------------------------------------------------------ what late annotations belong to


def chunk(delta: Json, **more: Any) -> bytes:
    return b"data: %b\n\n" % wire.dumps({"choices": [{"index": 0, "delta": delta}]} | more)


NOTED: Json = {"annotations": [{"type": "url_citation", "url_citation": {"url": "http://a", "title": "A"}}]}
CALLED = chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]})
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("client", ["messages", "responses"])
@pytest.mark.parametrize(
    "chunks",
    [
        [chunk({"content": "x"}), chunk(NOTED)],
        [chunk(NOTED), chunk({"content": "x"})],
        [chunk(NOTED), chunk({"reasoning_content": "hm"}), chunk({"content": "x"})],
        [chunk(NOTED), chunk({"content": "x"}), CALLED],
        [chunk({"content": "x"}, search_results=[{"url": "http://a", "title": "A"}, {"title": "no address"}])],
        [chunk({"content": "x"}, citations=["http://a"]), chunk({"content": "y"}, citations=["http://a"])],
        [chunk({"content": "x"}, venice_parameters={"web_search_citations": [{"url": "http://a", "title": "A"}]})],
        [chunk({"content": "x"}, citations=["http://b"]), chunk(NOTED)],
    ],
)
def test_annotations_reach_the_client_whenever_they_come(client: Protocol, chunks: list[bytes]) -> None:
    out = streamed(client, "chat", b"".join(chunks) + FINISH)
    assert READ[client](out).cited == ["http://a"]


# --------------------------------------------------------------------------- a session that goes on elsewhere


def test_what_stands_for_a_cipher_never_goes_to_anthropic() -> None:
    """The blocks that a Messages client got for another provider's search, on their way to Anthropic itself."""
    reply = json.loads(
        pair.Crossing("messages", "responses", ASKED).whole(
            wire.dumps({"object": "response", "status": "completed", "output": [SEARCHED, MESSAGE]})
        )
    )
    said = {"type": "text", "text": "b", "citations": [CITED]}
    own = [CALL | {"id": "srvtoolu_9"}, FOUND | {"tool_use_id": "srvtoolu_9"}, said]
    turns = [{"role": "assistant", "content": reply["content"]}, {"role": "assistant", "content": own}]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}, *turns]}
    assert sealed_reasoning.MARK in wire.dumps(body)
    raw, dropped = foreign_reasoning.request(dialects.of("messages"), wire.dumps(body))
    assert dropped == ["web_search_tool_result"]
    assert json.loads(raw)["messages"][1:] == [
        {"role": "assistant", "content": [{"type": "text", "text": "4.0"}]},
        {"role": "assistant", "content": own},
    ]


def test_unmarked_content_is_left_alone() -> None:
    odd: list[Any] = [CALL, FOUND, "x", {"id": [], "tool_use_id": {}}, {"citations": [CITED, None]}]
    assert websearch.unmarked(odd) is odd
    mixed = {"type": "text", "text": "x", "citations": [CITED, CITED | {"encrypted_index": websearch.MARK}]}
    assert websearch.unmarked([mixed]) == [mixed | {"citations": [CITED]}]
