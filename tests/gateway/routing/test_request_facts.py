"""What a request of Claude Code is for, said or seen."""

from __future__ import annotations

from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from gateway.routing import request_facts

AGENT = {"User-Agent": "claude-cli/2.1.330 (external, sdk-cli)", "x-app": "cli"}
BILLING = "x-anthropic-billing-header: cc_version=2.1.330.440; cc_entrypoint=sdk-cli;"
TOOL = {"name": "Bash", "description": "runs", "input_schema": {"type": "object"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
SUMMARY = "CRITICAL: Respond with TEXT ONLY.\n\nYour task is to create a detailed summary of the conversation so far."


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    said = list(messages) or [{"role": "user", "content": "hello"}]
    return {"model": "m", "max_tokens": 9, "system": [{"type": "text", "text": BILLING}], "messages": said} | fields


def user(*texts: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}


MAIN = body(tools=[TOOL], context_management={"edits": []})
CASES = [
    ({}, MAIN, "main"),
    ({}, body(tools=[TOOL]), "main"),
    ({}, body(context_management={"edits": []}), "main"),
    ({"x-claude-code-agent-id": "a1"}, MAIN, "subagent"),
    ({}, MAIN | {"system": [{"type": "text", "text": BILLING + " cc_is_subagent=true;"}]}, "subagent"),
    ({}, body(tools=[SEARCH]), "auxiliary"),
    ({}, body(), "auxiliary"),
    ({}, body(tools=[]), "auxiliary"),
    ({"x-claude-code-agent-id": "a1"}, body(tools=[SEARCH]), "subagent"),
    ({}, MAIN | {"messages": [user("hi"), {"role": "assistant", "content": "x"}, user("ok", SUMMARY)]}, "compaction"),
    ({}, MAIN | {"messages": [{"role": "user", "content": SUMMARY}]}, "compaction"),
    ({"x-claude-code-agent-id": "a1"}, MAIN | {"messages": [user(SUMMARY)]}, "compaction"),
    ({}, body(system="You are a helpful AI assistant tasked with summarizing conversations."), "compaction"),
    ({}, MAIN | {"messages": [user(SUMMARY), {"role": "assistant", "content": "s"}, user("go on")]}, "main"),
    ({}, {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": []}, "main"),  # a count of tokens
    ({"x-claude-code-request-class": " Workflow "}, MAIN, "workflow"),
    ({"x-claude-code-request-class": "main", "x-claude-code-agent-id": "a1"}, body(), "main"),
]


@pytest.mark.parametrize(("headers", "asked", "is_for"), CASES)
def test_what_it_is_for(headers: dict[str, str], asked: dict[str, Any], is_for: str) -> None:
    assert request_facts.class_of(HTTPHeaders(AGENT | headers), asked) == is_for


@pytest.mark.parametrize("agent", ["", "Anthropic/Python 2.12.0", "codex_exec/0.169.0"])
def test_of_other_clients_only_what_they_say_counts(agent: str) -> None:
    for headers, asked, is_for in CASES:
        own = HTTPHeaders({"User-Agent": agent} | headers)
        assert request_facts.class_of(own, asked) == (is_for if "x-claude-code-request-class" in headers else "")


@pytest.mark.parametrize("system", [None, 1, {"text": "x"}, [None, {"text": 1}, "x"]])
@pytest.mark.parametrize("messages", [None, "x", [None], [{"role": "user"}], [{"role": "user", "content": [1, {}]}]])
@pytest.mark.parametrize("tools", [None, "x", [None, 1]])
def test_odd_bodies_are_no_error(system: Any, messages: Any, tools: Any) -> None:
    odd = {"max_tokens": 1, "system": system, "messages": messages, "tools": tools}
    assert request_facts.class_of(HTTPHeaders(AGENT), odd) == "auxiliary"
