"""OpenAI's files and batches, by its SDK, where the proxy has them itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateway.batches.test_messages import CLIENTS, echo
from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import error, house_text, late
from tests.support.waiting import until

URL: Any = "/v1/chat/completions"
NO_FILES = "base_url = {}\nfiles = false\n"


def lines(count: int, url: str = URL) -> bytes:
    rows = (
        {
            "custom_id": f"r{n}",
            "method": "POST",
            "url": url,
            "body": {"model": "m", "messages": [{"role": "user", "content": f"say {n}"}]},
        }
        for n in range(count)
    )
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def sdk(house: House, key: str = "alice-key-0123456789") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{house.url}/v1", api_key=key, max_retries=0)


def house_of(url: str, tmp_path: Path, more: str = "") -> House:
    return House(house_text("* = a", more, a=NO_FILES.format(url)), folder=tmp_path)


def made(client: openai.OpenAI, content: bytes, endpoint: Any = URL) -> Any:
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h",
                                 metadata={"a": "b"})  # fmt: skip


def ended(client: openai.OpenAI, id: str) -> Any:
    def said() -> Any:
        batch = client.batches.retrieve(id)
        return None if batch.status in ("validating", "in_progress", "finalizing", "cancelling") else batch

    return until(said, every_s=0.02)


def test_a_batch_from_its_file_to_its_results(tmp_path: Path) -> None:
    with Upstream(echo) as up, house_of(up.url, tmp_path) as house, sdk(house) as client:
        content = lines(5)
        file = client.files.create(file=("in.jsonl", content), purpose="batch")
        assert (file.bytes, file.filename, file.purpose, file.object) == (len(content), "in.jsonl", "batch", "file")
        assert client.files.content(file.id).read() == content
        assert [each.id for each in client.files.list(purpose="batch")] == [file.id]
        batch = client.batches.create(input_file_id=file.id, endpoint=URL, completion_window="24h")
        assert batch.status == "in_progress" and batch.request_counts is not None and batch.request_counts.total == 5
        batch = ended(client, batch.id)
        assert batch.status == "completed" and batch.error_file_id is None and batch.completed_at
        assert (batch.request_counts.completed, batch.request_counts.failed) == (5, 0)
        output = client.files.content(batch.output_file_id).read()
        rows = [json.loads(line) for line in output.splitlines()]
        texts = {row["custom_id"]: row["response"]["body"]["choices"][0]["message"]["content"] for row in rows}
        assert texts == {f"r{n}": f"say {n}" for n in range(5)}
        assert {row["response"]["status_code"] for row in rows} == {200} and {row["error"] for row in rows} == {None}
        assert client.files.retrieve(batch.output_file_id).bytes == len(output)
        assert len({request.headers["idempotency-key"] for request in up.requests}) == 5
        assert [each.id for each in client.batches.list()] == [batch.id]
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)


def test_errors_have_a_file_of_their_own(tmp_path: Path) -> None:
    def answer(request: Any) -> Answer:
        return error(400, "no such thing") if b"say 1" in request.body else echo(request)

    with Upstream(answer) as up, house_of(up.url, tmp_path) as house, sdk(house) as client:
        batch = ended(client, made(client, lines(3)).id)
        assert batch.status == "completed" and batch.metadata == {"a": "b"}
        assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 1)
        (row,) = [json.loads(line) for line in client.files.content(batch.error_file_id).read().splitlines()]
        assert row["custom_id"] == "r1" and row["response"]["status_code"] == 400
        assert row["response"]["body"]["error"]["message"] == "no such thing"


def test_embeddings_and_responses_have_batches_too(tmp_path: Path) -> None:
    def answer(request: Any) -> Answer:
        if request.path.endswith("embeddings"):
            return Answer.json({"object": "list", "data": [{"index": 0, "embedding": [1.0]}], "model": "m"})
        return echo(request)

    with Upstream(answer) as up, house_of(up.url, tmp_path) as house, sdk(house) as client:
        for url, body in (("/v1/embeddings", {"input": "x"}), ("/v1/responses", {"input": "say it"})):
            row = {"custom_id": "a", "method": "POST", "url": url, "body": {"model": "m"} | body}
            batch = ended(client, made(client, json.dumps(row).encode(), url).id)
            assert batch.request_counts.completed == 1, url
            assert b'"status_code":200' in client.files.content(batch.output_file_id).read()


def test_a_cancelled_batch_keeps_what_was_done(tmp_path: Path) -> None:
    gate = Gate()
    with Upstream(lambda request: late(echo(request), gate)) as up:
        with house_of(up.url, tmp_path, "[batches]\nconcurrent = 1\n") as house, sdk(house) as client:
            batch = made(client, lines(3))
            up.wait(lambda u: len(u.requests) == 1)
            assert client.batches.cancel(batch.id).status == "cancelling"
            gate.open()
            batch = ended(client, batch.id)
            assert batch.status == "cancelled" and batch.cancelled_at and batch.request_counts.completed == 1
            rows = [json.loads(line) for line in client.files.content(batch.error_file_id).read().splitlines()]
            assert [row["error"]["code"] for row in rows] == ["batch_cancelled"] * 2
            with pytest.raises(openai.BadRequestError):
                client.batches.cancel(batch.id)


def test_another_client_sees_nothing_of_it(tmp_path: Path) -> None:
    with Upstream(echo) as up, house_of(up.url, tmp_path, CLIENTS) as house:
        with sdk(house) as alice, sdk(house, "bobby-key-0123456789") as bobby:
            batch = ended(alice, made(alice, lines(1)).id)
            assert not list(bobby.files.list()) and not list(bobby.batches.list())
            for does in (bobby.files.retrieve, bobby.files.content, bobby.files.delete):
                for id in (batch.input_file_id, batch.output_file_id):
                    with pytest.raises(openai.NotFoundError):
                        does(id)
            with pytest.raises(openai.NotFoundError):
                bobby.batches.retrieve(batch.id)
            with pytest.raises(openai.NotFoundError):
                bobby.batches.create(input_file_id=batch.input_file_id, endpoint=URL, completion_window="24h")


@pytest.mark.parametrize(
    "content",
    [b"", b"{no\n", lines(1) * 2, lines(1, "/v1/embeddings"), b'{"custom_id":"a","method":"GET","url":"%b","body":{}}'],
)
def test_a_file_that_is_no_batch_is_refused(tmp_path: Path, content: bytes) -> None:
    with house_of("http://127.0.0.1:9", tmp_path) as house, sdk(house) as client:
        with pytest.raises(openai.BadRequestError):
            made(client, content)
        with pytest.raises(openai.NotFoundError):
            client.files.create(file=("x", b"x"), purpose="assistants")
        with pytest.raises(openai.NotFoundError):
            client.batches.create(input_file_id="file-pxnone", endpoint=URL, completion_window="24h")
        assert house.post("/v1/files", {"a": 1})[0] == 415


def test_half_a_character_in_what_is_kept_is_no_fault_of_the_proxy(tmp_path: Path) -> None:
    """No database takes it. It is U+FFFD, as in all that the proxy writes."""
    half = "a\ud83d"
    with Upstream(echo) as up, house_of(up.url, tmp_path) as house, sdk(house) as client:
        line = json.dumps(json.loads(lines(1)) | {"custom_id": half}).encode()
        file = client.files.create(file=("in.jsonl", line), purpose="batch")
        asked = {"input_file_id": file.id, "endpoint": URL, "completion_window": "24h", "metadata": {half: half}}
        alice = {"Authorization": "Bearer alice-key-0123456789"}
        status, _, body = house.post("/v1/batches", asked, alice)
        assert status == 200 and json.loads(body)["metadata"] == {"a\ufffd": "a\ufffd"}
        output = client.files.content(ended(client, json.loads(body)["id"]).output_file_id).read()
        assert json.loads(output)["custom_id"] == "a\ufffd"
        assert house.post("/v1/batches", asked | {"input_file_id": half}, alice)[0] == 404
