"""What tokens cost: by the settings, else by the shipped list; and what the price depends on besides their number."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest

from gateway.observe.prices import Prices
from gateway.routing import shipped_models
from gateway.routing.shipped_models import is_near
from operate.settings import load
from operate.settings.load import SettingsError
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream
from translate.conversation import Usage

FAR = "[upstream far]\nprotocol = chat\nbase_url = https://api.example.com\n"
NEAR = "[upstream near]\nprotocol = chat\nbase_url = http://10.1.2.3:8080\n"


def prices_of(more: str = "") -> Prices:
    return Prices(load.read(FAR + NEAR + more, environ={}))


def test_shipped_prices_say_where_they_are_from() -> None:
    shipped = shipped_models.shipped()
    assert "genai-prices" in shipped.prices and shipped.limits and shipped.date and len(shipped.models) > 100
    for row in (said["price"] for said in shipped.models.values() if "price" in said):
        numbers = [value for value in row if isinstance(value, int | float)]
        assert len(row) in range(2, 6) and all(0 <= value < 1000 for value in numbers)


@pytest.mark.parametrize(
    ("model", "known"),
    [("gpt-5.1", True), ("gpt-5.1-2025-11-13", True), ("openai/gpt-5.1", True), ("claude-sonnet-5-5[1m]", True),
     ("claude-sonnet-5-5-20260901", True), ("gpt-5.1-of-mine", False), ("qwen3:8b", False), ("", False)],
)  # fmt: skip
def test_what_is_not_on_the_list_has_no_price(model: str, known: bool) -> None:
    assert (prices_of().of("far", model) is not None) is known
    assert prices_of().of("near", model) is None  # a server of one's own: nobody knows


def test_settings_come_before_the_list_and_exact_names_before_patterns() -> None:
    more = "[prices]\ngpt-* = 1, 2\ngpt-5.1 = 3, 4, 0.5, 6\nnear/* = 0, 0\n"
    prices = prices_of(more)
    assert prices.of("far", "gpt-5.1")[:6] == (3, 4, 0.5, 6, 0, None)
    assert prices.of("far", "gpt-5")[:6] == (1, 2, None, None, 0, None)
    free = prices.of("near", "qwen")
    assert free is not None and free.of(Usage(input=10**6, output=10**6)) == 0.0


def test_what_is_read_from_the_cache_costs_its_own_price_and_long_prompts_theirs() -> None:
    price = prices_of("[prices]\nm = 10, 100, 1, 20\n").of("far", "m")
    assert price is not None and price.of(Usage(10**6, 10**6, 10**6, 0, 10**6)) == pytest.approx(131.0)
    tiered = prices_of().of("far", "gemini-2.5-pro")
    assert tiered is not None and tiered.of(Usage(input=100_000)) == pytest.approx(0.125)
    assert tiered.of(Usage(input=300_000)) == pytest.approx(0.75)


@pytest.mark.parametrize("line", ["1", "1, 2, 3, 4, 5", "a, b", "-1, 2", "1; 2", ""])
def test_a_price_that_is_none_is_a_fault_in_the_settings(line: str) -> None:
    with pytest.raises(SettingsError, match="two to four numbers"):
        load.read(FAR + f"[prices]\nm = {line}\n", environ={})


def test_names_of_models_that_are_looked_up_are_bounded() -> None:
    prices = prices_of()
    for n in range(3000):
        prices.of("far", f"m{n}")
    assert len(prices._known) <= 1000


@pytest.mark.parametrize(
    ("url", "near"),
    [("http://127.0.0.1:1", True), ("http://[::1]:1", True), ("http://10.0.0.1", True), ("http://gpu:8000", True),
     ("http://gpu.lan", True), ("https://api.openai.com", False), ("demo:", True)],
)  # fmt: skip
def test_whose_server_it_is(url: str, near: bool) -> None:
    assert is_near(url) is near


def test_a_change_of_the_settings_changes_the_prices() -> None:
    on = prices_of()
    assert on.of("far", "mine") is None
    on.adopt(load.read(FAR + "[prices]\nmine = 1, 1\n", environ={}))
    assert on.of("far", "mine") is not None


# ------------------------------------------------------------------------------- what the price depends on besides


@pytest.mark.parametrize(
    ("model", "used", "usd"),
    [
        ("claude-opus-5-5", Usage(input=10**6, terms=("standard", "standard", "global")), 1),
        ("claude-opus-5-5", Usage(input=10**6, terms=("standard", "fast", "us")), 2.2),
        ("claude-opus-5-5", Usage(output=10**6, terms=("batch",)), 5),
        ("claude-opus-5-5", Usage(cache_write=10**6), 4),
        ("claude-opus-5-5", Usage(cache_write=10**6, cache_write_1h=10**6), 2),
        ("claude-opus-5-5", Usage(cache_write=10**6, cache_write_1h=500_000, terms=("us",)), 3.3),
        ("claude-haiku-4-5", Usage(input=10**6, terms=("fast", "us")), 1),
        ("gpt-5.5", Usage(input=10**6, terms=("priority",)), 2.5),
        ("gpt-5.5-2026-04-24", Usage(output=10**6, terms=("flex",)), 5),
        ("gpt-5.5", Usage(cache_read=10**6, terms=("default",)), 0.1),
        ("gemini-3.5-flash", Usage(input=10**6, terms=("priority",)), 1.8),
        ("qwen3", Usage(input=10**6, cache_write=10**6, cache_write_1h=10**6, terms=("flex", "us")), 5),
    ],
)  # fmt: skip
def test_factors_are_those_of_the_model_whoever_says_its_price(model: str, used: Usage, usd: float) -> None:
    price = prices_of("[prices]\n* = 1, 10, 0.1, 4\n").of("near", model)
    assert price is not None and price.of(used) == pytest.approx(usd)


def test_a_cache_without_a_price_of_its_own_costs_what_input_costs() -> None:
    price = prices_of("[prices]\n* = 1, 10\n").of("far", "claude-opus-5-5")
    assert price is not None and price.of(Usage(cache_write=10**6, cache_write_1h=10**6)) == pytest.approx(1)


def test_shipped_prices_have_the_factors_above_a_limit_too() -> None:
    price = prices_of().of("far", "gpt-5.5")
    assert price is not None and price.of(Usage(input=300_000, terms=("flex",))) == pytest.approx(1.5)


def test_what_is_saved_is_reckoned_at_the_same_terms() -> None:
    price = prices_of("[prices]\n* = 1, 10, 0.1, 4\n").of("far", "claude-opus-5-5")
    assert price is not None and price.saved(Usage(cache_read=10**6, output=9, terms=("us",))) == pytest.approx(0.99)


MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
           "content": [{"type": "text", "text": "x"}]}  # fmt: skip
CLAUDES = {"input_tokens": 1_000, "output_tokens": 100, "cache_creation_input_tokens": 2_000,
           "cache_creation": {"ephemeral_1h_input_tokens": 1_000, "ephemeral_5m_input_tokens": 1_000},
           "service_tier": "standard", "inference_geo": "us", "speed": "fast"}  # fmt: skip
CHATS = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "service_tier": "priority"}
OPENAIS = {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}
RESPONSE = {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [
    {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
     "content": [{"type": "output_text", "text": "x", "annotations": []}]}], "service_tier": "flex",
    "tools": [{"type": "function", "name": "f", "parameters": {"service_tier": "x"}, "description": "z" * 40_000}],
    "usage": OPENAIS, "metadata": {"service_tier": "priority"}}  # fmt: skip
GOOGLES = {"promptTokenCount": 1_000, "candidatesTokenCount": 100, "totalTokenCount": 1_100}
CANDIDATE = {"content": {"role": "model", "parts": [{"text": "x"}]}, "finishReason": "STOP"}
SAID: dict[str, tuple[str, str, list[dict[str, Any]], float]] = {
    "messages": ("messages", "claude-opus-5-5", [MESSAGE | {"usage": CLAUDES}], (1_000 + 4_000 + 2_000 + 1_000) * 2.2),
    "messages, streamed": ("messages", "claude-opus-5-5", [
        {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None, "usage": CLAUDES}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}},
        {"type": "message_stop"}], (1_000 + 4_000 + 2_000 + 1_000) * 2.2),
    "chat": ("chat", "gpt-5.5", [CHUNK | {"choices": [CHOICE], "usage": CHATS}], 2_000 * 2.5),
    "chat, streamed": ("chat", "gpt-5.5", [
        CHUNK | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "x"}}]},
        CHUNK | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        CHUNK | {"choices": [], "usage": CHATS}], 2_000 * 2.5),
    "responses": ("responses", "gpt-5.5", [RESPONSE], 2_000 * 0.5),
    "responses, larger": ("responses", "gpt-5.5", [RESPONSE | {"text": "y" * 300_000}], 2_000 * 0.5),
    "responses, streamed": ("responses", "gpt-5.5", [
        {"type": "response.created", "response": RESPONSE | {
            "status": "in_progress", "output": [], "usage": None, "service_tier": "auto"}},
        {"type": "response.completed", "response": RESPONSE}], 2_000 * 0.5),
    "gemini": ("gemini", "gemini-3.5-flash", [
        {"candidates": [CANDIDATE], "usageMetadata": GOOGLES | {"serviceTier": "priority"}}], 2_000 * 1.8),
    "gemini, streamed": ("gemini", "gemini-3.5-flash", [
        {"candidates": [CANDIDATE], "usageMetadata": GOOGLES | {"trafficType": "ON_DEMAND_FLEX"}}], 2_000 * 0.5),
}  # fmt: skip
FACTORS = {"messages": 2.2, "chat": 2.5, "responses": 0.5, "gemini": 1.8, "gemini, streamed": 0.5}
KEY = {"Authorization": "Bearer sk-ann-0123456789"}
ASKS = {
    "messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses",
}  # fmt: skip


def _answer(said: list[dict[str, Any]], streamed: bool) -> Answer:
    if not streamed:
        return Answer.json(said[0])
    lines = [f"event: {each.get('type', 'message')}\ndata: {json.dumps(each)}\n\n" for each in said]
    return Answer.sse("".join(lines).encode())


@pytest.mark.parametrize("client", ASKS)
@pytest.mark.parametrize("kind", SAID)
def test_the_record_has_the_cost_by_what_the_reply_says(kind: str, client: str) -> None:
    protocol, model, said, micros = SAID[kind]
    streamed = kind.endswith("streamed")
    asked: dict[str, Any] = {"model": model, "stream": streamed, "max_tokens": 9}
    words = [{"role": "user", "content": "hi"}]
    asked |= {"input": words} if client == "responses" else {"messages": words}
    made: list[dict[str, Any]] = []
    text = one_upstream("URL", protocol) + "[prices]\n* = 1, 10, 0.1, 4\n"
    with Upstream(lambda request: _answer(said, streamed)) as up, House(text.replace("URL", up.url)) as house:
        house.on_loop(lambda: house.proxy.service.observers.on_finished.append(made.append))
        assert house.post(ASKS[client], asked)[0] == 200
        house.wait(lambda p: len(made) == 1)
    assert made[0]["proxy.cost_usd"] == pytest.approx(micros / 1e6, abs=2e-6)
    factors = made[0]["proxy.cost_factors"].values()
    assert math.prod(factors) == pytest.approx(FACTORS.get(kind) or FACTORS[protocol])


def test_a_budget_is_charged_what_was_asked_for_where_no_reply_tells_it() -> None:
    """The client leaves in the middle; Chat tells the tokens, and this server the tier, only at the end."""
    chunk = {key: value for key, value in CHUNK.items() if key != "service_tier"}
    first = chunk | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "x" * 4_000}}]}
    found: list[float] = []
    for tier in (None, "priority"):
        found.append(_cost(tier, dataclasses.replace(_answer([first], True), end="close")))
    assert found[1] == pytest.approx(found[0] * 2.5, rel=0.02) and found[0] > 0.005


def _cost(tier: str | None, answer: Answer) -> float:
    made: list[dict[str, Any]] = []
    more = "[prices]\n* = 1, 10\n[client ann]\nkey = sk-ann-0123456789\nusd_per_day = 5\n"
    with Upstream([answer]) as up, House(one_upstream(up.url, "chat") + more) as house:
        house.on_loop(lambda: house.proxy.service.observers.on_finished.append(made.append))
        house.post(ASKS["chat"], {"model": "gpt-5.5", "stream": True, "messages": [], "service_tier": tier}, KEY)
        house.wait(lambda p: len(made) == 1)
    return float(made[0]["proxy.cost_usd"])
