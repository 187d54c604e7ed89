"""Cached contents of the Gemini API, asked for by Google's own SDK: relayed to a Gemini upstream, each client's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import errors, types

from tests.support import sdk_gemini
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

ANN, BOB = "sk-ann-0123456789", "sk-bob-0123456789"
CLIENTS = f"[client ann]\nkey = {ANN}\n[client bob]\nkey = {BOB}\n"
SAID = types.CreateCachedContentConfig(
    contents=[types.Content(role="user", parts=[types.Part(text="long")])], ttl="60s", system_instruction="Be brief."
)


class Keeper:
    """An upstream that keeps what it is told to."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}

    def __call__(self, request: Request) -> Answer:
        path, _, query = request.path.partition("?")
        name = path.removeprefix("/v1beta/")
        if request.method == "POST":
            name = f"cachedContents/c{len(self.kept) + 1}"
            self.kept[name] = {"name": name, "model": request.json["model"], "displayName": "mine"}
        elif name == "cachedContents":
            return Answer.json({"cachedContents": list(self.kept.values())})
        if name not in self.kept:
            return Answer.json({"error": {"code": 404, "message": "gone", "status": "NOT_FOUND"}}, 404)
        if request.method == "DELETE":
            del self.kept[name]
            return Answer.json({})
        if request.method == "PATCH":
            assert query == "updateMask=ttl" or not query
        return Answer.json(self.kept[name])


def house(up: Upstream, more: str = "", protocol: str = "gemini") -> House:
    at = f"[upstream g]\nprotocol = {protocol}\nbase_url = {up.url}/v1beta\napi_key = sk-up-0123456789abcdef\n"
    return House(f"{at}[models]\nmine = g/gemini-3-pro\n* = g\n{more}")


def test_they_are_made_found_changed_and_deleted() -> None:
    with Upstream(Keeper()) as up, house(up) as here, sdk_gemini.client(here.url) as sdk:
        made = sdk.caches.create(model="mine", config=SAID)
        assert made.name == "cachedContents/c1" and made.display_name == "mine"
        assert sdk.caches.get(name=made.name).name == made.name
        assert [each.name for each in sdk.caches.list()] == [made.name]
        assert sdk.caches.update(name=made.name, config={"ttl": "9s"}).name == made.name
        sdk.caches.delete(name=made.name)
        with pytest.raises(errors.ClientError, match="gone"):
            sdk.caches.get(name=made.name)
    first = up.requests[0]
    assert (first.method, first.path) == ("POST", "/v1beta/cachedContents")
    assert first.json["model"] == "models/gemini-3-pro" and first.json["ttl"] == "60s"
    assert first.json["contents"] == [{"role": "user", "parts": [{"text": "long"}]}]
    assert {request.headers["x-goog-api-key"] for request in up.requests} == {"sk-up-0123456789abcdef"}


def test_nobody_has_another_clients() -> None:
    with Upstream(Keeper()) as up, house(up, CLIENTS) as here:
        with sdk_gemini.client(here.url, ANN) as ann, sdk_gemini.client(here.url, BOB) as bob:
            made = ann.caches.create(model="gemini-3-pro", config=SAID)
            assert made.name and list(bob.caches.list()) == []
            assert [each.name for each in ann.caches.list()] == [made.name]
            before = len(up.requests)
            for act in (
                lambda: bob.caches.get(name=str(made.name)),
                lambda: bob.caches.delete(name=str(made.name)),
                lambda: bob.caches.update(name=str(made.name), config={"ttl": "9s"}),
                lambda: ann.caches.get(name="cachedContents/unknown"),
            ):
                with pytest.raises(errors.ClientError, match="of this client"):
                    act()
            assert len(up.requests) == before and ann.caches.get(name=made.name).name == made.name
        assert here.get("/v1beta/cachedContents")[0] == 401


@pytest.mark.parametrize(
    ("client", "asked", "status"),
    [
        ("key = {}\ntokens_per_day = 9", {"model": "models/m"}, 403),  # it would be in no sum
        ("key = {}\nmodels = other", {"model": "models/m"}, 403),
        ("key = {}", {"contents": []}, 400),
        ("key = {}", {"model": "models/.."}, 400),
    ],
)
def test_what_may_not_be_made(client: str, asked: dict[str, Any], status: int) -> None:
    more = f"[client ann]\n{client.format(ANN)}\n"
    with Upstream(Keeper()) as up, house(up, more) as here:
        got, _, raw = here.post("/v1beta/cachedContents", asked, {"x-goog-api-key": ANN})
    error = json.loads(raw)["error"]
    assert got == status and error["code"] == status and error["status"] and not up.requests


def test_other_upstreams_and_other_methods() -> None:
    with Upstream(Keeper()) as up, house(up, protocol="chat, gemini") as here:
        assert here.request("PUT", "/v1beta/cachedContents", {})[0] == 405
        assert here.request("POST", "/v1beta/cachedContents/c1", {})[0] == 405
    with Upstream(Keeper()) as up, house(up, protocol="chat") as here:
        status, _, raw = here.post("/v1beta/cachedContents", {"model": "models/m"})
        assert status == 404 and "caches by itself" in json.loads(raw)["error"]["message"] and not up.requests
