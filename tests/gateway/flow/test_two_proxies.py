"""A proxy whose upstream is another proxy like it, through real sockets."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.gateway.flow.test_left_open import IN_MESSAGES, event
from tests.gateway.websocket.sockets import Socket, with_socket
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream

Body = dict[str, Any]
PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
USAGE = {"input_tokens": 9, "output_tokens": 9}
TOOLS = [{"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}]
USER = {"role": "user", "content": "x"}
THINKS: Body = {
    "model": "claude-opus-5-5", "max_tokens": 4000, "thinking": {"type": "adaptive"}, "tools": TOOLS,
    "output_config": {"effort": "low"},
}  # fmt: skip

ITEM: Body = {"model": "m", "input": "x"}


def blocks(turn: int) -> list[Body]:
    return [
        {"type": "thinking", "thinking": "so", "signature": f"SIG{turn}"},
        {"type": "redacted_thinking", "data": f"DATA{turn}"},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": f"toolu_{turn}", "name": "look", "input": {"at": "it"}},
    ]


def claude(turn: int) -> Answer:
    own = {"id": f"msg_{turn}", "type": "message", "role": "assistant", "model": "m", "content": blocks(turn)}
    return Answer.json(own | {"stop_reason": "tool_use", "stop_sequence": None, "usage": USAGE})


def result(turn: int) -> Body:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{turn}", "content": "seen"}]}


@contextmanager
def chain(between: str, up: Upstream, more: str = "") -> Iterator[House]:
    """The proxy next to the client. between: the protocol that the two speak; the far one's upstream is Anthropic."""
    with (
        House(one_upstream(up.url, "messages")) as far,
        House(one_upstream(far.url, between, more)) as near,
    ):
        yield near


@pytest.mark.parametrize(
    ("between", "more"), [("responses", ""), ("chat", "reasoning_history = true\n"), ("messages", "")]
)
def test_claude_thinks_on_after_its_calls(between: str, more: str) -> None:
    with Upstream([claude(turn) for turn in range(3)]) as up, chain(between, up, more) as near:
        messages: list[Any] = [USER]
        for turn in range(3):
            status, _, body = near.post(PATHS["messages"], THINKS | {"messages": messages})
            assert status == 200
            messages += [{"role": "assistant", "content": json.loads(body)["content"]}, result(turn)]
        last = up.requests[-1].json
    assert [turn["content"] for turn in last["messages"] if turn["role"] == "assistant"] == [blocks(0), blocks(1)]
    assert last["thinking"]["type"] == "adaptive"


def test_claude_thinks_as_it_likes() -> None:
    """Without an effort: Responses has no word for that but the wish to see what is thought."""
    with Upstream([claude(0)]) as up, chain("responses", up) as near:
        near.post(PATHS["messages"], THINKS | {"messages": [USER], "output_config": {}})
        assert up.requests[0].json["thinking"] == {"type": "adaptive", "display": "summarized"}


def told(house: House, path: str, body: Body) -> list[str]:
    """The fields that the headers name, of whichever proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", int(house.url.rpartition(":")[2]))
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    connection.close()
    return (reply.getheader("x-proxy-dropped") or "").split(", ")


@pytest.mark.parametrize("stream", [False, True])
def test_what_either_of_them_leaves_out_is_named(stream: bool) -> None:
    """seed crosses to Chat; Anthropic has no word for it."""
    body = {"model": "m", "messages": [USER], "seed": 7, "logit_bias": {"5": 1}, "stream": stream}
    with Upstream([claude(0)]) as up:
        with chain("chat", up) as near:
            assert {"seed", "logit_bias"} <= set(told(near, PATHS["chat"], body))
        with chain("responses", up) as near:
            asked = THINKS | {"messages": [USER], "top_k": 5, "service_tier": "auto", "stream": stream}
            assert told(near, PATHS["messages"], asked) == ["top_k"]
        with chain("chat", up) as near:
            more = {"truncation": "auto", "prompt_cache_retention": "24h", "stream": stream}
            assert {"truncation", "prompt_cache_retention"} <= set(told(near, PATHS["responses"], ITEM | more))


def test_a_websockets_first_event_names_both() -> None:
    async def turn(socket: Socket) -> list[dict[str, Any]]:
        await socket.send(input="hi", truncation="auto", prompt_cache_retention="24h")
        reply: list[dict[str, Any]] = await socket.reply()
        return reply

    with Upstream([claude(0)]) as up, chain("chat", up) as near:
        first = with_socket(near, turn)[0]
    assert {"truncation", "prompt_cache_retention"} <= set(first["headers"]["x-proxy-dropped"].split(", "))


@pytest.mark.parametrize("between", ["responses", "chat", "messages"])
@pytest.mark.parametrize(
    "kind", ["overloaded_error", "timeout_error", "rate_limit_error", "api_error", "permission_error"]
)
def test_what_breaks_a_stream_off_is_told_as_the_provider_says_it(between: str, kind: str) -> None:
    """Claude Code tries again after an overload, and not after an api_error."""
    events = [*IN_MESSAGES[:3], event("error", error={"type": kind, "message": "too much"})]
    with Upstream([Answer.sse(events)]) as up, chain(between, up) as near:
        _, _, said = near.post(PATHS["messages"], {"model": "m", "max_tokens": 9, "stream": True, "messages": [USER]})
    [error] = [json.loads(line[6:]) for line in said.splitlines() if b'"type":"error"' in line.replace(b": ", b":")]
    assert error["error"]["type"] == kind
