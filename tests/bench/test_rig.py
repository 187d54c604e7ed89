"""The rig itself: its floor answers as the proxy does, and its table has a row for each side."""

from __future__ import annotations

import asyncio
import json

import pytest

from bench import servers
from bench.client import Client, Reply
from bench.load import Run, Way
from bench.speech import named
from tests.bench import __main__ as rig
from tests.bench import profile
from tests.bench.curves import CURVES
from tests.bench.floor import Events
from tests.bench.rig import Peer, _floor


@pytest.mark.parametrize(("form", "what"), [("chat", "pass"), ("messages", "translate")])
def test_the_floor_does_what_it_is_measured_for(form: str, what: str) -> None:
    async def asked(url: str) -> list[Reply]:
        client = Client(url)
        requests = [named(form).request("bench-e5", "k", stream=stream) for stream in (False, True)]
        replies = [await client.ask(request) for request in requests]
        await client.close()
        return replies

    with servers.upstream() as source, _floor(source.urls[0], what) as floor:
        whole, stream = asyncio.run(asked(floor.urls[0]))
    assert whole.is_good and b"word" in whole.body and json.loads(whole.body)
    assert stream.is_good and stream.body.count(b'"word "') == 5 and named(form).done in stream.body


def test_its_events_are_whole_however_they_come() -> None:
    chunk = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n'
    raw = chunk % b"a\\n" + chunk % b"b" + chunk % b'c\\"' + b"data: [DONE]\n\n"
    at_once, pieces = Events(), Events()
    assert at_once.feed(raw) == b"".join(pieces.feed(raw[i : i + 1]) for i in range(len(raw)))


def test_a_row_for_each_side_and_what_they_cost() -> None:
    peers = [Peer(name, {"chat": "http://x"}, "m", lambda: None, lambda: None) for name in ("floor", "this proxy")]
    found = {
        ("chat", load.name, peer.name): [(1.0 + 2 * n, 5.0)] * 3 for load in rig.LOADS for n, peer in enumerate(peers)
    }
    table = rig.table("chat", peers, found)  # type: ignore[arg-type]
    assert table.splitlines()[2].startswith("| floor | 1 |")
    assert table.splitlines()[-1].startswith("| this proxy / floor | 3.00 | 3.00 |")
    load = rig.LOADS[-1]
    run = Run(Way("a", "http://x", rig.way(peers[0], "chat", load).request), 1, [Reply(200)] * 10, 1.0, cpu_s=0.4)
    assert rig.cost(run, load) == pytest.approx(0.4 / 10 / load.events * 1e6)


@pytest.mark.parametrize("name", CURVES)
def test_a_curves_requests_are_as_large_as_it_says(name: str) -> None:
    kind = CURVES[name]
    assert len(kind.sizes) >= 5 and kind.sizes[0] in (1, 1_000)
    small, large = (len(json.dumps(kind.body("chat", "m", size))) for size in (kind.sizes[0], kind.sizes[2]))
    assert small <= large and all(kind.requests(size) > 0 for size in kind.sizes)


def test_a_profile_tells_rooms_apart() -> None:
    found = profile.by_room(profile.measured("messages", "chat", streams=False, events=1, requests=5))
    assert {"gateway/flow", "translate", "upstream", "libcurl", "tornado"} <= found.keys()
    assert profile.room("~", "<method 'recv_into' of '_socket.socket' objects>") == "sockets"
    assert profile.room("~", "<built-in method ujson.loads>") == "ujson"
