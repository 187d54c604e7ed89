"""The processes of a fleet: each host is the program with its workers on a port of its own; a balancer in front."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SBIN = os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin"
KEY = "alice-key-0123456789"
SETTINGS = """
[server]
port = {port}
workers = {workers}
drain_delay = {drain_delay}
[shared]
url = {url}
{shared}
[logging]
dir = {logs}
[upstream a]
protocol = chat
base_url = {upstream}
api_key = upstream-key-0123456789
[models]
* = a
[client alice]
key = alice-key-0123456789
{client}
"""


def is_ready(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as reply:
        return reply.status == 200
    return False


class Host:
    """One proxy with its workers."""

    def __init__(self, folder: Path, name: str, port: int, text: str) -> None:
        self.name, self.port = name, port
        self._file = folder / f"{name}.ini"
        self._file.write_text(text)
        self._said = folder / f"{name}.out"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._said.open("ab") as said:
            command = [sys.executable, str(ROOT / "proxy.py"), "--config", str(self._file)]
            environ = {"PATH": os.environ["PATH"], "HOME": str(self._file.parent)}
            self.process = subprocess.Popen(command, env=environ, stdout=said, stderr=said, start_new_session=True)
        self.until_ready()

    def until_ready(self, within_s: float = 40.0) -> None:
        def ready() -> bool:
            assert self.process is not None and self.process.poll() is None, self._said.read_text()
            return is_ready(self.port)

        until(ready, within_s, 0.05)

    def stop(self) -> None:
        """As an operator does: SIGTERM, and wait."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


class Fleet:
    """redis: None = the workers of the one host share a file. port: where clients ask."""

    def __init__(self, hosts: list[Host], redis: RedisServer | None, port: int) -> None:
        self.hosts, self.redis, self.port = hosts, redis, port


@contextlib.contextmanager
def running(
    folder: Path, upstream: str, *, hosts: int = 2, workers: int = 2, client: str = "", redis: bool = True,
    balancer: str = "", drain_delay: float = 0.0, shared: str = "",
) -> Iterator[Fleet]:  # fmt: skip
    """balancer: "haproxy", "nginx", or "" = clients ask the hosts by turns."""
    with contextlib.ExitStack() as stack:
        server = None
        if redis:
            server = RedisServer(folder, port=free_port())
            server.start()
            stack.callback(server.stop)
        found = []
        for number in range(hosts):
            port, name = free_port(), f"host{number + 1}"
            text = SETTINGS.format(
                port=port, workers=workers, url=server.url if server else "", logs=folder / name, upstream=upstream,
                client=client, drain_delay=drain_delay, shared=shared,
            )  # fmt: skip
            found.append(Host(folder, name, port, text))
            stack.callback(found[-1].kill)
        for host in found:
            host.start()
        port = stack.enter_context(in_front(folder, balancer, [host.port for host in found])) if balancer else 0
        yield Fleet(found, server, port)


@contextlib.contextmanager
def in_front(folder: Path, balancer: str, ports: list[int]) -> Iterator[int]:
    """The shipped file of the balancer, without TLS and on a free port."""
    port = free_port()
    program = shutil.which(balancer, path=SBIN)
    assert program is not None, f"{balancer} is not installed"
    text = (ROOT / "deploy" / {"haproxy": "haproxy.cfg", "nginx": "nginx.conf"}[balancer]).read_text()
    environ = {"PATH": SBIN, "PROXY_ONE": f"127.0.0.1:{ports[0]}", "PROXY_TWO": f"127.0.0.1:{ports[-1]}"}
    file = folder / f"{balancer}.conf"
    if balancer == "haproxy":
        bound = "bind :8443 ssl crt /etc/haproxy/proxy.pem alpn h2,http/1.1"
        assert bound in text
        file.write_text(text.replace(bound, f"bind 127.0.0.1:{port}"))
        command = [program, "-db", "-f", str(file)]
    else:
        lines = [line for line in text.splitlines() if "ssl_certificate" not in line]
        text = "\n".join(lines).replace("listen 8443 ssl", f"listen 127.0.0.1:{port}")
        text = text.replace(":8082", f":{ports[0]}").replace(":8083", f":{ports[-1]}")
        around = f"daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.err;\nevents {{}}\nhttp {{\n"
        paths = "".join(
            f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        file.write_text(f"{around}access_log off;\n{paths}{text}\n}}\n")
        command = [program, "-c", str(file)]
    with (folder / f"{balancer}.out").open("wb") as said:
        process = subprocess.Popen(command, env=environ, stdout=said, stderr=said)
    try:

        def ready() -> bool:
            assert process.poll() is None, (folder / f"{balancer}.out").read_text()
            return is_ready(port)

        until(ready, every_s=0.05)
        yield port
    finally:
        process.terminate()
        process.wait()
