"""How connections to upstreams are opened, shared, kept and closed; proxies and TLS."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.waiting import soon
from tests.upstream.scripted import CERTIFICATE, OK, STREAM, UNCHECKED, Conn, Upstream, ask, begin, chunk, client, run
from upstream.pool import Pool
from upstream.prewarm import prewarm
from upstream.request import Timeouts


@run
async def test_a_thousand_requests_one_connection() -> None:
    async with Upstream() as up, client() as c:
        for _ in range(1000):
            told = await ask(c, up.url)
            assert told.body == b"ok"
        assert up.connections == 1 and len(up.requests) == 1000
        stats = c.stats()
        assert stats["connections_opened"] == 1 and stats["connections_reused"] == 999
        assert stats["handles"] == 1 and stats["in_flight"] == 0


@run
async def test_concurrent_requests_share_the_allowed_connections() -> None:
    async def script(conn: Conn) -> None:
        while await conn.request() is not None:
            await asyncio.sleep(0.005)
            conn.send(OK)

    for pool in (Pool(max_connections=10), Pool(max_connections=50, max_connections_per_upstream=10)):
        async with Upstream(script) as up, client(pool) as c:
            tolds = await asyncio.gather(*(ask(c, up.url) for _ in range(100)))
            assert all(told.body == b"ok" for told in tolds)
            assert up.most_open <= 10 and up.connections <= 10


@run
async def test_connections_are_bounded_over_all_upstreams() -> None:
    async def script(conn: Conn) -> None:
        while await conn.request() is not None:
            most.append(sum(len(up.open) for up in ups))
            await asyncio.sleep(0.005)
            conn.send(OK)

    most: list[int] = []
    async with Upstream(script) as one, Upstream(script) as two, client(Pool(max_connections=6)) as c:
        ups = (one, two)
        tolds = await asyncio.gather(*(ask(c, up.url) for up in ups for _ in range(30)))
        assert all(told.body == b"ok" for told in tolds)
        assert max(most) <= 7  # one that libcurl has just closed to make room may still be open at its other end


@run
async def test_idle_connections_are_bounded() -> None:
    gate = asyncio.Event()

    async def script(conn: Conn) -> None:
        while await conn.request() is not None:
            await gate.wait()
            conn.send(OK)

    async with Upstream(script) as one, Upstream(script) as two, client(Pool(keepalive_connections=4)) as c:
        for _ in range(3):
            gate.clear()
            tolds = [begin(c, up.url) for up in (one, two) for _ in range(15)]
            await soon(lambda: len(one.open) + len(two.open) == 30)
            gate.set()
            await asyncio.gather(*(told.ended.wait() for told in tolds))
            await soon(lambda: len(one.open) + len(two.open) == 4)
            await asyncio.sleep(0.02)
            assert len(one.open) + len(two.open) == 4, "and no more are closed"


@pytest.mark.parametrize("tls", [False, True])
def test_connections_are_kept_between_waves(tls: bool) -> None:
    """They are idle for a moment. Once there are no more waves, what is too much is closed, and nothing is sent on what
    was closed."""

    @run
    async def test() -> None:
        async with Upstream(tls=tls) as up, client(Pool(keepalive_connections=2)) as c:
            for _ in range(5):
                await asyncio.gather(*(ask(c, up.url, verify=False) for _ in range(8)))
            assert up.connections == 8
            await soon(lambda: len(up.open) == 2)
            assert c.connections() == (0, 2)
            for _ in range(2):
                tolds = await asyncio.gather(*(ask(c, up.url, verify=False) for _ in range(4)))
                assert [told.failure for told in tolds] == [None] * 4
            assert up.connections == 8 + 2

    test()


@run
async def test_nothing_is_sent_on_what_was_closed_after_a_queue() -> None:
    """libcurl looks for a connection when one is free, which may be long after a request was sent."""

    async def slowly(conn: Conn) -> None:
        while await conn.request() is not None:
            await asyncio.sleep(0.8)
            conn.send(OK)

    async with Upstream(slowly) as up, client(Pool(max_connections=4, keepalive_connections=1)) as c:
        await asyncio.gather(*(ask(c, up.url) for _ in range(8)))
        await soon(lambda: len(up.open) == 1)
        tolds = await asyncio.gather(*(ask(c, up.url) for _ in range(4)))
        assert [told.failure for told in tolds] == [None] * 4


@pytest.mark.parametrize("paused", [False, True])
def test_a_long_stream_keeps_no_other_connections(paused: bool) -> None:
    @run
    async def test() -> None:
        async def script(conn: Conn) -> None:
            while (request := await conn.request()) is not None:
                if b"stream" not in request:
                    conn.send(OK)
                    continue
                conn.send(STREAM)
                for n in range(100):
                    conn.send(chunk(b"data: %d\n\n" % n * 999))
                    await asyncio.sleep(0.03)
                conn.send(b"0\r\n\r\n")

        async with Upstream(script) as up, client(Pool(keepalive_connections=2)) as c:
            told = begin(c, up.url, b"stream")
            await told.began.wait()
            if paused:
                told.exchange.pause()
            await asyncio.gather(*(ask(c, up.url) for _ in range(8)))
            await soon(lambda: len(up.open) == 3)
            told.exchange.resume()
            await asyncio.wait_for(told.ended.wait(), 20)
            assert told.failure is None and told.body.endswith(b"data: 99\n\n" * 999)

    test()


@run
async def test_connections_of_a_burst_go_while_requests_come_one_by_one() -> None:
    async with Upstream() as up, client(Pool(keepalive_connections=2)) as c:
        await asyncio.gather(*(ask(c, up.url) for _ in range(8)))

        async def fewer() -> None:
            while len(up.open) > 2:
                assert (await ask(c, up.url)).failure is None

        await asyncio.wait_for(fewer(), 20)
        assert up.connections == 8


@run
async def test_busy_connections_do_not_push_out_idle_ones() -> None:
    """With more streams than keepalive_connections running, a finished request's connection is still kept."""

    async def script(conn: Conn) -> None:
        while (request := await conn.request()) is not None:
            if b"stream" in request:
                conn.send(STREAM + chunk(b"data: 1\n\n"))
                await conn.gone()
            else:
                conn.send(OK)

    async with Upstream(script) as up, client(Pool(keepalive_connections=2)) as c:
        streams = [begin(c, up.url, b"stream") for _ in range(10)]
        for told in streams:
            await told.began.wait()
        for _ in range(5):
            await ask(c, up.url)
        assert up.connections == 11


@run
async def test_no_connection_is_reused_after_its_expiry() -> None:
    async with Upstream() as up, client(Pool(keepalive_expiry=0.5)) as c:  # libcurl: whole seconds, so 1
        await ask(c, up.url)
        await ask(c, up.url)
        assert up.connections == 1
        await asyncio.sleep(2.1)  # libcurl counts whole seconds
        await ask(c, up.url)
        assert up.connections == 2


@pytest.mark.parametrize("pool", [Pool(keepalive_connections=0), Pool(keepalive_expiry=0)])
def test_keeping_none(pool: Pool) -> None:
    @run
    async def test() -> None:
        async with Upstream() as up, client(pool) as c:
            for _ in range(3):
                assert (await ask(c, up.url)).failure is None
            await soon(lambda: not up.open)
            assert up.connections == 3

    test()


@run
async def test_socket_numbers_are_used_again_safely() -> None:
    """Either side closes connections, and their numbers pass to other sockets of the process."""

    async def once(conn: Conn) -> None:
        await conn.request()
        conn.send(OK)

    async with Upstream(once) as short, Upstream() as one, Upstream() as two:
        async with client(Pool(keepalive_connections=1)) as c:
            for _ in range(40):
                for up in (short, one, two):
                    # GET: libcurl may send it again when `short` closes under it
                    told = await asyncio.wait_for(ask(c, up.url, None), 5)
                    assert (told.failure, told.body) == (None, b"ok")
                    await asyncio.gather(*(ask(c, up.url, None) for up in (one, two, short)))
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", int(one.url.split(":")[2].split("/")[0])
                    )
                    writer.write(b"GET / HTTP/1.1\r\n\r\n")
                    assert await asyncio.wait_for(reader.readexactly(len(OK)), 5) == OK
                    writer.close()


@run
async def test_prewarm_leaves_a_connection() -> None:
    async with Upstream(tls=True) as up, client() as c:
        assert await prewarm(c, up.url, way=UNCHECKED)
        assert up.connections == 1 and up.requests[0].startswith(b"HEAD / HTTP/1.1")
        told = await ask(c, up.url, verify=False)
        assert told.exchange is not None and told.exchange.reused and up.connections == 1


def test_prewarm_reports_and_does_not_raise(caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def test() -> None:
        async with client() as c:
            assert not await prewarm(c, "http://127.0.0.1:1/v1", Timeouts(connect=1))
            assert not await prewarm(c, "http://\u20ac/", Timeouts(connect=1))
            assert c.stats()["in_flight"] == 0

    test()
    assert "127.0.0.1:1: the connection failed" in caplog.text


async def tunnel(conn: Conn) -> None:
    """An HTTP proxy: CONNECT opens a tunnel, anything else is answered by the proxy itself."""
    request = await conn.request()
    if request is None or not request.startswith(b"CONNECT "):
        conn.send(OK.replace(b"ok", b"px"))
        return
    host, _, port = request.split()[1].decode().partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    conn.send(b"HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n")

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()

    try:
        await asyncio.gather(copy(conn.reader, writer), copy(reader, conn.writer))
    finally:
        writer.close()


def test_proxies_are_explicit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    @run
    async def test() -> None:
        async with Upstream() as up, Upstream(tunnel) as proxy, Upstream(tls=True) as secure:
            async with client() as c:
                assert (await ask(c, up.url)).body == b"ok"
            async with client(Pool(proxy=proxy.url.removesuffix("/v1/x"))) as c:
                assert (await ask(c, up.url)).body == b"px"
                told = await ask(c, secure.url, verify=False)
                assert (told.body, told.failure) == (b"ok", None)
                assert told.headers == [("content-length", "2")]  # not those of the proxy's own reply

    test()


def test_tls_is_verified(tmp_path) -> None:
    own = tmp_path / "ca.pem"
    own.write_text(CERTIFICATE)

    @run
    async def test() -> None:
        async with Upstream(tls=True) as up:
            async with client() as c:
                told = await ask(c, up.url)
                assert told.kind == "certificate" and told.failure is not None and told.failure.replayable
                assert (await ask(c, up.url, verify=False)).body == b"ok"
                assert (await ask(c, up.url)).kind == "certificate"  # the unverified connection is not for everybody
            async with client(Pool(ca_file=str(own))) as c:
                assert (await ask(c, up.url)).body == b"ok"
                assert (await ask(c, up.url.replace("127.0.0.1", "localhost"))).body == b"ok"

    test()
