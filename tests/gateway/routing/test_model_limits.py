"""What an upstream's list says of its models: shown to whoever picks, and held to before a request is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.routing.known_models import read_list
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import says

CLAUDE_CODE = {"user-agent": "claude-code/2.1.330", "anthropic-version": "2023-06-01"}
LISTS: list[tuple[str, dict[str, Any], str]] = [
    ("OpenRouter", {"id": "m", "context_length": 400_000, "top_provider": {"max_completion_tokens": 128_000},
                    "architecture": {"input_modalities": ["text", "image"]},
                    "pricing": {"prompt": "0.00000125", "completion": "0.00001"}},
     "from up, 400K tokens of context, 128K out, takes images, $1.25 in, $10 out for a million tokens"),
    ("vLLM", {"id": "m", "max_model_len": 32_768}, "from up, 32K tokens of context"),
    ("llama.cpp", {"id": "m", "meta": {"n_ctx_train": 8192}}, "from up, 8K tokens of context"),
    ("Ollama", {"name": "m", "capabilities": ["completion", "vision"]}, "from up, takes images"),
    ("Anthropic", {"id": "m", "max_input_tokens": 1_000_000, "max_tokens": 64_000},
     "from up, 1M tokens of context, 64K out"),
    ("Google", {"name": "models/m", "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536},
     "from up, 1.04858M tokens of context, 65K out"),
    ("one that says odd things", {"id": "m", "max_tokens": 5, "context_length": -1, "architecture": 7,
                                  "capabilities": [[]], "top_provider": {"max_completion_tokens": "many"}},
     "from up, text alone"),
]  # fmt: skip


@pytest.mark.parametrize(("whose", "row", "described"), LISTS, ids=[each[0] for each in LISTS])
def test_lists_are_read(whose: str, row: dict[str, Any], described: str) -> None:
    (model,) = read_list({"data": [row]}, "up")
    assert (model.id, model.described) == ("m", described)


def settings(small: Upstream, large: Upstream, more: str = "") -> str:
    return (
        f"[upstream small]\nprotocol = chat\nbase_url = {small.url}\n"
        f"[upstream large]\nprotocol = chat\nbase_url = {large.url}\n"
        f"[models]\nm = small, large\nalone = small/m\n[prices]\nsmall/m = 3, 15\n{more}"
    )


def upstream(who: str, **row: Any) -> Upstream:
    def answer(request: Request) -> Answer:
        return Answer.json({"data": [{"id": "m"} | row]}) if request.method == "GET" else says(who)

    return Upstream(answer)


def ask(words: int, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "word " * words}]} | more


def who(reply: tuple[int, dict[str, str], bytes]) -> str:
    return str(reply[1]["x-proxy-upstream"])


def test_a_request_that_is_surely_too_long_goes_to_the_next_model_at_once() -> None:
    path = "/v1/chat/completions"
    with upstream("small", max_model_len=1000) as small, upstream("large", max_model_len=100_000) as large:
        with House(settings(small, large)) as house:
            assert who(house.post(path, ask(5000))) == "small", "nothing is known yet"
            house.get("/v1/models")
            assert who(house.post(path, ask(5000))) == "large"
            assert who(house.post(path, ask(500))) == "small"
            assert who(house.post(path, ask(5000, model="alone"))) == "small", "no other is left"
        with House(settings(small, large, "[retry]\non_overflow = false\n")) as house:
            house.get("/v1/models")
            assert who(house.post(path, ask(5000))) == "small"


def test_a_translated_request_asks_for_no_more_than_the_model_writes() -> None:
    row = {"top_provider": {"max_completion_tokens": 300}, "context_length": 9000}
    with upstream("small", **row) as small, upstream("large") as large, House(settings(small, large)) as house:
        body = ask(5, max_tokens=64_000)
        house.post("/v1/messages", body)
        house.get("/v1/models")
        house.post("/v1/messages", body)
        house.post("/v1/messages", body | {"max_tokens": 5})
    asked = [request.json["max_tokens"] for request in small.requests if request.method == "POST"]
    assert asked == [64_000, 300, 5]


def test_the_picker_shows_what_is_known_under_every_name() -> None:
    with upstream("small", max_model_len=1000) as small, upstream("large") as large:
        with House(settings(small, large)) as house:
            rows = json.loads(house.get("/v1/models?limit=1000", CLAUDE_CODE)[2])["data"]
    found = {row["id"]: (row["display_name"], row["description"]) for row in rows}
    known = "from small, 1K tokens of context, $3 in, $15 out for a million tokens"
    assert found["anthropic-proxy/small/m"] == ("m", known) and found["anthropic-proxy/small/alone"][1] == known
