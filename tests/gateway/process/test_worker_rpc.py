"""Workers that ask each other, without processes: who answers, and who is neither told nor believed."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from gateway.process.worker_rpc import WorkerRpc


def _names(group: str) -> list[str]:
    """Of the sockets by which a group's workers ask each other."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return [line.split()[-1] for line in lines if f"@anthropic-proxy-{group}-" in line]


def test_what_all_are_asked() -> None:
    async def run() -> None:
        all = [WorkerRpc(number, 3, b"secret") for number in range(3)]
        for one in all:
            one.answers["/x"] = lambda query, one=one: {"worker": one.number} | query
            if one.number < 2:
                await one.start()
        assert await all[0].ask("/x?a=1%26") == [{"worker": 0, "a": "1&"}, {"worker": 1, "a": "1&"}]
        await all[2].start()
        assert [said["worker"] for said in await all[1].ask("/x")] == [1, 0, 2]
        all[2].answers["/x"] = lambda query: {"big": "x" * 5_000_000}
        assert len((await all[0].ask("/x"))[2]["big"]) == 5_000_000
        del all[2].answers["/x"]
        assert len(await all[0].ask("/x")) == 2
        for one in all:
            await one.stop()
        assert not _names(all[0].group)
        with pytest.raises(KeyError):
            await all[0].ask("/y")

    asyncio.run(run())


def test_nobody_else_is_told_or_believed(caplog: pytest.LogCaptureFixture) -> None:
    """The sockets' names have no owner: whoever finds one may ask there, or listen there before a worker does."""
    caplog.set_level("DEBUG", "gateway")

    async def ask(name: str, question: bytes) -> bytes:
        reading, writing = await asyncio.open_unix_connection(name)
        writing.write(question)
        got = await reading.read()
        writing.close()
        return got

    async def run() -> None:
        one, two, stranger = WorkerRpc(0, 2, b"secret"), WorkerRpc(1, 2, b"secret"), WorkerRpc(1, 2, b"another")
        for each in (one, two, stranger):
            each.answers["/x"] = lambda query: {"told": True}
        await one.start()
        name = one._name(0)
        for question in (b"/x\n", b"\n", b"00 00 /x\n", b"\xff" * 100 + b"\n", b"x" * 600_000):
            with contextlib.suppress(OSError):
                assert b"told" not in await ask(name, question)
        stranger._name = one._name  # type: ignore[method-assign]
        assert await stranger.ask_others("/x") == []
        await one.stop()
        await stranger.start()
        assert await two.ask("/x") == [{"told": True}]
        assert await WorkerRpc(0, 2, b"secret").ask_others("/x") == []
        await stranger.stop()

        async def liar(reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
            writing.write(b"0" * 32)
            mac = (await reading.readline()).split()[1]
            writing.write(mac + b'\n{"lie": true}')
            writing.close()

        async with await asyncio.start_unix_server(liar, name):
            assert await two.ask_others("/x") == []

    asyncio.run(run())


def test_one_alone_asks_itself() -> None:
    one = WorkerRpc()
    one.answers["/x"] = lambda query: {"n": 1}
    assert one.alone and asyncio.run(one.ask("/x")) == [{"n": 1}]
