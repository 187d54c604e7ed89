"""Batches that an upstream runs itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from gateway.stored.owners import Owners
from operate.owner_store import Owned
from tests.gateway.batches.test_messages import CLIENTS, requests, sdk
from tests.gateway.batches.test_openai import sdk as openai_sdk
from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import house_text

HAS = "protocol = messages\nbase_url = {}\nbatches = true\napi_key = up-key-0123456789\n"
BATCH: dict[str, Any] = {
    "id": "msgbatch_their01", "type": "message_batch", "processing_status": "ended", "archived_at": None,
    "request_counts": {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z", "ended_at": "2026-01-01T01:00:00Z",
    "cancel_initiated_at": None, "results_url": "https://api.example.com/v1/messages/batches/msgbatch_their01/results",
}  # fmt: skip
RESULT = b'{"custom_id":"r0","result":{"type":"canceled"}}\n'


def theirs(request: Any) -> Answer:
    if request.path.endswith("/results"):
        return Answer(headers={"Content-Type": "application/x-jsonl"}, body=RESULT)
    if request.method == "DELETE":
        return Answer.json({"id": BATCH["id"], "type": "message_batch_deleted"})
    return Answer.json(BATCH)


def test_it_is_made_and_asked_for_there(tmp_path: Path) -> None:
    with Upstream(theirs) as up:
        text = house_text("m = a/their-model", CLIENTS, a=HAS.format(up.url))
        with House(text, folder=tmp_path) as house, sdk(house) as client:
            batch = client.messages.batches.create(requests=requests(2), extra_headers={"anthropic-beta": "b-1"})
            assert batch.id == BATCH["id"]
            asked = up.requests[0]
            assert (asked.method, asked.path) == ("POST", "/v1/messages/batches")
            assert asked.headers["x-api-key"] == "up-key-0123456789" and asked.headers["anthropic-beta"] == "b-1"
            assert [row["params"]["model"] for row in asked.json["requests"]] == ["their-model"] * 2
            found = client.messages.batches.retrieve(batch.id)
            assert found.results_url == f"{house.url}/v1/messages/batches/{batch.id}/results"
            rows = list(client.messages.batches.results(batch.id))
            assert [row.result.type for row in rows] == ["canceled"]
            nginx = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/llm", "X-Forwarded-Host": "llm.example.org"}
            found = client.messages.batches.retrieve(batch.id, extra_headers=nginx)
            assert found.results_url == f"https://llm.example.org/llm/v1/messages/batches/{batch.id}/results"
            assert client.messages.batches.cancel(batch.id).id == batch.id
            assert up.requests[-1].path == f"/v1/messages/batches/{batch.id}/cancel"
            assert client.messages.batches.delete(batch.id).id == batch.id
            with sdk(house, "bobby-key-0123456789") as bobby, pytest.raises(anthropic.NotFoundError):
                bobby.messages.batches.retrieve(batch.id)


def test_a_batch_for_models_of_several_is_run_here(tmp_path: Path) -> None:
    with Upstream(theirs) as up, Upstream() as other:
        text = house_text("m = a\nn = b", "", a=HAS.format(up.url), b=other.url)
        with House(text, folder=tmp_path) as house, sdk(house) as client:
            mixed = requests(1) + [row | {"custom_id": "other"} for row in requests(1, "n")]
            assert client.messages.batches.create(requests=mixed).id.startswith("msgbatch_px")
            assert not [request for request in up.requests if request.path == "/v1/messages/batches"]


def test_what_a_client_may_not_use_is_refused_before_it_goes(tmp_path: Path) -> None:
    clients = CLIENTS.replace("[client bobby]", "models = other\n[client bobby]")
    with Upstream(theirs) as up:
        with House(house_text("m = a", clients, a=HAS.format(up.url)), folder=tmp_path) as house, sdk(house) as client:
            with pytest.raises(anthropic.PermissionDeniedError):
                client.messages.batches.create(requests=requests(1))
            assert not up.requests


def test_a_batch_names_only_its_own_clients_files(tmp_path: Path) -> None:
    source = {"type": "document", "source": {"type": "file", "file_id": "file_alice"}}
    asked: Any = requests(2)
    asked[1]["params"]["messages"] = [{"role": "user", "content": [source]}]
    with Upstream(theirs) as up:
        with House(house_text("m = a", CLIENTS, a=HAS.format(up.url)), folder=tmp_path) as house:
            store = house.proxy.service.response_store
            house.on_loop(lambda: store.went("file_alice", "alice", "a"))
            with sdk(house, "bobby-key-0123456789") as bobby:
                with pytest.raises(anthropic.NotFoundError, match="'file_alice' of this client"):
                    bobby.messages.batches.create(requests=asked)
            assert not up.requests
            with sdk(house) as alice:
                assert alice.messages.batches.create(requests=asked).id == BATCH["id"]


@pytest.mark.parametrize("bound", ["tokens_per_minute = 1000000", "usd_per_day = 5", "tokens_per_month = 5000000"])
def test_what_is_counted_is_run_here(bound: str, tmp_path: Path) -> None:
    """What an upstream runs as a batch is in no sum."""
    clients = CLIENTS.replace("[client bobby]", f"{bound}\n[client bobby]")
    with Upstream(theirs) as up:
        with House(house_text("m = a", clients, a=HAS.format(up.url)), folder=tmp_path) as house, sdk(house) as client:
            assert client.messages.batches.create(requests=requests(1)).id.startswith("msgbatch_px")
            assert not [request for request in up.requests if request.path == "/v1/messages/batches"]


@pytest.mark.parametrize(
    "bound", ["models = cheap", "upstreams = b", "tokens_per_minute = 1000000", "usd_per_month = 5"]
)
def test_no_bound_is_passed_by_a_file_that_nobody_reads(bound: str, tmp_path: Path) -> None:
    """Its lines name any model, and an upstream counts for nobody."""

    def answer(request: Any) -> Answer:
        return Answer.json({"id": "file-their1", "object": "file", "bytes": 1, "created_at": 1, "filename": "x",
                            "purpose": "batch", "status": "processed"})  # fmt: skip

    section = "protocol = chat\nbase_url = {}\nfiles = true\nbatches = true\n"
    with Upstream(answer) as up:
        other = "protocol = chat\nbase_url = http://127.0.0.1:9\n"
        text = house_text("* = a", CLIENTS, a=section.format(up.url), b=other)
        file = tmp_path / "settings.ini"
        with House(text, folder=tmp_path, file=file) as house, openai_sdk(house) as client:
            made = client.files.create(file=("x.jsonl", b"{}\n"), purpose="batch")
            file.write_text(text.replace("[client bobby]", f"{bound}\n[client bobby]"))
            house.wait(lambda p: len(p.service.settings.clients) == 2 and _bounds(p.service.settings.clients[0]))
            with pytest.raises(openai.PermissionDeniedError, match="limits or rules"):
                client.batches.create(input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h")
            assert not [request for request in up.requests if request.path == "/v1/batches"]


def _bounds(client: Any) -> bool:
    return bool(client.models or client.upstreams or client.tokens_per_minute or client.usd_per_month)


def test_the_files_that_a_batch_has_made_are_its_clients(tmp_path: Path) -> None:
    file = {"id": "file-their1", "object": "file", "bytes": 1, "created_at": 1, "filename": "x", "purpose": "batch",
            "status": "processed"}  # fmt: skip
    batch = {"id": "batch_their1", "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": file["id"],
             "completion_window": "24h", "status": "completed", "created_at": 1,
             "output_file_id": "file-out1"}  # fmt: skip

    def answer(request: Any) -> Answer:
        if request.path.endswith("/content"):
            return Answer(200, {"Content-Type": "text/html"}, b'{"custom_id":"a"}\n')
        return Answer.json(file if request.path.startswith("/v1/files") else batch)

    section = "protocol = chat\nbase_url = {}\nfiles = true\nbatches = true\n"
    with Upstream(answer) as up:
        with House(house_text("* = a", CLIENTS, a=section.format(up.url)), folder=tmp_path) as house:
            with openai_sdk(house) as client, openai_sdk(house, "bobby-key-0123456789") as bobby:
                made = client.files.create(file=("x.jsonl", b"{}\n"), purpose="batch")
                got = client.batches.create(
                    input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h"
                )
                output = client.batches.retrieve(got.id).output_file_id
                assert output == "file-out1"
                content = client.files.content(output)
                assert content.text == '{"custom_id":"a"}\n'
                assert content.response.headers["content-type"] == "application/octet-stream", "no page"
                for id in (made.id, output):
                    with pytest.raises(openai.NotFoundError):
                        bobby.files.content(id)


def test_openais_goes_where_its_file_is(tmp_path: Path) -> None:
    file = {"id": "file-their1", "object": "file", "bytes": 1, "created_at": 1, "filename": "x", "purpose": "batch",
            "status": "processed"}  # fmt: skip
    batch = {"id": "batch_their1", "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": file["id"],
             "completion_window": "24h", "status": "in_progress", "created_at": 1}  # fmt: skip

    def answer(request: Any) -> Answer:
        return Answer.json(file if request.path.startswith("/v1/files") else batch)

    section = "protocol = chat\nbase_url = {}\nfiles = true\nbatches = true\n"
    with Upstream(answer) as up:
        text = house_text("* = a", CLIENTS, a=section.format(up.url))
        with House(text, folder=tmp_path) as house, openai_sdk(house) as client:
            made = client.files.create(file=("x.jsonl", b"{}\n"), purpose="batch")
            got = client.batches.create(input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h")
            assert got.id == "batch_their1" and up.requests[-1].path == "/v1/batches"
            assert json.loads(up.requests[-1].body)["input_file_id"] == made.id
            assert client.batches.retrieve(got.id).status == "in_progress"
            assert client.batches.cancel(got.id).id == got.id
            with openai_sdk(house, "bobby-key-0123456789") as bobby, pytest.raises(openai.NotFoundError):
                bobby.batches.retrieve(got.id)


def lines(**named: Any) -> bytes:
    plain = {"model": "m", "input": "hi"}
    rows = [{"custom_id": f"r{len(more)}", "method": "POST", "url": "/v1/responses", "body": plain | more}
            for more in ({}, named)]  # fmt: skip
    return b"\n".join(json.dumps(row).encode() for row in rows) + b"\n"


FILE_OF = {"role": "user", "content": [{"type": "input_file", "file_id": "file_alice"}]}
READING: dict[str, Any] = {
    "nothing of others": (lines(), 200),
    "a file": (lines(input=[FILE_OF]), 404),
    "a file, escaped": (lines(input=[FILE_OF]).replace(b'"file_id"', b'"f\\u0069le_id"'), 404),
    "a response": (lines(previous_response_id="resp_alice"), 404),
    "a conversation": (lines(conversation="conv_1"), 400),
    "no JSON, with a mark": (lines() + b'{"file_id"', 400),
    "what cannot be read": (None, 502),
    "too much": (b" " * (2 << 20), 403),
}


@pytest.mark.parametrize("what", READING)
def test_lines_of_a_file_name_only_what_is_their_clients_own(what: str, tmp_path: Path) -> None:
    """The upstream runs them with a key that all clients share."""
    content, status = READING[what]

    def answer(request: Any) -> Answer:
        if request.path.endswith("/content"):
            return Answer(body=content) if content is not None else Answer.json({"error": {"message": "no"}}, 400)
        kind = "batch" if request.path.endswith("/batches") else "file"
        return Answer.json({"id": f"{kind}-their1", "object": kind, "bytes": 1, "created_at": 1, "filename": "x",
                            "purpose": "batch", "status": "processed"})  # fmt: skip

    section = "protocol = chat, responses\nbase_url = {}\nfiles = true\nbatches = true\n"
    asked: Any = {"endpoint": "/v1/responses", "completion_window": "24h"}
    with Upstream(answer) as up:
        text = house_text("* = a", CLIENTS + "[limits]\nreply_mb = 1\n", a=section.format(up.url))
        with House(text, folder=tmp_path) as house:
            store = house.proxy.service.response_store
            house.on_loop(lambda: [store.went(id, "alice", "a") for id in ("file_alice", "resp_alice")])
            for key, expected in (("bobby-key-0123456789", status), ("alice-key-0123456789", 200)):
                if expected == 200 and status not in (200, 404):
                    continue  # it holds for whoever asks
                with openai_sdk(house, key) as client:
                    made = client.files.create(file=("x.jsonl", b"{}\n"), purpose="batch")
                    if expected == 200:
                        assert client.batches.create(input_file_id=made.id, **asked).id == "batch-their1"
                        continue
                    with pytest.raises(openai.APIStatusError) as caught:
                        client.batches.create(input_file_id=made.id, **asked)
                    assert caught.value.status_code == expected
                    assert not [request for request in up.requests if request.path == "/v1/batches"]


class Listing:
    """An upstream with five batches, of which a page has two. Its second key has one more."""

    def __init__(self) -> None:
        self.made = [
            BATCH | {"id": f"msgbatch_their{n}", "created_at": f"2026-01-0{n}T00:00:00Z"} for n in range(5, 0, -1)
        ]
        self.status = 200

    def __call__(self, request: Any) -> Answer:
        if request.method == "POST":
            return Answer.json(self.made[0])
        if self.status != 200:
            return Answer.json({"type": "error", "error": {"type": "api_error", "message": "no list"}}, self.status)
        query = request.path.partition("?")[2]
        rows = self.made
        if "second" in request.headers["x-api-key"]:
            rows = [BATCH | {"id": "msgbatch_other", "created_at": "2026-01-03T12:00:00Z"}]
        elif "after_id=" in query:
            ids = [row["id"] for row in rows]
            rows = rows[ids.index(query.partition("after_id=")[2].partition("&")[0]) + 1 :]
        return Answer.json({"data": rows[:2], "has_more": len(rows) > 2, "first_id": None, "last_id": None})


KEYS = "protocol = messages\nbase_url = {}\nbatches = true\nkeys = up-first-0123456789, up-second-0123456789\n"


def test_a_list_has_those_of_all_keys_and_the_proxys_own_the_latest_first(tmp_path: Path) -> None:
    with Upstream(Listing()) as up, Upstream() as other:
        text = house_text("m = a\nn = b", "", a=KEYS.format(up.url), b=other.url)
        with House(text, folder=tmp_path) as house, sdk(house) as client:
            own = client.messages.batches.create(requests=requests(1, "n"))
            theirs = ["their5", "their4", "other", "their3", "their2", "their1"]
            found = [batch.id for batch in client.messages.batches.list(limit=3)]
            assert found == [own.id, *(f"msgbatch_{name}" for name in theirs)]
            page = client.messages.batches.list(limit=2, after_id="msgbatch_their4")
            assert [batch.id for batch in page.data] == ["msgbatch_other", "msgbatch_their3"] and page.has_more
            assert page.data[0].results_url == f"{house.url}/v1/messages/batches/msgbatch_other/results"


def test_a_list_has_only_what_is_its_clients(tmp_path: Path) -> None:
    with Upstream(Listing()) as up, House(house_text("m = a", CLIENTS, a=HAS.format(up.url)), folder=tmp_path) as house:
        with sdk(house) as alice, sdk(house, "bobby-key-0123456789") as bobby:
            made = alice.messages.batches.create(requests=requests(1))
            assert [batch.id for batch in alice.messages.batches.list()] == [made.id]
            assert list(bobby.messages.batches.list()) == []


@pytest.mark.parametrize("status", [404, 500])
def test_a_list_has_no_gaps(status: int, tmp_path: Path) -> None:
    """A server that knows no lists has nothing to leave out; of one that fails nobody knows."""
    listing = Listing()
    listing.status = status
    with Upstream(listing) as up, House(house_text("m = a", "", a=HAS.format(up.url)), folder=tmp_path) as house:
        got, _, body = house.get("/v1/messages/batches")
        assert got == (200 if status == 404 else 500)
        assert json.loads(body)["data"] == [] if status == 404 else b"no list" in body


def test_openais_list_has_them_too(tmp_path: Path) -> None:
    rows = [{"id": f"batch_{n}", "object": "batch", "created_at": n} for n in (3, 2, 1)]
    listed = Answer.json({"object": "list", "data": rows, "has_more": False})
    with Upstream(lambda r: listed) as up:
        text = house_text("m = a", "", a=f"protocol = chat\nbase_url = {up.url}/v1\nbatches = true\n")
        with House(text, folder=tmp_path) as house:
            page = json.loads(house.get("/v1/batches?limit=2&after=batch_3")[2])
    assert [row["id"] for row in page["data"]] == ["batch_2", "batch_1"] and page["has_more"] is False
    assert page["first_id"] == "batch_2" and up.requests[-1].path.startswith("/v1/batches?limit=100")


def test_a_result_that_speaks_of_results_url_is_not_touched(tmp_path: Path) -> None:
    row = b'{"custom_id":"r0","result":{"type":"succeeded","message":{"content":[{"input":{"results_url":"x"}}]}}}\n'
    results = Answer(headers={"Content-Type": "application/x-jsonl"}, body=row)
    with Upstream(lambda r: results if r.path.endswith("/results") else Answer.json(BATCH)) as up:
        with House(house_text("m = a", "", a=HAS.format(up.url)), folder=tmp_path) as house:
            assert house.get(f"/v1/messages/batches/{BATCH['id']}/results")[2] == row


def test_an_upstream_that_says_no_time_is_listed_last(tmp_path: Path) -> None:
    rows = [{"id": f"batch_{n}", "created_at": at} for n, at in enumerate([None, "soon", True, 10**400, 7])]
    with Upstream(lambda r: Answer.json({"data": rows, "has_more": False})) as up:
        text = house_text("m = a", "", a=f"protocol = chat\nbase_url = {up.url}/v1\nbatches = true\n")
        with House(text, folder=tmp_path) as house:
            page = json.loads(house.get("/v1/batches")[2])
    assert [row["id"] for row in page["data"]] == ["batch_4", "batch_0", "batch_1", "batch_2", "batch_3"]


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/batches"])
def test_nobody_is_asked_for_a_list_that_is_none(path: str, tmp_path: Path) -> None:
    with Upstream() as up:
        chat = f"protocol = chat\nbase_url = {up.url}/v1\nbatches = true\n"
        with House(house_text("m = a", "", a=HAS.format(up.url), b=chat), folder=tmp_path) as house:
            assert house.get(f"{path}?limit=0")[0] == 400
    assert not up.requests


def test_whose_the_rows_of_a_list_are_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be thousands, and each question about what is on disk opens a file."""
    asked: list[int] = []
    find = Owners.find

    async def counted(self: Owners, ids: Sequence[str]) -> dict[str, Owned]:
        asked.append(len(ids))
        return await find(self, ids)

    monkeypatch.setattr(Owners, "find", counted)
    rows = [BATCH | {"id": f"msgbatch_{n}"} for n in range(700)]
    with Upstream(lambda r: Answer.json({"data": rows, "has_more": False})) as up:
        with House(house_text("m = a", CLIENTS, a=HAS.format(up.url)), folder=tmp_path) as house, sdk(house) as alice:
            store = house.proxy.service.response_store
            house.on_loop(lambda: store.went("msgbatch_3", "alice", "a"))
            assert [batch.id for batch in alice.messages.batches.list()] == ["msgbatch_3"]
    assert asked == [699]
