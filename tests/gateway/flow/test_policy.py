"""An upstream's field policy, as its section says it, in what is sent to it and in what is reported."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.routing import upstreams
from gateway.routing.router import Router
from operate.settings import load
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream
from translate.target import Policy

ASK = {"model": "m", "max_tokens": 5000, "messages": [{"role": "user", "content": "hello"}]}
COMPLETION = {"id": "c", "object": "chat.completion", "created": 1, "model": "m",
              "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
              "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}  # fmt: skip
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}}


def sent(ask: dict[str, Any], more: str, path: str = "/v1/messages") -> tuple[Any, str]:
    """(the request as it came to the upstream, X-Proxy-Dropped)"""
    with Upstream([Answer.json(COMPLETION)]) as up, House(one_upstream(up.url, "chat", more)) as house:
        status, headers, body = house.post(path, ASK | ask)
        assert status == 200, body
        return up.requests[-1], headers.get("x-proxy-dropped", "")


def test_fields_are_left_out_and_reported_in_the_clients_words() -> None:
    ask = {"stop_sequences": ["x"], "temperature": 0.5, "metadata": {"user_id": "u"}}
    request, dropped = sent(ask, "drop = stop, user, n, stream_options\n")
    assert request.json.keys() == {"model", "max_tokens", "messages", "temperature"}
    assert dropped == "stop_sequences, metadata"


def test_fields_are_renamed() -> None:
    request, dropped = sent({"stop_sequences": ["x"]}, "rename = stop=stop_words, seed=random_seed\n")
    assert request.json["stop_words"] == ["x"] and "stop" not in request.json and dropped == ""


def test_policy_is_for_translated_requests_only_but_for_what_is_refused() -> None:
    more = "drop = seed\nrename = stop=stops\nimages = false\nmax_tokens = 9\n"
    request, dropped = sent({"stop": "x", "seed": 1}, more, "/v1/chat/completions")
    assert (request.json["stop"], request.json["max_tokens"], dropped) == ("x", 5000, "seed")
    assert "seed" not in request.json


@pytest.mark.parametrize(("clamp", "limit"), [("100", 100), ("m=7, 100", 7), ("other*=7", 5000), ("0", 5000)])
def test_the_output_limit_is_clamped_by_model(clamp: str, limit: int) -> None:
    assert sent({}, f"max_tokens = {clamp}\n")[0].json["max_tokens"] == limit


def test_images_become_a_note() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "look"}, IMAGE]},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    request, dropped = sent({"messages": messages, "tools": tools}, "images = false\n")
    first, _, tool = request.json["messages"]
    assert first["content"].startswith("look") and "cannot see images" in first["content"]
    assert "cannot see images" in tool["content"] and b"image_url" not in request.body
    assert dropped == "image"
    request, dropped = sent({}, "images = false\n")
    assert request.json["messages"] == ASK["messages"] and dropped == ""


def test_schemas_for_gemini() -> None:
    schema = {"type": "object", "additionalProperties": False, "properties": {"additionalProperties": {"const": "x"}}}
    request, dropped = sent({"tools": [{"name": "f", "input_schema": schema}]}, "tool_schema = gemini\n")
    assert dropped == "tools.input_schema.additionalProperties"
    wanted = {"type": "object", "properties": {"additionalProperties": {"type": "string", "enum": ["x"]}}}
    assert request.json["tools"][0]["function"]["parameters"] == wanted
    config = {"format": {"type": "json_schema", "schema": schema}}
    request, _ = sent({"output_config": config}, "tool_schema = gemini\n")
    assert request.json["response_format"]["json_schema"]["schema"] == wanted


@pytest.mark.parametrize(
    ("may", "model", "effort", "dropped"),
    [
        ("auto", "gpt-4o", None, "output_config.effort"),
        ("true", "gpt-4o", "low", ""),
        ("false", "m", None, "output_config.effort"),
        ("auto", "m", "low", ""),
    ],
)
def test_an_effort_is_sent_where_it_may(may: str, model: str, effort: str | None, dropped: str) -> None:
    request, told = sent({"model": model, "output_config": {"effort": "low"}}, f"reasoning_effort = {may}\n")
    assert (request.json.get("reasoning_effort"), told) == (effort, dropped)


@pytest.mark.parametrize(("most", "stop"), [("1", ["a"]), ("4", ["a", "b"]), ("0", None)])
def test_stop_sequences_as_many_as_it_takes(most: str, stop: list[str] | None) -> None:
    request, dropped = sent({"stop_sequences": ["a", "b"]}, f"max_stops = {most}\n")
    assert request.json.get("stop") == stop and dropped == ("" if most == "4" else "stop_sequences")


def test_azure_gets_its_own_path_and_key_header() -> None:
    more = "preset = azure\napi_version = 2024-10-21\napi_key = secret-key\n"
    request, _ = sent({"model": "up/my deployment"}, more)
    assert request.path == "/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21"
    assert request.headers["api-key"] == "secret-key" and "authorization" not in request.headers
    assert request.json["max_completion_tokens"] == 5000


def test_azure_keeps_the_clients_own_query_but_not_its_version() -> None:
    more = "preset = azure\napi_version = 2024-10-21\napi_key = secret-key\n"
    request, _ = sent({}, more, "/v1/chat/completions?beta=true&api-version=1999-01-01")
    assert request.path == "/openai/deployments/m/chat/completions?api-version=2024-10-21&beta=true"


def test_a_setting_that_translators_ask_for_reaches_them_by_its_name() -> None:
    """A field of Policy is an upstream's setting of the same name and type, or somebody works it out."""
    worked_out = {"max_tokens", "cache_marks", "prompt_cache_key", "deferred_tools", "max_continuations", "proofs",
                  "only_streams"}  # fmt: skip
    assert set(Policy.__struct_fields__) == set(upstreams.HABITS) | worked_out
    text = "[upstream up]\nprotocol = chat\nbase_url = http://x\nimages = false\nmax_stops = 7\nrename = a=b\n"
    policy = Router(load.read(text, environ={})).upstreams["up"].policy
    assert (policy.images, policy.max_stops, policy.rename) == (False, 7, (("a", "b"),))
