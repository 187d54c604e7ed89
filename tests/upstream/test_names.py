"""Names are looked up without holding anybody up, kept for a while, and dropped where nobody answers."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.waiting import soon
from tests.upstream.scripted import Conn, Upstream, answer_ok, ask, begin, client, run
from upstream import names
from upstream.client import UpstreamClient
from upstream.names import LOOK_UP_S, PATIENCE_S, TOO_OLD_S, Answer, Names, addresses, is_name
from upstream.pool import Pool
from upstream.request import Timeouts
from upstream.way import Lookup, lookup_of


class Book:
    """Names with a clock, a loop and a name server of the test's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = 1000.0
        self.asked: list[str] = []
        self.alarms: list[tuple[float, Callable[..., None], Any]] = []
        self.got: list[Answer] = []
        self.names = Names(lambda: self.clock, self._call, self._later)
        monkeypatch.setattr(threading.Thread, "start", lambda thread: self.asked.append(thread._args[0][0]))

    def _call(self, step: Callable[..., None], *args: Any) -> bool:
        step(*args)
        return True

    def _later(self, wait_s: float, step: Callable[..., None], *args: Any) -> None:
        self.alarms.append((self.clock + wait_s, step, args))

    def look_up(self, host: str = "a") -> None:
        self.names.look_up(host, "any", self.got.append)

    def answers(self, *found: str, host: str = "a", error: str = "") -> None:
        self.names._came((host, "any"), found, error)

    def passes(self, seconds: float) -> None:
        self.clock += seconds
        due, self.alarms = [a for a in self.alarms if a[0] <= self.clock], [a for a in self.alarms if a[0] > self.clock]
        for _, step, args in due:
            step(*args)


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    return Book(monkeypatch)


def test_many_ask_one_look_up_answers(book: Book) -> None:
    assert book.names.known("a", "any") is None
    for _ in range(100):
        book.look_up()
    assert book.asked == ["a"] and book.got == []
    book.answers("1.1.1.1", "2.2.2.2")
    assert [answer.addresses for answer in book.got] == [("1.1.1.1", "2.2.2.2")] * 100
    known = book.names.known("a", "any")
    assert known is book.got[0] and book.asked == ["a"] and "1 known" in repr(book.names)


def test_an_answer_is_renewed_while_it_is_used(book: Book) -> None:
    book.look_up()
    book.answers("1.1.1.1")
    book.passes(LOOK_UP_S)
    assert book.names.known("a", "any") is book.got[0] and book.asked == ["a", "a"]
    book.answers("2.2.2.2")
    assert book.names.known("a", "any").addresses == ("2.2.2.2",)  # type: ignore[union-attr]


def test_a_name_server_that_fails_takes_no_known_name_down(book: Book) -> None:
    book.look_up()
    book.answers("1.1.1.1")
    book.passes(TOO_OLD_S)
    assert book.names.known("a", "any") is None
    book.look_up()
    book.answers(error="server failed")
    assert book.got[-1].addresses == ("1.1.1.1",)
    book.look_up()  # and now it is silent
    book.passes(PATIENCE_S)
    assert len(book.got) == 3 and book.got[-1].addresses == ("1.1.1.1",)
    book.answers("2.2.2.2")
    assert len(book.got) == 3
    book.passes(PATIENCE_S)
    assert len(book.got) == 3


def test_what_nobody_answered_at_is_forgotten(book: Book) -> None:
    book.look_up()
    book.answers("1.1.1.1")
    book.names.forget("a")
    assert book.names.known("a", "any") is None
    book.look_up()
    book.answers(error="no such name")
    assert book.got[-1].addresses == () and book.got[-1].error == "no such name"
    assert book.names.known("a", "any") is None


def test_threads_and_memory_are_bounded(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MAX_THREADS", 2)
    monkeypatch.setattr(names, "MAX_NAMES", 2)
    for host in "abc":
        book.look_up(host)
    assert book.asked == ["a", "b"]
    for host in "bca":
        book.answers("1.1.1.1", host=host)
    assert book.asked == ["a", "b", "c"] and len(book.got) == 3
    assert [book.names.known(host, "any") is not None for host in "abc"] == [True, False, True]


def test_families_and_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET6, 1, 6, "", ("::2", 0, 0, 0)), (socket.AF_INET, 1, 6, "", ("1.1.1.1", 0))] * 2
    asked: list[int] = []

    def look(host: str, port: object, family: int, kind: int) -> list[Any]:
        asked.append(family)
        return [each for each in both if family in (socket.AF_UNSPEC, each[0])]

    monkeypatch.setattr(socket, "getaddrinfo", look)
    assert addresses("a", "any") == ("[::2]", "1.1.1.1")
    assert addresses("a", "prefer_ipv4") == ("1.1.1.1", "[::2]")
    assert addresses("a", "prefer_ipv6") == ("[::2]", "1.1.1.1")
    assert (addresses("a", "ipv4"), addresses("a", "ipv6")) == (("1.1.1.1",), ("[::2]",))
    assert asked == [socket.AF_UNSPEC] * 3 + [socket.AF_INET, socket.AF_INET6]


def test_who_is_connected_to() -> None:
    for host in ("127.0.0.1", "[::1]", "localhost", "a.localhost"):
        assert not is_name(host) and lookup_of(f"http://{host}:1/v1", "", "any") is None
    assert lookup_of("https://api.example/v1", "", "any") == Lookup("api.example", 443, "any")
    assert lookup_of("http://api.example/v1", "", "ipv4") == Lookup("api.example", 80, "ipv4")
    by_proxy = lookup_of("https://api.example/v1", "http://u:p@way.example:3128", "any")
    assert by_proxy == Lookup("way.example", 3128, "any")
    assert lookup_of("https://api.example/v1", "socks5h://way.example", "any") == Lookup("way.example", 1080, "any")
    assert lookup_of("https://api.example/v1", "http://10.0.0.1:3128", "any") is None


# ---- with the client


class Server:
    """What the client's look-ups find; a name without an entry is never answered."""

    def __init__(self, c: UpstreamClient, **names: tuple[str, ...]) -> None:
        self.names = {host.replace("_", "."): found for host, found in names.items()}
        self.asked: list[str] = []
        self.never = threading.Event()
        c._names._look = self.look

    def look(self, host: str, family: str) -> tuple[str, ...]:
        self.asked.append(host)
        if host not in self.names:
            self.never.wait(20)
        if not self.names.get(host):
            raise OSError(-2, "Name or service not known")
        return self.names[host]


def at(host: str, up: Upstream) -> str:
    return up.url.replace("127.0.0.1", host)


@run
async def test_a_silent_name_server_holds_up_only_who_asks_for_that_name() -> None:
    async with Upstream() as up, client() as c:
        server = Server(c, good_example=("127.0.0.1",))
        stuck = [begin(c, at("dead.example", up), timeouts=Timeouts(connect=0.5)) for _ in range(50)]
        assert (await ask(c, at("good.example", up))).body == b"ok"
        assert not any(told.calls for told in stuck)
        for told in stuck:
            await asyncio.wait_for(told.ended.wait(), 10)
            assert told.failure is not None and told.kind == "connect_timeout" and told.failure.replayable
            assert "not resolved" in told.failure.message
        assert server.asked.count("dead.example") == 1
        assert c.stats()["in_flight"] == 0
        gone = begin(c, at("dead.example", up))
        assert gone.exchange is not None
        gone.exchange.cancel()
        assert c.stats()["in_flight"] == 0 and c.connections()[0] == 0
        server.never.set()


@run
async def test_a_name_that_is_not_known() -> None:
    async with Upstream() as up, client() as c:
        Server(c, bad_example=())
        told = await ask(c, at("bad.example", up))
        assert told.failure is not None and told.kind == "dns" and told.failure.replayable
        assert "Name or service not known" in told.failure.message


@run
async def test_after_a_connection_that_failed_the_name_is_looked_up_again() -> None:
    async with Upstream() as up, client() as c:
        server = Server(c, up_example=("127.0.0.9",))
        assert (await ask(c, at("up.example", up))).kind == "connect"
        server.names["up.example"] = ("127.0.0.1",)
        assert (await ask(c, at("up.example", up))).body == b"ok"
        assert (await ask(c, at("up.example", up))).body == b"ok"
        assert server.asked == ["up.example"] * 2


@run
async def test_another_address_does() -> None:
    """The first one of several, of either family, may be dead."""
    async with Upstream() as up, client() as c:
        Server(c, up_example=("[::1]", "127.0.0.9", "127.0.0.1"))
        assert (await ask(c, at("up.example", up))).body == b"ok"


@run
async def test_a_connection_is_not_used_for_ever() -> None:
    async def script(conn: Conn) -> None:
        await answer_ok(conn)

    async with Upstream(script) as up, client(Pool(keepalive_max_age=1)) as c:
        assert (await ask(c, up.url)).body == (await ask(c, up.url)).body == b"ok" and up.connections == 1
        await asyncio.sleep(2.1)  # libcurl counts whole seconds
        assert (await ask(c, up.url)).body == b"ok" and up.connections == 2


@run
async def test_the_end_waits_for_no_look_up() -> None:
    async with Upstream() as up, client() as c:
        server = Server(c)
        told = begin(c, at("dead.example", up))
        await soon(lambda: server.asked)
        c.close()
        assert told.kind == "cancelled_by_pool"
        assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("look up"))
        server.never.set()


def test_no_name_server_hears_of_an_onion() -> None:
    for name in ("nobody.onion", "nobody.onion."):
        with pytest.raises(OSError, match="Tor"):
            names.addresses(name, "any")
