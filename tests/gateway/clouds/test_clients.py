"""Clients that put Messages into a cloud's envelope, before upstreams of every protocol: the official SDKs read all."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from botocore.eventstream import EventStreamBuffer

from tests.gateway.clouds import frames
from tests.gateway.clouds.frames import TEXT
from tests.gateway.clouds.test_upstreams import FRAMES, HI
from tests.support.house import ONCE, House
from tests.support.script import Answer, Request, Upstream

PROTOCOLS = ["messages", "chat", "responses", "bedrock", "vertex"]
CLIENTS = ["bedrock", "vertex"]
MODEL = {"bedrock": "us.anthropic.claude-opus-5-5-20260930-v1:0", "vertex": "claude-opus-5-5@20260930"}


def settings(up: Upstream, upstream: str, more: str = "") -> str:
    if upstream in ("bedrock", "vertex"):
        preset = "bedrock-invoke" if upstream == "bedrock" else upstream
        said = f"preset = {preset}\nregion = us\nproject = p\napi_key = key-0123456789\n"
    else:
        said = f"protocol = {upstream}\napi_key = key-0123456789\n"
    return f"[upstream up]\n{said}base_url = {up.url}\n[models]\nclaude-* = up\n{more}"


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more  # fmt: skip
    return b"data: " + json.dumps(body).encode() + b"\n\n"


USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def stream_of(upstream: str) -> Answer:
    if upstream == "bedrock":
        return frames.stream(FRAMES)  # type: ignore[arg-type]
    if upstream in ("messages", "vertex"):
        return Answer.sse(
            [b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in frames.events()]
        )
    if upstream == "chat":
        return Answer.sse([chunk({"role": "assistant", "content": TEXT[:5]}), chunk({"content": TEXT[5:]}),
                           chunk({}, "stop", usage=USAGE), b"data: [DONE]\n\n"])  # fmt: skip
    done = whole_of("responses") | {"status": "completed"}
    item = done["output"][0]
    at = {"item_id": "m", "output_index": 0, "content_index": 0}
    events = [
        {"type": "response.created", "response": done | {"status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"content": []}},
        {"type": "response.content_part.added", **at, "part": {"type": "output_text", "text": "", "annotations": []}},
        {"type": "response.output_text.delta", **at, "delta": TEXT},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    ]
    return Answer.sse([b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events])


def whole_of(upstream: str) -> dict[str, Any]:
    if upstream == "chat":
        message = {"role": "assistant", "content": TEXT}
        return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": USAGE,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip
    if upstream == "responses":
        content = [{"type": "output_text", "text": TEXT, "annotations": []}]
        item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}
        return {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed",
                "output": [item], "usage": {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}}  # fmt: skip
    return frames.whole()


def client_of(cloud: str, house: House) -> Any:
    if cloud == "bedrock":
        return anthropic.AnthropicBedrock(aws_region="us", api_key="any", base_url=house.url, max_retries=0)
    return anthropic.AnthropicVertex(
        project_id="p", region="us", access_token="any", base_url=f"{house.url}/v1", max_retries=0
    )


@pytest.fixture(params=[(cloud, upstream) for cloud in CLIENTS for upstream in PROTOCOLS], ids="-".join)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, Upstream, House, Any]]:
    cloud, upstream = request.param

    def answer(asked: Request) -> Answer:
        streams = "stream" in asked.path.lower() or b'"stream":true' in asked.body.replace(b" ", b"")
        return stream_of(upstream) if streams else Answer.json(whole_of(upstream))

    with Upstream(answer) as up, House(settings(up, upstream)) as house, client_of(cloud, house) as client:
        yield cloud, upstream, up, house, client


def test_the_sdks_get_whole_replies_and_streams(pair: tuple[str, str, Upstream, House, Any]) -> None:
    cloud, upstream, up, _, client = pair
    ask: dict[str, Any] = {"model": MODEL[cloud], "max_tokens": 50, "messages": HI}
    message = client.messages.create(**ask)
    assert message.content[0].text == TEXT and message.usage.input_tokens == 7
    assert message.model == MODEL[cloud] or upstream in ("messages", "bedrock", "vertex")
    with client.messages.stream(**ask) as events:
        final = events.get_final_message()
    assert final.content[0].text == TEXT and final.stop_reason == "end_turn" and final.usage.output_tokens == 5
    for request in up.requests:
        assert ("anthropic_version" in request.json) == (upstream in ("bedrock", "vertex"))
        if upstream in ("messages", "chat", "responses"):
            assert request.json["model"] == "claude-opus-5-5-20260930"


def test_betas_and_the_version_become_headers() -> None:
    with Upstream([Answer.json(frames.whole())]) as up, House(settings(up, "messages")) as house:
        body = {"anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["a-1", "b-2"], "max_tokens": 5,
                "messages": HI}  # fmt: skip
        house.post("/model/claude-x/invoke", body)
        with client_of("bedrock", house) as client:
            client.beta.messages.create(model="claude-x", max_tokens=5, messages=HI, betas=["c-3"])
        path = "/v1/projects/p/locations/us/publishers/anthropic/models/claude-x:rawPredict"
        house.post(path, body | {"anthropic_version": "vertex-2023-10-16"}, {"anthropic-beta": "d-4"})
    first, second, third = up.requests
    assert first.path == second.path == "/v1/messages" and first.json == {"model": "claude-x", "max_tokens": 5,
                                                                          "messages": HI}  # fmt: skip
    assert (first.headers["anthropic-beta"], first.headers["anthropic-version"]) == ("a-1,b-2", "2023-06-01")
    assert second.headers["anthropic-beta"] == "c-3" and second.headers["anthropic-version"] == "2026-10-21"
    assert third.json["model"] == "claude-x" and third.headers["anthropic-version"] == "2023-06-01"


SPLITS = ("a\r\nX-Injected: b", "a\nb", "\0", "\x7f", "\u010a", "\ud800", ["a", "b\r\nX-Injected: c"])


@pytest.mark.parametrize("said", SPLITS)
@pytest.mark.parametrize("field", ["anthropic_beta", "anthropic_version"])
def test_a_member_of_the_body_begins_no_header_of_its_own(field: str, said: Any) -> None:
    if field == "anthropic_version" and isinstance(said, list):
        said = said[1]
    body = json.dumps({field: said, "max_tokens": 5, "messages": HI}).encode()
    with Upstream([Answer.json(frames.whole())]) as up, House(settings(up, "messages")) as house:
        for path in ("/model/claude-x/invoke", "/v1/projects/p/locations/us/publishers/anthropic/models/m:rawPredict"):
            status, _, raw = house.request("POST", path, body, {"Content-Type": "application/json"})
            assert status == 400 and field in raw.decode()
    assert not up.requests


def test_every_other_byte_goes_on_as_it_is() -> None:
    inside = b'"messages":[ {"role":"user","content":"\\u00fc"}],  "system":"a\\/b", "max_tokens":5'
    body = b'{"anthropic_version": "bedrock-2023-05-31",' + inside + b"}"
    with Upstream([Answer.json(frames.whole())]) as up, House(settings(up, "messages")) as house:
        assert house.request("POST", "/model/claude-x/invoke", body, {"Content-Type": "application/json"})[0] == 200
    assert up.requests[0].body == b'{"model":"claude-x",' + inside + b"}"


def exceptions_of(raw: bytes) -> list[dict[str, str]]:
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    return [dict(each.headers) | json.loads(each.payload) for each in buffer]


@pytest.mark.parametrize("upstream", PROTOCOLS)
def test_errors_are_in_the_clouds_own_shape(upstream: str) -> None:
    refusal = Answer.json({"error": {"type": "rate_limit_error", "message": "slow down"}}, 429)
    with Upstream([refusal]) as up, House(settings(up, upstream) + ONCE) as house:
        status, _, raw = house.post("/model/claude-x/invoke", {"max_tokens": 5, "messages": HI})
        assert status == 429 and json.loads(raw) == {"message": "slow down", "__type": "ThrottlingException"}
        path = "/v1/projects/p/locations/us/publishers/anthropic/models/claude-x:streamRawPredict"
        status, _, raw = house.post(path, {"max_tokens": 5, "messages": HI})
        error = json.loads(raw)["error"]
        assert status == 429 and error["status"] == "RESOURCE_EXHAUSTED" and error["type"] == "rate_limit_error"
        with client_of("bedrock", house) as client, pytest.raises(anthropic.RateLimitError, match="slow down"):
            client.messages.create(model="claude-x", max_tokens=5, messages=HI)
        assert house.post("/model/claude-x/invoke", {"messages": HI, "model": "other"})[0] == 400
        assert house.post("/model/nothing-here/invoke", {"messages": HI})[0] == 404
        assert house.request("GET", "/model/claude-x/invoke", None)[0] == 405
        assert house.request("GET", "/inference-profiles?maxResults=100", None)[0] == 404


@pytest.mark.parametrize("upstream", ["messages", "chat", "bedrock"])
def test_an_error_within_a_stream_is_an_exception(upstream: str) -> None:
    begun = stream_of(upstream)
    assert not isinstance(begun.body, bytes)
    said = [
        *begun.body[: 2 if upstream == "chat" else 4]
    ]  # its first word, too: before that, an error would be a status
    answer = Answer(begun.status, begun.headers, said, framing="chunked", end="close")
    with Upstream([answer]) as up, House(settings(up, upstream) + ONCE) as house:
        status, headers, raw = house.post(
            "/model/claude-x/invoke-with-response-stream", {"max_tokens": 5, "messages": HI}
        )
        assert status == 200 and headers["content-type"] == "application/vnd.amazon.eventstream"
        first, *_, last = exceptions_of(raw)
        assert first[":event-type"] == "chunk" and last[":message-type"] == "exception" and last["message"]
        with client_of("bedrock", house) as client, pytest.raises(anthropic.APIStatusError):
            list(client.messages.create(model="claude-x", max_tokens=5, messages=HI, stream=True))


@pytest.mark.parametrize("upstream", ["messages", "chat"])
def test_bedrock_clients_count_tokens(upstream: str) -> None:
    inner = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1, "messages": HI}
    body = {"input": {"invokeModel": {"body": base64.b64encode(json.dumps(inner).encode()).decode()}}}
    with Upstream([Answer.json({"input_tokens": 42})]) as up, House(settings(up, upstream)) as house:
        status, _, raw = house.post("/model/claude-x/count-tokens", body)
        count = json.loads(raw)
        assert status == 200 and (count == {"inputTokens": 42} if upstream == "messages" else count["inputTokens"] > 0)
        assert house.post("/model/claude-x/count-tokens", {"input": {"converse": {}}})[0] == 400
        plain = json.loads(house.post("/v1/messages/count_tokens", {"model": "claude-x"} | inner)[2])
        assert set(plain) == {"input_tokens"}
        with client_of("vertex", house) as client:
            counted = client.messages.count_tokens(model="claude-x", messages=HI)
            assert counted.input_tokens == 42 or upstream == "chat"


def test_what_bedrock_has_and_the_proxy_has_not_is_refused_in_bedrocks_words() -> None:
    with Upstream([]) as up, House(settings(up, "messages")) as house:
        status, _, raw = house.post("/model/m/converse", {"messages": []})
        assert status == 404 and json.loads(raw)["__type"] == "ResourceNotFoundException"
        status, _, raw = house.get("/model/m/invoke")
        assert status == 405 and "only POST" in json.loads(raw)["message"]


def test_pings_and_keys() -> None:
    pieces = frames.events()
    events = [b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in pieces]
    more = "[server]\nping_seconds = 0.2\n[client me]\nkey = client-key-0123456789\n"
    with Upstream([Answer.sse([*events[:3], 0.6, *events[3:]])]) as up, House(settings(up, "messages", more)) as house:
        path, body = "/model/claude-x/invoke-with-response-stream", {"max_tokens": 5, "messages": HI}
        status, _, raw = house.post(path, body)
        assert status == 401 and json.loads(raw)["__type"] == "AccessDeniedException"
        signed = {"authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=0"}
        assert house.post(path, body, signed)[0] == 401
        _, _, raw = house.post(path, body, {"authorization": "Bearer client-key-0123456789"})
    chunks = [json.loads(base64.b64decode(each["bytes"])) for each in exceptions_of(raw)]
    assert {"type": "ping"} in chunks and [c for c in chunks if c["type"] != "ping"] == pieces
    assert "client-key" not in str(up.requests[0].headers)
