"""Batches in a fleet: made at one host, run by all, and seen at each, as the official SDKs see them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.gateway.batches import test_messages as messages
from tests.gateway.batches import test_openai as oai
from tests.gateway.batches.test_messages import CLIENTS, echo, requests
from tests.support import redis_server
from tests.support.house import House
from tests.support.redis_server import RedisServer
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import house_text, late
from tests.support.waiting import until

pytestmark = redis_server.needed

QUICK_STOP = "[server]\ndrain_seconds = 0\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server.running(tmp_path_factory.mktemp("redis")) as one:
        yield one


@contextlib.contextmanager
def hosts(server: RedisServer, folder: Path, up: str, more: str = "", count: int = 2) -> Iterator[list[House]]:
    text = house_text("* = a", f"{CLIENTS}[shared]\nurl = {server.url}\nprefix = {folder.name}\npatience = 2\n{more}",
                      a=oai.NO_FILES.format(up))  # fmt: skip
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(House(text, folder=folder / f"host{n}")) for n in range(count)]


def know_each_other(server: RedisServer, folder: Path, count: int = 2) -> None:
    """Each has its part from now on."""
    until(lambda: server.call("ZCARD", f"{{{folder.name}}}:batches:workers") == f":{count}")


def test_made_at_one_host_run_by_both_and_read_at_the_other(server: RedisServer, tmp_path: Path) -> None:
    gate = Gate()
    with Upstream(lambda request: late(echo(request), gate)) as up, hosts(server, tmp_path, up.url) as (one, other):
        bobs = messages.sdk(other, "bobby-key-0123456789")
        with messages.sdk(one) as here, messages.sdk(other) as there, bobs as bob:
            know_each_other(server, tmp_path)
            made = here.messages.batches.create(requests=requests(9))
            up.wait(lambda u: len(u.requests) == 4)
            for house in (one, other):
                house.wait(lambda p: len(p._batches._running) == 2)
            assert there.messages.batches.retrieve(made.id).processing_status == "in_progress"
            gate.open()
            batch = messages.ended(there, made.id)
            assert batch.request_counts.succeeded == 9 and batch.results_url.startswith(other.url)
            results = {row.custom_id: row.result for row in there.messages.batches.results(made.id)}
            texts = {name: result.message.content[0].text for name, result in results.items()}  # type: ignore[union-attr]
            assert texts == {f"r{n}": f"say {n}" for n in range(9)} and len(up.requests) == 9 and up.peak <= 4
            assert [each.id for each in there.messages.batches.list()] == [made.id]
            assert not list(bob.messages.batches.list())
            with pytest.raises(anthropic.NotFoundError):
                bob.messages.batches.retrieve(made.id)
            there.messages.batches.delete(made.id)
            with pytest.raises(anthropic.NotFoundError):
                here.messages.batches.retrieve(made.id)


def test_cancelled_at_the_other_host(server: RedisServer, tmp_path: Path) -> None:
    gate, two = Gate(), "[batches]\nconcurrent = 2\n"

    def answer(request: Any) -> Answer:
        return late(echo(request), gate)

    with Upstream(answer) as up, hosts(server, tmp_path, up.url, two) as (one, other):
        with messages.sdk(one) as here, messages.sdk(other) as there:
            made = here.messages.batches.create(requests=requests(6))
            up.wait(lambda u: len(u.requests) == 2)
            assert there.messages.batches.cancel(made.id).processing_status == "canceling"
            gate.open()
            counts = messages.ended(here, made.id).request_counts
            assert (counts.succeeded, counts.canceled) == (2, 4) and len(up.requests) == 2
            kinds = [row.result.type for row in here.messages.batches.results(made.id)]
            assert sorted(kinds) == ["canceled"] * 4 + ["succeeded"] * 2


def test_openais_files_and_batches(server: RedisServer, tmp_path: Path) -> None:
    with Upstream(echo) as up, hosts(server, tmp_path, up.url) as (one, other):
        with oai.sdk(one) as here, oai.sdk(other) as there:
            file = here.files.create(file=("in.jsonl", oai.lines(5)), purpose="batch")
            assert there.files.content(file.id).read() == oai.lines(5)
            assert there.files.retrieve(file.id).bytes == file.bytes
            made = there.batches.create(input_file_id=file.id, endpoint=oai.URL, completion_window="24h")
            batch = oai.ended(here, made.id)
            assert batch.status == "completed" and batch.request_counts.completed == 5
            assert there.files.content(batch.output_file_id).read().count(b"\n") == 5
            assert [each.id for each in there.files.list()] == [file.id]
            here.files.delete(file.id)
            with pytest.raises(openai.NotFoundError):
                there.files.retrieve(file.id)


def test_a_host_that_stops_gives_its_requests_back(server: RedisServer, tmp_path: Path) -> None:
    gate, more = Gate(), f"[batches]\nconcurrent = 2\n{QUICK_STOP}"
    stopped = False

    def answer(request: Any) -> Answer:
        return echo(request) if stopped else late(echo(request), gate)

    with Upstream(answer) as up, hosts(server, tmp_path, up.url, more, count=1) as (one,):
        with hosts(server, tmp_path, up.url, more, count=1) as (leaves,), messages.sdk(leaves) as client:
            know_each_other(server, tmp_path)
            made = client.messages.batches.create(requests=requests(3))
            up.wait(lambda u: len(u.requests) == 2)
            for house in (one, leaves):
                house.wait(lambda p: len(p._batches._running) == 1)
        stopped = True
        with messages.sdk(one) as client:
            up.wait(lambda u: len(u.requests) >= 3, 10)  # long before a lease is over
            gate.open()
            assert messages.ended(client, made.id).request_counts.succeeded == 3
        assert len(up.requests) == 4, "one was on its way at the host that has stopped"


def test_a_store_that_is_away_is_said_and_the_answers_wait_for_it(tmp_path: Path) -> None:
    gate = Gate()
    with Upstream(lambda request: late(echo(request), gate)) as up, redis_server.running(tmp_path) as server:
        with hosts(server, tmp_path, up.url, count=1) as (house,), messages.sdk(house) as client:
            made = client.messages.batches.create(requests=requests(2))
            up.wait(lambda u: len(u.requests) == 2)
            server.call("SAVE")
            server.stop()
            gate.open()
            with pytest.raises(anthropic.APIStatusError, match="shared store") as refused:
                client.messages.batches.retrieve(made.id)
            assert refused.value.status_code in (503, 529)
            server.start()
            house.wait(lambda p: not p._batches._running)
            assert messages.ended(client, made.id).request_counts.succeeded == 2 and len(up.requests) == 2


def test_by_setting_batches_stay_on_their_host(server: RedisServer, tmp_path: Path) -> None:
    with Upstream(echo) as up, hosts(server, tmp_path, up.url, "[batches]\nqueue = host\n") as (one, other):
        with messages.sdk(one) as here, messages.sdk(other) as there:
            made = here.messages.batches.create(requests=requests(1))
            with pytest.raises(anthropic.NotFoundError):
                there.messages.batches.retrieve(made.id)
            messages.ended(here, made.id)
        assert (tmp_path / "host0" / "batches.sqlite3").exists()
