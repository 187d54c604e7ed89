"""Presets: each stands for keys that there are, with values that can be read; what the section says goes before."""

from __future__ import annotations

from typing import Any

import pytest

from operate.settings import schema_upstream
from operate.settings.load import Settings, SettingsError, Upstream, read
from operate.settings.presets import PRESETS
from translate import dialects

WHERE = "[upstream x]\npreset = {}\n"


def take(text: str) -> Settings:
    return read(text, environ={})


def upstream(text: str) -> Upstream:
    return take(text).upstreams["x"]


CLOUDS = [name for name, values in PRESETS.items() if "{" in values.get("base_url", "")]
PLACE = "region = eu-west-1\nproject = p\nresource = r\n"


@pytest.mark.parametrize(
    ("name", "url", "messages"),
    [
        ("bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com", "/anthropic/v1/messages"),
        ("bedrock-invoke", "https://bedrock-runtime.eu-west-1.amazonaws.com", ""),
        ("bedrock-mantle", "https://bedrock-mantle.eu-west-1.api.aws", "/anthropic/v1/messages"),
        ("claude-aws", "https://aws-external-anthropic.eu-west-1.api.aws", "/v1/messages"),
        ("vertex", "https://eu-west-1-aiplatform.googleapis.com/v1", ""),
        ("foundry", "https://r.services.ai.azure.com", "/anthropic/v1/messages"),
    ],
)
def test_a_clouds_address_has_the_sections_own_words(name: str, url: str, messages: str) -> None:
    up = upstream(WHERE.format(name) + PLACE)
    assert up.base_url == url and up.enabled
    if messages:
        assert up.url("messages", protocol="messages") == url + messages
    if "chat" in up.protocol:
        path = "/v1" if name == "bedrock-mantle" else "/openai/v1"
        assert up.url("chat/completions", protocol="chat") == f"{url}{path}/chat/completions"
    assert set(CLOUDS) == {"bedrock", "bedrock-invoke", "bedrock-mantle", "claude-aws", "vertex", "foundry"}


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("global", "aiplatform"),
        ("us", "aiplatform.us.rep"),
        ("eu", "aiplatform.eu.rep"),
        ("asia-1", "asia-1-aiplatform"),
    ],
)
def test_vertex_has_global_and_multi_region_hosts(region: str, host: str) -> None:
    up = upstream(WHERE.format("vertex") + f"project = p\nregion = {region}\n")
    assert up.base_url == f"https://{host}.googleapis.com/v1"


def test_every_address_can_be_another_one_and_a_region_come_from_the_environment() -> None:
    own = "base_url = http://127.0.0.1:9\nregion = x\nenvelope = bedrock\napi_key = k\n"
    up = upstream(WHERE.format("bedrock") + own)
    assert (up.base_url, up.envelope, up.api_key, up.aws_service) == ("http://127.0.0.1:9", "bedrock", "k", "bedrock")
    found = read(WHERE.format("bedrock"), environ={"AWS_DEFAULT_REGION": "us-east-2"}).upstreams["x"]
    assert found.base_url == "https://bedrock-runtime.us-east-2.amazonaws.com" and found.api_key == "aws:"
    assert upstream(WHERE.format("bedrock") + PLACE + "keys = a, b\n").credentials == ("a", "b")


@pytest.mark.parametrize(
    ("name", "lines", "lacks"),
    [("bedrock", "", "region"), ("vertex", "project = p", "region"), ("vertex", "region = us", "project"),
     ("foundry", "", "resource"), ("vertex", "base_url = http://x\nregion = us", "project"),
     ("bedrock", "base_url = http://x", "aws: needs region")],
)  # fmt: skip
def test_what_a_clouds_address_lacks_is_said(name: str, lines: str, lacks: str) -> None:
    with pytest.raises(SettingsError) as caught:
        take(WHERE.format(name) + lines)
    assert lacks in str(caught.value) and len(caught.value.problems) == 1


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in CLOUDS])
def test_a_preset_and_a_key_are_a_whole_section(name: str) -> None:
    more = "" if "base_url" in PRESETS[name] else "base_url = https://x.openai.azure.com/openai/v1\n"
    up = upstream(WHERE.format(name) + "api_key = k\n" + more)
    assert up.enabled and up.preset == name and set(up.protocol) <= set(dialects.names())
    assert PRESETS[name].keys() <= schema_upstream.UPSTREAM.keys() - {"preset", "api_key", "enabled"}
    bare = upstream("[upstream x]\nprotocol = chat\nbase_url = http://x\n")
    for key, text in PRESETS[name].items():
        value = schema_upstream.UPSTREAM[key].kind.parse(text)
        got = getattr(up.timeouts, key) if key in ("first_byte", "request") else getattr(up, key)
        assert got == value, key
        if key not in ("protocol", "base_url", "first_byte", "request"):
            assert value != getattr(bare, key), f"{key} is the default anyway"


def test_what_the_section_says_goes_before() -> None:
    up = upstream(WHERE.format("DeepSeek") + "base_url = http://mine:1/v2\nimages = true\n")
    assert (up.base_url, up.images, up.reasoning_history) == ("http://mine:1/v2", True, "tool_calls")


def test_print_config_says_which_preset_a_value_is_of() -> None:
    lines = [" ".join(line.split()) for line in take(WHERE.format("groq") + "reasoning = none").describe()]
    assert "base_url = https://api.groq.com/openai/v1 # preset groq" in lines
    assert "reasoning = none # settings.ini:3" in lines
    assert "images = true # default" in lines


def test_an_unknown_preset_is_an_error_that_lists_them() -> None:
    with pytest.raises(SettingsError) as caught:
        take(WHERE.format("gork"))
    assert "preset: 'gork' is not one of deepseek, openrouter, groq" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("drop = user,  seed, user", "drop", ("user", "seed")),
        ("rename = seed = random_seed, a=b", "rename", (("seed", "random_seed"), ("a", "b"))),
        ("max_tokens = gpt-4*=4096, 8192, gpt-4o*=16384", "max_tokens",
         (("gpt-4o*", 16384), ("gpt-4*", 4096), ("*", 8192))),
    ],
)  # fmt: skip
def test_lists_are_read(line: str, key: str, value: Any) -> None:
    settings = take(WHERE.format("groq") + line)
    assert getattr(settings.upstreams["x"], key) == value
    shown = next(entry.text for entry in settings.values if entry.key == key and entry.section == "upstream x")
    assert schema_upstream.UPSTREAM[key].kind.parse(shown) == value


@pytest.mark.parametrize(
    "line",
    [
        "drop = model", "drop = messages", "drop = a b", "rename = a", "rename = a=", "rename = =b",
        "max_tokens = x", "max_tokens = a=b", "max_tokens =", "max_tokens = 1, 2", "max_tokens = 99999999999",
        "tool_schema = xml", "reasoning_effort = maybe",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_an_error(line: str) -> None:
    with pytest.raises(SettingsError):
        take(WHERE.format("groq") + line)


def test_the_clamp_goes_by_the_models_name() -> None:
    up = upstream(WHERE.format("groq") + "max_tokens = gpt-4*=4096, gpt-4o*=0, 8192")
    assert [up.most_tokens(model) for model in ("gpt-4-1", "gpt-4o-mini", "other")] == [4096, 0, 8192]


def test_azures_addresses() -> None:
    new = upstream(WHERE.format("azure") + "base_url = https://r.openai.azure.com/openai/v1\napi_key = k")
    assert new.url("chat/completions", "gpt") == "https://r.openai.azure.com/openai/v1/chat/completions"
    for base in ("https://r.openai.azure.com", "https://r.openai.azure.com/openai"):
        old = upstream(WHERE.format("azure") + f"base_url = {base}\napi_key = k\napi_version = 2024-10-21")
        path = "https://r.openai.azure.com/openai"
        chat = f"{path}/deployments/a%20b%2Fc/chat/completions?api-version=2024-10-21"
        assert old.url("chat/completions", "a b/c") == chat
        assert old.url("responses") == f"{path}/responses?api-version=2024-10-21"
    assert new.key_header == old.key_header == "api-key"
