"""Calls under names that are not quite those of the tools that were offered."""

from __future__ import annotations

import pytest

from tests.linear.work import grows_linearly
from translate.conversation import ToolCall
from translate.target import Asked
from translate.tools.offered_names import OfferedNames

PLAIN = ("Bash", "get_weather", "web-search", "a.b", "AB", "twice", "Twice")
SPACED = {
    "mcp__cua__js": ("mcp__cua", "js"),
    "mcp__one__run": ("mcp__one", "run"),
    "mcp__two__run": ("mcp__two", "run"),
    "functions__exec": ("functions", "exec"),
    "x__bash": ("x", "bash"),
    "odd_1a2b3c4d": ("", "odd name"),
}
MEANT = [
    ("functions.Bash", "Bash"),
    ("default_api:get_weather", "get_weather"),
    ("default_api.get_weather", "get_weather"),
    ("functions.get_weather:12", "get_weather"),
    ("get_weather\n", "get_weather"),
    (" bash", "Bash"),  # and not x__bash, whose own name comes second
    ("web_search", "web-search"),
    ("mcp__cua.js", "mcp__cua__js"),
    ("mcp__cuajs", "mcp__cua__js"),
    ("functions.mcp__cua__js", "mcp__cua__js"),
    ("js", "mcp__cua__js"),
    ("exec", "functions__exec"),
    ("functions.exec", "functions__exec"),
    ("odd name", "odd_1a2b3c4d"),
    ("default_api:mcp__two__run:0", "mcp__two__run"),
    (" functions.changed:0 ", "changed"),  # as it was sent; encoders know what it was
]
KEPT = ["Bash", "a.b", "AB", "twice", "mcp__cua__js", "changed", "a_b", "TWICE", "run", "other", "", "__", "functions."]


def named(name: str, asked: Asked, namespace: str = "", toolset: str = "") -> str:
    call = ToolCall("c", name, namespace=namespace, toolset=toolset)
    OfferedNames(asked).correct(call)
    return call.name


ASKED = Asked("m", offered=PLAIN, namespaces=SPACED, tool_names={"changed": "changed!"})


@pytest.mark.parametrize(("said", "meant"), MEANT)
def test_the_tool_that_is_meant(said: str, meant: str) -> None:
    assert named(said, ASKED) == meant


@pytest.mark.parametrize("said", KEPT)
def test_names_that_stay(said: str) -> None:
    """Those of tools, those that may be of several, and those of nothing that was offered."""
    assert named(said, ASKED) == said


def test_calls_that_name_more_than_a_tool_stay() -> None:
    assert named("functions.Bash", ASKED, namespace="other") == "functions.Bash"
    assert named("functions.Bash", ASKED, toolset="computer") == "functions.Bash"
    assert named("functions.Bash", Asked("m")) == "functions.Bash"


def test_a_name_of_nothing_but_blanks_takes_no_longer() -> None:
    grows_linearly(lambda n: " " * n + "x", lambda name: named(name, ASKED), 5_000)
