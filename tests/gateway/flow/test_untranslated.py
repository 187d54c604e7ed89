"""OpenAI's further endpoints: passed on as they are, routed by their model, counted and logged like the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Request, Upstream

VECTOR = {"object": "list", "model": "real", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
          "usage": {"prompt_tokens": 8, "total_tokens": 8}}  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "/v1/embeddings": {"model": "e", "input": ["a", "b"]},
    "/v1/completions": {"model": "e", "prompt": "once", "max_tokens": 5},
    "/v1/moderations": {"model": "e", "input": "x"},
    "/v1/rerank": {"model": "e", "query": "q", "documents": ["a", "b"]},
    "/v1/images/generations": {"model": "e", "prompt": "a cat"},
}
TWO = "[upstream claude]\nprotocol = messages\nbase_url = http://127.0.0.1:9\n[models]\ne = up/real\nc = claude\n"
CHUNKS = [b'data: {"id":"c","object":"text_completion","choices":[{"index":0,"text":"on"}]}\n\n',
          b'data: {"id":"c","choices":[{"index":0,"text":"","finish_reason":"stop"}]}\n\ndata: [DONE]\n\n']  # fmt: skip


def settings(up: Upstream, more: str = "") -> str:
    return f"[upstream up]\nprotocol = chat\nbase_url = {up.url}\n{more}\n{TWO}"


@pytest.mark.parametrize("path", BODIES)
def test_the_same_goes_to_the_upstream_of_its_model(path: str) -> None:
    raw = b'{"id": "r", "model":  "real", "data": []}'
    with Upstream([Answer(200, {"Content-Type": "application/json"}, raw)]) as up, House(settings(up)) as house:
        status, headers, got = house.post(path, BODIES[path])
    assert status == 200 and got == raw.replace(b'"real"', b'"e"') and headers["x-proxy-upstream"] == "up"
    assert up.requests[0].path == path and up.requests[0].json == BODIES[path] | {"model": "real"}


@pytest.mark.parametrize("path", BODIES)
def test_no_other_protocol_has_it(path: str) -> None:
    with Upstream([]) as up, House(settings(up)) as house:
        status, _, raw = house.post(path, BODIES[path] | {"model": "c"})
    error = json.loads(raw)["error"]
    assert status == 404 and error["param"] == "model" and f"{path} is passed on only to upstreams" in error["message"]
    assert "leads to claude" in error["message"] and not up.requests


def test_its_usage_is_counted() -> None:
    records: list[dict[str, Any]] = []
    with Upstream([Answer.json(VECTOR)]) as up, House(settings(up)) as house:
        house.on_loop(lambda: house.proxy.service.observers.on_finished.append(records.append))
        house.post("/v1/embeddings", BODIES["/v1/embeddings"])
        house.wait(lambda p: bool(records))
        page = house.get("/metrics")[2].decode()
    (record,) = records
    assert record["gen_ai.operation.name"] == "embeddings" and record["url.path"] == "/v1/embeddings"
    assert (record["gen_ai.usage.input_tokens"], record["gen_ai.usage.output_tokens"]) == (8, 0)
    assert 'gen_ai_operation_name="embeddings"' in page


def test_refusals_retries_and_a_model_that_is_missing() -> None:
    busy = Answer.json({"error": {"message": "busy"}}, 503)
    quick = "[retry]\nbackoff = 0.01\nmax_backoff = 0.02\n"
    with Upstream([busy, Answer.json(VECTOR)]) as up, House(settings(up) + quick) as house:
        assert house.post("/v1/embeddings", BODIES["/v1/embeddings"])[0] == 200 and len(up.requests) == 2
        status, _, raw = house.post("/v1/embeddings", {"input": "x"})
        assert status == 400 and "model: field required" in json.loads(raw)["error"]["message"]
    with Upstream([Answer.json({"error": {"message": "too long", "code": "x"}}, 400)]) as up:
        with House(settings(up) + ONCE) as house:
            status, _, raw = house.post("/v1/embeddings", BODIES["/v1/embeddings"])
    assert status == 400 and json.loads(raw)["error"]["code"] == "x"


def test_completions_stream() -> None:
    with Upstream([Answer.sse(CHUNKS)]) as up, House(settings(up)) as house:
        status, headers, got = house.post("/v1/completions", BODIES["/v1/completions"] | {"stream": True})
    assert status == 200 and headers["content-type"].startswith("text/event-stream") and got == b"".join(CHUNKS)
    assert "stream_options" not in up.requests[0].json


def test_azures_older_addresses_name_the_deployment() -> None:
    more = "api_version = 2024-10-21"
    with Upstream([Answer.json(VECTOR)] * 2) as up, House(settings(up, more)) as house:
        for path in ("/v1/embeddings", "/v1/rerank"):
            house.post(path, BODIES[path])
    assert [request.path for request in up.requests] == [
        "/openai/deployments/real/embeddings?api-version=2024-10-21",
        "/openai/rerank?api-version=2024-10-21",
    ]


@pytest.mark.parametrize(("line", "sent"), [("", {"input": "x"}), ("/own", {"input": "x", "model": "own"})])
def test_a_moderation_need_not_name_a_model(line: str, sent: dict[str, Any]) -> None:
    rule = f"\nomni-moderation-latest = up{line}\n"
    with Upstream([Answer.json({"id": "m", "model": "own", "results": []})]) as up, House(settings(up) + rule) as house:
        with openai.OpenAI(base_url=f"{house.url}/v1", api_key="k", max_retries=0) as client:
            assert client.moderations.create(input="x").results == []
        status, _, raw = house.post("/v1/moderations", {"input": "x", "model": 7})
        assert status == 400 and "model: field required" in json.loads(raw)["error"]["message"]
    assert [request.json for request in up.requests] == [sent]


@pytest.mark.parametrize(
    "model", ["gpt-image-2", "text-embedding-3-small", "omni-moderation-latest", "whisper-1", "tts-1"]
)
def test_openais_models_lead_there_with_the_settings_as_shipped(model: str) -> None:
    shipped = (Path(__file__).parents[3] / "settings.ini").read_text()
    with Upstream([Answer.json({"data": []})]) as up:
        environ = dict.fromkeys(["OPENAI_API_KEY", "ANTHROPIC_API_KEY"], "sk-0123456789")
        environ |= {"OPENAI_UPSTREAM_BASE": up.url, "UPSTREAM_BASE": "http://127.0.0.1:9"}
        with House(shipped, environ) as house:
            assert house.post("/v1/embeddings", {"model": model, "input": "x"})[0] == 200
    assert [request.json["model"] for request in up.requests if request.method == "POST"] == [model]


def test_the_official_sdk() -> None:
    def script(request: Request) -> Answer:
        if request.path == "/v1/embeddings":
            return Answer.json(VECTOR)
        return Answer.json({"id": "m", "model": "real", "results": [{"flagged": False, "categories": {}}]})

    with Upstream(script) as up, House(one_upstream(up.url, "chat")) as house:
        with openai.OpenAI(base_url=f"{house.url}/v1", api_key="k", max_retries=0) as client:
            made = client.embeddings.create(model="e", input=["a"], encoding_format="float")
            judged = client.moderations.create(model="e", input="x")
    assert made.data[0].embedding == [0.5, -1.0] and made.usage.prompt_tokens == 8
    assert judged.results[0].flagged is False
