"""The program on macOS, as far as Linux can play its part: support/mac/sitecustomize.py says what is another there.

`./run.sh check` has the types checked for macOS, too, so that nothing is used which Python does not have there."""

from __future__ import annotations

import json
import signal
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import until
from tests.test_proxy import DEMO, ROOT, ask, started

MAC = {"PYTHONPATH": str(ROOT / "tests" / "support" / "mac")}


def _streamed(url: str) -> str:
    body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    asked = urllib.request.Request(
        url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=10) as reply:
        return str(reply.read().decode())


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for sockets, whose paths may have a hundred characters."""
    with tempfile.TemporaryDirectory(prefix="mac-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("workers", [1, 2])
def test_it_serves_reloads_and_ends(tmp_path: Path, short: Path, workers: int) -> None:
    file, written = tmp_path / "s.ini", tmp_path / "proxy.json"
    file.write_text(DEMO.replace("port = 0", f"port = 0\nworkers = {workers}"))
    logs = f"logging.dir={tmp_path}"
    with started("--config", str(file), "--set", logs, environ=MAC | {"TMPDIR": str(short)}) as (process, url, _):
        assert all("demo" in ask(url) for _ in range(4))
        assert _streamed(url).endswith("data: [DONE]\n\n")
        assert len(list(short.glob("anthropic-proxy-*"))) == (workers if workers > 1 else 0)
        with urllib.request.urlopen(url + "/metrics", timeout=10) as page:  # each worker is asked
            assert "proxy_worker_restarts_total" in page.read().decode() or workers == 1
        process.send_signal(signal.SIGHUP)
        until(written.exists)
        until(lambda: '"event":"reload"' in written.read_text())
        process.terminate()
        assert process.wait(20) == 0
        assert process.stderr is not None and process.stderr.read() == ""
    assert list(short.glob("anthropic-proxy-*")) == []
