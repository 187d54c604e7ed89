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


@pytest.mark.parametrize("name", PRESETS)
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
