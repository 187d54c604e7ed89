"""How often a request asks the kernel: counted by strace, of a proxy in a process of its own.

Only calls that requests make are counted, not those of timers and of the thread that writes the logs. How many bytes
one call finds is a matter of time, so the limits have room for a few more.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import servers
from bench.client import Client
from bench.speech import named
from tests.support import lacking

COUNTED = frozenset(
    ("epoll_wait", "epoll_ctl", "recvfrom", "recvmsg", "read", "sendto", "sendmsg", "writev", "getpid", "connect",
     "socket", "accept4", "setsockopt", "getsockopt", "poll", "ppoll", "ioctl", "rt_sigaction")
)  # fmt: skip
FEW, MANY = 10, 60
EVENTS = 20
MOST_OF_A_REQUEST = 19.0
MOST_OF_AN_EVENT = 6.5


@pytest.fixture(scope="module")
def proxy() -> Iterator[servers.Child]:
    if shutil.which("strace") is None:
        pytest.skip(lacking.missing("strace"))
    with servers.upstream() as source, servers.proxy(servers.in_front_of(source.urls[0])) as child:
        yield child


@pytest.fixture
def counted(proxy: servers.Child, tmp_path: Path) -> Callable[[str, str, int], Counter[str]]:
    """Counts the calls for so many requests of a protocol, for a model."""

    def count(protocol: str, model: str, requests: int) -> Counter[str]:
        out = tmp_path / "calls"
        words = ["strace", "-f", "-o", str(out), "-p", str(proxy.pid)]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            try:
                if "attached" not in (said := tracer.stderr.readline()):
                    pytest.skip(f"strace cannot see a process here: {said.strip()}")
                asyncio.run(asked(proxy.urls[0], protocol, model, requests))
                time.sleep(0.1)
            finally:
                tracer.send_signal(signal.SIGINT)
                tracer.communicate(timeout=20)
        calls = (re.match(r"\d+ +(\w+)\(", line) for line in out.read_text(errors="replace").splitlines())
        return Counter(call[1] for call in calls if call and call[1] in COUNTED)

    return count


async def asked(url: str, protocol: str, model: str, requests: int) -> None:
    client = Client(url)
    for _ in range(requests):
        reply = await client.ask(named(protocol).request(model, "k", stream="-e" in model))
        assert reply.is_good, reply.words()
    await client.close()


@pytest.mark.parametrize("protocol", ["chat", "messages"])
def test_of_a_whole_reply(counted: Callable[[str, str, int], Counter[str]], protocol: str) -> None:
    counted(protocol, "chat/bench", 3)  # connections are made
    few, many = (counted(protocol, "chat/bench", number) for number in (FEW, MANY))
    each = (many.total() - few.total()) / (MANY - FEW)
    assert 5 < each <= MOST_OF_A_REQUEST, many - few


def test_of_an_event_that_comes_alone(counted: Callable[[str, str, int], Counter[str]]) -> None:
    short, long = (counted("messages", f"chat/bench-e{events}-g5", 2) for events in (EVENTS, 4 * EVENTS))
    each = (long.total() - short.total()) / (2 * 3 * EVENTS)
    assert 2 < each <= MOST_OF_AN_EVENT, long - short
