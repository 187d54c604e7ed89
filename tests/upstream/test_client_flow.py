"""Backpressure and cancellation: what a sink may do while a reply comes, and what the upstream notices."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.waiting import soon
from tests.upstream.scripted import OK, STREAM, Conn, Told, Upstream, ask, begin, chunk, client, run
from tests.upstream.test_client_failures import deaf, half, pause_at, silent
from upstream.client import UpstreamClient
from upstream.exchange import Exchange
from upstream.pool import Pool

MEGABYTE = chunk(b"x" * 4096) * 256


def flood(megabytes: int, sent: list[int]):
    """As much as the client takes, up to `megabytes`; `sent` counts what was handed to the kernel."""

    async def script(conn: Conn) -> None:
        await conn.request()
        conn.send(STREAM)
        conn.writer.transport.set_write_buffer_limits(0)
        for _ in range(megabytes * 16):
            conn.send(chunk(b"x" * 65536))
            await conn.writer.drain()
            sent[0] += 65536
        conn.send(chunk(b""))
        await conn.gone()

    return script


def cancel_at(what: str):
    def then(told: Told, now: str) -> None:
        if now == what and told.exchange is not None:
            told.exchange.cancel()

    return then


# ---- backpressure


@run
async def test_a_reader_that_never_resumes_holds_little() -> None:
    """Ten of them, 200 MB for each. The kernel's buffers aside, what we hold is what we took."""
    sent = [0]
    async with Upstream(flood(200, sent), sndbuf=16384) as up, client() as c:
        tolds = [begin(c, up.url, told=Told(pause_at("data"), keep=False)) for _ in range(10)]
        last = -1
        while last != sent[0] or not sent[0]:  # until nothing moves any more
            last = sent[0]
            await asyncio.sleep(0.2)
        assert all(told.size < 300_000 and not told.ended.is_set() for told in tolds)
        assert all(told.calls == ["head", "data"] for told in tolds)
        # With the kernel's receive buffers (some MB each, they grow while we read) still far from 200 MB.
        assert sent[0] < 10 * 8_000_000
        for told in tolds:
            assert told.exchange is not None
            told.exchange.cancel()


@run
async def test_one_turn_brings_a_bounded_chunk() -> None:
    sent = [0]
    async with Upstream(flood(30, sent)) as up, client() as c:
        told = await ask(c, up.url, told=Told(keep=False))
        assert told.size == 30 * 16 * 65536 and told.failure is None
        assert told.largest < 300_000


@run
async def test_who_is_ready_by_the_end_of_a_turn_has_it_too() -> None:
    """Otherwise the last reply of a wave of requests waits until all that their clients ask next has begun."""
    conns: list[Conn] = []
    happened: list[str] = []

    async def script(conn: Conn) -> None:
        await conn.request()
        conns.append(conn)
        if len(conns) == 3:
            for ready in conns[:2]:
                ready.send(OK)
        await conn.gone()

    def then(told: Told, now: str) -> None:
        if now == "end":
            happened.append("end")
            if len(happened) == 2:
                asyncio.get_running_loop().call_soon(happened.append, "next turn")
                conns[2].send(OK)

    async with Upstream(script) as up, client() as c:
        tolds = [begin(c, up.url, told=Told(then)) for _ in range(3)]
        for told in tolds:
            await told.ended.wait()
    assert happened[:4] == ["end", "end", "end", "next turn"]


@pytest.mark.parametrize("cancels", ["", "head", "data", "end"])
def test_what_comes_together_is_given_step_by_step(cancels: str) -> None:
    """All heads, then all bodies, then all ends. With `cancels`, the first sink cancels the other exchange there, and a
    further request gets its handle at once."""
    conns: list[Conn] = []
    happened: list[tuple[str, str]] = []

    async def script(conn: Conn) -> None:
        while await conn.request() is not None:
            conns.append(conn)
            if len(conns) > 1:
                for ready in conns if len(conns) == 2 else [conn]:
                    ready.send(OK)

    async def both() -> None:
        async with Upstream(script) as up, client() as c:
            named: dict[Told, str] = {}
            more: list[Told] = []

            def then(told: Told, now: str) -> None:
                happened.append((named.setdefault(told, "first" if not named else "other"), now))
                if named[told] == "first" and now == cancels:
                    other = next(each for each in tolds if each is not told)
                    assert other.exchange is not None
                    other.exchange.cancel()
                    more.append(begin(c, up.url))

            tolds = [begin(c, up.url, told=Told(then)) for _ in range(2)]
            await soon(lambda: ("first", "end") in happened)
            for told in more:
                await told.ended.wait()
                assert told.body == b"ok" and told.calls == ["head", "data", "end"]

    asyncio.run(asyncio.wait_for(both(), 20))
    all = [(who, step) for step in ("head", "data", "end") for who in ("first", "other")]
    most = all.index(("first", cancels)) + 1 if cancels else len(all)
    assert happened == [each for nth, each in enumerate(all) if nth < most or each[0] == "first"]


@run
async def test_pause_and_resume_lose_nothing() -> None:
    data = b"".join(b"%08d" % i for i in range(250_000))

    async def script(conn: Conn) -> None:
        while await conn.request() is not None:
            conn.send(STREAM)
            for at in range(0, len(data), 10_000):
                conn.send(chunk(data[at : at + 10_000]))
            conn.send(chunk(b""))

    async with Upstream(script) as up, client() as c:
        loop = asyncio.get_running_loop()

        def later(told: Told, now: str) -> None:
            if now == "data":
                assert told.exchange is not None
                told.exchange.pause()
                loop.call_soon(told.exchange.resume)

        def at_once(told: Told, now: str) -> None:
            if now == "data":
                assert told.exchange is not None
                told.exchange.pause()
                told.exchange.resume()

        def from_the_head(told: Told, now: str) -> None:
            if now == "head":
                assert told.exchange is not None
                told.exchange.pause()
                loop.call_later(0.05, told.exchange.resume)

        for then in (later, at_once, from_the_head):
            told = await ask(c, up.url, told=Told(then))
            assert told.failure is None and told.body == data
        assert up.connections == 1


@run
async def test_no_data_while_paused() -> None:
    sent = asyncio.Event()

    async def script(conn: Conn) -> None:
        await conn.request()
        conn.send(STREAM)
        for _ in range(20):
            conn.send(chunk(b"x" * 100))
            await asyncio.sleep(0.005)
        conn.send(chunk(b""))
        sent.set()
        await conn.gone()

    async with Upstream(script) as up, client() as c:
        told = begin(c, up.url, told=Told(pause_at("head")))
        await asyncio.wait_for(sent.wait(), 5)
        await asyncio.sleep(0.05)
        assert told.calls in (["head"], ["head", "data"]) and told.size <= 200
        assert told.exchange is not None
        told.exchange.resume()
        await asyncio.wait_for(told.ended.wait(), 5)
        assert told.size == 2000 and told.failure is None


@run
async def test_the_upstream_may_die_while_we_pause() -> None:
    paused = asyncio.Event()

    async def script(conn: Conn) -> None:
        await conn.request()
        conn.send(STREAM + chunk(b"x" * 100))
        await paused.wait()
        conn.send(chunk(b"y" * 100))
        await conn.writer.drain()

    async with Upstream(script) as up, client() as c:
        told = begin(c, up.url, told=Told(pause_at("data")))
        await soon(lambda: told.size)
        paused.set()
        await soon(lambda: not up.open)
        await asyncio.sleep(0.05)
        assert told.calls == ["head", "data"]
        told._then = None
        assert told.exchange is not None
        told.exchange.resume()
        await asyncio.wait_for(told.ended.wait(), 5)
        assert told.kind == "closed" and told.body == b"x" * 100 + b"y" * 100


# ---- cancellation


async def none_left(c: UpstreamClient) -> None:
    stats = c.stats()
    assert stats["in_flight"] == 0 and stats["handles"] == stats["handles_free"], stats


@pytest.mark.parametrize("phase", ["first byte", "streaming", "paused", "tls", "streaming tls"])
def test_the_upstream_sees_a_cancel_at_once(phase: str) -> None:
    script = half if phase in ("streaming", "paused", "streaming tls") else silent

    async def mute(conn: Conn) -> None:
        await conn.gone()

    @run
    async def test() -> None:
        async with (
            Upstream(mute if phase == "tls" else script, tls=phase == "streaming tls") as up,
            client() as c,
        ):
            url = up.url.replace("http:", "https:") if phase == "tls" else up.url
            told = begin(c, url, told=Told(pause_at("data") if phase == "paused" else None), verify=False)
            await soon(lambda: up.connections if phase == "tls" else told.size if script is half else up.requests)
            await asyncio.sleep(0.02)  # the client has done what it can in this phase, too
            exchange = told.exchange
            assert exchange is not None
            before = list(told.calls)
            at = asyncio.get_running_loop().time()
            exchange.cancel()
            exchange.cancel()
            await none_left(c)
            await asyncio.wait_for(up.saw_close.wait(), 5)
            assert up.closed_at[0] - at < 0.25  # a millisecond, on a machine that has nothing else to do
            await asyncio.sleep(0.05)
            assert told.calls == before and c.stats()["cancelled"] == 1
            exchange.resume()
            exchange.pause()

    test()


@run
async def test_cancel_before_there_is_a_connection() -> None:
    with deaf() as url:
        async with Upstream(silent) as up, client(Pool(max_connections=2)) as c:
            connecting = begin(c, url)
            await asyncio.sleep(0.02)  # it tries
            resolving = begin(c, "http://nohost.invalid/")
            fresh = begin(c, url)
            waiting = [begin(c, up.url) for _ in range(3)]
            await asyncio.sleep(0)
            refused_already = list(resolving.calls)  # a machine without name servers says no at once
            for told in (resolving, fresh, connecting, *waiting):
                assert told.exchange is not None
                told.exchange.cancel()
            await none_left(c)
            await asyncio.sleep(0.1)
            assert all(told.calls == [] for told in (fresh, connecting, *waiting))
            assert resolving.calls == refused_already


@run
async def test_a_cancelled_wait_for_a_connection_does_not_hold_its_place() -> None:
    go = asyncio.Event()

    async def script(conn: Conn) -> None:
        while await conn.request() is not None:
            await go.wait()
            conn.send(OK)

    async with Upstream(script) as up, client(Pool(max_connections=1)) as c:
        first = begin(c, up.url, b"first")
        await soon(lambda: up.requests)
        dropped, last = begin(c, up.url, b"dropped"), begin(c, up.url, b"last")
        await asyncio.sleep(0.02)  # they are in line
        assert dropped.exchange is not None
        dropped.exchange.cancel()
        go.set()
        await asyncio.wait_for(asyncio.gather(first.ended.wait(), last.ended.wait()), 5)
        assert [r.rpartition(b"\r\n\r\n")[2] for r in up.requests] == [b"first", b"last"]


@pytest.mark.parametrize("where", ["head", "data", "end"])
def test_cancel_from_inside_the_sink(where: str) -> None:
    @run
    async def test() -> None:
        async with Upstream() as up, client() as c:
            for _ in range(3):
                told = begin(c, up.url, told=Told(cancel_at(where)))
                others = [begin(c, up.url) for _ in range(3)]
                for other in others:
                    await asyncio.wait_for(other.ended.wait(), 5)
                await soon(lambda: where in told.calls)  # noqa: B023  # it is waited for right here
                assert told.calls == ["head", "data", "end"][: ["head", "data", "end"].index(where) + 1]
                await asyncio.sleep(0.01)
                await none_left(c)
            assert (await ask(c, up.url)).body == b"ok"

    test()


@run
async def test_one_sink_may_cancel_all_the_others() -> None:
    """Some of the others have ended in the same turn of the loop, some have data waiting."""
    gate = asyncio.Event()

    async def script(conn: Conn) -> None:
        while (request := await conn.request()) is not None:
            await gate.wait()
            conn.send(OK if b"whole" in request else STREAM + chunk(b"data: 1\n\n"))

    async with Upstream(script) as up, client() as c:
        for _ in range(5):
            gate.clear()
            tolds: list[Told] = []
            count = len(up.requests)

            def then(told: Told, now: str, tolds: list[Told] = tolds) -> None:
                for other in tolds:
                    if other is not told and other.exchange is not None:
                        other.exchange.cancel()

            tolds += [begin(c, up.url, b"whole" if i % 2 else b"part", told=Told(then)) for i in range(10)]
            await soon(lambda: len(up.requests) == count + 10)  # noqa: B023  # it is waited for right here
            gate.set()
            await soon(lambda: any(told.calls for told in tolds))  # noqa: B023  # it is waited for right here
            await asyncio.sleep(0.02)
            talked = [told for told in tolds if told.calls]
            assert len(talked) == 1 and talked[0].calls[0] == "head"
            assert talked[0].exchange is not None
            talked[0].exchange.cancel()
            await none_left(c)
            # Every one of these handles was dropped with something in it.
            after = await asyncio.gather(*(ask(c, up.url, b"whole") for _ in range(10)))
            assert [told.body for told in after] == [b"ok"] * 10


@run
async def test_a_stale_exchange_cannot_touch_the_next_one() -> None:
    async with Upstream(half) as up, client() as c:
        old = begin(c, up.url)
        await old.began.wait()
        assert old.exchange is not None
        handle = old.exchange._handle
        old.exchange.cancel()
        new = begin(c, up.url)
        assert new.exchange is not None and new.exchange._handle is handle  # the same libcurl handle
        for act in (Exchange.cancel, Exchange.pause, Exchange.resume, Exchange.cancel):
            act(old.exchange)
        await asyncio.wait_for(new.began.wait(), 5)
        await asyncio.sleep(0.02)
        assert new.body == b"data: 1\n\n" and old.calls.count("end") == 0


@run
async def test_a_handle_cancelled_while_paused_is_as_good_as_new() -> None:
    sent = [0]
    async with Upstream(flood(20, sent)) as big, Upstream() as up, client() as c:
        for _ in range(5):
            told = begin(c, big.url, told=Told(pause_at("data"), keep=False))
            assert told.exchange is not None
            await soon(lambda: told.exchange._held_back)  # noqa: B023  # it is waited for right here
            told.exchange.cancel()
            after = await ask(c, up.url)
            assert after.calls == ["head", "data", "end"] and after.body == b"ok"
        assert c.stats()["handles"] == 1


@run
async def test_send_from_inside_on_end() -> None:
    async with Upstream() as up, client() as c:
        tolds: list[Told] = []

        def again(told: Told, now: str) -> None:
            if now == "end" and len(tolds) < 50:
                tolds.append(begin(c, up.url, told=Told(again)))

        tolds.append(begin(c, up.url, told=Told(again)))
        await soon(lambda: len(tolds) == 50 and tolds[-1].ended.is_set())
        assert all(told.body == b"ok" for told in tolds) and up.connections <= 2


@run
async def test_repr_shows_the_phase() -> None:
    async with Upstream(half) as up, client() as c:
        told = begin(c, up.url)
        exchange = told.exchange
        assert "waiting" in repr(exchange)
        await told.began.wait()
        assert "reading status=200" in repr(exchange) and exchange is not None
        exchange.pause()
        assert "paused" in repr(exchange) and "Exchange" in repr(exchange._handle)
        exchange.cancel()
        assert "cancelled" in repr(exchange)
