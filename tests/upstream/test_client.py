"""What a sink is told of a reply, what the upstream sees of a request, and how connections are shared."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pycurl
import pytest
from tornado.curl_httpclient import CurlError

from tests.support.waiting import soon
from tests.upstream.scripted import (
    CERTIFICATE,
    OK,
    STREAM,
    UNCHECKED,
    Conn,
    Told,
    Upstream,
    answer_ok,
    ask,
    begin,
    chunk,
    client,
    run,
)
from upstream.client import UpstreamClient
from upstream.exchange import Handle
from upstream.pool import Pool
from upstream.prewarm import prewarm
from upstream.request import DIRECT, Request, Timeouts, parse_head


def says(*replies: bytes, close: bool = False):
    """A script that answers the requests of each connection with these, over and over."""

    async def script(conn: Conn) -> None:
        while True:
            for reply in replies:
                if await conn.request() is None:
                    return
                conn.send(reply)
                if close:
                    return

    return script


# ---- replies


@run
async def test_reply_in_order_head_data_end() -> None:
    head = b"HTTP/1.1 201 Made\r\nX-Two: a\r\nX-Two: b\r\nContent-TYPE:  text/plain \r\n"
    reply = head + b"Content-Length: 5\r\n\r\nhello"
    async with Upstream(says(reply)) as up, client() as c:
        told = await ask(c, up.url)
        assert told.calls == ["head", "data", "end"] and told.failure is None
        assert told.status == 201 and told.body == b"hello"
        assert told.headers == [
            ("x-two", "a"),
            ("x-two", "b"),
            ("content-type", "text/plain"),
            ("content-length", "5"),
        ]
        assert told.exchange is not None and told.exchange.first_byte_ms >= 0 and told.exchange.connect_ms > 0
        assert not told.exchange.reused
        again = await ask(c, up.url)
        assert again.exchange is not None and again.exchange.reused and again.exchange.connect_ms == 0


@run
async def test_send_tells_nothing_before_it_returns() -> None:
    async with Upstream() as up, client() as c:
        told = begin(c, up.url)
        assert told.calls == []
        await told.ended.wait()


@run
async def test_head_alone_is_told_at_once() -> None:
    go = asyncio.Event()

    async def script(conn: Conn) -> None:
        await conn.request()
        conn.send(STREAM)
        await go.wait()
        conn.send(chunk(b"late") + chunk(b""))
        await conn.gone()

    async with Upstream(script) as up, client() as c:
        told = begin(c, up.url)
        await asyncio.wait_for(told.began.wait(), 5)
        assert told.calls == ["head"]
        go.set()
        await told.ended.wait()
        assert told.calls == ["head", "data", "end"] and told.body == b"late"


@run
async def test_interim_heads_are_skipped() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with Upstream(says(interim + OK)) as up, client() as c:
        told = await ask(c, up.url)
        assert told.calls == ["head", "data", "end"]
        assert told.status == 200 and told.headers == [("content-length", "2")]


@run
async def test_replies_without_a_body() -> None:
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with Upstream(says(b"HTTP/1.1 204 No Content\r\n\r\n", empty, OK[:-2])) as up, client() as c:
        for status, method in ((204, "POST"), (200, "POST"), (200, "HEAD"), (204, "DELETE")):
            told = await ask(c, up.url, b"x" if method == "POST" else None, method=method)
            assert (told.status, told.calls, told.failure) == (status, ["head", "end"], None)
        assert up.connections == 1
        assert [r.split()[0] for r in up.requests] == [b"POST", b"POST", b"HEAD", b"DELETE"]


@run
async def test_trailers_are_not_headers() -> None:
    reply = STREAM + chunk(b"a") + b"0\r\nX-Trailer: 1\r\n\r\n"
    async with Upstream(says(reply)) as up, client() as c:
        told = await ask(c, up.url)
        assert told.calls == ["head", "data", "end"] and told.failure is None
        assert "x-trailer" not in dict(told.headers)


@run
async def test_a_body_may_end_with_the_connection() -> None:
    async with Upstream(says(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True)) as up, client() as c:
        told = await ask(c, up.url)
        assert told.failure is None and told.body == b"all of it"


@run
async def test_redirects_and_encodings_are_left_alone() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Encoding: gzip\r\n"
    moved += b"Content-Length: 4\r\n\r\n\x1f\x8b\0\0"
    async with Upstream(says(moved)) as up, client() as c:
        told = await ask(c, up.url)
        assert told.status == 302 and told.body == b"\x1f\x8b\0\0" and len(up.requests) == 1


@run
async def test_a_burst_costs_a_few_calls() -> None:
    events = b"".join(chunk(b"data: %d\n\n" % i) for i in range(2000))
    async with Upstream(says(STREAM + events + chunk(b""))) as up, client() as c:
        told = await ask(c, up.url)
        assert told.body.count(b"data: ") == 2000
        assert told.calls.count("data") < 20  # 2000 chunks, a few loop turns


def test_parse_head() -> None:
    lines = [
        b"HTTP/1.1 200 OK\r\n",
        b"A: b: c\r\n",
        b"B:\r\n",
        b"Long: one\r\n",
        b"\t two\r\n",
        b"L\xe4: \xe9\r\n",
        b"\r\n",
    ]
    assert parse_head(lines) == [("a", "b: c"), ("b", ""), ("long", "one two"), ("l\xe4", "\xe9")]


# ---- requests


@run
async def test_request_as_the_upstream_sees_it() -> None:
    async with Upstream() as up, client() as c:
        big = b"x" * 3_000_000
        await ask(c, up.url + "?beta=true", big, headers=["Content-Type: application/json", "X-\u00e9: \u00e9"])
        head, _, body = up.requests[0].partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /v1/x?beta=true HTTP/1.1" and body == big
        names = [line.split(b":")[0].lower() for line in lines[1:]]
        assert sorted(names) == [b"accept", b"content-length", b"content-type", b"host", b"x-\xe9"]
        for size in (0, 1, 65536, 65537, 200_000):
            await ask(c, up.url, b"y" * size)
            assert up.requests[-1].partition(b"\r\n\r\n")[2] == b"y" * size


@run
async def test_methods_may_alternate_on_one_handle() -> None:
    async with Upstream() as up, client() as c:
        for method, body in (
            ("POST", b"1"), ("GET", None), ("PUT", b"2"), ("DELETE", None), ("POST", b"3"),
            ("OPTIONS", None), ("GET", None),
        ):  # fmt: skip
            told = await ask(c, up.url, body, method=method)
            assert told.failure is None and told.body == b"ok"
            assert up.requests[-1].startswith(method.encode() + b" ")
            assert up.requests[-1].endswith(body or b"\r\n\r\n")
        assert c.stats()["handles"] == 1


@run
async def test_what_cannot_be_sent_is_refused_at_once() -> None:
    async with Upstream() as up, client() as c:
        for headers in (["A: b\r\nInjected: 1"], ["A: \0"], ["A: \u20ac"]):
            with pytest.raises(ValueError, match="cannot be sent"):
                begin(c, up.url, headers=headers)
        assert c.stats()["in_flight"] == 0
        assert (await ask(c, up.url)).failure is None
        for url in ("ftp://127.0.0.1/x", "http://", "file:///etc/hostname"):
            told = await ask(c, url)
            assert told.kind == "bad_url", url
            assert told.failure is not None and told.failure.replayable


@run
async def test_a_handle_keeps_its_options() -> None:
    async with Upstream() as up, client() as c:
        told = await ask(c, up.url, b"hello")
        handle = c._free[DIRECT][-1]
        real, done = handle.curl, []

        def setopt(option: int, value: object) -> None:
            done.append(option)
            real.setopt(option, value)

        handle.curl = SimpleNamespace(setopt=setopt, unsetopt=real.unsetopt)  # type: ignore[assignment]
        assert told.exchange is not None
        first = told.exchange.request
        handle.prepare(Request("POST", up.url, ["X-Test: 1"], b"HELLO", first.timeouts))
        assert done == []
        handle.prepare(Request("POST", up.url, ["X-Test: 2"], b"HELLO", first.timeouts))
        assert done == [pycurl.HTTPHEADER]
        done.clear()
        handle.prepare(Request("POST", up.url + "/y", ["X-Test: 2"], b"more", Timeouts(connect=1)))
        assert pycurl.HTTPHEADER not in done and len(done) == 3  # url, size, connect timeout
        handle.curl = real


def test_kept_headers_are_a_copy() -> None:
    handle, lines = Handle(pycurl.Curl(), [], DIRECT, 1024), ["A: 1"]
    handle.prepare(Request("GET", "http://x/", lines, None, Timeouts()))
    lines[0] = "A: 2"
    assert handle.headers == ["A: 1"]
    handle.curl.close()


# ---- connections


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


# ---- proxies and TLS


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


# ---- as Tornado sees it


@run
async def test_tornado_fetch_still_works_beside_send() -> None:
    async with Upstream() as up, client() as c:
        told, reply = await asyncio.gather(ask(c, up.url), c.fetch(up.url))
        assert told.body == reply.body == b"ok"
        with pytest.raises(CurlError):
            await c.fetch("http://127.0.0.1:1/")
        tolds = await asyncio.gather(*(c.fetch(up.url) for _ in range(20)))
        assert all(reply.body == b"ok" for reply in tolds)


@run
async def test_instances() -> None:
    one, same, other = (
        UpstreamClient(),
        UpstreamClient(),
        UpstreamClient(force_instance=True, pool=Pool(http2=True)),
    )
    assert one is same and one is not other and other.pool.http2
    for c in (one, other):
        assert "in_flight" in repr(c)
        c.close()
        c.close()
        assert "closed" in repr(c)
        with pytest.raises(RuntimeError, match="closed"):
            begin(c, "http://127.0.0.1:1/")


@run
async def test_close_ends_what_is_in_flight() -> None:
    async def script(conn: Conn) -> None:
        await conn.request()
        await conn.gone()

    async with Upstream(script) as up:
        c = UpstreamClient(force_instance=True, pool=Pool(max_connections=2))
        tolds = [begin(c, up.url) for _ in range(4)]
        await soon(lambda: up.connections == 2)
        c.close()
        assert [(told.calls, told.kind) for told in tolds] == [(["end"], "cancelled_by_pool")] * 4
        await asyncio.wait_for(up.saw_close.wait(), 5)


@run
async def test_close_from_inside_a_sink() -> None:
    async with Upstream() as up:
        c = UpstreamClient(force_instance=True)
        others: list[Told] = []
        told = Told(lambda told, what: c.close() if what == "head" else None)
        others.append(begin(c, up.url, told=told))
        others += [begin(c, up.url) for _ in range(3)]
        for other in others:
            await asyncio.wait_for(other.ended.wait(), 5)
        assert all(other.calls.count("end") == 1 for other in others)


@run
async def test_answer_ok_serves_itself() -> None:
    async with Upstream(answer_ok) as up, client() as c:
        assert (await ask(c, up.url, None)).status == 200
