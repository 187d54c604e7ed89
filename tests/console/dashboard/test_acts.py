"""What the dashboard's buttons do: a request is cancelled, an upstream drained; by admins alone, in all workers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.http.response_writer import ResponseWriter
from gateway.process.drains import Drains
from gateway.process.worker_rpc import WorkerRpc
from tests.console.dashboard.test_data import ADMIN, CLIENTS, OTHER, REPLY, data, told
from tests.gateway.websocket.sockets import Socket, with_socket
from tests.support.house import Cut, House
from tests.support.script import Answer, Gate, Request, Upstream

DELTA = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"}}]}\n\n'
FORM = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nword\r\n'
DONE = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
TWO = "[upstream one]\nprotocol = chat\nbase_url = {0}\n[upstream two]\nprotocol = chat\nbase_url = {0}\n"
MODELS = "[models]\n* = one, two\nonly = one\n"
ASKS = {
    "/v1/messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "/v1/responses": {"model": "m", "input": "hi"},
}
ACTS = ["probe/one", "drain/one", "undrain/one", "cancel/req_1"]


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def held_up(gate: Gate) -> Upstream:
    """Its streams stop after the first words, and its whole replies before them."""

    def answers(request: Request) -> Answer:
        if b'"stream":true' in request.body.replace(b" ", b""):
            return Answer.sse([DELTA, gate])
        return Answer.json(REPLY, delay=gate)

    return Upstream(answers)


def running(house: House, state: str) -> dict[str, Any]:
    """The one request that is on its way, once it is in this state."""
    house.wait(lambda proxy: any(flow.standing().state == state for flow in proxy.service.flows))
    [row] = data(house, "running", ADMIN)["running"]
    return dict(row)


def records(house: House) -> list[dict[str, Any]]:
    house.on_loop(house.proxy.service.observers.flush)
    return [entry.record for entry in house.proxy.console.watch.recent]


# ------------------------------------------------------------------------------------------------- cancelling


@pytest.mark.parametrize("path", ASKS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_cancelled_request_ends_in_its_clients_words(path: str, stream: bool, gate: Gate) -> None:
    with held_up(gate) as up, House(TWO.format(up.url) + MODELS + CLIENTS) as house, house.connect() as client:
        client.send("POST", path, ASKS[path] | {"stream": stream}, OTHER)
        row = running(house, "STREAMING" if stream else "ASKING")
        assert row["client"] == "guest" and row["upstream"] == "one" and row["model"] == "m" and row["age_s"] >= 0
        assert row["bytes_in"] > 20 and (row["bytes_out"] > 0) is stream and (row["waits_s"] > 0) is not stream
        status, _, body = house.post(f"/dashboard/cancel/{row['id']}", b"", ADMIN)
        assert status == 200 and json.loads(body) == {"id": row["id"], "cancelled": True}
        status, headers, reply = client.reply()
        assert status == (200 if stream else 403) and headers["x-request-id"] == row["id"]
        assert b"an operator of the proxy has cancelled this request" in reply and b"boss" not in reply
        if not stream:
            assert headers["x-should-retry"] == "false" and json.loads(reply)["error"]["type"] == "permission_error"
        else:
            assert {"/v1/messages": b"event: error", "/v1/responses": b"response.failed"}.get(path, b"error") in reply
        house.wait(lambda proxy: not proxy.service.flows)
        [record] = records(house)
        assert record["ended"] == "cancelled" and "an operator of the proxy" in record["error.message"]
        assert data(house, "running", ADMIN)["running"] == []
        assert house.post(f"/dashboard/cancel/{row['id']}", b"", ADMIN)[0] == 404
        places = house.on_loop(lambda: [place.breaker.state for place in house.proxy.service.places])
        assert set(places) == {"closed"} and up.requests[0].path == "/v1/chat/completions" and len(up.requests) == 1


@pytest.mark.parametrize("begun", [False, True], ids=["waits", "streams"])
def test_what_is_relayed_can_be_cancelled_too(begun: bool, gate: Gate) -> None:
    sound = Answer(headers={"Content-Type": "audio/mpeg"}, body=[b"sound", gate], framing="chunked")
    silence = Answer(headers={"Content-Type": "audio/mpeg"}, body=b"sound", delay=gate)
    with Upstream([sound if begun else silence]) as up, House(TWO.format(up.url) + MODELS) as house:
        with house.connect() as client:
            client.send("POST", "/v1/audio/speech", {"model": "m", "input": "hi", "voice": "alloy"})
            row = running(house, "STREAMING" if begun else "ASKING")
            assert (row["task"], row["upstream"], row["model"]) == ("audio/speech", "one", "m")
            assert house.post(f"/dashboard/cancel/{row['id']}", b"")[0] == 200
            if begun:  # there is no word for an error in the middle of a sound
                assert client.head()[0] == 200
                with pytest.raises(Cut):  # the end of the body never comes
                    client.body()
            else:
                status, _, body = client.reply()
                assert status == 403 and b"an operator of the proxy" in body
            house.wait(lambda proxy: not proxy.service.flows)
            assert records(house)[0]["ended"] == "cancelled"


def test_a_cancelled_turn_leaves_its_websocket_open(gate: Gate) -> None:
    with held_up(gate) as up, House(TWO.format(up.url) + MODELS) as house:

        def cancels() -> None:
            row = running(house, "STREAMING")
            assert house.post(f"/dashboard/cancel/{row['id']}", b"")[0] == 200

        async def session(socket: Socket) -> list[dict[str, Any]]:
            await socket.send(input="hi")
            await asyncio.to_thread(cancels)
            last = (await socket.reply())[-1]
            gate.open()
            return [last, await socket.turn(input="again")]

        cancelled, _ = with_socket(house, session)
        assert cancelled["type"] == "response.failed"
        assert "an operator of the proxy has cancelled" in cancelled["response"]["error"]["message"]
        house.wait(lambda proxy: not proxy.service.flows)
        assert [record["ended"] for record in records(house)] == ["cancelled", "finished"]


def test_a_client_that_takes_nothing_of_its_reply_is_cut_off(gate: Gate) -> None:
    huge = REPLY | {"choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * (8 << 20)},
                                 "finish_reason": "stop"}]}  # fmt: skip
    with Upstream([Answer.json(huge)]) as up, House(TWO.format(up.url) + MODELS) as house, house.connect() as client:
        client.send("POST", "/v1/chat/completions", ASKS["/v1/chat/completions"])
        row = running(house, "FLUSHING")
        assert house.post(f"/dashboard/cancel/{row['id']}", b"")[0] == 200
        house.wait(lambda proxy: not proxy.service.flows)
        assert records(house)[0]["ended"] == "cancelled"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_reply_that_is_out_already_is_not_taken_back(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client may be sending the next request, which a closed connection would lose as well."""
    ends: list[Callable[[], None]] = []
    sent = ResponseWriter.when_sent
    monkeypatch.setattr(ResponseWriter, "when_sent", lambda self, then: ends.append(partial(sent, self, then)))
    reply = Answer.sse([DELTA, DONE]) if stream else Answer.json(REPLY)
    asked = ASKS["/v1/chat/completions"] | {"stream": stream}
    with Upstream([reply]) as up, House(TWO.format(up.url) + MODELS) as house, house.connect() as client:
        client.send("POST", "/v1/chat/completions", asked)
        row = running(house, "FLUSHING")
        assert house.post(f"/dashboard/cancel/{row['id']}", b"")[0] == 200
        monkeypatch.undo()
        house.on_loop(lambda: [end() for end in ends])
        assert client.reply()[0] == 200
        assert records(house)[0]["ended"] == "finished"
        client.send("POST", "/v1/chat/completions", asked)
        assert client.reply()[0] == 200


@pytest.mark.parametrize("path", [*ASKS, "/v1/audio/transcriptions", "/v1/messages/batches"])
def test_a_request_whose_body_still_comes_is_told_at_once_and_may_send_on(path: str) -> None:
    with House(TWO.format("http://127.0.0.1:9") + MODELS) as house, house.connect() as client:
        kind = "multipart/form-data; boundary=x" if "audio" in path else "application/json"
        client.socket.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nx-api-key: any\r\n".encode()
            + b"Content-Length: 3000000\r\n\r\n%b" % (FORM if "audio" in path else b" ")
        )
        row = running(house, "RECEIVING")
        assert house.post(f"/dashboard/cancel/{row['id']}", b"")[0] == 200
        client.socket.sendall(b" " * 2_990_000)
        status, headers, body = client.reply()
        assert status == 403 and headers["connection"] == "close" and b"an operator of the proxy" in body
        assert client.socket.recv(1) == b""
        client.socket.close()
        house.wait(lambda proxy: not proxy.service.flows)


def test_what_waits_for_a_slot_can_be_cancelled(gate: Gate) -> None:
    settings = TWO.format("{0}").replace("{0}\n[up", "{0}\nmax_concurrent = 1\n[up")
    with held_up(gate) as up, House(settings.format(up.url) + MODELS) as house:
        with house.connect() as first, house.connect() as second:
            body = {"model": "only", "messages": [{"role": "user", "content": "hi"}]}
            first.send("POST", "/v1/chat/completions", body)
            house.wait(lambda proxy: len(up.requests) == 1)
            second.send("POST", "/v1/chat/completions", body)
            house.wait(lambda proxy: any(flow.standing().state == "QUEUED" for flow in proxy.service.flows))
            [row] = [row for row in data(house, "running")["running"] if row["state"] == "QUEUED"]
            assert row["upstream"] == "one" and row["waits_s"] == 0
            assert house.post(f"/dashboard/cancel/{row['id']}", b"")[0] == 200
            assert second.reply()[0] == 403
            gate.open()
            assert first.reply()[0] == 200


# --------------------------------------------------------------------------------------------------- draining


def test_a_drained_upstream_gets_nothing_new_and_what_is_there_goes_on(gate: Gate) -> None:
    with held_up(gate) as up, House(TWO.format(up.url) + MODELS + CLIENTS) as house, house.connect() as client:
        client.send("POST", "/v1/chat/completions", ASKS["/v1/chat/completions"] | {"model": "only"}, OTHER)
        assert running(house, "ASKING")["upstream"] == "one"
        assert house.post("/dashboard/drain/one", b"", ADMIN)[0] == 200
        gate.open()
        assert client.reply()[0] == 200
        assert told(house, ASKS["/v1/messages"], OTHER, "/v1/messages") == 200
        record = records(house)[-1]
        assert record["upstream"] == "two"
        assert record["passed_over"] == ["one/m: an operator has drained upstream 'one'"]
        story = data(house, f"request?id={record['request_id']}", ADMIN)
        assert story["record"]["passed_over"] == record["passed_over"]

        only = ASKS["/v1/chat/completions"] | {"model": "only"}
        status, _, body = house.post("/v1/chat/completions", only, OTHER)
        assert status == 503 and b"an operator has drained upstream 'one'" in body

        shown = json.loads(house.get("/debug/upstreams", ADMIN)[2])["upstreams"]
        assert shown["one"]["drained"]["by"] == "boss" and shown["two"]["drained"] is None
        metrics = house.get("/metrics", ADMIN)[2].decode()
        assert 'proxy_upstream_drained{upstream="one"} 1' in metrics
        assert 'proxy_upstream_drained{upstream="two"} 0' in metrics
        one, two = data(house, "upstreams", ADMIN)["upstreams"]
        assert one["drained"]["since"] > 1e9 and two["drained"] is None
        [trouble] = [each for each in data(house, "trouble", ADMIN)["troubles"] if each["kind"] == "drained"]
        assert trouble["panel"] == "upstreams" and trouble["about"] == "one" and "by boss" in trouble["text"]
        assert house.get("/readyz")[0] == 200
        house.post("/dashboard/drain/two", b"", ADMIN)
        assert house.get("/readyz")[0] == 503

        house.post("/dashboard/undrain/one", b"", ADMIN)
        assert told(house, ASKS["/v1/messages"], OTHER, "/v1/messages") == 200
        assert records(house)[-1]["upstream"] == "one" and house.get("/readyz")[0] == 200
        assert house.post("/dashboard/drain/nix", b"", ADMIN)[0] == 404


def test_a_request_that_is_under_way_does_not_fall_back_to_a_drained_upstream(gate: Gate) -> None:
    def answers(request: Request) -> Answer:
        return Answer.json({"error": {"message": "overloaded"}}, 503, delay=gate)

    with Upstream(answers) as up, House(TWO.format(up.url) + MODELS) as house:
        done: list[int] = []

        def post() -> None:
            done.append(house.post("/v1/chat/completions", ASKS["/v1/chat/completions"])[0])

        asking = threading.Thread(target=post)
        asking.start()
        house.wait(lambda proxy: len(up.requests) == 1)
        house.post("/dashboard/drain/two", b"")
        gate.open()
        asking.join(10)
        assert done == [503] and len(up.requests) >= 2  # it was tried again where it was
        [record] = records(house)
        assert {each["upstream"] for each in record["tried"]} == {"one"} and "drained" not in record["error.message"]
        assert house.on_loop(lambda: house.proxy.service.router.upstreams["two"].gate.busy) == 0


def test_what_rests_is_in_the_story_too() -> None:
    with Upstream([Answer.json(REPLY)]) as up, House(TWO.format(up.url) + MODELS) as house:

        def ill() -> None:
            service = house.proxy.service
            service.places.key("one", 0).bad_until = service.ports.now() + 100

        house.on_loop(ill)
        assert told(house, ASKS["/v1/messages"]) == 200
        [passed] = records(house)[0]["passed_over"]
        assert passed.startswith("one/m: its key was refused, and rests for ")


def test_all_workers_drain_and_one_that_starts_later_learns_of_it() -> None:
    async def scene() -> None:
        workers = [WorkerRpc(each, 3, b"of a test of drains") for each in range(3)]
        drains = [Drains(worker) for worker in workers]
        for worker in workers[:2]:
            await worker.start()
        try:
            assert await drains[0].change("up", "boss", drained=True) == 2
            assert "up" in drains[1] and "up" not in drains[2]
            await workers[2].start()
            await drains[2].learn()
            assert drains[2].shown("up") == drains[0].shown("up") and len(drains[2]) == 1
            assert await drains[2].change("up", "", drained=False) == 3
            assert [len(each) for each in drains] == [0, 0, 0] and drains[0].shown("up") is None
        finally:
            for worker in workers:
                await worker.stop()

    asyncio.run(scene())


def test_the_worker_that_has_a_request_cancels_it(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    with held_up(gate) as up, House(TWO.format(up.url) + MODELS) as house, house.connect() as client:
        client.send("POST", "/v1/chat/completions", ASKS["/v1/chat/completions"])
        row = running(house, "ASKING")
        rpc, asked = house.proxy.service.worker_rpc, list[str]()

        async def other(path: str) -> list[dict[str, Any]]:
            asked.append(path)
            return [{"cancelled": False}, rpc._own(path)]

        monkeypatch.setattr(rpc, "ask", other)
        assert house.post(f"/dashboard/cancel/{row['id']}", b"")[0] == 200
        assert client.reply()[0] == 403 and row["id"] in asked[0]


# -------------------------------------------------------------------------------------------------- who may


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        (ADMIN, True),
        (OTHER, False),
        ({}, False),
        (ADMIN | {"Origin": "http://proxy.lan:8082", "Host": "proxy.lan:8082"}, True),
        (ADMIN | {"Origin": "http://evil.example"}, False),
        (ADMIN | {"Origin": "null"}, False),
        (ADMIN | {"Sec-Fetch-Site": "cross-site"}, False),
        (ADMIN | {"Sec-Fetch-Site": "same-site"}, False),
        (ADMIN | {"Sec-Fetch-Site": "same-origin"}, True),
    ],
)
def test_acts_are_for_admins_and_from_our_own_page(act: str, headers: dict[str, str], allowed: bool) -> None:
    with House(TWO.format("http://127.0.0.1:9") + MODELS + CLIENTS) as house:
        status, _, body = house.post(f"/dashboard/{act}", b"", headers)
        assert status in (200, 404) if allowed else status in (401, 403), body
        assert len(house.proxy.service.drained) == (allowed and act == "drain/one")
        assert house.get(f"/dashboard/{act}", ADMIN)[0] == 405


@pytest.mark.parametrize("act", ACTS)
def test_without_clients_a_foreign_page_can_do_nothing(act: str) -> None:
    with House(TWO.format("http://127.0.0.1:9") + MODELS) as house:
        foreign: dict[str, str]
        for foreign in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "rebound.example"},
                        {"Sec-Fetch-Site": "cross-site"}, {"X-Forwarded-For": "1.2.3.4"}):  # fmt: skip
            assert house.post(f"/dashboard/{act}", b"", foreign)[0] == 403
        assert len(house.proxy.service.drained) == 0


def test_what_was_done_and_by_whom_is_in_the_log(tmp_path: Path, gate: Gate) -> None:
    with held_up(gate) as up, House(TWO.format(up.url) + MODELS + CLIENTS, folder=tmp_path) as house:
        with house.connect() as client:
            client.send("POST", "/v1/messages", ASKS["/v1/messages"], OTHER)
            row = running(house, "ASKING")
            house.post(f"/dashboard/cancel/{row['id']}", b"", ADMIN)
            client.reply()
        house.post("/dashboard/drain/one", b"", ADMIN)
        house.post("/dashboard/undrain/one", b"", ADMIN)
        house.wait(lambda proxy: not proxy.service.flows)
    requests = [json.loads(line) for line in (tmp_path / "api_requests.json").read_text().splitlines()]
    done = [(line["path"], line["client"]) for line in requests if line["path"].startswith("/dashboard")]
    assert done == [(f"/dashboard/cancel/{row['id']}", "boss"), ("/dashboard/drain/one", "boss"),
                    ("/dashboard/undrain/one", "boss")]  # fmt: skip
    performance = [json.loads(line) for line in (tmp_path / "performance.json").read_text().splitlines()]
    assert performance[0]["ended"] == "cancelled" and performance[0]["request_id"] == row["id"]
