"""Codex' own form of the list of models."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.routing.known_models import Model
from translate.codex import catalogue
from translate.codex.instructions import INSTRUCTIONS

VERSION = "0.171.0"
WANTED = {  # without one of these, some version of Codex reads none of the list
    "slug", "display_name", "supported_reasoning_levels", "shell_type", "visibility", "supported_in_api", "priority",
    "base_instructions", "supports_reasoning_summaries", "support_verbosity", "truncation_policy",
    "supports_parallel_tool_calls", "experimental_supported_tools", "description", "upgrade", "default_verbosity",
    "apply_patch_tool_type",
}  # fmt: skip


def row(model: Model) -> dict[str, Any]:
    (entry,) = catalogue.page([model], "Be good.", VERSION)["models"]
    assert entry.keys() >= WANTED and entry["base_instructions"] == "Be good."
    found: dict[str, Any] = entry
    return found


@pytest.mark.parametrize("id", ["gpt-6.1-sol", "gpt-5.5", "gpt-5.6-luna", "openai/gpt-6-astra", "gpt-5.5-x"])
@pytest.mark.parametrize("version", [VERSION, "1.0.0", "codex_exec/0.171.0 (Debian 12.0.0; x86_64)", ""])
def test_what_codex_knows_keeps_its_own_prompt(id: str, version: str) -> None:
    assert catalogue.page([Model(id, "up")], "Be good.", version) == {"models": []}


@pytest.mark.parametrize("id", ["gpt-7", "gpt-6", "gpt-5.7", "gpt-6.3-sol", "gpt-daybreak-green-latest"])
def test_what_a_later_one_may_know(id: str) -> None:
    assert row(Model(id, "up"))["slug"] == id
    agents = ("0.169.0", "codex_exec/0.171.2 (Debian)", "codex-tui/0.99.0", "codex vscode/0.171.0")
    assert all(catalogue.page([Model(id, "up")], "x", version)["models"] for version in agents)
    for version in ("0.172.0", "1.0.0", "codex_exec/0.200.0 (Debian)", "", "dev"):
        assert catalogue.page([Model(id, "up")], "x", version) == {"models": []}


@pytest.mark.parametrize("id", ["qwen3:8b", "gpt-5.1", "gpt-4o", "a/b/gpt-5.5", "claude-opus-5-5", "my-gpt-6"])
def test_what_it_does_not_know_has_an_entry(id: str) -> None:
    assert row(Model(id, "up"))["slug"] == id


def test_what_the_proxy_knows_of_a_model_is_in_it() -> None:
    entry = row(Model("m", "up", "The M", context=65536, price=(1.0, 2.0), sees=False, thinks=True))
    assert (entry["display_name"], entry["context_window"]) == ("The M", 65536)
    assert "from up" in entry["description"] and "$1 in" in entry["description"]
    assert entry["input_modalities"] == ["text"]
    assert entry["default_reasoning_level"] == "medium" and entry["supports_reasoning_summaries"] is True
    assert [level["effort"] for level in entry["supported_reasoning_levels"]] == ["low", "medium", "high"]
    plain = row(Model("m", "up", thinks=False))
    assert plain["context_window"] == catalogue.USUAL_CONTEXT and plain["input_modalities"] == ["text", "image"]
    assert plain["supported_reasoning_levels"] == [] and plain["default_reasoning_level"] is None


@pytest.mark.parametrize(
    ("id", "thinks"),
    [("claude-opus-5-5", True), ("anthropic/claude-3-haiku", False), ("openai/o3", True), ("gpt-4o", False),
     ("models/gemini-3-pro", True), ("llama3:8b", False), ("foo3", False)],
)  # fmt: skip
def test_names_tell_who_thinks_where_no_list_does(id: str, thinks: bool) -> None:
    assert bool(row(Model(id, "up"))["supported_reasoning_levels"]) is thinks


def test_the_order_is_the_lists_and_after_what_codex_brings() -> None:
    rows = catalogue.page([Model(id, "up") for id in ("b", "gpt-5.5", "a")], "x", VERSION)["models"]
    assert [(each["slug"], each["priority"]) for each in rows] == [("b", 100), ("a", 101)]


def test_the_prompt_names_the_tools() -> None:
    for tool in ("exec_command", "write_stdin", "apply_patch", "update_plan", "view_image", "*** Begin Patch"):
        assert tool in INSTRUCTIONS
    assert 1000 < len(INSTRUCTIONS) < 6000
