"""Which name goes where."""

from __future__ import annotations

import pytest

from gateway.routing.router import Router
from operate.settings import load
from translate.failures.errors import ApiError

TEXT = """
[upstream a]
protocol = messages
base_url = https://a.example
[upstream b]
protocol = chat
base_url = https://b.example/v1
[upstream off]
protocol = chat
base_url = https://off.example
api_key =
[models]
exact = b/real
claude-* = a
claude-opus-* = b/gpt-big
gpt-? = b
many = a/x, b/y
dark = off
dark-or-not = off, b
[aliases]
map_json = {"nick": "exact", "direct": "a/some/model", "exact": "a/never"}
big_model = gpt-5
small_model = b/tiny
"""


@pytest.fixture
def router() -> Router:
    return Router(load.read(TEXT, environ={}))


@pytest.mark.parametrize(
    ("model", "goes"),
    [
        ("exact", ["b/real"]),  # before the alias of that name
        ("claude-3", ["a/claude-3"]),
        ("claude-opus-4", ["b/gpt-5"]),  # the alias of its family, before any glob
        ("claude-sonnet-4", ["b/gpt-5"]),
        ("Claude-Haiku", ["b/tiny"]),
        ("gpt-4", ["b/gpt-4"]),
        ("many", ["a/x", "b/y"]),
        ("dark-or-not", ["b/dark-or-not"]),
        ("nick", ["b/real"]),
        ("direct", ["a/some/model"]),
        ("a/anything/at/all", ["a/anything/at/all"]),
        ("b/claude-sonnet", ["b/claude-sonnet"]),  # a named upstream is not second-guessed by an alias
    ],
)
def test_a_name_leads_to_its_routes(router: Router, model: str, goes: list[str]) -> None:
    assert [f"{r.upstream.name}/{r.model}" for r in router.routes(model, "messages")] == goes


def test_longer_globs_win_whatever_their_order() -> None:
    text = TEXT.replace("big_model = gpt-5", "").replace("claude-opus-* = b/gpt-big\n", "")
    text = text.replace("claude-* = a", "claude-opus-* = b/gpt-big\nclaude-* = a")
    (route,) = Router(load.read(text, environ={})).routes("claude-opus-4", "chat")
    assert (route.upstream.name, route.model) == ("b", "gpt-big")


@pytest.mark.parametrize("model", ["gpt-44", "off/x", "nope", "", "/x", "a/"])
def test_an_unknown_model_is_a_404_that_names_others(router: Router, model: str) -> None:
    with pytest.raises(ApiError) as caught:
        router.routes(model, "chat")
    assert caught.value.status == 404 and "exact" in caught.value.message


def test_a_model_of_an_upstream_that_is_off_says_why(router: Router) -> None:
    with pytest.raises(ApiError, match=r"off is off .*api_key"):
        router.routes("dark", "chat")


def test_the_clients_own_protocol_is_preferred() -> None:
    text = "[upstream a]\nprotocol = chat, messages\nbase_url = https://a.example\n[models]\n* = a\n"
    router = Router(load.read(text, environ={}))
    assert router.routes("m", "messages")[0].protocol == "messages"
    assert router.routes("m", "chat")[0].protocol == "chat"
    text = text.replace("chat, messages", "responses, chat")
    router = Router(load.read(text, environ={}))
    assert router.routes("m", "messages")[0].protocol == "responses"
    assert router.routes("m", "responses")[0].protocol == "responses"


def test_names_that_clients_make_up_do_not_pile_up(router: Router) -> None:
    for n in range(10_000):
        router.routes(f"claude-{n}", "chat")
    assert len(router._found) <= 4096
