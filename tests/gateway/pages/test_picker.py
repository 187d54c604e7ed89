"""Every model of every upstream in Claude Code's picker, and taken under the name that it has there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.routing.known_models import read_list
from tests.lessons.street import ASK, WHOLE, Json
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

ROUTES = """
[upstream s]
protocol = chat
base_url = {}
[upstream t]
protocol = chat
base_url = {}
[models]
fast = s/small-1
mine = s, t
* = s
"""
LISTED = {"data": [
    {"id": "qwen3", "context_length": 131072, "pricing": {"prompt": "0.0000003", "completion": "0.0000012"}},
    {"id": "claude-like", "display_name": "Like Claude"},
    {"id": "org/deep", "max_model_len": 1_000_000},
]}  # fmt: skip
CLAUDE_CODE = {"User-Agent": "claude-code/2.1.330", "anthropic-version": "2023-06-01"}


ANSWERED = Answer.json(WHOLE["chat"])


def answer(asked: Request) -> Answer:
    if asked.path.startswith("/v1/models"):
        return Answer.json(LISTED)
    return ANSWERED


def models(house: House, headers: dict[str, str], query: str = "?limit=1000") -> dict[str, Json]:
    status, _, raw = house.get(f"/v1/models{query}", headers)
    assert status == 200
    return {row["id"]: row for row in json.loads(raw)["data"]}


def test_all_reach_the_picker_and_are_taken_under_that_name() -> None:
    with Upstream(answer) as up, House(ROUTES.format(up.url, up.url)) as house:
        rows = models(house, CLAUDE_CODE)
        assert all("claude" in id or "anthropic" in id for id in rows)
        picked = {f"anthropic-proxy/s/{name}" for name in ("qwen3", "fast", "org/deep")}
        assert {"claude-like"} | picked <= rows.keys()
        assert rows["anthropic-proxy/s/qwen3"]["display_name"] == "qwen3"
        assert rows["claude-like"]["display_name"] == "Like Claude"
        for id, sent in (
            ("anthropic-proxy/s/qwen3", "qwen3"),
            ("anthropic-proxy/s/qwen3[1m]", "qwen3"),
            ("anthropic-proxy/s/org/deep", "org/deep"),
            ("anthropic-proxy/s/fast", "small-1"),  # what the settings say of a name holds for it
            ("anthropic-proxy/s/fast[1m]", "small-1"),
            ("anthropic-proxy/t/qwen3", "qwen3"),
        ):
            status, _, raw = house.post("/v1/messages", ASK | {"model": id}, CLAUDE_CODE)
            assert status == 200, raw
            assert up.requests[-1].json["model"] == sent
            assert house.get(f"/v1/models/{id}", CLAUDE_CODE)[0] == 200


@pytest.mark.parametrize("headers", [{}, {"User-Agent": "OpenAI/Python 2.0"}, {"anthropic-version": "2023-06-01"}])
def test_others_see_plain_names(headers: dict[str, str]) -> None:
    with Upstream(answer) as up, House(ROUTES.format(up.url, up.url)) as house:
        assert {"qwen3", "claude-like", "fast", "mine"} <= models(house, headers, "").keys()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (LISTED["data"][0], "from s, 131K tokens of context, $0.3 in, $1.2 out for a million tokens"),
        (LISTED["data"][2], "from s, 1M tokens of context"),
        ({"id": "x", "meta": {"n_ctx_train": 512}}, "from s, 512 tokens of context"),
        ({"id": "x", "context_length": True, "pricing": {"prompt": "-1", "completion": "-1"}}, "from s"),
        ({"id": "x", "context_length": "8k", "pricing": {"prompt": "free"}, "meta": []}, "from s"),
        ({"id": "x", "pricing": {"prompt": "nan", "completion": "1"}}, "from s"),
    ],
)
def test_what_a_list_tells_of_a_model(row: Any, said: str) -> None:
    assert [model.described for model in read_list({"data": [row, {"no": "id"}, 7]}, "s")] == [said]
