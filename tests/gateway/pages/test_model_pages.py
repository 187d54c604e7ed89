"""Pages of the lists of models, as the official SDKs turn them, and what is no page."""

from __future__ import annotations

import json

import anthropic
import httpx2
import pytest

from tests.support.house import House
from tests.support.two_upstreams import house_text, section

ANTHROPIC = {"anthropic-version": "2023-06-01"}
IDS = ["a", "b", "c", "d", "e"]
SETTINGS = house_text(
    "\n".join(f"{id} = up/{id}" for id in IDS), up=section("http://127.0.0.1:9", "list_models = false\n")
)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
def test_both_ways(limit: int) -> None:
    with House(SETTINGS) as house, anthropic.Anthropic(base_url=house.url, api_key="k", max_retries=0) as client:
        assert [model.id for model in client.models.list(limit=limit)] == IDS
        assert [model.id for model in client.models.list(limit=limit, after_id="b")] == IDS[2:]
        back = [page.data for page in client.models.list(limit=limit, before_id="e").iter_pages()]
    assert [model.id for page in reversed(back) for model in page] == IDS[:4]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=-1", "limit=x", "after_id=nobody", "before_id=nobody"]
)
def test_what_is_no_page(query: str) -> None:
    with House(SETTINGS) as house:
        status, _, raw = house.get(f"/v1/models?{query}", ANTHROPIC)
        assert house.get(f"/v1/models?{query}")[0] == 200  # OpenAI's list has no pages
    error = json.loads(raw)["error"]
    assert status == 400 and error["type"] == "invalid_request_error"
    assert error["message"].startswith(query.partition("=")[0] + ": ")


@pytest.mark.parametrize(("query", "expected"), [("pageSize=x", 400), ("pageToken=x", 400), ("pageSize=0", 200)])
def test_googles_pages(query: str, expected: int) -> None:
    with House(SETTINGS) as house:
        status, _, raw = house.get(f"/v1beta/models?{query}")
    assert status == expected and ("error" in json.loads(raw)) is (expected == 400)


@pytest.mark.parametrize(("path", "expected"), [("/v1/models", 200), ("/v1/models/a", 200), ("/v1/models/nobody", 404)])
def test_head_says_what_get_does_without_the_body(path: str, expected: int) -> None:
    with House(SETTINGS) as house:
        asked, got = httpx2.head(house.url + path), httpx2.get(house.url + path)
    assert asked.status_code == got.status_code == expected and not asked.content and got.content
    assert asked.headers["Content-Length"] == got.headers["Content-Length"]
