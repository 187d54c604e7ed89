"""The servers that are measured side by side: the floor, this proxy, nginx where it is installed, and peers that run.

All are in front of the upstream that the bench brings along, which speaks Chat Completions to them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bench import servers
from bench.plan import Cpu
from tests.support.waiting import listens, until

ROOT = Path(__file__).resolve().parents[2]
FORMS = ("chat", "messages")  # what clients speak: passed through, and translated
# Limits of a machine, not of the proxy, so that thousands of streams can be held at once.
OPTIONS = ("pool.max_connections=6000", "server.max_connections=20000", "server.max_body_mb=100")


@dataclass(frozen=True)
class Peer:
    """urls: by form, those that it has. model: the name to ask for."""

    name: str
    urls: dict[str, str]
    model: str
    cpu: Cpu
    memory: Cpu


@contextlib.contextmanager
def started(more: list[str]) -> Iterator[list[Peer]]:
    """The peers. more: NAME=URL=PID of such as run already."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(servers.upstream()).urls[0]
        passes, translates = (stack.enter_context(_floor(upstream, what)) for what in ("pass", "translate"))
        ours = stack.enter_context(servers.proxy(servers.in_front_of(upstream), OPTIONS))
        found = [
            Peer("floor", {"chat": passes.urls[0]}, "bench", passes.cpu, passes.memory),
            Peer("floor", {"messages": translates.urls[0]}, "bench", translates.cpu, translates.memory),
            Peer("this proxy", dict.fromkeys(FORMS, ours.urls[0]), "chat/bench", ours.cpu, ours.memory),
        ]
        if nginx := shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
            found.append(stack.enter_context(_nginx(nginx, upstream)))
        for words in more:
            name, url, pid = words.rsplit("=", 2)
            found.append(Peer(name, dict.fromkeys(FORMS, url), "bench", partial(cpu_of, int(pid)), lambda: None))
        yield found


def cpu_of(pid: int) -> float | None:
    """Seconds of CPU time of a process and of the processes that it has started."""
    total = 0.0
    with contextlib.suppress(OSError, ValueError, IndexError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0]) / 1e9
            for child in (task / "children").read_text().split():
                total += cpu_of(int(child)) or 0.0
        return total
    return None


@contextlib.contextmanager
def _floor(upstream: str, what: str) -> Iterator[servers.Child]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        program = [sys.executable, "-m", "tests.bench.floor", upstream, what]
        child = servers.Child([], environment, Path(folder), program)
        try:
            yield child
        finally:
            child.end()


@contextlib.contextmanager
def _nginx(binary: str, upstream: str) -> Iterator[Peer]:
    """It passes bytes through, and nothing else: how cheap that can be."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        conf = Path(folder) / "nginx.conf"
        conf.write_text(NGINX % {"folder": folder, "port": port, "upstream": urlsplit(upstream).netloc})
        with subprocess.Popen([binary, "-p", folder, "-c", str(conf), "-e", f"{folder}/error.log"]) as process:
            until(lambda: listens(port))
            try:
                url = f"http://127.0.0.1:{port}"
                yield Peer("nginx (bytes through)", {"chat": url}, "bench", lambda: cpu_of(process.pid), lambda: None)
            finally:
                process.terminate()


NGINX = """
daemon off; worker_processes 1; pid %(folder)s/pid; error_log %(folder)s/error.log;
events { worker_connections 12000; }
http {
    access_log off; client_max_body_size 100m; client_body_buffer_size 1m;
    client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/f; uwsgi_temp_path %(folder)s/u; scgi_temp_path %(folder)s/s;
    upstream up { server %(upstream)s; keepalive 1024; }
    server {
        listen 127.0.0.1:%(port)s backlog=4096;
        location / {
            proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
        }
    }
}
"""
