"""Who owns a response that an upstream keeps: known after a restart, after many others, and to all workers."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.process.worker_rpc import WorkerRpc
from gateway.stored import owners, store, store_sync
from gateway.stored.owners import Owners
from gateway.stored.store import ResponseStore
from operate import owner_store
from operate.owner_store import Owned, OwnerStore
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Request, Upstream
from tests.support.waiting import soon

ALICE, BOB = ({"Authorization": f"Bearer {name}-key-0123456789abcdef"} for name in ("alice", "bob"))
CLIENTS = "".join(f"\n[client {name}]\nkey = {name}-key-0123456789abcdef\n" for name in ("alice", "bob"))
MESSAGE = {"type": "message", "id": "m1", "role": "assistant", "status": "completed",
           "content": [{"type": "output_text", "text": "hi", "annotations": []}]}  # fmt: skip


class Keeper:
    """An upstream that keeps its responses, and knows one key for all."""

    def __init__(self, id_size: int = 6) -> None:
        """id_size: the most characters of an id; LiteLLM's have some hundred."""
        self._numbers = itertools.count(1)
        self._id_size = id_size

    def __call__(self, request: Request) -> Answer:
        if request.method == "POST":
            id = f"resp_{next(self._numbers)}".ljust(self._id_size, "=")
            response = {"id": id, "object": "response", "status": "completed", "output": [MESSAGE]}
            if request.json.get("stream"):
                created = json.dumps({"type": "response.created", "sequence_number": 0, "response": response})
                event = json.dumps({"type": "response.completed", "sequence_number": 1, "response": response})
                said = f"event: response.created\ndata: {created}\n\nevent: response.completed\ndata: {event}\n\n"
                return Answer.sse(said.encode())
            return Answer.json(response)
        return Answer.json({"id": request.path.rpartition("/")[2], "object": "response", "output": [MESSAGE]})


def settings(url: str, more: str = "") -> str:
    return one_upstream(url, "responses", CLIENTS) + more


def made(house: House, who: dict[str, str], stream: bool = False) -> str:
    asked = {"model": "m", "input": "x", "stream": stream}
    status, _, body = house.post("/v1/responses", asked, who)
    assert status == 200
    return body.decode().partition('"id": "')[2].partition('"')[0]


def statuses(house: House, id: str, who: dict[str, str]) -> list[int]:
    """Of reading it, its input, building on it whole and as a stream, and deleting it."""
    on: dict[str, Any] = {"model": "m", "input": "y", "previous_response_id": id}
    return [
        house.get(f"/v1/responses/{id}", who)[0],
        house.get(f"/v1/responses/{id}/input_items", who)[0],
        house.post("/v1/responses", on, who)[0],
        house.post("/v1/responses", on | {"stream": True}, who)[0],
        house.request("DELETE", f"/v1/responses/{id}", None, who)[0],
    ]


@pytest.mark.parametrize("id_size", [6, 500])
@pytest.mark.parametrize("stream", [False, True])
def test_after_a_restart_it_is_its_clients_and_nobody_elses(tmp_path: Path, stream: bool, id_size: int) -> None:
    with Upstream(Keeper(id_size)) as up:
        with House(settings(up.url), folder=tmp_path) as house:
            id = made(house, ALICE, stream)
        before = len(up.requests)
        with House(settings(up.url), folder=tmp_path) as house:
            assert statuses(house, id, BOB) == [404, 404, 400, 400, 404]
            assert len(up.requests) == before
            assert statuses(house, id, ALICE) == [200] * 5
            assert statuses(house, "resp_nobodys", ALICE) == [404, 404, 400, 400, 404]


def test_after_many_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_OWNED", 3)
    with Upstream(Keeper()) as up, House(settings(up.url), folder=tmp_path) as house:
        ids = [made(house, ALICE if n % 2 else BOB) for n in range(8)]
        for n, id in enumerate(ids):
            assert house.get(f"/v1/responses/{id}", ALICE)[0] == (200 if n % 2 else 404)
            assert house.get(f"/v1/responses/{id}", BOB)[0] == (404 if n % 2 else 200)


def test_the_key_that_it_was_made_with_is_known_after_a_restart(tmp_path: Path) -> None:
    """Another key of the same upstream may be another account."""
    keeper, refused = Keeper(), ["Bearer key-number-one"]

    def answer(request: Request) -> Answer:
        if request.headers["authorization"] in refused:
            return Answer.json({"error": {"message": "no such key", "type": "invalid_request_error"}}, 401)
        return keeper(request)

    with Upstream(answer) as up:
        text = settings(up.url).replace("base_url", "keys = key-number-one, key-number-two\nbase_url")
        with House(text, folder=tmp_path) as house:
            id = made(house, ALICE)
        refused.clear()
        with House(text, folder=tmp_path) as house:
            assert statuses(house, id, ALICE) == [200] * 5
        assert {request.headers["authorization"] for request in up.requests[-5:]} == {"Bearer key-number-two"}


def test_a_file_that_cannot_be_written_lets_nobody_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "owners.sqlite3").mkdir()
    with Upstream(Keeper()) as up:
        with House(settings(up.url), folder=tmp_path) as house:
            id, other = made(house, ALICE), made(house, BOB)
            assert statuses(house, id, ALICE) == [200] * 5 and statuses(house, other, ALICE)[0] == 404
        with House(settings(up.url), folder=tmp_path) as house:
            assert statuses(house, id, BOB) == [404, 404, 400, 400, 404] == statuses(house, id, ALICE)
    assert any("cannot be written" in record.message for record in caplog.records if record.levelname == "ERROR")


def test_without_a_file(tmp_path: Path) -> None:
    with Upstream(Keeper()) as up:
        for _ in range(2):
            with House(settings(up.url, "[responses]\nowners =\n"), folder=tmp_path) as house:
                id = made(house, ALICE)
                assert house.get(f"/v1/responses/{id}", ALICE)[0] == 200
                assert house.get("/v1/responses/resp_1", BOB)[0] == 404
    assert not (tmp_path / "owners.sqlite3").exists()


# --------------------------------------------------------------------------------------------------- the file


def test_the_file_holds_no_id_and_is_its_owners_alone(tmp_path: Path) -> None:
    held = OwnerStore(tmp_path / "o.sqlite3")
    held.add({"resp_very-secret-id": Owned("alice", "up", "1")}, 100.0)
    for file in tmp_path.iterdir():
        assert b"very-secret" not in file.read_bytes() and stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
    assert held.find(["resp_very-secret-id", "x"]) == {"resp_very-secret-id": Owned("alice", "up", "1")}


def test_what_is_old_or_too_much_goes(tmp_path: Path) -> None:
    held = OwnerStore(tmp_path / "o.sqlite3")
    for at in range(10):
        held.add({f"r{at}": Owned("a", "up", "")}, float(at))
    assert held.forget(3.0) == 3 and held.forget(0.0, most=4) == 3
    assert set(held.find([f"r{at}" for at in range(10)])) == {"r6", "r7", "r8", "r9"}


def test_as_many_ids_as_there_are_may_be_asked_for(tmp_path: Path) -> None:
    held = OwnerStore(tmp_path / "o.sqlite3")
    held.add({f"r{n}": Owned("a", "up", "") for n in range(1200)}, 1.0)
    assert len(held.find([f"r{n}" for n in range(1300)])) == 1200


def test_the_last_owner_of_an_id_counts(tmp_path: Path) -> None:
    held = OwnerStore(tmp_path / "o.sqlite3")
    for who in ("a", "b"):
        held.add({"r": Owned(who, "up", "")}, 1.0)
    assert held.find(["r"])["r"].owner == "b"


def test_ids_that_nobody_would_make(tmp_path: Path) -> None:
    held = OwnerStore(tmp_path / "o.sqlite3")
    odd = ["", "'; DROP TABLE owned; --", "\ud800", "x" * 100_000, *(f"n{n}" for n in range(900))]
    assert held.find(odd) == {}
    held.add({id: Owned("a", "up", "") for id in odd[:4]}, 1.0)
    assert len(held.find(odd)) == 4


HALF = "file-\ud83d"  # half an emoji: no upstream and no proxy gives such an id


@pytest.mark.parametrize(("path", "body"), [
    ("/v1/responses", {"input": "x", "previous_response_id": HALF}),
    ("/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": HALF}]}]}),
    ("/v1/chat/completions", {"messages": [
        {"role": "user", "content": [{"type": "file", "file": {"file_id": HALF}}]}]}),
    ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "document", "source": {"type": "file", "file_id": HALF}}]}]}),
    ("/v1/responses", {"input": "x", "previous_response_id": "r" * 1001}),
])  # fmt: skip
def test_an_id_that_nobody_can_have_given_is_nobodys(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    """No database and no other worker can be asked about it."""
    with Upstream(Keeper()) as up, House(settings(up.url), folder=tmp_path) as house:
        status, _, said = house.post(path, {"model": "m", **body}, ALICE)
        assert status in (400, 404), said
        assert not up.requests


def test_another_worker_is_asked_about_long_ids() -> None:
    """As LiteLLM gives them to files: they hold the models and the ids of their providers."""

    async def run() -> None:
        here, there = (ResponseStore(9, 1 << 20, 60.0) for _ in range(2))
        asks, answers = (WorkerRpc(number, 2, b"secret") for number in range(2))
        store_sync.register(answers, there)
        await answers.start()
        ids = [f"{nth}{'bGl0ZWxsbV9wcm94eTph' * 20}" for nth in range(store_sync.MAX_IDS)]
        for id in ids:
            there.went(id, "alice", "up")
        await store_sync.fetch(asks, here, "alice", store_sync.unknown(asks, here, ["alice"], ids))
        assert [here.noted(id) for id in ids] == [Owned("alice", "up", "")] * len(ids)
        await answers.stop()

    asyncio.run(run())


def test_what_is_not_on_disk_yet_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing disk takes it later; memory is bounded meanwhile."""
    monkeypatch.setattr(owners, "SOON_S", 0.0)
    monkeypatch.setattr(owners, "AGAIN_S", 0.01)
    monkeypatch.setattr(owners, "MOST_WAITING", 3)
    broken, tried = [True], [0]
    add = owner_store.OwnerStore.add

    def failing(self: OwnerStore, owned: dict[str, Owned], at: float) -> None:
        tried[0] += 1
        if broken[0]:
            raise sqlite3.OperationalError("disk I/O error")
        add(self, owned, at)

    monkeypatch.setattr(OwnerStore, "add", failing)

    async def told() -> None:
        kept = Owners()
        kept.adopt(OwnerStore(tmp_path / "o.sqlite3"), 30)
        for n in range(5):
            kept.note(f"r{n}", Owned("a", "up", ""))
        await soon(lambda: tried[0] > 1)
        assert set(await kept.find([f"r{n}" for n in range(5)])) == {"r2", "r3", "r4"}
        broken[0] = False
        await soon(lambda: not kept._waiting)
        assert set(OwnerStore(tmp_path / "o.sqlite3").find([f"r{n}" for n in range(5)])) == {"r2", "r3", "r4"}
        kept.stop()

    asyncio.run(told())
