"""Each failure has its kind, says whether the request may be sent again, and is told once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import pytest

from tests.support.waiting import soon
from tests.upstream.scripted import OK, STREAM, Conn, Told, Upstream, ask, begin, chunk, client, run
from upstream.client import SWEEP_S
from upstream.failure import KINDS, WORDS, from_curl, host_of
from upstream.overdue import overdue
from upstream.pool import Pool
from upstream.request import Timeouts


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """The URL of a port where no connection is ever completed: its queue of unaccepted ones is full."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = listener.getsockname()[1]
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        for sock in (*fillers, listener):
            sock.close()


async def silent(conn: Conn) -> None:
    await conn.request()
    await conn.gone()


async def half(conn: Conn) -> None:
    """The beginning of a stream, then nothing."""
    await conn.request()
    conn.send(STREAM + chunk(b"data: 1\n\n"))
    await conn.gone()


async def switches(conn: Conn) -> None:
    """Another protocol than was asked for, on a connection that stays open."""
    await conn.request()
    conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    await conn.gone()


# ---- never sent


@run
async def test_nobody_listens() -> None:
    async with client() as c:
        told = await ask(c, "http://user:secret@127.0.0.1:1/v1?key=hidden")
        assert told.calls == ["end"] and told.failure is not None
        assert (told.kind, told.failure.replayable, told.failure.errno) == ("connect", True, 7)
        assert told.failure.message.startswith("127.0.0.1:1: the connection failed")
        assert "secret" not in told.failure.message and "hidden" not in told.failure.message


@run
async def test_name_not_known() -> None:
    async with client() as c:
        told = await ask(c, "http://nohost.invalid/v1")
        assert told.failure is not None and told.kind == "dns" and told.failure.replayable
        assert "nohost.invalid" in told.failure.message


@run
async def test_connect_timeout() -> None:
    with deaf() as url:
        async with client() as c:
            told = await ask(c, url, timeouts=Timeouts(connect=0.2))
            assert told.failure is not None and told.kind == "connect_timeout" and told.failure.replayable


@run
async def test_a_short_timeout_behind_a_long_one() -> None:
    with deaf() as url:
        async with client() as c:
            long = begin(c, url, timeouts=Timeouts(connect=30))
            await asyncio.sleep(0.02)  # its alarm is set
            told = await asyncio.wait_for(ask(c, url, timeouts=Timeouts(connect=0.2)), 5)
            assert told.kind == "connect_timeout" and long.calls == []


@run
async def test_tls_handshake_that_hangs_or_breaks() -> None:
    async def mute(conn: Conn) -> None:
        await conn.gone()

    async def rude(conn: Conn) -> None:
        await conn.reader.read(1)
        conn.reset()

    async with Upstream(mute) as up, client() as c:
        told = await ask(c, up.url.replace("http:", "https:"), timeouts=Timeouts(connect=0.2))
        assert told.kind == "tls_timeout" and told.failure is not None and told.failure.replayable
    async with Upstream(rude) as up, client() as c:
        told = await ask(c, up.url.replace("http:", "https:"))
        assert told.failure is not None and told.kind in ("tls", "connect") and told.failure.replayable


@run
async def test_waiting_for_a_connection_is_bounded() -> None:
    async with Upstream(silent) as up, client(Pool(max_connections=2)) as c:
        first = [begin(c, up.url) for _ in range(2)]
        await soon(lambda: up.connections == 2)
        told = await ask(c, up.url, timeouts=Timeouts(connect=0.1))
        assert told.failure is not None and told.kind == "pool_exhausted" and told.failure.replayable
        assert "connection pool exhausted: 2 connections to 127.0.0.1:" in told.failure.message
        told = await ask(c, up.url, timeouts=Timeouts(connect=0, first_byte=0.1))
        assert told.kind == "pool_exhausted"
        assert all(other.calls == [] for other in first)
        assert up.connections == 2


@run
async def test_a_wait_within_the_bound_is_served() -> None:
    async def slow(conn: Conn) -> None:
        while await conn.request() is not None:
            await asyncio.sleep(0.03)
            conn.send(OK)

    async with Upstream(slow) as up, client(Pool(max_connections=1)) as c:
        tolds = await asyncio.gather(*(ask(c, up.url) for _ in range(3)))
        assert [told.body for told in tolds] == [b"ok"] * 3 and up.connections == 1


# ---- sent, and lost


def after_one(then: str, method: bytes = b"") -> object:
    """The first request of each connection is answered; at the second, `then`."""

    async def script(conn: Conn) -> None:
        await conn.request()
        conn.send(OK)
        if await conn.request() is None:
            return
        if then == "reset":
            conn.reset()
        elif then == "half a line":
            conn.send(b"HTTP/1.1 2")
        elif then == "half a head":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n")

    return script


@pytest.mark.parametrize("then", ["close", "reset", "half a line"])
@pytest.mark.parametrize("body", [b"x", b"y" * 300_000])
def test_a_post_is_never_sent_twice(then: str, body: bytes) -> None:
    @run
    async def test() -> None:
        async with Upstream(after_one(then)) as up, client() as c:  # type: ignore[arg-type]
            assert (await ask(c, up.url)).failure is None
            told = await ask(c, up.url, body)
            assert told.failure is not None
            assert (told.calls, told.kind, told.failure.replayable) == (["end"], "closed", True)
            assert told.exchange is not None and told.exchange.reused
            # The decision to try again is the caller's, and works.
            assert (await ask(c, up.url, body, fresh=True)).failure is None
            assert len(up.requests) == 3 and up.connections == 2

    test()


@run
async def test_an_empty_post_is_never_sent_twice() -> None:
    async with Upstream(after_one("close")) as up, client() as c:  # type: ignore[arg-type]
        await ask(c, up.url)
        for body in (b"", None):
            assert (await ask(c, up.url, body, method="POST")).failure is None  # on a connection of its own
        assert len(up.requests) == 3 and up.connections == 3


@run
async def test_a_reply_that_has_begun_cannot_be_replayed() -> None:
    async with Upstream(after_one("half a head")) as up, client() as c:  # type: ignore[arg-type]
        await ask(c, up.url)
        told = await ask(c, up.url)
        assert told.failure is not None and told.kind == "closed" and not told.failure.replayable
        assert "head" not in told.calls


@run
async def test_all_idle_connections_may_be_dead_at_once() -> None:
    """The upstream restarted: `fresh` finds the new one however many dead connections are idle."""
    gate = asyncio.Event()

    async def script(conn: Conn) -> None:
        await conn.request()
        await gate.wait()
        conn.send(OK)

    async with Upstream(script) as up, client() as c:
        tolds = [begin(c, up.url) for _ in range(8)]
        await soon(lambda: len(up.requests) == 8)
        gate.set()
        await asyncio.gather(*(told.ended.wait() for told in tolds))
        await soon(lambda: not up.open)
        first = await ask(c, up.url)
        assert first.failure is not None and first.failure.replayable
        assert (await ask(c, up.url, fresh=True)).failure is None


@run
async def test_a_fresh_connection_that_dies_may_have_worked_on_it() -> None:
    async def rude(conn: Conn) -> None:
        await conn.request()

    async def reset(conn: Conn) -> None:
        await conn.request()
        conn.reset()

    for script in (rude, reset):
        async with Upstream(script) as up, client() as c:
            told = await ask(c, up.url)
            assert told.failure is not None and told.kind == "closed" and not told.failure.replayable
            assert len(up.requests) == 1


@run
async def test_an_idle_connection_that_was_closed_is_not_used() -> None:
    async def once(conn: Conn) -> None:
        await conn.request()
        conn.send(OK)

    async with Upstream(once) as up, client() as c:
        turns: list[int] = []
        turn = c._turn
        assert (await ask(c, up.url)).failure is None
        c._turn = lambda: (turns.append(1), turn())[1]  # type: ignore[method-assign]
        await asyncio.sleep(1.1)  # libcurl looks at idle connections once a second
        assert len(turns) < 10  # and the closed one does not keep the loop busy
        assert (await ask(c, up.url)).failure is None
        assert up.connections == 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "closed"),
        (STREAM + chunk(b"data: 1\n\n"), "closed"),
        (STREAM + chunk(b"data: 1\n\n") + b"zz\r\n", "protocol"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "protocol"),
        (b"HTTP/1.1 banana\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", "protocol"),
        (b"", "closed"),
    ],
)
def test_broken_replies(reply: bytes, kind: str) -> None:
    async def script(conn: Conn) -> None:
        await conn.request()
        conn.send(reply)

    @run
    async def test() -> None:
        async with Upstream(script) as up, client() as c:
            told = await ask(c, up.url)
            assert told.failure is not None
            assert (told.kind, told.failure.replayable) == (kind, False), told.failure
            assert told.calls.count("end") == 1 and told.calls[-1] == "end"

    test()


@run
async def test_a_protocol_that_nobody_has_asked_for_is_not_waited_for() -> None:
    async with Upstream(switches) as up, client() as c:
        told = await ask(c, up.url, b"x", timeouts=Timeouts(first_byte=30.0))
        assert told.calls == ["end"] and told.failure is not None
        assert (told.kind, told.failure.replayable) == ("protocol", False) and "101" in told.failure.message
        assert c.stats()["in_flight"] == 0


def test_heads_are_bounded() -> None:
    line = b"X-Filler: " + b"x" * 990 + b"\r\n"
    long = b"X-Filler: " + b"x" * 5000 + b"\r\n"
    interim = b"HTTP/1.1 103 Early Hints\r\n" + line + b"\r\n"

    @run
    async def test() -> None:
        replies = {
            "fits": b"HTTP/1.1 200 OK\r\n" + line * 14 + b"\r\n",
            "block": b"HTTP/1.1 200 OK\r\n" + line * 18 + b"\r\n",
            "line": b"HTTP/1.1 200 OK\r\n" + long + b"\r\n",
            "interim": interim * 18 + OK,
            "trailers": STREAM + b"0\r\n" + line * 18 + b"\r\n",
        }
        for name, reply in replies.items():

            async def script(conn: Conn, reply: bytes = reply) -> None:
                await conn.request()
                conn.send(reply)

            async with Upstream(script) as up, client(Pool(max_head_bytes=16_000)) as c:
                told = await ask(c, up.url)
                assert told.kind == ("" if name == "fits" else "too_large"), (name, told.failure)

    test()


# ---- timeouts


@run
async def test_first_byte_timeout() -> None:
    async with Upstream(silent) as up, client() as c:
        told = await ask(c, up.url, timeouts=Timeouts(first_byte=0.2))
        assert told.failure is not None and told.kind == "first_byte_timeout" and not told.failure.replayable
        assert told.calls == ["end"] and "no reply came within 0.2 s" in told.failure.message
        await asyncio.wait_for(up.saw_close.wait(), 5)


@run
async def test_idle_timeout() -> None:
    async with Upstream(half) as up, client() as c:
        told = await ask(c, up.url, timeouts=Timeouts(first_byte=0.1, idle=0.3))
        assert told.failure is not None and told.kind == "idle_timeout" and not told.failure.replayable
        assert told.calls == ["head", "data", "end"]
        await asyncio.wait_for(up.saw_close.wait(), 5)


@run
async def test_bytes_put_the_idle_timeout_off_but_not_the_total_one() -> None:
    async def drip(conn: Conn) -> None:
        await conn.request()
        conn.send(STREAM)
        while True:
            conn.send(chunk(b": ping\n\n"))
            await asyncio.sleep(0.05)

    async with Upstream(drip) as up, client() as c:
        told = await ask(c, up.url, timeouts=Timeouts(first_byte=0.5, idle=0.5, total=1.2))
        assert told.kind == "total_timeout" and told.calls.count("data") > 8


@run
async def test_our_own_pause_is_not_the_upstreams_silence() -> None:
    async with Upstream(half) as up, client() as c:
        told = begin(c, up.url, timeouts=Timeouts(idle=0.2), told=Told(pause_at("data")))
        await soon(lambda: told.size)
        await asyncio.sleep(0.6)
        assert told.calls == ["head", "data"]
        assert told.exchange is not None
        told.exchange.resume()
        assert overdue(told.exchange, c.now(), c.exhausted) is None  # the clock began anew
        await asyncio.wait_for(told.ended.wait(), 5)
        assert told.kind == "idle_timeout"


def pause_at(what: str):
    def then(told: Told, now: str) -> None:
        if now == what and told.exchange is not None:
            told.exchange.pause()

    return then


@run
async def test_no_timeout_at_all() -> None:
    async with Upstream(half) as up, client() as c:
        told = begin(c, up.url, timeouts=Timeouts(0, 0, 0, 0))
        await soon(lambda: told.size)
        await asyncio.sleep(2 * SWEEP_S)
        assert told.calls == ["head", "data"]


@run
async def test_the_sweeper_rests_when_nothing_is_in_flight() -> None:
    async with Upstream() as up, client() as c:
        await ask(c, up.url)
        assert c._sweeper is not None
        await soon(lambda: c._sweeper is None)


# ---- sinks that fail


@pytest.mark.parametrize("where", ["head", "data", "end"])
def test_a_sink_that_raises_costs_its_own_exchange_only(where: str, caplog: pytest.LogCaptureFixture) -> None:
    def broken(told: Told, now: str) -> None:
        if now == where:
            raise KeyError("planted")

    @run
    async def test() -> None:
        async with Upstream() as up, client() as c:
            told, *others = [begin(c, up.url, told=Told(broken))] + [begin(c, up.url) for _ in range(5)]
            for other in others:
                await asyncio.wait_for(other.ended.wait(), 5)
            assert [other.body for other in others] == [b"ok"] * 5
            await soon(lambda: c.stats()["in_flight"] == 0)
            stats = c.stats()
            assert stats["handles"] == stats["handles_free"]
            assert (await ask(c, up.url)).body == b"ok"
            assert told.calls[-1] == where and told.calls.count(where) == 1

    with caplog.at_level(logging.ERROR, "upstream"):
        test()
    assert "planted" in caplog.text


# ---- the table


def test_the_table_covers_what_it_names() -> None:
    for errno, kind in KINDS.items():
        assert kind in WORDS, errno
    made = from_curl(99999, "?", "http://h/", reused=True, replied=False, sent=True)
    assert (made.kind, made.replayable) == ("internal", False)
    assert host_of("http://a:b@h:1/x") == "h:1" and host_of("http://[") == "upstream" and host_of("x") == "upstream"
    assert from_curl(35, "", "http://h/", reused=False, replied=False, sent=True).kind == "closed"
    alert = "OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0"
    asked = from_curl(56, alert, "https://h/", reused=False, replied=False, sent=True)
    assert asked.kind == "certificate" and asked.replayable and "client_cert" in asked.message
    assert (
        from_curl(56, "CONNECT tunnel failed, response 407", "http://h/", reused=False, replied=False, sent=False).kind
        == "connect"
    )


def test_a_stream_that_is_reset_is_no_bad_http() -> None:
    detail = "HTTP/2 stream 1 reset by server (error 0x2 INTERNAL_ERROR)"
    for replied in (False, True):
        made = from_curl(92, detail, "https://h/", reused=True, replied=replied, sent=True)
        assert made.message == f"h: the server broke its reply off ({detail})" and not made.replayable
