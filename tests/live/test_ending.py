"""SIGTERM while everything is at work: nobody who has been let in is broken off before drain_seconds."""

from __future__ import annotations

import json
import threading
import time

from tests.support.house import Client, Cut, House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.waiting import until

PATH = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "x"}]
ASKED = {"model": "m", "max_tokens": 9, "messages": MESSAGES}
OK = Answer.json({"id": "x", "choices": [{}]})
BEGUN = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

STREAMS, KEPT, NEW = 100, 4, 2


class Asker:
    """Asks again and again until it is told to go (kept), or nobody is there any more (new connections)."""

    def __init__(self, house: House, kept: bool) -> None:
        self.answers = 0
        self.broken: list[BaseException] = []
        self.told = False
        self._house = house
        self.thread = threading.Thread(target=self._kept if kept else self._new)
        self.thread.start()

    def _kept(self) -> None:
        try:
            with self._house.connect() as client:
                while not self.told:
                    self._ask(client)
        except BaseException as why:
            self.broken.append(why)

    def _new(self) -> None:
        while True:
            try:
                client = self._house.connect()
            except ConnectionRefusedError:
                return
            with client:
                try:
                    self._ask(client)
                except BaseException as why:
                    self.broken.append(why)
                    return

    def _ask(self, client: Client) -> None:
        client.send("POST", PATH, ASKED)
        status, headers, body = client.reply()
        assert status == 200 and json.loads(body)["id"] == "x", (status, body)
        self.answers += 1
        self.told = headers.get("connection") == "close"


def script(gate: Gate) -> object:
    def answer(request: Request) -> Answer:
        return Answer.sse([BEGUN, gate, DONE]) if request.json.get("stream") else OK

    return answer


def opened(house: House, number: int, path: str = PATH) -> list[Client]:
    clients = [house.connect() for _ in range(number)]
    for client in clients:
        client.send("POST", path, ASKED | {"stream": True})
    assert [client.head()[0] for client in clients] == [200] * number
    return clients


def test_a_hundred_streams_and_constant_requests() -> None:
    gate = Gate()
    settings = "[pool]\nmax_connections = 400\n" + one_upstream("{}", "chat", server="drain_seconds = 60")
    with Upstream(script(gate)) as up, House(settings.format(up.url)) as house:  # type: ignore[arg-type]
        streams = opened(house, STREAMS)
        askers = [Asker(house, kept=number < KEPT) for number in range(KEPT + NEW)]
        until(lambda: all(asker.answers > 50 or asker.broken for asker in askers))
        house._loop.call_soon_threadsafe(house._stop.set)
        for asker in askers:
            asker.thread.join(20)
            assert not asker.broken, asker.broken[0]
        assert all(asker.told for asker in askers[:KEPT])
        assert house._thread.is_alive()
        gate.open()
        for client in streams:
            assert client.body() == BEGUN + DONE
            client.socket.close()
        house._thread.join(20)
        assert not house._thread.is_alive()


def test_what_is_not_done_in_time_ends_in_words_of_its_protocol() -> None:
    settings = "[pool]\nmax_connections = 400\n" + one_upstream("{}", "chat", server="drain_seconds = 0.3")
    with Upstream(script(Gate())) as up, House(settings.format(up.url)) as house:  # type: ignore[arg-type]
        chat, messages = opened(house, 20), opened(house, 20, "/v1/messages")
        house._loop.call_soon_threadsafe(house._stop.set)
        for client in chat:
            assert b'"error"' in (said := client.body()) and b"shutting down" in said
        for client in messages:
            said = client.body()
            assert said.rstrip().rpartition(b"event: ")[2].startswith(b"error") and b"overloaded_error" in said
        house._thread.join(20)
        assert not house._thread.is_alive()
        for client in chat + messages:
            client.socket.close()


def test_a_kept_connection_is_told_even_if_nothing_else_is_on() -> None:
    """Its next request may be under way when the signal comes."""
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as kept:
        kept.send("POST", PATH, ASKED)
        kept.reply()
        house._loop.call_soon_threadsafe(house._stop.set)
        house.wait(lambda p: p.service.in_flight.stage == "draining")
        kept.send("POST", PATH, ASKED)
        status, headers, _ = kept.reply()
        assert status == 200 and headers["connection"] == "close"


def test_who_reads_a_stream_meanwhile_may_send_the_next_request() -> None:
    """The head of the stream has not said that the connection ends."""
    gates = [Gate(), Gate()]
    answers = [Answer.sse([BEGUN, gate, DONE]) for gate in gates] + [OK]
    with Upstream(answers) as up, House(one_upstream(up.url, "chat", server="drain_seconds = 20")) as house:
        first, second = opened(house, 1) + opened(house, 1)
        house._loop.call_soon_threadsafe(house._stop.set)
        house.wait(lambda p: p.service.in_flight.stage == "draining")
        gates[0].open()
        assert first.body() == BEGUN + DONE
        first.send("POST", PATH, ASKED)
        status, headers, _ = first.reply()
        assert status == 200 and headers["connection"] == "close"
        gates[1].open()
        assert second.body() == BEGUN + DONE
        for client in (first, second):
            client.socket.close()


def test_who_waits_to_be_accepted_is_served() -> None:
    """They are connected as far as they know."""
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        waiting: list[Client] = []

        def stop() -> None:
            waiting.extend(house.connect() for _ in range(20))  # the loop is here: nobody accepts
            house._stop.set()

        house.on_loop(stop)
        for client in waiting:
            client.send("POST", PATH, ASKED)
        for client in waiting:
            try:
                assert client.reply()[0] == 200
            except (Cut, ConnectionResetError):
                raise AssertionError("turned away") from None
            client.socket.close()
        began = time.monotonic()
        house._thread.join(10)
        assert not house._thread.is_alive() and time.monotonic() - began < 10
