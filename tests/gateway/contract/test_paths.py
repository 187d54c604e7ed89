"""Rows 1 to 4: where Claude Code asks, whatever it is set up for. See README.md in this folder."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from tests.gateway.clouds.test_upstreams import settings as preset
from tests.gateway.contract.lanes import CLIENTS, HI, UPSTREAMS, asking, good, settings
from tests.support.house import House
from tests.support.script import Answer, Upstream


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_row_01_messages_format(upstream: str) -> None:
    """The path counts and not the query; the two probes are answered by the proxy itself, to anybody."""
    with Upstream([good(upstream, False)]) as up, House(settings(up, upstream)) as house:
        status, headers, raw = house.post("/v1/messages?beta=true", asking("messages"))
        assert (status, headers["content-type"]) == (200, "application/json") and json.loads(raw)["type"] == "message"
        asked = len(up.requests)
        for path in ("/api/hello", "/"):
            with house.connect() as client:
                client.send("HEAD", path)
                assert client.head()[0] == 200
        assert len(up.requests) == asked == 1


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_row_02_bedrock_format(upstream: str) -> None:
    with Upstream(lambda asked: good(upstream, streams(asked))) as up, House(settings(up, upstream)) as house:
        body = asking("bedrock", anthropic_beta=["context-1m-2025-08-07"])
        status, headers, raw = house.post(CLIENTS["bedrock"][False], body)
        assert (status, headers["content-type"]) == (200, "application/json") and json.loads(raw)["type"] == "message"
        status, headers, raw = house.post(CLIENTS["bedrock"][True], body)
        assert (status, headers["content-type"]) == (200, "application/vnd.amazon.eventstream")
        buffer = EventStreamBuffer()
        buffer.add_data(raw)
        kinds = [json.loads(base64.b64decode(json.loads(each.payload)["bytes"]))["type"] for each in buffer]
        assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
        assert house.get("/inference-profiles?maxResults=100")[0] == 404


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_row_03_vertex_format(upstream: str) -> None:
    headers = {"anthropic-beta": "context-1m-2025-08-07"}
    with Upstream(lambda asked: good(upstream, streams(asked))) as up, House(settings(up, upstream)) as house:
        status, _, raw = house.post(CLIENTS["vertex"][False], asking("vertex"), headers)
        assert status == 200 and json.loads(raw)["type"] == "message"
        status, answered, raw = house.post(CLIENTS["vertex"][True], asking("vertex"), headers)
        assert status == 200 and answered["content-type"].startswith("text/event-stream")
        assert raw.startswith(b"event: message_start") and b"event: message_stop" in raw
    if upstream == "messages":
        assert {request.headers["anthropic-beta"] for request in up.requests} == {"context-1m-2025-08-07"}
        assert all("anthropic_version" not in request.json for request in up.requests)


@pytest.mark.parametrize("client", ["bedrock", "vertex"])
def test_rows_02_and_03_counts(client: str) -> None:
    inner = {"anthropic_version": "x-1", "max_tokens": 1, "messages": HI}
    wrapped = {"input": {"invokeModel": {"body": base64.b64encode(json.dumps(inner).encode()).decode()}}}
    path, body, key = {
        "bedrock": ("/model/claude-x/count-tokens", wrapped, "inputTokens"),
        "vertex": ("/v1/projects/p/locations/us/publishers/anthropic/models/count-tokens:rawPredict",
                   inner | {"model": "claude-x"}, "input_tokens"),
    }[client]  # fmt: skip
    with Upstream([Answer.json({"input_tokens": 42})]) as up, House(settings(up, "messages")) as house:
        status, _, raw = house.post(path, body)
    assert status == 200 and json.loads(raw) == {key: 42} and up.requests[0].path == "/v1/messages/count_tokens"


@pytest.mark.parametrize("cloud", ["foundry", "claude-aws"])
def test_row_04_clouds_that_speak_messages(cloud: str) -> None:
    """The workspace is the client's own, or else the one in the settings."""
    more = "api_key = key-0123456789\n" + ("workspace = wrkspc_ours\n" if cloud == "claude-aws" else "")
    with Upstream([good("messages", False)]) as up, House(preset(up, cloud, more)) as house:
        assert house.post("/v1/messages?beta=true", asking("messages"), {"anthropic-beta": "x"})[0] == 200
        own = {"anthropic-workspace-id": "wrkspc_mine"}
        assert house.post("/v1/messages?beta=true", asking("messages"), own)[0] == 200
    first, second = up.requests
    assert first.path.endswith("/v1/messages?beta=true") and first.headers["anthropic-beta"] == "x"
    assert first.json == second.json == asking("messages")
    assert first.headers.get("anthropic-workspace-id") == ("wrkspc_ours" if cloud == "claude-aws" else None)
    assert second.headers["anthropic-workspace-id"] == "wrkspc_mine" or cloud == "claude-aws"


def streams(asked: Any) -> bool:
    return "stream" in asked.path.lower() or asked.json.get("stream") is True
