"""The shipped list of models: what it says, when it counts, and what it is used for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.routing import shipped_models
from gateway.routing.model_sizes import ModelLimits, ModelSizes
from operate.settings import load
from operate.settings.errors import SettingsError
from tests.gateway.routing.test_model_limits import CLAUDE_CODE, ask, upstream, who
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import says

FAR = "https://api.example.com/v1"
FAMILIES = (
    *("claude-3-5-sonnet", "claude-3-7-sonnet", "claude-sonnet-4", "claude-opus-4-1", "claude-haiku-4-5"),
    *("claude-sonnet-4-6", "claude-opus-5-5", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5", "gpt-5.2", "gpt-5.6-sol"),
    *("o3", "o4-mini", "gemini-2.0-flash", "gemini-2.5-pro", "gemini-3-pro-preview", "gemini-3.8-flash"),
    *("llama-3.3-70b-instruct", "llama-4-scout", "mistral-large-latest", "mistral-small-latest", "codestral"),
    *("deepseek-chat", "deepseek-v4-pro", "qwen3-max", "qwen3-coder", "glm-4.6", "glm-5.3", "kimi-k2.5", "kimi-k3"),
    *("grok-3", "grok-4", "grok-4.7"),
)


def test_each_row_can_be_true() -> None:
    for name, row in shipped_models.shipped().models.items():
        assert name == name.lower() and row.keys() <= {"price", "context", "output", "takes", "factors"}, name
        factors = row.get("factors", {})
        assert factors.keys() <= {"batch", "flex", "priority", "fast", "ultrafast", "us", "hour"}, name
        assert all(0.1 <= factor <= 10 for factor in factors.values()), name
        context, output = row.get("context", 0), row.get("output", 0)
        assert context == 0 or 4_096 <= context <= 20_000_000, name
        assert output == 0 or 1_024 <= output <= context, name
        assert set(row.get("takes", "").split()) <= {"image", "pdf", "audio", "video"}, name


@pytest.mark.parametrize("model", FAMILIES)
def test_the_well_known_families_are_there(model: str) -> None:
    row = shipped_models.known(model)
    assert row["context"] and row["takes"] is not None


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("openai/gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b-instruct"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-sonnet-4-6[1m]", "claude-sonnet-4-6"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
    ],
)
def test_a_name_may_have_an_owner_a_date_or_a_cloud(name: str, like: str) -> None:
    assert shipped_models.known(name) == shipped_models.known(like) != {}


@pytest.mark.parametrize("name", ["gpt-4o-of-mine", "my-gpt-4o", "llama3:8b", "", "claude", "gpt"])
def test_nothing_is_guessed(name: str) -> None:
    assert shipped_models.known(name) == {}


def test_settings_come_before_the_upstreams_list_and_that_before_the_shipped_one() -> None:
    sizes = ModelSizes("up", FAR, {"gpt-4.1*": (5_000, 0), "up/gpt-5": (6_000, 600), "gpt-*": (7_000, 700)})
    assert sizes.of("o3") == ModelLimits(200_000, 100_000, True)
    sizes.told = {"o3": ModelLimits(150_000, 0, None), "gpt-5": ModelLimits(1, 1, False), "new": ModelLimits(9_000)}
    assert sizes.of("o3") == ModelLimits(150_000, 100_000, True), "field by field"
    assert sizes.of("new") == ModelLimits(9_000)
    assert sizes.of("gpt-5") == ModelLimits(6_000, 600, False)
    assert sizes.of("gpt-4.1-mini") == ModelLimits(5_000, 0, True), "0: unknown, whatever others say"
    assert sizes.of("gpt-4o") == ModelLimits(7_000, 700, True)
    assert sizes.of("never-heard-of") == ModelLimits()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/v1", "http://localhost/v1", "http://10.0.0.7/v1", "http://gpu/v1"]
)
def test_a_server_of_ones_own_has_a_context_of_its_own(url: str) -> None:
    assert ModelSizes("up", url, {}).of("gpt-4o") == ModelLimits()
    assert ModelSizes("up", url, {"*": (8_192, 0)}).of("gpt-4o") == ModelLimits(8_192, 0)


@pytest.mark.parametrize("said", ["", "many", "1,2,3", "-1", "1.5", "1, x", "9999999999"])
def test_a_line_that_is_no_size_is_refused(said: str) -> None:
    with pytest.raises(SettingsError, match=r"\[sizes\] m: .*one or two whole numbers"):
        load.read(f"[upstream a]\nprotocol = chat\nbase_url = {FAR}\n[sizes]\nm = {said}\n", "test.ini", [], {})


def test_lines_of_sizes() -> None:
    text = f"[upstream a]\nprotocol = chat\nbase_url = {FAR}\n[sizes]\nm = 200_000, 8_000\nn=5000\n"
    read = load.read(text, "test.ini", [], {})
    assert dict(read.sizes) == {"m": (200_000, 8_000), "n": (5_000, 0)}


# ----------------------------------------------------------------------------------------- what it is used for


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the upstreams of the test were providers on the internet."""
    monkeypatch.setattr(shipped_models, "is_near", lambda base_url: False)


def _settings(protocol: str, url: str, more: str = "") -> str:
    return f"[upstream up]\nprotocol = {protocol}\nbase_url = {url}\nlist_models = false\n[models]\n* = up\n{more}"


def _sent(up: Upstream) -> list[Any]:
    return [request.json for request in up.requests if request.method == "POST"]


@pytest.mark.usefixtures("far")
def test_the_picker_shows_it_where_the_upstream_has_no_list() -> None:
    with Upstream(lambda request: says("x")) as up:
        text = _settings("chat", up.url).replace("* = up", "mini = up/gpt-4o-mini\ntext = up/o3-mini\nown = up/own")
        with House(text + "[sizes]\nown = 32000, 4000\n") as house:
            rows = json.loads(house.get("/v1/models?limit=1000", CLAUDE_CODE)[2])["data"]
    found = {row["display_name"]: row["description"] for row in rows}
    price = "$0.15 in, $0.6 out for a million tokens"
    assert found["mini"] == f"from up, 128K tokens of context, 16K out, takes images, {price}"
    assert "200K tokens of context, 100K out, text alone" in found["text"]
    assert found["own"] == "from up, 32K tokens of context, 4K out"


MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
           "content": [{"type": "text", "text": "x"}], "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip


@pytest.mark.usefixtures("far")
def test_a_translated_request_asks_for_no_more_than_the_model_writes() -> None:
    with Upstream(lambda request: says("x")) as up, House(_settings("chat", up.url)) as house:
        for model, most in (("gpt-4o", 64_000), ("gpt-4o", 5), ("openai/gpt-4.1", 64_000), ("unheard-of", 64_000)):
            assert house.post("/v1/messages", ask(2, model=model, max_tokens=most))[0] == 200
        assert [sent["max_tokens"] for sent in _sent(up)] == [16_384, 5, 32_768, 64_000]
        house.post("/v1/chat/completions", ask(2, model="gpt-4o", max_tokens=64_000))
        assert _sent(up)[-1]["max_tokens"] == 64_000, "what is not translated goes as it came"
    with Upstream(lambda request: Answer.json(MESSAGE)) as up:
        with House(_settings("messages", up.url, "[sizes]\nclaude-opus-5-5 = 0, 700\n")) as house:
            for model in ("claude-3-haiku-20240307", "claude-3-5-haiku-latest", "claude-opus-4-1", "claude-opus-5-5"):
                assert house.post("/v1/chat/completions", ask(2, model=model))[0] == 200
            for model in ("claude-3-haiku-20240307", "claude-haiku-4-5-20251001", "claude-opus-5-5"):
                assert house.post("/v1/chat/completions", ask(2, model=model, max_tokens=200_000))[0] == 200
        asked = [sent["max_tokens"] for sent in _sent(up)]
        assert asked[:4] == [4_096, 8_192, 32_000, 700], "what a client that says nothing is given"
        assert asked[4:] == [4_096, 64_000, 700]


@pytest.mark.usefixtures("far")
def test_the_settings_of_an_upstream_come_first() -> None:
    with Upstream(lambda request: says("x")) as up:
        text = _settings("chat", up.url).replace("list_models", "max_tokens = 20000\nlist_models")
        with House(text) as house:
            house.post("/v1/messages", ask(2, model="gpt-4o", max_tokens=64_000))
        assert _sent(up)[0]["max_tokens"] == 20_000


@pytest.mark.usefixtures("far")
def test_a_request_that_is_surely_too_long_is_not_sent() -> None:
    def answer(request: Request) -> Answer:
        return says("x")

    with Upstream(answer) as small, upstream("large") as large:
        text = (
            f"[upstream small]\nprotocol = chat\nbase_url = {small.url}\n"
            f"[upstream large]\nprotocol = chat\nbase_url = {large.url}\n[models]\nm = small/gpt-4, large/gpt-4o\n"
        )
        with House(text) as house:
            path = "/v1/chat/completions"
            assert who(house.post(path, ask(5_000))) == "small"
            assert who(house.post(path, ask(15_000))) == "large"
        assert len(_sent(small)) == 1
        with House(text + "[sizes]\ngpt-4 = 100000\n") as house:
            assert who(house.post(path, ask(15_000))) == "small"
        with House(text + "[retry]\non_overflow = false\n") as house:
            assert who(house.post(path, ask(15_000))) == "small"


@pytest.mark.usefixtures("far")
def test_a_reload_of_the_sizes_counts_at_once(tmp_path: Any) -> None:
    with Upstream(lambda request: says("x")) as up:
        text, file = _settings("chat", up.url), tmp_path / "settings.ini"
        with House(text, file=file) as house:
            house.post("/v1/messages", ask(2, model="gpt-4o", max_tokens=64_000))
            file.write_text(text + "[sizes]\ngpt-4o = 128000, 999\n")
            house.wait(lambda p: bool(p.service.settings.sizes))
            house.post("/v1/messages", ask(2, model="gpt-4o", max_tokens=64_000))
        assert [sent["max_tokens"] for sent in _sent(up)] == [16_384, 999]
