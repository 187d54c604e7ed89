"""A response that one host made is found at the others, by its owner alone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import redis_server
from tests.support.house import House
from tests.support.redis_server import RedisServer
from tests.support.script import Upstream
from tests.support.two_upstreams import house_text, says

pytestmark = redis_server.needed

ALICE = {"Authorization": "Bearer alice-key-0123456789"}
BOB = {"Authorization": "Bearer bob-key-0123456789"}
CLIENTS = "[client alice]\nkey = alice-key-0123456789\n[client bob]\nkey = bob-key-0123456789\n"
PATH = "/v1/responses"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="redis-") as folder, redis_server.running(Path(folder)) as server:
        yield server


def _text(up: Upstream, redis: RedisServer) -> str:
    return house_text("* = a", f"{CLIENTS}[shared]\nurl = {redis.url}\npatience = 5\n", a=up.url)


def _made(house: House, **more: Any) -> dict[str, Any]:
    status, _, raw = house.post(PATH, {"model": "m", "input": "my name is Alice", **more}, ALICE)
    assert status == 200
    made: dict[str, Any] = json.loads(raw)
    return made


def test_a_turn_builds_on_one_that_another_host_has_answered(redis: RedisServer) -> None:
    with Upstream(lambda r: says("hello Alice")) as up, House(_text(up, redis)) as one, House(_text(up, redis)) as two:
        first = _made(one)
        second = _made(two, previous_response_id=first["id"], input="who am I?")
        said = [message["content"] for message in up.requests[-1].json["messages"]]
        assert said == ["my name is Alice", "hello Alice", "who am I?"]
        _made(one, previous_response_id=second["id"], input="and you?")
        assert len(up.requests[-1].json["messages"]) == 5
        status, _, raw = two.get(f"{PATH}/{first['id']}", ALICE)
        assert status == 200 and json.loads(raw)["output"] == first["output"]


def test_nobody_else_finds_it_and_nobody_finds_what_is_deleted(redis: RedisServer) -> None:
    with Upstream(lambda r: says("hello")) as up, House(_text(up, redis)) as one, House(_text(up, redis)) as two:
        made = _made(one)
        where = f"{PATH}/{made['id']}"
        assert two.get(where, BOB)[0] == 404
        body = {"model": "m", "input": "x", "previous_response_id": made["id"]}
        assert two.post(PATH, body, BOB)[0] == 400
        assert two.get(where, ALICE)[0] == 200
        assert one.request("DELETE", where, None, ALICE)[0] == 200
        with House(_text(up, redis)) as three:
            assert three.get(where, ALICE)[0] == 404
        two.wait(lambda proxy: not len(proxy.service.response_store))
        assert two.get(where, ALICE)[0] == 404, "a copy that was fetched before goes too"
        assert redis.call("EVAL", f"return #redis.call('KEYS', '*{made['id']}*')", "0") == ":0", "ids are hashed"


def test_what_is_not_to_be_stored_does_not_leave_its_host(redis: RedisServer) -> None:
    with Upstream(lambda r: says("hello")) as up, House(_text(up, redis)) as house:
        before = redis.call("EVAL", "return #redis.call('KEYS', '*piece*')", "0")
        _made(house, store=False, input="do not keep this")
        assert redis.call("EVAL", "return #redis.call('KEYS', '*piece*')", "0") == before
