"""Limits, sampling and the other fields of a request, written for Messages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.messages.written import write
from translate.conversation import OutputFormat, Reasoning, Sampling
from translate.target import Policy


@pytest.mark.parametrize(
    ("model", "given", "clamp", "expected"),
    [
        ("claude-3-opus-20240229", None, 0, 4096),
        ("claude-3-haiku-20240307", None, 0, 4096),
        ("claude-3-5-sonnet-20241022", None, 0, 8192),
        ("anthropic/claude-3.7-sonnet", None, 0, 8192),
        ("claude-opus-4-1", None, 0, 32_000),
        ("something-else", None, 0, 32_000),
        ("something-else", None, 8000, 8000),
        ("something-else", 100, 8000, 100),
        ("something-else", 9000, 8000, 8000),
    ],
)
def test_max_tokens(model: str, given: int | None, clamp: int, expected: int) -> None:
    out = write(model=model, max_tokens=given, policy=Policy(max_tokens=clamp))
    assert (out.body["max_tokens"], out.dropped) == (expected, [])


SAMPLED: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"temperature": 0.0}, {"temperature": 0.0}, []),
    ({"temperature": 1.7}, {"temperature": 1}, []),
    ({"top_p": 0.5, "top_k": 3}, {"top_p": 0.5, "top_k": 3}, []),
    ({"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ["top_p"]),
    ({"stop": ["END", "\n", ""]}, {"stop_sequences": ["END"]}, ["stop"]),
    ({"stop": [" "]}, {}, ["stop"]),
    (
        {"seed": 0, "frequency_penalty": 0.5, "presence_penalty": 1.0},
        {},
        ["seed", "frequency_penalty", "presence_penalty"],
    ),
]


@pytest.mark.parametrize(("sampling", "expected", "dropped"), SAMPLED)
def test_sampling_is_written_as_the_model_takes_it(
    sampling: dict[str, Any], expected: dict[str, Any], dropped: list[str]
) -> None:
    out = write(model="claude-opus-4-6", sampling=Sampling(**sampling))
    assert {key: out.body[key] for key in out.body if key not in ("model", "max_tokens", "messages")} == expected
    assert out.dropped == dropped


@pytest.mark.parametrize(
    ("sampling", "expected", "dropped"),
    [
        ({"temperature": 1.0}, {}, []),
        ({"temperature": 0.5}, {}, ["temperature"]),
        ({"top_p": 0.95}, {"top_p": 0.95}, []),
        ({"top_p": 0.9}, {}, ["top_p"]),
        ({"temperature": 0.5, "top_p": 0.99, "top_k": 4}, {"top_p": 0.99}, ["temperature", "top_k"]),
    ],
)
def test_sampling_beside_thinking(sampling: dict[str, Any], expected: dict[str, Any], dropped: list[str]) -> None:
    out = write(model="claude-opus-4-6", sampling=Sampling(**sampling), reasoning=Reasoning(effort="low"))
    assert {key: out.body[key] for key in ("temperature", "top_p", "top_k") if key in out.body} == expected
    assert out.dropped == dropped


def test_the_other_fields() -> None:
    out = write(
        user="u1",
        cache_key="k",
        service_tier="flex",
        stream=True,
        ext={"chat": {"logit_bias": {"1": 2}, "n": 1, "logprobs": True}},
    )
    assert out.body["metadata"] == {"user_id": "u1"} and out.body["stream"] is True
    assert out.dropped == ["prompt_cache_key", "service_tier", "logit_bias", "logprobs"]
    assert write(service_tier="auto", ext={"chat": {"store": False, "logprobs": False}}).dropped == []


@pytest.mark.parametrize("name", ["bob@example.org", "x" * 257])
def test_a_user_that_anthropic_would_refuse(name: str) -> None:
    metadata: Any = write(user=name).body["metadata"]
    assert len(metadata["user_id"]) == 64
    assert metadata == write(user=name).body["metadata"] != write(user=name + "x").body["metadata"]


@pytest.mark.parametrize(
    ("ext", "words"),
    [
        ({"chat": {}}, ["reasoning_effort", "response_format", "stop", "prompt_cache_key"]),
        ({"responses": {}}, ["reasoning", "text.format", "stop", "prompt_cache_key"]),
        ({}, ["reasoning_effort", "response_format", "stop", "prompt_cache_key"]),
    ],
)
def test_fields_are_named_in_the_clients_words(ext: dict[str, Any], words: list[str]) -> None:
    out = write(
        ext=ext,
        model="claude-3-opus",
        reasoning=Reasoning(effort="high"),
        output=OutputFormat("json_object"),
        sampling=Sampling(stop=[" "]),
        cache_key="k",
    )
    assert out.dropped == words
