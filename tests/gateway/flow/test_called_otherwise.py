"""Models that call a tool by a name that is not quite its own, before clients that know no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import event, house_text, section

SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}}
CODEX = {"type": "additional_tools", "role": "developer", "tools": [
    {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]},
    {"type": "namespace", "name": "mcp__cua", "tools": [{"type": "function", "name": "js", "parameters": SCHEMA}]},
]}  # fmt: skip
ASK_CODEX = {"model": "m", "input": [CODEX, {"role": "user", "content": "hi"}]}
ASK_CLAUDE = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}],
              "tools": [{"name": "Bash", "input_schema": SCHEMA}]}  # fmt: skip


def calls(name: str, arguments: str) -> Any:
    def answer(request: Request) -> Answer:
        call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
        if request.json.get("stream"):
            whole = {"role": "assistant", "tool_calls": [{"index": 0} | call]}
            return Answer.sse([event(whole), event({}, "tool_calls"), b"data: [DONE]\n\n"])
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return Answer.json({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})

    return answer


def answered(name: str, arguments: str, path: str, ask: dict[str, Any], stream: bool) -> str:
    with Upstream(calls(name, arguments)) as up, House(house_text("* = a", a=section(up.url, ""))) as house:
        status, _, raw = house.post(path, ask | {"stream": stream})
    assert status == 200
    return raw.decode()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ["exec", "functions.exec", "functions__exec"])
def test_codexs_own_tools(name: str, stream: bool) -> None:
    """It runs no patch and no script that comes as the call of a function."""
    said = answered(name, '{"input": "1+1"}', "/v1/responses", ASK_CODEX, stream)
    assert '"type":"custom_tool_call"' in said and '"function_call"' not in said
    assert '"name":"exec","namespace":"functions","input":"1+1"' in said


@pytest.mark.parametrize("name", ["mcp__cua.js", "mcp__cuajs", "js", "default_api:mcp__cua__js"])
def test_tools_in_a_namespace(name: str) -> None:
    (call,) = json.loads(answered(name, "{}", "/v1/responses", ASK_CODEX, stream=False))["output"]
    assert (call["type"], call["name"], call["namespace"]) == ("function_call", "js", "mcp__cua")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ["functions.Bash", "Bash\n", "default_api:Bash", "bash"])
def test_claude_codes_tools(name: str, stream: bool) -> None:
    assert '"name":"Bash"' in answered(name, "{}", "/v1/messages", ASK_CLAUDE, stream)


def test_what_nobody_offered_is_named_as_the_model_has_it() -> None:
    assert '"name":"functions.Grep"' in answered("functions.Grep", "{}", "/v1/messages", ASK_CLAUDE, stream=False)
