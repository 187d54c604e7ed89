"""The forms of [shared] url with real servers: TLS, a user with a password, sentinels, a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.batches.fleet_queue import FleetQueue
from gateway.shared.redis_store import RedisStore
from gateway.shared.shared import Shared
from gateway.shared.store import Cell
from operate.batch_store import Batch
from tests.support import redis_server
from tests.support.redis_server import RedisServer, free_port, running
from tests.support.waiting import listens, soon, until

pytestmark = redis_server.needed


async def works(url: str, within_s: float = 20.0) -> Shared:
    """Connected, and every kind of question answered."""
    shared = Shared(url, "kinds", None, 10.0)
    await shared.start()
    try:
        await soon(lambda: not shared.away, within_s)
    except AssertionError:
        raise AssertionError(shared.away) from None
    store = shared.store
    assert await store.put("a", b"1", 60) and await store.get("a") == b"1"
    assert (await store.take([Cell("c", 10, 1), Cell("d", 10, 1)])).wait_s == 0.0
    await store.publish("f", "k", b"v", 60)
    assert [change.key for change in (await store.news("f")).changes] == ["k"]
    assert await store.raise_totals("t", {"a": (1.0, 2.0)}, 60) == 1
    assert isinstance(store, RedisStore)
    queue = FleetQueue(store, 60.0)
    await queue.add(Batch("b", "messages", "ann", "ann", 1.0, 2e10, None, None, 1, "{}"), [("r", b"request")])
    work = await queue.claim(0, 1)
    assert work is not None and work.request == b"request"
    await queue.keep([work])
    assert await queue.answered(work, "succeeded", b"x") and (await queue.results("b", -1, 1))[0].result == b"x"
    await queue.delete("b")
    assert await queue.listed("messages", "ann") == []
    queue.close()
    return shared


@pytest.mark.gen_test
async def test_a_user_with_a_password_and_a_database(tmp_path: Path) -> None:
    (tmp_path / "users.acl").write_text("user default off\nuser fleet on >se:cret ~{kinds}:* +@all\n")
    with running(tmp_path, "", "--aclfile", str(tmp_path / "users.acl"), port=free_port()) as server:
        shared = await works(f"redis://fleet:se%3Acret@127.0.0.1:{server.port}/3")
        shared.stop()


@pytest.mark.gen_test
async def test_a_redis_is_reached_over_tls(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("ca.crt", "ca.key")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", files[1], "-out", files[0]],
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port()
    more = ["--tls-port", str(port), "--tls-cert-file", files[0], "--tls-key-file", files[1], "--tls-ca-cert-file",
            files[0], "--tls-auth-clients", "no"]  # fmt: skip
    try:
        server = RedisServer(tmp_path, "", *more)
        server.start()
    except RuntimeError:
        pytest.skip("this redis-server is built without TLS; Debian's has it")
    try:
        shared = await works(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={files[0]}")
        shared.stop()
        distrusted = Shared(f"rediss://127.0.0.1:{port}/0", "kinds", None)
        await distrusted.start()
        assert "certificate" in distrusted.away.lower()
        distrusted.stop()
    finally:
        server.stop()


@contextlib.contextmanager
def sentinels(folder: Path, master: int, count: int = 1) -> Iterator[list[int]]:
    ports, processes = [free_port() for _ in range(count)], []
    for port in ports:
        file = folder / f"sentinel-{port}.conf"
        file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor fleet 127.0.0.1 {master} 1\n"
            "sentinel down-after-milliseconds fleet 300\nsentinel failover-timeout fleet 2000\n"
        )
        command = [redis_server.PROGRAMS[0], str(file), "--sentinel"]
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        for port in ports:
            until(lambda: listens(port))  # noqa: B023  # it is waited for right here
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.wait()


leaves_sockets = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""redis-py leaves the sockets of attempts that failed to the collector."""


@leaves_sockets
@pytest.mark.gen_test
async def test_a_sentinel_tells_which_server_it_is_also_after_a_failover(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with running(folders[0], port=free_port()) as one:
        follows = ["--replicaof", "127.0.0.1", str(one.port)]
        with running(folders[1], "", *follows, port=free_port()) as two, sentinels(tmp_path, one.port) as (port,):
            deaf = free_port()
            shared = await works(f"redis+sentinel://127.0.0.1:{deaf},127.0.0.1:{port}/fleet/0")
            await soon(lambda: "online" in _replication(one), 30)
            assert _call(port, "SENTINEL", "FAILOVER", "fleet").startswith("+OK")
            await soon(lambda: "role:master" in _replication(two), 30)
            for _ in range(200):  # it may still be at the old one, which says READONLY, or is there no more
                with contextlib.suppress(ConnectionError):
                    if await shared.store.put("after", b"1", 60):
                        break
                await asyncio.sleep(0.1)
            assert await shared.store.get("after") == b"1"
            shared.stop()
            await asyncio.sleep(0.1)  # redis-py closes what it has
            gc.collect()


def _replication(server: RedisServer) -> str:
    """ "" while it cuts its connections off, as at a change of its role."""
    with contextlib.suppress(ConnectionError):
        return _call(server.port, "INFO", "replication")
    return ""


def _call(port: int, *words: str) -> str:
    with socket.create_connection(("127.0.0.1", port), 5) as one:
        one.sendall(" ".join(words).encode() + b"\r\nPING\r\n")
        said = b""
        while not said.endswith(b"+PONG\r\n"):
            piece = one.recv(65536)
            assert piece, said
            said += piece
        return said.decode()


@leaves_sockets
@pytest.mark.gen_test
async def test_a_cluster_whose_keys_are_on_another_server_than_the_first(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        servers = []
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            options = ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]
            servers.append(stack.enter_context(running(folder, "", *options, port=_cluster_port())))
        one, two = servers
        one.call("CLUSTER", "MEET", "127.0.0.1", str(two.port))
        slot = int(one.call("CLUSTER", "KEYSLOT", "{kinds}:")[1:])
        assert one.call("CLUSTER", "ADDSLOTS", str((slot + 1) % 16384)) == "+OK"
        assert two.call("CLUSTER", "ADDSLOTS", str(slot)) == "+OK"
        await soon(lambda: all(str(each.port) in _call(one.port, "CLUSTER", "SLOTS") for each in servers), 30)
        await soon(lambda: all("cluster_state:ok" in _call(each.port, "CLUSTER", "INFO") for each in servers), 30)
        shared = await works(f"redis+cluster://127.0.0.1:{one.port}")
        assert int(two.call("DBSIZE")[1:]) >= 4 and one.call("DBSIZE") == ":0"
        shared.stop()
        await asyncio.sleep(0.1)  # redis-py closes what it has
        gc.collect()


def _cluster_port() -> int:
    """A server of a cluster takes its port and the one 10,000 above it."""
    return next(port for port in iter(free_port, None) if port < 50_000)
