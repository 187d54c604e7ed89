"""The processes that the bench starts: its upstream, and proxies with settings of its own. None outlives it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.speech import NAMES
from operate import installation

PATIENCE_S = 30.0
ENDED_WITHIN_S = 5.0
_URL = re.compile(r"https?://[\w.:\[\]-]+:\d+")
KEY = "bench"  # of the upstream that the bench brings along, which takes any


class NotStarted(Exception):
    """Says that a process did not start; args: what it said."""


class Child:
    """A process. urls: the addresses that it has printed. began, ready: when it was started and had printed them, by
    time.perf_counter. logs: the folder for its logs, if it is a proxy."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path, program: Sequence[str] = ()
    ) -> None:
        """program: another one than this."""
        self._said, self.logs = folder / "said.txt", folder / "logs"
        self.began = time.perf_counter()
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [*(program or _program()), *words], env=dict(environment), stdin=subprocess.DEVNULL, stdout=said,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            self.urls = self._await()
            self.ready = time.perf_counter()
        except BaseException:
            self.end()
            raise

    def _await(self) -> list[str]:
        until = time.monotonic() + PATIENCE_S
        while True:
            said = self._said.read_text(errors="replace")
            if found := _URL.findall(said.partition("\n")[0] if "\n" in said else ""):
                return found
            if self._process.poll() is not None or time.monotonic() > until:
                raise NotStarted(" ".join(said.split())[-400:] or "it said nothing")
            time.sleep(0.002)  # noqa: TID251 - no loop runs yet

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu(self) -> float | None:
        """Seconds of CPU time that it has used, with all its threads; None where the system does not tell."""
        try:
            tasks = [*Path(f"/proc/{self._process.pid}/task").iterdir()]
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
        except (OSError, ValueError, IndexError):
            return None

    def memory(self) -> float | None:
        """Bytes in memory."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return None
        return pages * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(ENDED_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _program() -> list[str]:
    """How this program is started, in each of its forms."""
    is_checkout = installation.home() == installation.PROGRAM
    return [sys.executable, str(installation.PROGRAM / "proxy.py") if is_checkout else sys.argv[0]]


@contextlib.contextmanager
def upstream() -> Iterator[Child]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        child = Child(["bench", "--as-upstream"], os.environ, Path(folder))
        try:
            yield child
        finally:
            child.end()


@contextlib.contextmanager
def proxy(
    settings: str | Path, options: Sequence[str] = (), secrets: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """A proxy. settings: their text, or the file that has them. options: `section.key=value`. secrets: variables."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = settings
        if isinstance(settings, str):
            file = Path(folder) / "settings.ini"
            file.write_text(settings)
        words = ["start", "--config", str(file), "--port", "0"]
        for option in (f"logging.dir={folder}/logs", "server.host=127.0.0.1", "server.workers=1", *options):
            words += ["--set", option]
        child = Child(words, {**os.environ, **(secrets or {})}, Path(folder))
        try:
            yield child
        finally:
            child.end()


def in_front_of(base: str) -> str:
    """Settings with an upstream for each protocol, all at one address."""
    return "\n".join(f"[upstream {name}]\nprotocol = {name}\nbase_url = {base}\napi_key = {KEY}\n" for name in NAMES)


def connections(logs: Path) -> tuple[int, int]:
    """(requests on a connection to the upstream that was kept, all requests), by the proxy's own records."""
    with contextlib.suppress(OSError):
        lines = (logs / "performance.json").read_text().splitlines()
        kept = sum('"connection":"reused"' in line.replace(" ", "") for line in lines)
        return kept, sum('"connection":"' in line.replace(" ", "") for line in lines)
    return 0, 0
