"""The line of what is wrong now: each trouble comes, names its panel, and goes when it is over; of all workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.dashboard import trouble
from console.dashboard.trouble import LASTS_S
from gateway.batches.host_queue import HostQueue
from tests.console.dashboard.records import record
from tests.console.dashboard.test_data import data
from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream

INI = (
    "[upstream up]\nprotocol = chat\nbase_url = {}\nkeys = sk-first-0123456789-1111, sk-second-0123456789-2222\n"
    "slow_after = 2\n[upstream other]\nprotocol = chat\nbase_url = http://127.0.0.1:9\n[models]\n* = up\n"
)
ASK = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def house(tmp_path: Path) -> Any:
    with House(INI.format("http://127.0.0.1:9"), folder=tmp_path) as house:
        yield house


def troubles(house: House) -> dict[str, dict[str, Any]]:
    """By kind."""
    return {each["kind"]: each for each in data(house, "trouble")["troubles"]}


def do(house: House, what: Callable[[Any], Any]) -> Any:
    return house.on_loop(lambda: what(house.proxy))


def later(house: House, seconds: float) -> None:
    watch = house.proxy.console.watch
    clock = watch.clock
    watch.clock = lambda: clock() + seconds


def test_nothing_is_wrong_with_a_proxy_that_has_just_begun(house: House) -> None:
    assert troubles(house) == {}


def test_an_open_breaker(house: House) -> None:
    place = do(house, lambda proxy: proxy.service.places.of("up", "gpt", 0))

    def opens(proxy: Any) -> None:
        for _ in range(50):
            place.breaker.faulted(proxy.service.ports.now())

    do(house, opens)
    told = troubles(house)["breaker"]
    assert (told["about"], told["panel"], told["level"]) == ("up", "upstreams", "bad") and "'gpt'" in told["text"]
    place.breaker.reopens_at = 0.0  # the next request is a test
    assert troubles(house)["breaker"]["level"] == "warn"
    do(house, lambda proxy: place.breaker.allows(proxy.service.ports.now()))
    do(house, lambda proxy: place.breaker.answered(proxy.service.ports.now()))
    assert troubles(house) == {}


def test_a_key_that_was_refused(house: House) -> None:
    key = do(house, lambda proxy: proxy.service.places.key("up", 1))
    key.bad_until = do(house, lambda proxy: proxy.service.ports.now()) + 300
    told = troubles(house)["key"]
    assert "key 2 (...2222) was refused" in told["text"] and "second-" not in json.dumps(told)
    assert told["panel"] == "upstreams" and troubles(house).keys() == {"key"}
    key.works()
    assert troubles(house) == {}


def test_a_limit_of_hours_that_is_used_up(house: House) -> None:
    place = do(house, lambda proxy: proxy.service.places.of("up", "gpt", 1))
    place.headroom.refused(9000.0, do(house, lambda proxy: proxy.service.ports.now()))
    told = troubles(house)["limit"]
    assert (told["about"], told["panel"], told["level"]) == ("up", "upstreams", "warn")
    assert "a limit is used up of 'up/gpt (key 2)'; the first ends in 2 h 30 min" in told["text"]
    place.headroom.works(1e12)
    assert troubles(house) == {}


def test_settings_that_were_refused(house: House) -> None:
    house.proxy.service.reloaded = {"time": 5.0, "taken": False, "changed": [], "restart": [], "why": ["s.ini:3: no"]}
    told = troubles(house)["settings"]
    assert "s.ini:3: no" in told["text"] and told["panel"] == "settings" and told["since"] == 5.0
    house.proxy.service.reloaded["taken"] = True
    assert troubles(house) == {}


def test_a_disk_that_takes_no_logs(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*args: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("operate.logs.rotation.os.write", full)
        house.get("/v1/models")
        house.wait(lambda proxy: bool(proxy.service.journal.trouble))
        told = troubles(house)["logs"]
        assert "No space left on device" in told["text"] and told["panel"] == "now"
    house.get("/v1/models")
    house.wait(lambda proxy: not proxy.service.journal.trouble)
    do(house, lambda proxy: proxy.console.troubles.tick())
    assert "lost" in troubles(house)["logs"]["text"]  # a moment ago
    later(house, LASTS_S + 1)
    assert troubles(house) == {}


def test_a_usage_store_that_cannot_be_written(house: House) -> None:
    house.proxy.console.books.trouble = "disk I/O error"
    assert "disk I/O error" in troubles(house)["books"]["text"]
    house.proxy.console.books.trouble = ""
    assert troubles(house) == {}


def test_a_shared_store_that_is_away(house: House) -> None:
    do(house, lambda proxy: proxy.service.shared._changed("nobody answers"))
    assert "is away for 0.0 s: nobody answers. Requests go on" in troubles(house)["shared"]["text"]
    do(house, lambda proxy: proxy.service.shared._changed(""))
    assert troubles(house) == {}


def test_a_queue_that_is_full(house: House) -> None:
    admission = house.proxy.service.admission
    admission.waiting = admission.limits.queue
    assert troubles(house)["queue"]["panel"] == "running"
    admission.waiting = 0
    assert troubles(house) == {}
    admission.turned_away += 1
    do(house, lambda proxy: proxy.console.troubles.tick())
    assert "queue is full" in troubles(house)["queue"]["text"]
    later(house, LASTS_S + 1)
    do(house, lambda proxy: proxy.console.troubles.tick())
    assert troubles(house) == {}


def test_a_file_of_batches_that_cannot_be_used(house: House, tmp_path: Path) -> None:
    queue = HostQueue(tmp_path / "batches.sqlite3")
    queue.trouble = "disk I/O error"
    house.proxy.service.batches.queue = queue
    assert "none is taken: disk I/O error" in troubles(house)["batches"]["text"]
    queue.trouble = ""
    assert troubles(house) == {}


@pytest.mark.parametrize(
    ("why", "kind", "panel"), [("full", "connections", "now"), ("stranger", "strangers", "settings")]
)
def test_connections_that_are_refused(house: House, why: str, kind: str, panel: str) -> None:
    connections = house.proxy.service.connections
    assert connections is not None
    connections.refused[why] += 1  # type: ignore[index]  # the listener counts it
    do(house, lambda proxy: proxy.console.troubles.tick())
    assert troubles(house)[kind]["panel"] == panel and len(troubles(house)) == 1
    later(house, LASTS_S + 1)
    assert troubles(house) == {}


def test_a_slow_upstream(house: House) -> None:
    watch = house.proxy.console.watch
    late = {"upstream": "up", "first_token_ms": 9000.0, "total_ms": 10_000.0}
    do(house, lambda proxy: watch.finished(record("one", **late)))
    assert troubles(house) == {}  # one may be chance
    do(house, lambda proxy: watch.finished(record("two", **late)))
    told = troubles(house)["slow"]
    assert told["about"] == "up" and "wait 9 s" in told["text"] and told["panel"] == "upstreams"
    for n in range(3):  # most are quick again
        do(house, lambda proxy, n=n: watch.finished(record(f"quick{n}", upstream="up")))  # type: ignore[misc]
    assert troubles(house) == {}


def test_streams_that_still_wait_make_an_upstream_slow_too(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    with Upstream(lambda request: Answer.sse(b"data: [DONE]\n\n", delay=gate)) as up:
        with House(INI.format(up.url).replace("slow_after = 2", "slow_after = 0.05")) as house:
            with house.connect() as one, house.connect() as two:
                for client in (one, two):
                    client.send("POST", "/v1/chat/completions", ASK)
                house.wait(lambda proxy: len(up.requests) == 2)
                house.wait(lambda proxy: all(flow.standing().waits_s > 0.1 for flow in proxy.service.flows))
                assert troubles(house)["slow"]["about"] == "up"
                gate.open()
                one.reply(), two.reply()


def test_a_drained_upstream_and_a_proxy_that_drains(house: House) -> None:
    house.post("/dashboard/drain/other", b"")
    told = troubles(house)["drained"]
    assert told["level"] == "warn" and told["since"] > 1e9 and told["about"] == "other"
    house.post("/dashboard/undrain/other", b"")
    house.proxy.service.in_flight.stage = "draining"
    assert "draining" in troubles(house)["stage"]["text"]
    house.proxy.service.in_flight.stage = "serving"


def test_the_same_of_several_workers_is_one_and_a_silent_worker_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, rpc = house.proxy.console.watch, house.proxy.service.worker_rpc
    do(house, lambda proxy: watch.finished(record("one", upstream="up", first_token_ms=9000.0)))

    async def three(path: str) -> list[dict[str, Any]]:
        own = json.loads(json.dumps(rpc._own(path)))
        other = own | {"troubles": [trouble.Trouble("breaker", "up", "open there", "upstreams")._asdict()]}
        return [own, other, other]

    monkeypatch.setattr(rpc, "ask", three)
    monkeypatch.setattr(rpc, "count", 4)
    said = data(house, "trouble")["troubles"]
    assert [(each["kind"], each["level"]) for each in said] == [("worker", "bad"), ("breaker", "bad"), ("slow", "warn")]
    assert said[0]["text"] == "1 of 4 workers do not answer"  # and three late streams, one of each of the others
