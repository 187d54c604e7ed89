"""What every test may use: the recorded traffic, golden files, an HTTP client made of libcurl.

`recorded_traffic` is the folder of recorded exchanges: $RECORDED_TRAFFIC, or ../shared/traffic from the
project's root; a test that asks for it is skipped where it is not there. `golden` compares with a file below
tests/golden, and `--update` writes that file anew. Before anything is collected, API keys and proxies are
taken out of the environment: what a developer has set must not decide what passes.
"""

from __future__ import annotations

import asyncio
import collections
import difflib
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tornado.curl_httpclient import CurlAsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from tests.support import lacking, remarks

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = Path(__file__).resolve().parent / "golden"
SAMPLES = ROOT / "tests" / "samples"
_OUTSIDE = re.compile(
    r".*_API_KEY$|.*_AUTH_TOKEN$|.*_BASE_URL$|.*UPSTREAM_BASE$|MODEL_MAP_JSON$|(BIG|SMALL)_MODEL$|"
    r"(HTTP|CONNECT|REQUEST|STREAM|ENABLE|FORWARD)_[A-Z_]+$|(all|no|https?|ftp)_proxy$|DEBUG$",
    re.IGNORECASE,
)

# Examples are found at random at a desk, and are the same in every run of a build machine. No deadline:
# how long an example takes depends on what else the machine does. HYPOTHESIS_PROFILE=deep looks much longer,
# mutants only shortly: for mutmut, which runs the tests thousands of times.
settings.register_profile(
    "desk", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True, print_blob=True)
settings.register_profile("deep", settings.get_profile("desk"), max_examples=5_000)
settings.register_profile("mutants", settings.get_profile("ci"), max_examples=30, print_blob=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write the golden files anew")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Tests wait for sockets half of their time: one worker more than there are cores keeps the cores busy."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    _send_at_once(getattr(config, "failures_db", None))
    for name in [name for name in os.environ if _OUTSIDE.match(name)]:
        del os.environ[name]
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "desk"))
    config.pluginmanager.register(Remarks())


def _send_at_once(failures_db: object) -> None:
    """pytest-rerunfailures keeps its counts in the controller; a worker tells it of each test over TCP, by two short
    writes and a read. Without TCP_NODELAY the second write waits 40 ms for an acknowledgement: some 25,000 times.
    """
    connection = getattr(failures_db, "sock", None)  # there is none without pytest-xdist
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Linux: accepted sockets have it, too


class Remarks:
    """Prints what the tests have to say (tests/support/remarks.py), and how long they took; those too that pytest-xdist
    runs elsewhere."""

    def __init__(self) -> None:
        self.of_others: list[str] = []
        self.began = time.monotonic()
        self.seconds: collections.Counter[str] = collections.Counter()  # by folder of tests, of all processes

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        self.of_others += getattr(node, "workeroutput", {}).get("remarks", [])

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds["/".join(report.nodeid.partition("::")[0].split("/")[:-1])] += report.duration

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in [*remarks.lines(), *self.of_others]:
            terminalreporter.write_line(line)
        slowest = ", ".join(f"{folder} {spent:.0f} s" for folder, spent in self.seconds.most_common(5) if spent >= 1)
        terminalreporter.write_line(
            f"The tests took {time.monotonic() - self.began:.0f} s" + f"; of their own time: {slowest}" * bool(slowest)
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["remarks"] = remarks.lines()


def traffic_dir() -> Path | None:
    """The folder of recorded traffic (it holds `exchanges/*.json`), or None where there is none."""
    place = Path(os.environ.get("RECORDED_TRAFFIC") or ROOT.parent / "shared" / "traffic")
    return place if (place / "exchanges").is_dir() else None


def exchange_files() -> list[Path]:
    """Files of exchanges: the samples of tests/samples, then the recorded ones in the order of their ids.

    The samples are written by hand, so a clone without recorded traffic (see `traffic_dir`) tests something too.
    """
    place = traffic_dir()
    found = sorted(SAMPLES.glob("*.json"))
    assert found, f"{SAMPLES} holds no samples"
    return found + (sorted((place / "exchanges").glob("*.json")) if place else [])


def read_exchange(path: Path) -> dict[str, Any]:
    """One exchange as its file holds it. A sample writes its stream as a list of lines, which are joined here."""
    exchange: dict[str, Any] = json.loads(path.read_bytes())
    if isinstance(lines := exchange["response"].get("sse"), list):
        exchange["response"]["sse"] = "\n".join(lines)
    return exchange


@pytest.fixture(scope="session")
def recorded_traffic() -> Path:
    """The folder of recorded traffic; skips the test where it is not there."""
    place = traffic_dir()
    if place is None:
        pytest.skip(lacking.TRAFFIC)
    return place


@pytest.fixture(scope="session")
def update(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written (`--update`)."""
    return bool(request.config.getoption("--update"))


@pytest.fixture
def golden(update: bool) -> Callable[[str, str | bytes], None]:
    """`golden("chat/tool_call.sse", got)`: got must be what tests/golden/chat/tool_call.sse holds."""

    def compare(name: str, got: str | bytes) -> None:
        path = GOLDEN / name
        data = got.encode() if isinstance(got, str) else got
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return
        if not path.exists():
            pytest.fail(f"tests/golden/{name} is not there; --update writes it, then read it")
        kept = path.read_bytes()
        if data != kept:
            lines = [text.decode(errors="replace").splitlines() for text in (kept, data)]
            diff = "\n".join(difflib.unified_diff(*lines, f"tests/golden/{name}", "got", lineterm=""))
            pytest.fail(diff or f"tests/golden/{name} differs in bytes that do not show", pytrace=False)

    return compare


@pytest.fixture
def io_loop() -> Iterator[IOLoop]:
    """A loop of its own for each test; pytest-tornado's own fixture uses calls that Tornado deprecates."""
    loop = IOLoop(make_current=False)
    asyncio.set_event_loop(loop.asyncio_loop)  # type: ignore[attr-defined]
    yield loop
    asyncio.set_event_loop(None)
    loop.close(all_fds=True)


@pytest.fixture
def http_client(http_server: HTTPServer) -> Iterator[CurlAsyncHTTPClient]:
    """A client made of libcurl for pytest-tornado's server (fixture `app`), in place of its simple one."""
    client = CurlAsyncHTTPClient(force_instance=True)
    yield client
    client.close()
