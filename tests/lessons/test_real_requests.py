"""What Claude Code and opencode really send, across every lane: accepted, and nothing lost in silence.

The recorded requests lie beside the recorded traffic, in clients/requests; skipped where they are not there. Long
strings in them are cut, which does not matter here: shapes do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import traffic_dir
from tests.lessons.street import PATHS, Json, Reply, Street, completion, message
from tests.support import asking, lacking
from tests.support.streams import END, HI, ROLE, START, STOP, chat, ending, first_call, messages, text, tool

# Keys of a Messages request that have a place in a Chat request: everything else must be told.
MAPPED = {
    "model", "messages", "system", "tools", "tool_choice", "max_tokens", "metadata", "user_id", "stream", "role",
    "content", "type", "text", "name", "description", "input_schema", "id", "input", "tool_use_id", "is_error",
    "source", "media_type", "data", "defer_loading", "tool_name", "output_config.effort", "thinking.type",
    "thinking.budget_tokens",
    "thinking.thinking", "thinking.signature",  # of an assistant's turn: goes back where reasoning_history says so
}  # fmt: skip
OPAQUE = ("input_schema", "input", "edits")


def folder() -> Path | None:
    traffic = traffic_dir()
    place = traffic.parent / "clients" / "requests" if traffic else None
    return place if place is not None and place.is_dir() else None


def recorded(pattern: str, path: str) -> list[Any]:
    place = folder()
    if place is None:
        return [pytest.param(None, marks=pytest.mark.skip(reason=lacking.CLIENTS))]
    found = [(file.stem, json.loads(file.read_text())) for file in sorted(place.glob(pattern))]
    return [pytest.param(request, id=name) for name, request in found if request["path"] == path]


MESSAGES = recorded("cc*.json", PATHS["messages"]) + recorded("opencode-*.json", PATHS["messages"])
CHAT = recorded("*.json", PATHS["chat"])
ANSWERS = {
    "chat": chat(ROLE, HI, {"choices": [{"index": 0, "delta": first_call(0)}]}, END),
    "messages": messages(START, *text(0), *tool(1), ending("tool_use"), STOP),
}
WHOLE = {"chat": completion({"content": "ok"}), "messages": message({"type": "text", "text": "ok"})}


def one(name: str) -> Json:
    place = folder()
    if place is None:
        pytest.skip(lacking.CLIENTS)
    body: Json = json.loads((place / f"{name}.json").read_text())["body"]
    return body


def headers_of(request: Json) -> Json:
    skipped = ("host", "content-length", "connection", "accept-encoding", "content-type")
    return {k: v for k, v in request["headers"] if k.lower() not in skipped}


def ask(street: Street, client: Any, upstream: Any, request: Json, more: str = "", **changed: Any) -> Reply:
    body = request["body"] | changed
    answer = ANSWERS[upstream] if body.get("stream") else WHOLE[upstream]
    return street.ask(client, upstream, body, answer, more, headers=headers_of(request))


def keys_of(value: Any, inside: str = "") -> set[str]:
    """Every key below `value`; those of thinking and output_config with their section's name."""
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item, inside)}
    if not isinstance(value, dict):
        return set()
    out = set()
    here = "thinking" if value.get("type") == "thinking" else inside
    for key, item in value.items():
        if key in ("thinking", "output_config") and isinstance(item, dict):
            out |= keys_of(item, key)
        elif key == "cache_control" or key in OPAQUE:
            out.add(key)
        else:
            out |= {f"{here}.{key}" if here else key} | keys_of(item)
    return out


@pytest.mark.parametrize("request_", MESSAGES)
@pytest.mark.parametrize("stream", [True, False])
def test_messages_clients_on_a_chat_upstream(street: Street, request_: Json, stream: bool) -> None:
    reply = ask(street, "messages", "chat", request_, stream=stream)
    body = request_["body"] | {"stream": stream}
    assert reply.said()["stop"] == ("tool_use" if stream else "end_turn")
    want, got = asking.of_messages(body), asking.of_chat(reply.sent)
    assert asking.missing(want, got, reply.dropped, {}) == []
    assert "x-anthropic-billing-header" not in json.dumps(reply.sent)
    told = {name.partition(".")[0] if name.startswith(("context", "output")) else name for name in reply.dropped}
    tools = [f"tools.{t['type']}" for t in body.get("tools", []) if t.get("type", "custom") != "custom"]
    assert set(tools) <= set(reply.dropped)
    silent = keys_of(body) - MAPPED - set(reply.dropped) - told
    assert not silent - ({"max_uses"} if tools else set()) - {"edits"}, silent
    roles = [m["role"] for m in reply.sent["messages"]]
    assert roles.count("system") <= 1 and all(a != b or a == "tool" for a, b in zip(roles, roles[1:], strict=False))


@pytest.mark.parametrize("request_", CHAT)
@pytest.mark.parametrize("stream", [True, False])
def test_chat_clients_on_a_messages_upstream(street: Street, request_: Json, stream: bool) -> None:
    reply = ask(street, "chat", "messages", request_, stream=stream)
    assert reply.said()["stop"] == ("tool_calls" if stream else "stop")
    want, got = asking.of_chat(request_["body"] | {"stream": stream}), asking.of_messages(reply.sent)
    assert asking.missing(want, got, reply.dropped, {}) == [] and reply.dropped == []


@pytest.mark.parametrize("request_", MESSAGES)
def test_messages_clients_pass_through(street: Street, request_: Json) -> None:
    """Query, headers and bytes; only the key is ours."""
    house = street.house("messages")
    raw = json.dumps(request_["body"], indent=1).encode()
    path = f"{request_['path']}?{request_['query']}" if request_["query"] else request_["path"]
    answer = (ANSWERS if request_["body"].get("stream") else WHOLE)["messages"]
    reply = street.ask("messages", "messages", raw, answer, headers=headers_of(request_))
    house.post(path, raw, headers_of(request_))
    seen = street.requests[-1]
    sent = answer if isinstance(answer, bytes) else json.loads(reply.raw)
    assert (reply.raw if isinstance(answer, bytes) else answer) == sent and seen.body == raw and seen.path == path
    given = {k.lower(): v for k, v in headers_of(request_).items()}
    same = {
        k for k in given if k.startswith(("anthropic-", "x-stainless", "x-claude", "x-app", "x-session", "user-ag"))
    }
    assert {k: seen.headers.get(k) for k in same} == {k: given[k] for k in same}
    assert seen.headers["x-api-key"] == "sk-up" and "authorization" not in seen.headers


# --------------------------------------------------------------------------- the facts that matter most


def cross(street: Street, name: str, **changed: Any) -> Reply:
    return ask(street, "messages", "chat", {"headers": [], "body": one(name)}, **changed)


def test_deferred_tools_are_offered_once_they_were_shown(street: Street) -> None:
    def names(reply: Reply) -> set[str]:
        return {tool["function"]["name"] for tool in reply.sent["tools"]}

    before = names(cross(street, "cc330-key-1"))
    assert "DeferredToolPlaceholder" not in before and "ToolSearch" in before
    reply = cross(street, "cc330-toolsearch-tool_reference")
    assert {"WebSearch", "WebFetch"} <= names(reply) and "DeferredToolPlaceholder" not in names(reply)
    result = next(m for m in reply.sent["messages"] if m["role"] == "tool")
    assert "WebSearch" in result["content"] and "WebFetch" in result["content"]
    hidden = one("cc330-toolsearch-tool_reference")
    hidden["messages"] = hidden["messages"][:1]
    assert not {"WebSearch", "WebFetch"} & names(cross(street, "cc330-key-1", **hidden))


def test_a_deferred_tool_that_was_called_stays_offered(street: Street) -> None:
    """After a compaction the tool_reference is gone, but the calls are there."""
    body = one("cc330-toolsearch-tool_reference")
    call = {"type": "tool_use", "id": "t1", "name": "WebSearch", "input": {"query": "x"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}
    body["messages"] = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    names = {tool["function"]["name"] for tool in cross(street, "cc330-key-1", **body).sent["tools"]}
    assert "WebSearch" in names and "WebFetch" not in names


def test_instructions_in_mid_conversation(street: Street) -> None:
    reply = cross(street, "cc330-fallback-haiku")
    body = one("cc330-fallback-haiku")
    said = [m["content"] for m in body["messages"] if m["role"] == "system"]
    texts = [part if isinstance(part, str) else part[0]["text"] for part in said]
    sent = json.dumps(reply.sent["messages"])
    assert len(texts) == 2 and all(json.dumps(t)[1:-1] in sent for t in texts) and "output_config" not in reply.dropped
    assert [m["role"] for m in reply.sent["messages"]] == ["system", "user", "assistant", "tool", "user"]


@pytest.mark.parametrize(
    ("name", "kind", "head"),
    [
        ("cc330-read-pdf", "file", "data:application/pdf;base64,"),
        ("cc330-read-png", "image_url", "data:image/png;base64,"),
    ],
)
def test_what_the_read_tool_gives(street: Street, name: str, kind: str, head: str) -> None:
    sent = cross(street, name).sent["messages"]
    after = [m for m in sent if m["role"] == "user"][-1]
    media = [part for part in after["content"] if part["type"] == kind]
    assert len(media) == 1 and head in json.dumps(media[0])
    assert [m["role"] for m in sent][-2:] == ["tool", "user"] and sent[-2]["content"]


def test_the_billing_header_does_not_break_the_prefix(street: Street) -> None:
    """Two prompts differ in its hash: what goes upstream must be the same up to the user's words."""
    first, second = (
        cross(street, name).sent["messages"][0] for name in ("cc330-key-1", "cc330-toolsearch-tool_reference")
    )
    assert "cc_version" not in json.dumps([first, second])
    passed = street.ask("messages", "messages", one("cc330-key-1"), ANSWERS["messages"])
    assert passed.sent["system"][0]["text"].startswith("x-anthropic-billing-header")


def test_structured_output_is_a_tool(street: Street) -> None:
    reply = cross(street, "cc330-json-schema")
    tools = {tool["function"]["name"]: tool["function"]["parameters"] for tool in reply.sent["tools"]}
    given = {tool["name"]: tool["input_schema"] for tool in one("cc330-json-schema")["tools"]}
    assert tools["StructuredOutput"] == given["StructuredOutput"]


@pytest.mark.parametrize("name", ["cc330-websearch-subrequest", "cc197-websearch-subrequest"])
def test_the_web_search_request_is_answered_in_plain_text(street: Street, name: str) -> None:
    reply = street.ask("messages", "chat", one(name), chat(ROLE, HI, END))
    assert reply.said() | {"model": ""} == {"thinking": "", "text": "hi", "calls": [], "stop": "end_turn", "model": ""}
    assert "tools" not in reply.sent and "tool_choice" not in reply.sent
    assert "tools.web_search_20250305" in reply.dropped
    forced = one(name)["tool_choice"]["type"] == "tool"
    assert ("tool_choice" in reply.dropped) == forced


@pytest.mark.parametrize("name", ["cc330-count_tokens", "cc330-count_tokens-tools"])
def test_counting_without_an_upstream_that_can(street: Street, name: str) -> None:
    status, headers, raw = street.house("chat").post("/v1/messages/count_tokens?beta=true", one(name))
    assert status == 200 and json.loads(raw)["input_tokens"] > 0 and headers["x-proxy-estimate"] == "true"


def test_the_limit_is_cut_to_what_the_upstream_gives(street: Street) -> None:
    request = {"headers": [], "body": one("cc330-key-1")}
    assert request["body"]["max_tokens"] == 128000
    assert ask(street, "messages", "chat", request, "max_tokens = 4096\n").sent["max_tokens"] == 4096
