"""Settings that change while the proxy runs: what takes effect at once, what waits, what is refused."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.process import reload
from gateway.process.worker_rpc import WorkerRpc
from gateway.refusals.learned_quirks import Quirk
from operate.settings.file_watch import Source
from operate.settings.load import read
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.waiting import until

PATH = "/v1/chat/completions"
ASKED = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
OK = Answer.json({"id": "x", "choices": [{}]})
BEGUN = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
KEY, OTHER = "client-key-0123456789abcdef", "other-key-0123456789abcdef"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "EVERY_S", 0.02)
    monkeypatch.setattr(reload, "SETTLE_S", 0.01)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "s.ini"


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream([OK]) as upstream:
        yield upstream


def save(house: House, file: Path, text: str) -> dict[str, Any]:
    """Writes the file, and gives the verdict on it."""
    before = house.on_loop(lambda: house.proxy.service.reloaded)
    file.write_text(text)
    house.wait(lambda p: p.service.reloaded is not before)
    found: dict[str, Any] = house.on_loop(lambda: house.proxy.service.reloaded)
    return found


def test_another_upstream_from_the_next_request_on(file: Path, up: Upstream) -> None:
    with Upstream([OK]) as second, House(one_upstream(up.url, "chat"), file=file) as house:
        with house.connect() as kept:
            kept.send("POST", PATH, ASKED)
            assert kept.reply()[0] == 200
            verdict = save(house, file, one_upstream(second.url, "chat"))
            kept.send("POST", PATH, ASKED)
            assert kept.reply()[0] == 200
    assert verdict["taken"] and verdict["changed"] == ["[upstream up] base_url"] and not verdict["restart"]
    assert len(up.requests) == len(second.requests) == 1


def test_another_route_for_a_model(file: Path, up: Upstream) -> None:
    text = one_upstream(up.url, "chat")
    with House(text, file=file) as house:
        save(house, file, text + "m = up/another\n")
        assert house.post(PATH, ASKED)[0] == 200
    assert up.requests[-1].json["model"] == "another"


def test_a_request_on_its_way_goes_on_as_it_began(file: Path) -> None:
    gate = Gate()
    with Upstream([Answer.sse([BEGUN, gate, DONE])]) as up, House(one_upstream(up.url, "chat"), file=file) as house:
        with house.connect() as client:
            client.send("POST", PATH, ASKED | {"stream": True})
            client.head()
            save(house, file, "[upstream other]\nprotocol = chat\nbase_url = http://127.0.0.1:9\n")
            gate.open()
            assert client.body() == BEGUN + DONE
        assert house.post(PATH, ASKED)[0] == 404
        assert house.on_loop(lambda: house.proxy.service.admission.busy) == 0


def client_section(key: str, more: str = "") -> str:
    return f"[client me]\nkey = {key}\n{more}\n"


def test_a_clients_key(file: Path, up: Upstream) -> None:
    text = one_upstream(up.url, "chat")
    with House(text + client_section(KEY), file=file) as house:
        for key, status in ((KEY, 200), (OTHER, 401)):
            assert house.post(PATH, ASKED, {"x-api-key": key})[0] == status
        verdict = save(house, file, text + client_section(OTHER))
        for key, status in ((KEY, 401), (OTHER, 200)):
            assert house.post(PATH, ASKED, {"x-api-key": key})[0] == status
    assert verdict["changed"] == ["[client me] key"] and OTHER not in json.dumps(verdict)


def test_a_quota_and_what_is_used_of_it(file: Path, up: Upstream) -> None:
    text = one_upstream(up.url, "chat")
    key = {"x-api-key": KEY}
    with House(text + client_section(KEY, "requests_per_minute = 2"), file=file) as house:
        assert [house.post(PATH, ASKED, key)[0] for _ in range(3)] == [200, 200, 429]
        save(house, file, text + client_section(KEY, "requests_per_minute = 4"))
        assert [house.post(PATH, ASKED, key)[0] for _ in range(3)] == [200, 200, 429]
        save(house, file, text + client_section(KEY))
        assert house.post(PATH, ASKED, key)[0] == 200


def test_a_timeout(file: Path) -> None:
    with Upstream([Answer.silence()]) as up:
        text = one_upstream(up.url, "chat") + "[retry]\nmax_attempts = 1\n"
        with House(text, file=file) as house:
            save(house, file, text + "[timeouts]\nrequest = 0.1\n")
            assert house.post(PATH, ASKED)[0] == 504


def test_a_preset(file: Path, up: Upstream) -> None:
    """What it stands for changes what is sent."""
    text = one_upstream(up.url, "chat", "{}\nmax_tokens_field = max_completion_tokens")
    question = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    with House(text.format("preset ="), file=file) as house:
        house.post("/v1/messages", question)
        save(house, file, text.format("preset = vllm").replace("max_tokens_field = max_completion_tokens", ""))
        house.post("/v1/messages", question)
    first, second = (request.json for request in up.requests)
    assert "max_completion_tokens" in first and "max_tokens" in second


def test_a_level(file: Path, up: Upstream) -> None:
    text = one_upstream(up.url, "chat")
    logger = logging.getLogger("upstream")
    with House(text, file=file) as house:
        save(house, file, text + "[logging]\nupstream = debug\n")
        assert logger.getEffectiveLevel() == logging.DEBUG
        save(house, file, text + "[logging]\nupstream = error\n")
        assert logger.getEffectiveLevel() == logging.ERROR
        save(house, file, text)


def test_the_pool(file: Path) -> None:
    gate = Gate()
    with Upstream(lambda request: Answer.json({"id": "x", "choices": [{}]}, delay=gate)) as up:
        text = "[pool]\nmax_connections = {}\n" + one_upstream(up.url, "chat")
        with House(text.format(1), file=file) as house, house.connect() as first, house.connect() as second:
            for client in (first, second):
                client.send("POST", PATH, ASKED)
            house.wait(lambda p: p.service.admission.waiting == 1)
            save(house, file, text.format(2))
            up.wait(lambda u: len(u.requests) == 2)
            gate.open()
            assert first.reply()[0] == second.reply()[0] == 200
            house.wait(lambda p: p.service.client.stats()["handles_free"] == 1)  # the first is of the time before


def test_websockets_and_the_size_of_bodies(file: Path, up: Upstream) -> None:
    text = one_upstream(up.url, "chat", server="{}")
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}  # fmt: skip
    with House(text.format("max_body_mb = 1"), file=file) as house:
        big = ASKED | {"messages": [{"role": "user", "content": "x" * 2_000_000}]}
        assert house.post(PATH, big)[0] == 413
        with house.connect() as client:
            client.send("GET", "/v1/responses", None, upgrade)
            assert client.head()[0] == 101
        save(house, file, text.format("max_body_mb = 4\nwebsockets = false"))
        assert house.post(PATH, big)[0] == 200
        assert house.request("GET", "/v1/responses", None, upgrade)[0] == 426


def test_a_demo_that_is_switched_on_and_off(file: Path, up: Upstream) -> None:
    text = one_upstream(up.url, "chat")
    demo = "[upstream demo]\nprotocol = chat\nbase_url = demo:\nenabled = {}\n"
    with House(text, file=file) as house:
        asked = ASKED | {"model": "demo/demo"}
        for state, there in (("true", True), ("false", False), ("true", True)):
            save(house, file, text + demo.format(state))
            assert ("demo" in house.on_loop(lambda: house.proxy.service.router.upstreams)) is there
            if there:
                assert house.post(PATH, asked)[0] == 200


def test_a_broken_file_changes_nothing_and_says_why(file: Path, up: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    text = one_upstream(up.url, "chat")
    with House(text, file=file) as house:
        service = house.proxy.service
        router = house.on_loop(lambda: service.router)
        verdict = save(house, file, text + "[sever]\na = b\n[timeouts]\nidle = soon\n")
        assert not verdict["taken"] and len(verdict["why"]) == 2
        assert any(":9:" in line and "server" in line for line in verdict["why"]), verdict
        assert any("idle" in line for line in verdict["why"])
        assert house.on_loop(lambda: service.router) is router and house.post(PATH, ASKED)[0] == 200
        verdict = save(house, file, text)
        assert verdict["taken"] and verdict["changed"] == []
        assert house.on_loop(lambda: service.router) is router
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 1 and "[sever]" in said[0] and "idle" in said[0]


def test_what_waits_for_a_restart_is_named_and_left(file: Path, up: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    text = one_upstream(up.url, "chat", server="{}")
    with House(text.format(""), file=file) as house:
        verdict = save(house, file, text.format("host = 127.0.0.2\nworkers = 3\nping_seconds = 3"))
        server = house.on_loop(lambda: house.proxy.service.settings.server)
    assert verdict["restart"] == ["[server] host", "[server] workers"]
    assert verdict["changed"] == ["[server] ping_seconds"]
    assert (server.host, server.workers, server.ping_seconds) == ("127.0.0.1", 1, 3)
    assert "the changes of [server] host, [server] workers need a restart" in caplog.text


def test_the_door_stays_shut(file: Path, up: Upstream) -> None:
    """The last [client] goes and so does the public address; but the socket is still there for all to reach."""
    text = one_upstream(up.url, "chat", server="{}")
    with House(text.format("host = 0.0.0.0") + client_section(KEY), file=file) as house:
        verdict = save(house, file, text.format("host = 127.0.0.1"))
        assert not verdict["taken"] and "restart" in verdict["why"][0]
        assert house.post(PATH, ASKED)[0] == 401


def test_signal_and_environment(file: Path) -> None:
    """The same file means something else: only SIGHUP can tell."""
    environ = {"WHERE": "http://127.0.0.1:9"}
    with Upstream([OK]) as up, House(one_upstream("${WHERE}", "chat"), environ, file=file) as house:
        environ["WHERE"] = up.url
        assert house.proxy.reload is not None
        house.on_loop(house.proxy.reload.now)
        house.wait(lambda p: p.service.reloaded.get("taken"))
        assert house.post(PATH, ASKED)[0] == 200


def test_what_was_learned_and_counted_stays(file: Path) -> None:
    with Upstream(lambda request: Answer.json({"error": {"message": "no"}}, 500)) as up:
        text = one_upstream(up.url, "chat") + "[retry]\nmax_attempts = 1\n[breaker]\nconsecutive = 2\ncooldown = 60\n"
        with House(text + "max_cooldown = 60\n", file=file) as house:
            for _ in range(2):
                house.post(PATH, ASKED)

            def state() -> Any:
                service = house.proxy.service
                place = service.router.upstreams["up"].place("m", 0)
                return place.breaker.state, place.breaker.limits.max_cooldown, len(service.response_store)

            assert house.on_loop(state)[:2] == ("open", 60)
            save(house, file, text + "max_cooldown = 90\n")
            assert house.on_loop(state)[:2] == ("open", 90)
            save(house, file, text + "max_cooldown = 90\nenabled = false\n")
            assert house.on_loop(state)[0] == "closed"


def test_another_address_is_another_upstream(file: Path) -> None:
    """Its breaker was open for where it was by mistake, not for where it is."""
    with Upstream([OK]) as up:
        text = one_upstream("{}", "chat") + "[retry]\nmax_attempts = 1\n[breaker]\nconsecutive = 1\ncooldown = 60\n"
        with House(text.format("http://127.0.0.1:9"), file=file) as house:
            assert house.post(PATH, ASKED)[0] == 502
            save(house, file, text.format(up.url))
            upstream = house.proxy.service.router.upstreams["up"]
            assert house.on_loop(lambda: upstream.place("m", 0).breaker.state) == "closed"


def test_what_a_server_taught_is_not_held_against_another(file: Path) -> None:
    def quirks() -> int:
        return len(house.proxy.service.quirks.of("up", "m"))

    text = one_upstream("http://127.0.0.1:{}", "chat", "{}")
    with House(text.format(9, ""), file=file) as house:
        house.on_loop(lambda: house.proxy.service.quirks.learn("up", "m", Quirk("seed")))
        save(house, file, text.format(9, "idle = 7"))
        assert house.on_loop(quirks) == 1
        save(house, file, text.format(8, "idle = 7"))
        assert house.on_loop(quirks) == 0


def test_places_taken_before_are_given_back_after(file: Path) -> None:
    gate = Gate()
    with Upstream([Answer.sse([BEGUN, gate, DONE])]) as up:
        text = one_upstream(up.url, "chat", "max_concurrent = {}")
        with House(text.format(9), file=file) as house, house.connect() as client:
            client.send("POST", PATH, ASKED | {"stream": True})
            client.head()
            save(house, file, text.format(1))
            gate_there = house.on_loop(lambda: house.proxy.service.router.upstreams["up"].gate)
            assert (gate_there.busy, gate_there.limit) == (1, 1)
            gate.open()
            client.body()
            house.wait(lambda p: gate_there.busy == 0 and p.service.admission.busy == 0)


# ------------------------------------------------------------------------------------------------- under load

EDITS, STREAMS, ASKERS, REQUESTS = 50, 100, 4, 2_000


def test_fifty_edits_under_load(file: Path) -> None:
    """Constant requests on kept connections, and streams that were open before the first edit and end after the last:
    none fails, whatever is saved."""
    gate = Gate()

    def answer(request: Request) -> Answer:
        return Answer.sse([BEGUN, gate, DONE]) if request.json.get("stream") else OK

    text = "[pool]\nmax_connections = 400\n" + one_upstream("{}", "chat", "{}", "ping_seconds = 600")
    edits = ["first_byte = 30", "max_concurrent = 300", "adaptive = false", "keys = a-key, another",
             "headers =\n  X-A: 1", "this is broken", "protocol = smoke\n", "request = 59", ""]  # fmt: skip
    with Upstream(answer) as up, House(text.format(up.url, ""), file=file) as house:
        clients = [house.connect() for _ in range(STREAMS)]
        for client in clients:
            client.send("POST", PATH, ASKED | {"stream": True})
        assert [client.head()[0] for client in clients] == [200] * STREAMS

        over, statuses, wrong = threading.Event(), [0] * ASKERS, []

        def ask(number: int) -> None:
            try:
                with house.connect() as kept:
                    while not over.is_set():
                        kept.send("POST", PATH, ASKED)
                        status, _, body = kept.reply()
                        assert status == 200 and json.loads(body)["id"] == "x", (status, body)
                        statuses[number] += 1
            except BaseException as why:
                wrong.append(why)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(ASKERS)]
        for thread in threads:
            thread.start()
        taken = 0
        for number in range(EDITS):
            edit = f"# edit {number}\n{edits[number % len(edits)]}\n"
            taken += save(house, file, text.format(up.url, edit))["taken"]
        until(lambda: sum(statuses) >= REQUESTS or wrong, 120)
        over.set()
        for thread in threads:
            thread.join(20)
        gate.open()
        for client in clients:
            assert client.body() == BEGUN + DONE
            client.socket.close()
        house.wait(lambda p: p.service.admission.busy == 0 and not p.service.flows)
    assert not wrong, wrong[0]
    assert 30 < taken < EDITS and sum(statuses) >= REQUESTS


@pytest.mark.parametrize("turns", range(6))
def test_the_end_comes_even_at_the_moment_of_a_signal(file: Path, turns: int) -> None:
    file.write_text(one_upstream("http://127.0.0.1:9", "chat"))

    class Nobody:
        settings = read(file.read_text())
        worker_rpc = WorkerRpc()
        reloaded: dict[str, Any]

    async def run() -> None:
        watching = reload.Reload(Nobody(), Source(str(file)), lambda new: None)  # type: ignore[arg-type]
        watching.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        watching.now()
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await watching.stop()

    asyncio.run(run())
