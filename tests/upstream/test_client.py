"""What a sink is told of a reply, how the client ends, and what Tornado has of it."""

from __future__ import annotations

import asyncio

import pytest
from tornado.curl_httpclient import CurlError

from tests.support.waiting import soon
from tests.upstream.scripted import OK, STREAM, Conn, Told, Upstream, answer_ok, ask, begin, chunk, client, run, says
from upstream.client import UpstreamClient
from upstream.pool import Pool
from upstream.request import parse_head


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
async def test_redirects_and_unknown_encodings_are_left_alone() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Encoding: x-own\r\n"
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
async def test_one_client_belongs_to_one_loop() -> None:
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
