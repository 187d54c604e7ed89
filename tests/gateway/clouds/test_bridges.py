"""What a cloud does not take of a request: left out and reported, sent under another name, or learned of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.clouds import frames
from tests.gateway.clouds.test_upstreams import ASK, settings
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from translate.envelopes.bridge import Bridge

BETAS = "claude-code-20250219,fast-mode-2026-02-01,advanced-tool-use-2025-11-20,something-new-2027-01-01"
TOOL = {"name": "f", "input_schema": {"type": "object"}, "eager_input_streaming": True,
        "cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}}  # fmt: skip
SYSTEM = [
    {
        "type": "text",
        "text": '"cache_control": {"scope": "x"}',
        "cache_control": {"scope": "global", "type": "ephemeral"},
    }
]


@pytest.mark.parametrize("preset", ["bedrock-invoke", "vertex"])
def test_what_it_is_known_not_to_take_is_left_out_and_reported(preset: str) -> None:
    body = ASK | {"speed": "fast", "tools": [TOOL], "system": SYSTEM, "output_config": {"effort": "high"}}
    with Upstream([Answer.json(frames.whole())]) as up, House(settings(up, preset)) as house:
        status, headers, _ = house.post("/v1/messages", body, {"anthropic-beta": BETAS})
    assert status == 200
    dropped = headers["x-proxy-dropped"].split(", ")
    assert dropped == ["anthropic-beta fast-mode-2026-02-01", "anthropic-beta something-new-2027-01-01", "speed",
                       "tools.eager_input_streaming", "cache_control.scope"]  # fmt: skip
    sent = up.requests[0].json
    betas = ["claude-code-20250219", "tool-search-tool-2025-10-19"]
    if preset == "vertex":
        assert up.requests[0].headers["anthropic-beta"] == ",".join(betas) and "anthropic_beta" not in sent
    else:
        assert sent["anthropic_beta"] == betas and "anthropic-beta" not in up.requests[0].headers
    assert sent["tools"] == [{"name": "f", "input_schema": {"type": "object"},
                              "cache_control": {"type": "ephemeral", "ttl": "1h"}}]  # fmt: skip
    assert sent["system"] == [{"type": "text", "text": SYSTEM[0]["text"], "cache_control": {"type": "ephemeral"}}]
    assert sent["output_config"] == {"effort": "high"} and "speed" not in sent


def test_strict_leaves_nothing_out() -> None:
    with Upstream([]) as up, House(settings(up) + "[translate]\nstrict = true\n") as house:
        status, _, raw = house.post("/v1/messages", ASK | {"speed": "fast"})
    assert status == 400 and "speed" in json.loads(raw)["error"]["message"] and not up.requests


REFUSALS = [
    ({"context_management": {"edits": []}}, "context_management: Extra inputs are not permitted", "context_management"),
    ({"tools": [TOOL | {"defer_loading": True}]}, "tools.0.custom.defer_loading: Extra inputs are not permitted",
     "tools.defer_loading"),
    ({"system": SYSTEM}, "system.0.cache_control.ephemeral.ttl: Extra inputs are not permitted", "cache_control.ttl"),
    ({}, "invalid beta flag", "anthropic_beta"),
    ({"thinking": {"type": "adaptive"}, "max_tokens": 9000},
     "thinking.type: Input tag 'adaptive' found using 'type' does not match any of the expected tags: 'enabled'",
     "thinking.adaptive"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "message", "field"), REFUSALS)
@pytest.mark.parametrize("path", ["/v1/messages"])
def test_what_is_refused_is_learned_and_the_request_goes_again(
    path: str, more: dict[str, Any], message: str, field: str
) -> None:
    body = ASK | {"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "5m"}}]} | more
    body["system"] = [part | {"cache_control": {"type": "ephemeral", "ttl": "5m"}} for part in body["system"]]
    name = field.rpartition(".")[2]

    def answer(request: Request) -> Answer:
        if f'"{name}"'.encode() in request.body:
            return Answer.json({"message": message}, 400)
        return Answer.json(frames.whole())

    with Upstream(answer) as up, House(settings(up)) as house:
        for _ in range(2):
            headers = {"anthropic-beta": "context-management-2025-06-27"}
            status, _, raw = house.post(path, body, headers)
            assert status == 200, raw
        learned = json.loads(house.get("/debug/quirks")[2])["learned"]
    assert len(up.requests) == 3, "the second request is right at once"
    assert f"'{field}' is left out" in str(learned)


def test_words_of_the_request_teach_nothing() -> None:
    quoted = "metadata: Extra inputs are not permitted"
    body = ASK | {"metadata": {"user_id": "u"}, "messages": [{"role": "user", "content": quoted}]}
    with Upstream([Answer.json({"message": quoted}, 400)]) as up, House(settings(up)) as house:
        assert house.post("/v1/messages", body)[0] == 400
    assert len(up.requests) == 1


def test_messages_and_system_keep_their_bytes() -> None:
    inside = b'"messages":[ {"role":"user","content":"\\u00fc"}],  "system":"a\\/b"'
    tools = b',"tools":[{"name":"f","eager_input_streaming":true}]}'
    body = b'{"speed":"fast","model":"m:0","max_tokens":5,' + inside + tools
    with Upstream([Answer.json(frames.whole())]) as up, House(settings(up)) as house:
        assert house.request("POST", "/v1/messages", body, {"Content-Type": "application/json"})[0] == 200
    assert inside in up.requests[0].body and up.requests[0].json["tools"] == [{"name": "f"}]


@pytest.mark.parametrize(("most", "thinking"), [(9000, {"type": "enabled", "budget_tokens": 4500}), (1024, None)])
def test_adaptive_thinking_becomes_a_budget_where_a_model_has_none(most: int, thinking: Any) -> None:
    bridge = Bridge().also(["thinking.adaptive"])
    asked = json.dumps({"max_tokens": most, "thinking": {"type": "adaptive"}, "x": 1}).encode()
    body, left = bridge.crossed(asked, bridge.inner)
    want = {"max_tokens": most, "x": 1} | ({"thinking": thinking} if thinking else {})
    assert json.loads(body) == want and left == ["thinking.type" if thinking else "thinking"]
    assert Bridge().crossed(body, bridge.inner) == (body, [])
