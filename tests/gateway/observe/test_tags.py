"""Tags of clients: what the settings name goes into the record, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.observe.tags import MAX_TAGS, MAX_VALUE
from tests.support.house import House
from tests.support.script import Upstream
from tests.support.two_upstreams import ASK, PATH, STREAM, house_text, says

HEADER = {"X-Proxy-Tags": "team=core, project = a b ,other=x,=y,odd"}


def tagged(setting: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    records: list[dict[str, Any]] = []
    with Upstream(lambda request: says("a")) as up, House(house_text("* = a", setting, a=up.url)) as house:
        house.on_loop(lambda: house.proxy.service.observers.on_finished.append(records.append))
        assert house.post(PATH, body, headers)[0] == 200
        house.wait(lambda p: bool(records))
        assert "x-proxy-tags" not in up.requests[0].headers
    return records[0].get("tags")


def setting(names: str) -> str:
    return f"[logging]\ntags = {names}\n"


@pytest.mark.parametrize(
    ("names", "metadata", "headers", "tags"),
    [
        ("", {"team": "x"}, HEADER, None),
        ("team", None, HEADER, {"team": "core"}),
        ("team, project", None, HEADER, {"team": "core", "project": "a b"}),
        ("*", {"team": "x", "more": "y"}, HEADER, {"team": "core", "project": "a b", "other": "x"}),
        ("team, more", {"team": "x", "more": "y", "n": "z"}, HEADER, {"team": "core", "more": "y"}),
        ("*, more", {"more": "y"}, {}, {"more": "y"}),
        ("team", {"team": 7}, {}, None),
        ("team", None, {}, None),
        ("team", "no object", {}, None),
        ("team", {"team": "a\nb" + "x" * 500}, {}, {"team": "a?b" + "x" * (MAX_VALUE - 3)}),
    ],
)
def test_the_settings_say_which_tags_are_taken(names: str, metadata: Any, headers: dict[str, str], tags: Any) -> None:
    assert tagged(setting(names), ASK | ({"metadata": metadata} if metadata else {}), headers) == tags


def test_of_any_tags_there_are_not_many() -> None:
    many = ", ".join(f"t{n}=x" for n in range(100))
    got = tagged(setting("*"), STREAM, {"X-Proxy-Tags": f"bad name=x, {'n' * 65}=x, {many}"})
    assert list(got) == [f"t{n}" for n in range(MAX_TAGS)]


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/files"])
def test_what_is_refused_before_its_body_is_read_has_the_tags_of_its_headers(path: str) -> None:
    records: list[dict[str, Any]] = []
    client = "[client one]\nkey = a-client-key-0123456789\nrequests_per_minute = 1\n"
    with House(house_text("* = a", setting("team") + client, a="http://127.0.0.1:9")) as house:
        house.on_loop(lambda: house.proxy.service.observers.on_finished.append(records.append))
        key = HEADER | {"Authorization": "Bearer a-client-key-0123456789"}
        statuses = [house.request("GET" if "files" in path else "POST", path, ASK, key)[0] for _ in range(2)]
        house.wait(lambda p: len(records) == 2)
    assert statuses[1] == 429 and [record.get("tags") for record in records] == [{"team": "core"}] * 2
