"""Rows 13 and 15: the picker's list, and counts. See README.md in this folder."""

from __future__ import annotations

import json

import pytest

from gateway.routing import listing
from tests.gateway.contract.lanes import OTHERS, UPSTREAMS, asking, settings
from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream
from upstream.request import Timeouts

CLAUDE_CODE = {"User-Agent": "claude-code/2.1.330", "anthropic-version": "2023-06-01"}
LISTED = {"data": [{"id": "qwen3", "context_length": 131072}, {"id": "claude-new", "display_name": "Claude New"}]}


def test_row_13_the_picker_has_every_model_of_every_upstream() -> None:
    """Its ids have the word that the picker looks for, and each is taken under the name that it is listed by."""
    with Upstream(lambda asked: Answer.json(LISTED)) as up:
        text = f"[upstream a]\nprotocol = chat\nbase_url = {up.url}\n[models]\nmine = a/qwen3\n* = a\n"
        with House(text) as house:
            status, headers, raw = house.get("/v1/models?limit=1000", CLAUDE_CODE)
            rows = {row["id"]: row for row in json.loads(raw)["data"]}
            for id in rows:
                assert house.get(f"/v1/models/{id}", CLAUDE_CODE)[0] == 200
    assert status == 200 and "location" not in headers
    assert rows.keys() == {"claude-new", "anthropic-proxy/a/qwen3", "anthropic-proxy/a/mine"}
    assert all(row["display_name"] and "from a" in row["description"] for row in rows.values())
    assert "131K tokens" in rows["anthropic-proxy/a/qwen3"]["description"]


def test_row_13_it_does_not_wait_for_a_mute_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claude Code waits three seconds; what the settings name is listed all the same."""
    assert listing.PATIENCE.total is not None and listing.PATIENCE.total < 3
    monkeypatch.setattr(listing, "PATIENCE", Timeouts(connect=0.2, first_byte=0.2, idle=0.2, total=0.2))
    gate = Gate()
    with Upstream(lambda asked: Answer.json({}, delay=gate)) as up:
        text = f"[upstream a]\nprotocol = messages\nbase_url = {up.url}\n[models]\nclaude-mine = a\n* = a\n"
        with House(text) as house:
            status, headers, raw = house.get("/v1/models?limit=1000", CLAUDE_CODE)
        gate.open()
    assert status == 200 and "location" not in headers
    assert [row["id"] for row in json.loads(raw)["data"]] == ["claude-mine"]


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_row_15_counts_are_there(upstream: str) -> None:
    """Exact where the upstream counts; else an estimate that says so, within the factor of two that it is good for."""
    exact = {"messages": {"input_tokens": 321}, "vertex": {"input_tokens": 321}, "bedrock": {"inputTokens": 321},
             "gemini": {"totalTokens": 321}}.get(upstream)  # fmt: skip
    body = asking("messages") | {"messages": [{"role": "user", "content": "word " * 400}]}
    with Upstream([Answer.json(exact or {}, 200 if exact else 404)]) as up, House(settings(up, upstream)) as house:
        status, headers, raw = house.post("/v1/messages/count_tokens?beta=true", body)
    tokens = json.loads(raw)["input_tokens"]
    assert status == 200
    if exact and upstream not in OTHERS:
        assert tokens == 321 and "x-proxy-estimate" not in headers
    elif "x-proxy-estimate" in headers:
        assert 200 < tokens < 800
    else:
        assert tokens == 321
