"""Anthropic's batches, by its SDK, where the proxy runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import error, house_text, late, says
from tests.support.waiting import until

QUICK = "[retry]\nmax_attempts = 1\n"
CLIENTS = "".join(f"[client {name}]\nkey = {name}-key-0123456789\n" for name in ("alice", "bobby"))


def requests(count: int, model: str = "m") -> Any:
    return [
        {
            "custom_id": f"r{n}",
            "params": {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": f"say {n}"}]},
        }
        for n in range(count)
    ]


def echo(request: Any) -> Answer:
    """Says what it was asked to."""
    said = request.json["messages"][-1]["content"]
    return says(said if isinstance(said, str) else said[0]["text"])


def sdk(house: House, key: str = "alice-key-0123456789") -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=house.url, api_key=key, max_retries=0)


def ended(client: anthropic.Anthropic, id: str) -> Any:
    def said() -> Any:
        batch = client.messages.batches.retrieve(id)
        return batch if batch.processing_status == "ended" else None

    return until(said, every_s=0.02)


def test_a_batch_from_its_making_to_its_end(tmp_path: Path) -> None:
    with Upstream(echo) as up, House(house_text("* = a", a=up.url), folder=tmp_path) as house, sdk(house) as client:
        made = client.messages.batches.create(requests=requests(7))
        assert made.processing_status == "in_progress" and made.request_counts.processing == 7
        assert made.results_url is None and made.ended_at is None and made.id.startswith("msgbatch_")
        batch = ended(client, made.id)
        assert batch.request_counts.succeeded == 7 and batch.request_counts.processing == 0
        assert batch.results_url == f"{house.url}/v1/messages/batches/{made.id}/results"
        results = {row.custom_id: row.result for row in client.messages.batches.results(made.id)}
        texts = {name: result.message.content[0].text for name, result in results.items()}  # type: ignore[union-attr]
        assert texts == {f"r{n}": f"say {n}" for n in range(7)}
        assert len(up.requests) == 7
        again = client.messages.batches.create(requests=requests(1))
        assert [each.id for each in client.messages.batches.list(limit=1)] == [again.id, made.id], "pages are followed"
        assert client.messages.batches.delete(made.id).type == "message_batch_deleted"
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(made.id)
        ended(client, again.id)


def test_a_request_that_fails_is_an_errored_result(tmp_path: Path) -> None:
    def answer(request: Any) -> Answer:
        return error(400, "no such thing") if b"say 1" in request.body else echo(request)

    with Upstream(answer) as up, House(house_text("* = a", a=up.url), folder=tmp_path) as house, sdk(house) as client:
        batch = ended(client, client.messages.batches.create(requests=requests(3)).id)
        assert (batch.request_counts.succeeded, batch.request_counts.errored) == (2, 1)
        failed = [row for row in client.messages.batches.results(batch.id) if row.result.type == "errored"]
        assert [row.custom_id for row in failed] == ["r1"]
        assert "no such thing" in failed[0].result.error.error.message  # type: ignore[union-attr]


def test_not_now_is_no_result(tmp_path: Path) -> None:
    answers = [error(429, "later", {"Retry-After": "1"}), error(529, "later"), says("x")]
    with Upstream(answers) as up, House(house_text("* = a", QUICK, a=up.url), folder=tmp_path) as house:
        house.on_loop(lambda: setattr(house.proxy._batches, "again_s", (0.05, 0.1)))
        with sdk(house) as client:
            batch = ended(client, client.messages.batches.create(requests=requests(1)).id)
            assert batch.request_counts.succeeded == 1 and len(up.requests) == 3


def test_a_batch_that_is_cancelled_keeps_what_has_been_answered(tmp_path: Path) -> None:
    gate, more = Gate(), "[batches]\nconcurrent = 2\n"

    def answer(request: Any) -> Answer:
        return late(echo(request), gate)

    with Upstream(answer) as up:
        text = house_text("* = a", more, a=up.url)
        with House(text, folder=tmp_path) as house, sdk(house) as client:
            made = client.messages.batches.create(requests=requests(6))
            up.wait(lambda u: len(u.requests) == 2)
            with pytest.raises(anthropic.BadRequestError):
                client.messages.batches.delete(made.id)
            with pytest.raises((anthropic.NotFoundError, anthropic.AnthropicError)):
                client.messages.batches.results(made.id)
            assert client.messages.batches.cancel(made.id).processing_status == "canceling"
            gate.open()
            batch = ended(client, made.id)
            counts = batch.request_counts
            assert (counts.succeeded, counts.canceled) == (2, 4) and batch.cancel_initiated_at is not None
            kinds = [row.result.type for row in client.messages.batches.results(made.id)]
            assert kinds.count("canceled") == 4 and len(up.requests) == 2


def test_live_requests_go_first(tmp_path: Path) -> None:
    gate, more = Gate(), "[batches]\nconcurrent = 3\n"
    section = "base_url = {}\nmax_concurrent = 2\n"

    def answer(request: Any) -> Answer:
        return late(echo(request), gate)

    with Upstream(answer) as up:
        text = house_text("* = a", more, a=section.format(up.url))
        with House(text, folder=tmp_path) as house, sdk(house) as client, house.connect() as live:
            made = client.messages.batches.create(requests=requests(20))
            up.wait(lambda u: len(u.requests) == 2)
            live.send("POST", "/v1/messages", requests(1)[0]["params"])
            house.wait(lambda p: p.service.admission.waiting >= 1)
            gate.open()
            assert live.reply()[0] == 200
            assert ended(client, made.id).request_counts.succeeded == 20
        assert up.peak <= 3


def test_another_client_sees_nothing_of_it(tmp_path: Path) -> None:
    text = house_text("* = a", CLIENTS, a="{}")
    with Upstream(echo) as up, House(text.format(up.url), folder=tmp_path) as house:
        with sdk(house) as alice, sdk(house, "bobby-key-0123456789") as bobby, sdk(house, "nobody") as nobody:
            made = alice.messages.batches.create(requests=requests(1))
            ended(alice, made.id)
            assert not list(bobby.messages.batches.list())
            for does in (bobby.messages.batches.retrieve, bobby.messages.batches.cancel, bobby.messages.batches.delete):
                with pytest.raises(anthropic.NotFoundError):
                    does(made.id)
            with pytest.raises(anthropic.AuthenticationError):
                nobody.messages.batches.create(requests=requests(1))


def test_a_clients_rules_hold_for_its_batch(tmp_path: Path) -> None:
    clients = CLIENTS.replace("[client bobby]", "models = other\n[client bobby]")
    with Upstream(echo) as up, House(house_text("* = a", clients, a=up.url), folder=tmp_path) as house:
        with sdk(house) as client:
            batch = ended(client, client.messages.batches.create(requests=requests(1)).id)
            assert batch.request_counts.errored == 1 and not up.requests


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [{"custom_id": "a", "params": {}}],
        [{"custom_id": "", "params": {"model": "m"}}],
        [{"custom_id": "a b", "params": {"model": "m"}}],
        [{"custom_id": "a", "params": {"model": "m"}}] * 2,
        [{"custom_id": "a", "params": {"model": "m", "stream": True}}],
        ["a"],
    ],
)
def test_what_is_no_batch_is_refused(tmp_path: Path, wrong: Any) -> None:
    with House(house_text("* = a", a="http://127.0.0.1:9"), folder=tmp_path) as house:
        status, _, body = house.post("/v1/messages/batches", {"requests": wrong})
        assert status == 400 and b"invalid_request_error" in body
        assert house.post("/v1/messages/batches", b"{no")[0] == 400
        assert house.request("PUT", "/v1/messages/batches", {})[0] == 405
        assert house.get("/v1/messages/batches/msgbatch_pxnone")[0] == 404


def test_without_a_file_the_proxy_runs_none() -> None:
    with House(house_text("* = a", a="http://127.0.0.1:9")) as house:
        assert house.post("/v1/messages/batches", {"requests": requests(1)})[0] == 404


def test_it_goes_on_where_the_last_process_stopped(tmp_path: Path) -> None:
    gate, more = Gate(), "[batches]\nconcurrent = 2\n[server]\ndrain_seconds = 0\n"
    first = True

    def answer(request: Any) -> Answer:
        return late(echo(request), gate) if first and b"say 2" in request.body else echo(request)

    with Upstream(answer) as up:
        text = house_text("* = a", more, a=up.url)
        with House(text, folder=tmp_path) as house, sdk(house) as client:
            made = client.messages.batches.create(requests=requests(9))
            up.wait(lambda u: len(u.requests) >= 6)
        first = False
        gate.open()
        with House(text, folder=tmp_path) as house, sdk(house) as client:
            assert ended(client, made.id).request_counts.succeeded == 9
            texts = {row.custom_id for row in client.messages.batches.results(made.id)}
            assert len(texts) == 9
        asked = [request.json["messages"][-1]["content"] for request in up.requests]
        assert len(asked) <= 9 + 2, "only what was on its way is asked for again"
