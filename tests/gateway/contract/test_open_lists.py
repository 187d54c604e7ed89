"""Rows 5, 6, 7, 12 and 14: what goes on as it came, and what of it a cloud does not get. See README.md."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.contract.lanes import ASK, MESSAGES, OTHERS, UPSTREAMS, asking, good, pieces_of, settings
from tests.gateway.contract.lanes import streaming as streaming_answer
from tests.gateway.observe.test_record import Seen
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

BETAS = "claude-code-20250219,heard-of-nowhere-2031-01-01"
HINTS = {
    "x-claude-code-session-id": "sess-1", "x-claude-code-agent-id": "agent-1", "x-claude-code-parent-agent-id": "top",
    "x-claude-code-request-class": "auxiliary", "x-claude-code-agent-type": "Explore",
    "x-claude-code-compaction": "1", "x-claude-code-context-compacted": "1",
    "x-claude-code-prev-tool-durations": "Bash=12",
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_row_05_headers_and_fields_are_open_lists(stream: bool) -> None:
    own = {"anthropic-version": "2031-01-01", "anthropic-beta": BETAS, "anthropic-heard-of-nowhere": "a;b"}
    body = asking("messages", stream, heard_of_nowhere={"deep": [1, None]}, output_config={"effort": "high", "new": 1})
    with Upstream([good("messages", stream)]) as up, House(settings(up, "messages")) as house:
        assert house.post("/v1/messages?beta=true", body, own)[0] == 200
    assert up.requests[0].json == body and own.items() <= up.requests[0].headers.items()


ATTRIBUTION = '{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.330.f41; cc_entrypoint=sdk-cli;"}'
MARK = '"cache_control":{"ttl":"1h" ,"type":"ephemeral"}'
SYSTEM = f'"system": [{ATTRIBUTION},\\n {{"type":"text","text":"\\\\u00e9 \\\\/",{MARK}}}]'.replace("\\n", "\n")
TOOLS = f'"tools":[ {{"name":"Bash","input_schema":{{"type":"object"}},{MARK}}},{{"name":"B","input_schema":{{}}}}]'
HISTORY = (
    '"messages" :[{"role":"assistant","content":[{"type":"tool_use","id":"odd.id/1","name":"Bash","input":{"a":1.0}}]},'
    f'{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"odd.id/1","content":"x",{MARK}}}]}}]'
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("upstream", MESSAGES)
def test_row_06_the_bytes_of_system_tools_and_messages_stay(upstream: str, stream: bool) -> None:
    """Also where the cloud's envelope changes what stands around them; keys of replies that nobody knows come back."""
    kept = '"stop_reason": "end_turn", "safeguard_results": [{"type": "x"}]'
    whole = b"{" + f'"type":"message" , "content":[],{kept}'.encode() + b',"usage":{}}'
    pieces = pieces_of(upstream)
    if stream and upstream != "bedrock":
        pieces = [piece.replace(b'"stop_reason": "end_turn"', kept.encode()) for piece in pieces]
    answer = streaming_answer(upstream, pieces) if stream else Answer(200, {"Content-Type": "application/json"}, whole)
    body = f'{{"model":"claude-x","max_tokens":9,"stream":{str(stream).lower()},{SYSTEM},{TOOLS},{HISTORY}}}'.encode()
    with Upstream([answer]) as up, House(settings(up, upstream)) as house:
        json_type = {"Content-Type": "application/json"}
        status, _, raw = house.request("POST", "/v1/messages?beta=true", body, json_type)
    assert status == 200
    sent = up.requests[0].body
    assert sent == body if upstream == "messages" else all(each.encode() in sent for each in (SYSTEM, TOOLS, HISTORY))
    if not stream:
        assert raw == whole
    elif upstream != "bedrock":
        assert raw == b"".join(pieces)


CURRENT: dict[str, Any] = {  # what Claude Code sends and a cloud may not take
    "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "tools": [{"name": "Bash", "input_schema": {"type": "object"}, "defer_loading": False,
               "eager_input_streaming": True, "cache_control": {"type": "ephemeral", "scope": "global", "ttl": "1h"}}],
}  # fmt: skip
EXTRA = "{}: Extra inputs are not permitted"


def refusing(words: list[tuple[str, str]], stream: bool, upstream: str) -> Any:
    """An upstream that names one thing after the other that it does not take."""

    def answer(request: Request) -> Answer:
        for name, message in words:
            if f'"{name}"'.encode() in request.body:
                body = {"message": message} if upstream == "bedrock" else {"type": "error", "error": {
                    "type": "invalid_request_error", "message": message}}  # fmt: skip
                return Answer.json(body, 400)
        return good(upstream, stream)

    return answer


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("upstream", ["bedrock", "vertex"])
def test_row_07_what_a_cloud_does_not_take_is_bridged(upstream: str, stream: bool) -> None:
    """By the table where it is known, else by what the refusal says: the client never sees the 400."""
    words = [
        ("context_management", EXTRA.format("context_management")),
        ("output_config", EXTRA.format("output_config")),
        ("defer_loading", EXTRA.format("tools.0.custom.defer_loading")),
        ("adaptive", "thinking.type: Input tag 'adaptive' found using 'type' does not match any of the expected tags"),
        ("ttl", EXTRA.format("tools.0.cache_control.ephemeral.ttl")),
    ]
    body = asking("messages", stream, **CURRENT) | {"max_tokens": 9000}
    with Upstream(refusing(words, stream, upstream)) as up, House(settings(up, upstream)) as house:
        for _ in range(2):
            status, headers, raw = house.post("/v1/messages?beta=true", body, {"anthropic-beta": BETAS})
            assert status == 200, raw
    assert len(up.requests) == len(words) + 2, "the second request is right at once"
    sent = up.requests[-1].json
    assert not {"context_management", "output_config"} & sent.keys()
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 4500}
    tool = {"name": "Bash", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
    assert sent["tools"] == [tool]
    dropped = headers["x-proxy-dropped"].split(", ")
    assert {"anthropic-beta heard-of-nowhere-2031-01-01", "context_management", "output_config", "thinking.type",
            "tools.eager_input_streaming", "tools.defer_loading", "cache_control.scope", "cache_control.ttl",
            } == set(dropped)  # fmt: skip


ADVISOR = {"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-5-5"}
TAG = "tools.0: Input tag 'advisor_20260301' found using 'type' does not match any of the expected tags: 'custom'"


@pytest.mark.parametrize("upstream", MESSAGES)
def test_row_12_a_tool_that_the_upstream_refuses_is_named_in_its_own_words(upstream: str) -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": TAG}}
    said = {"message": TAG} if upstream == "bedrock" else error
    with Upstream([Answer.json(said, 400)]) as up, House(settings(up, upstream)) as house:
        status, _, raw = house.post("/v1/messages", asking("messages", tools=[ADVISOR]))
    assert status == 400 and TAG in json.loads(raw)["error"]["message"]


OPENAI_SAYS = {
    "chat": {"message": "Invalid value: 'advisor_20260301'. Supported values are: 'function' and 'custom'.",
             "type": "invalid_request_error", "param": "tools[0].type", "code": "invalid_value"},
    "responses": {"message": "Invalid value: 'advisor_20260301'. Supported values are: 'function' and 'mcp'.",
                  "type": "invalid_request_error", "param": "tools[0]", "code": "invalid_value"},
}  # fmt: skip


@pytest.mark.parametrize("upstream", OPENAI_SAYS)
def test_row_12_other_upstreams_words_become_it(upstream: str) -> None:
    with Upstream([Answer.json({"error": OPENAI_SAYS[upstream]}, 400)]) as up, House(settings(up, upstream)) as house:
        status, _, raw = house.post("/v1/messages", ASK)
    message = json.loads(raw)["error"]["message"]
    assert status == 400 and "Input tag 'advisor_20260301' found using 'type'" in message


@pytest.mark.parametrize("upstream", OTHERS)
def test_row_12_so_is_one_that_has_no_counterpart(upstream: str) -> None:
    """The proxy itself refuses where the settings forbid to leave it out, and says it in the same words."""
    with Upstream([good(upstream, False)]) as up:
        with House(settings(up, upstream, "[translate]\nstrict = true\n")) as house:
            status, _, raw = house.post("/v1/messages", asking("messages", tools=[ADVISOR]))
        assert status == 400 and not up.requests
    assert "Input tag 'advisor_20260301' found using 'type'" in json.loads(raw)["error"]["message"]


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_row_14_hints_are_in_the_record(upstream: str) -> None:
    """Session, sub-agent and the one that called it, for attribution; only a Messages API of its own sees them."""
    with Upstream([good(upstream, False)]) as up, House(settings(up, upstream)) as house:
        told = Seen(house)
        assert house.post("/v1/messages?beta=true", asking("messages"), HINTS)[0] == 200
        record = told.last()
    assert (record["session"], record["agent"], record["parent_agent"]) == ("sess-1", "agent-1", "top")
    sent = up.requests[0].headers
    if upstream == "messages":
        assert HINTS.items() <= sent.items()
    if upstream in OTHERS:
        assert not [name for name in sent if name.startswith("x-claude-code-")]


def test_row_14_hints_choose_the_model_and_sessions_stay_together() -> None:
    answers = [good("messages", False)]
    with Upstream(answers) as one, Upstream(answers) as two:
        text = "".join(f"[upstream {name}]\nprotocol = messages\nbase_url = {up.url}\n"
                       for name, up in (("a", one), ("b", two)))  # fmt: skip
        with House(f"{text}[models]\nm if class auxiliary = a/small\nm = a/large\nboth = a/x | b/x\n") as house:
            for hint, model in (("auxiliary", "small"), ("main", "large")):
                headers = {"x-claude-code-request-class": hint}
                assert house.post("/v1/messages", asking("messages", model="m"), headers)[0] == 200
                assert one.requests[-1].json["model"] == model
            before = len(one.requests)
            for _ in range(8):
                assert house.post("/v1/messages", asking("messages", model="both"), HINTS)[0] == 200
    assert sorted((len(one.requests) - before, len(two.requests))) == [0, 8]


def test_row_14_costs_have_their_session_and_agent() -> None:
    with Upstream([good("messages", False)]) as up:
        with House(settings(up, "messages", "[prices]\nclaude-x = 1000, 1000\n")) as house:
            told = Seen(house)
            assert house.post("/v1/messages", ASK, HINTS)[0] == 200
            record = told.last()
    assert record["proxy.cost_usd"] == 0.012 and record["session"] == "sess-1"
