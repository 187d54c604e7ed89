"""Batches that an upstream runs itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

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
