"""A [shared] url that does not fit the server, and servers that are not ready yet: what the operator reads, and that
the proxy goes on to look for the server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.shared import redis_store
from gateway.shared.redis_clues import explained
from gateway.shared.redis_link import Link
from gateway.shared.shared import Shared
from tests.support import redis_server
from tests.support.redis_server import free_port, running
from tests.support.waiting import soon

CLUSTER = ("--cluster-enabled", "yes")


def cluster_port() -> int:
    """A server of a cluster takes its port and the one 10,000 above it."""
    return next(port for port in iter(free_port, None) if port < 50_000)


@redis_server.needed
@pytest.mark.gen_test
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # redis-py leaves sockets
@pytest.mark.parametrize(
    ("url", "clue", "options"),
    [
        ("redis://127.0.0.1:{}/99", "the number behind the host", ()),
        ("redis://:pw@127.0.0.1:{}/0", "redis://USER:PASSWORD@HOST", ()),
        ("redis://127.0.0.1:{}/0", "redis://USER:PASSWORD@HOST", ("--requirepass", "x")),
        ("redis+sentinel://127.0.0.1:{}/fleet", "it is no sentinel; write redis://", ()),
        ("redis+cluster://127.0.0.1:{}", "write redis://", ()),
        ("redis://127.0.0.1:{}", "no server of the cluster has its slots", CLUSTER),
        ("redis://127.0.0.1:{}", "it is a sentinel", ("--rename-command", "SCRIPT", "")),
        ("redis://127.0.0.1:{}?tiemout=3", "no such option", ()),
    ],
)
async def test_a_url_that_does_not_fit_is_said_with_what_to_write(
    tmp_path: Path, url: str, clue: str, options: tuple[str, ...]
) -> None:
    with running(tmp_path, "", *options, port=cluster_port()) as server:
        shared = Shared(url.format(server.port), "t", None)
        await shared.start()
        await soon(lambda: clue in shared.away)
        assert "local t =" not in shared.away, "no script of ours in the log"
        shared.stop()


@redis_server.needed
@pytest.mark.gen_test
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("options", ["", "?socket_timeout=2"])
async def test_a_cluster_that_is_ready_later_than_the_proxy(tmp_path: Path, options: str) -> None:
    """redis-py raises errors of no kind of its own there, and nothing may end the search."""
    with running(tmp_path, "", *CLUSTER, port=cluster_port()) as server:
        shared = Shared(f"redis+cluster://127.0.0.1:{server.port}{options}", "t", None)
        await shared.start()
        await soon(lambda: "no server of the cluster has its slots" in shared.away)
        assert server.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == "+OK"
        await soon(lambda: not shared.away, 20)
        shared.stop()
        await asyncio.sleep(0.1)  # redis-py closes what it has


@redis_server.needed
@pytest.mark.gen_test
async def test_a_server_that_closes_idle_connections_is_no_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`timeout 300` of a server, or a router that forgets connections: the proxy had no requests meanwhile."""
    monkeypatch.setattr(redis_store, "BEAT_S", 0.2)
    with running(tmp_path, "", "--timeout", "1") as server:
        shared = Shared(server.url, "t", None, 10.0)
        await shared.start()
        await asyncio.sleep(3.2)  # the server's clock is what is waited for; it counts whole seconds
        assert (shared.away, shared.outages) == ("", 0)
        shared.stop()


@redis_server.needed
@pytest.mark.gen_test
async def test_a_user_with_no_more_rights_than_the_store_needs_is_no_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "BEAT_S", 0.02)
    with running(tmp_path) as server:
        rights = ("resetkeys", "~{t}:*", "+@scripting", "+@read", "+@write", "+time", "+client")
        assert server.call("ACL", "SETUSER", "bob", "on", ">secret", *rights) == "+OK"
        shared = Shared(f"unix://bob:secret@{server.socket}", "t", None, 10.0)
        await shared.start()
        await asyncio.sleep(0.5)
        assert (shared.away, shared.outages) == ("", 0)
        shared.stop()


def test_options_of_every_kind_of_url_are_read_alike() -> None:
    said = "ssl_check_hostname=false&socket_timeout=5"
    for kind in ("sentinel", "cluster"):
        options = Link(f"rediss+{kind}://user:p%40ss@h:1/3?{said}", "k")._options()
        assert options["ssl_check_hostname"] is False and options["socket_timeout"] == 5.0
        assert (options["username"], options["password"]) == ("user", "p@ss")


@pytest.mark.parametrize(
    ("error", "url", "clue"),
    [
        (Exception("MOVED 3999 10.0.0.1:6379"), "redis://h", "redis+cluster://"),
        (TimeoutError(), "rediss://h", "if not, redis:// is written"),
        (ConnectionError("Connection closed by server."), "redis://h", "rediss:// is written"),
        (Exception("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), "rediss://h", "ssl_ca_certs"),
    ],
)
def test_what_is_said_has_a_clue(error: Exception, url: str, clue: str) -> None:
    assert clue in explained(error, url)
