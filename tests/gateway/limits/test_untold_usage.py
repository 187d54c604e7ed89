"""A quota of tokens, where the upstream does not tell what a reply took: vectors, verdicts, ranks, local servers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.gateway.limits.test_quotas import KEY, alice, left
from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import house_text, late, section

MANY = 12  # of a reply that is taken to be a quarter of the quota, four fit
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE]}
VECTOR = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
WORDS = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
SAID = {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}
ASKED: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "embeddings": ("chat", "/v1/embeddings", {"model": "m", "input": "hi"}, VECTOR),
    "ollama": ("chat", "/api/embed", {"model": "m", "input": "hi"}, VECTOR),
    "moderations": ("chat", "/v1/moderations", {"model": "m", "input": "hi"}, {"id": "x", "model": "m", "results": []}),
    "rerank": ("chat", "/v1/rerank", {"model": "m", "query": "hi", "documents": ["a"]}, {"results": []}),
    "gemini": ("gemini", "/v1beta/models/m:embedContent", {"content": WORDS["contents"][0]}, {"embedding": {}}),
    "several": ("gemini", "/v1beta/models/m:batchEmbedContents", {"requests": []}, {"embeddings": []}),
    "words": ("chat", "/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "hi"}]}, CHAT),
    "crossing": ("chat", "/v1/responses", {"model": "m", "input": "hi"}, CHAT),
    "spoken": ("gemini", "/v1beta/models/m:generateContent", WORDS, SAID),
}  # fmt: skip


@pytest.mark.parametrize("kind", ASKED)
def test_what_is_short_takes_little_of_a_quota(kind: str) -> None:
    protocol, path, body, reply = ASKED[kind]
    with Upstream(lambda r: Answer.json(reply)) as up:
        with House(house_text("* = a", alice(100_000), a=section(up.url, "", protocol))) as house:
            assert [house.post(path, body, KEY)[0] for _ in range(MANY)] == [200] * MANY
            assert left(house) > 95_000


def test_many_short_embeddings_go_at_once() -> None:
    """Also before the first of them has told anything: no vector has words."""
    gate = Gate()
    _, path, body, reply = ASKED["embeddings"]
    with Upstream(lambda r: late(Answer.json(reply), gate)) as up, ThreadPoolExecutor(MANY) as threads:
        with House(house_text("* = a", alice(100_000), a=section(up.url, ""))) as house:
            asked = [threads.submit(house.post, path, body, KEY) for _ in range(MANY)]
            house.wait(lambda p: len(up.requests) == MANY)
            gate.open()
            assert [each.result()[0] for each in asked] == [200] * MANY
