#!/usr/bin/env python3
"""anthropic-proxy: one address for Anthropic Messages, OpenAI Chat Completions and OpenAI Responses.

Read this first. `main` reads the command line and settings.ini, `serve` builds the Service (gateway/service.py),
binds the port, prints what to paste where, and runs until a signal. What happens to a request is
gateway/relay.py; which path leads there is the table in gateway/door.py.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import errno
import gc
import logging
import os
import resource
import secrets
import signal
import socket
import sys
from collections.abc import Collection
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets

from gateway.door import Door
from gateway.greeting import greeting
from gateway.service import Service
from operate import logs, settings
from operate.settings import Settings, SettingsError, Upstream
from upstream.demo import Demo

VERSION = "0.1.0"
HERE = Path(__file__).resolve().parent
log = logging.getLogger("proxy")

EX_CONFIG = 78  # sysexits.h: something is wrong with the settings
EX_UNAVAILABLE = 69
MAX_HEADER_BYTES = 128 * 1024
READ_BUFFER_BYTES = 1 << 20  # of a client's connection, in Tornado; more than a head and what is read at once
OTHER_FILES = 64  # files besides connections: logs, listening sockets, the loop's own


def main(argv: list[str] | None = None) -> int:
    """The exit code: 0, 69 (the port cannot be had) or 78 (settings)."""
    options = _options(argv)
    try:
        chosen = settings.load(options.config, options.set)
    except SettingsError as problems:
        print(problems, file=sys.stderr)
        return EX_CONFIG
    if options.print_config:
        print("\n".join(chosen.describe()))
        return 0
    if options.check_config:
        print("ok")
        return 0
    try:
        sockets = bind_sockets(chosen.server.port, chosen.server.host, backlog=1024)
    except (OSError, UnicodeError) as why:  # UnicodeError: a name that cannot even be looked up
        print(_cannot_listen(chosen, why), file=sys.stderr)
        return EX_UNAVAILABLE
    journal = logs.Journal(chosen.logging, HERE / chosen.logging.dir, chosen.secrets())
    logs.install(chosen.logging, journal)
    try:
        asyncio.run(serve(chosen, sockets, journal))
    finally:
        journal.close()
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run.sh", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--config", metavar="FILE", help="settings file (default: settings.ini beside proxy.py)")
    parser.add_argument("--host", help="address to listen on, over [server] host")
    parser.add_argument("--port", help="port to listen on, over [server] port")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="over the file's value")
    parser.add_argument("--check-config", action="store_true", help="say ok, or every error in the settings, and exit")
    parser.add_argument("--print-config", action="store_true", help="show each value and where it came from, and exit")
    parser.add_argument("--version", action="version", version=f"anthropic-proxy {VERSION}")
    options = parser.parse_args(argv)
    for key in ("host", "port"):
        if (value := getattr(options, key)) is not None:
            options.set.append(f"server.{key}={value}")
    return options


def _cannot_listen(chosen: Settings, why: OSError | UnicodeError) -> str:
    where = f"{chosen.server.host}:{chosen.server.port}"
    if isinstance(why, UnicodeError):
        return f"cannot listen on {where}: that is not the name of a host"
    if why.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program: stop that one, or choose another with --port N"
    if why.errno == errno.EACCES:
        return f"{where}: not allowed; ports below 1024 need root: choose another with --port N"
    return f"cannot listen on {where}: {why.strerror or why}"


class Server(HTTPServer):
    """Tornado's, with a bound on connections, and on how long a client may take nothing of what waits for it."""

    max_connections = 2000
    websockets: Collection[object] = ()  # they have left the connections that Tornado counts
    write_timeout_ms = 75_000

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        if len(self._connections) + len(self.websockets) >= self.max_connections:
            log.warning("connection from %s refused: %d are open ([server] max_connections)", address[0],
                        self.max_connections)  # fmt: skip
            stream.close()
            return
        # The kernel sees whether the other side takes anything; what Tornado has for writing knows no time.
        stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self.write_timeout_ms)
        super().handle_stream(stream, address)


class Proxy:
    """Everything that serves: start() it on a running loop with bound sockets, stop() it to drain."""

    def __init__(self, chosen: Settings, sockets: list[socket.socket], journal: logs.Journal) -> None:
        self._demo: Demo | None = None
        self.settings = chosen
        self.service = Service(chosen, journal, self._start_demo())
        self._server = Server(
            Door(self.service),  # type: ignore[arg-type]
            idle_connection_timeout=chosen.server.idle_timeout,
            max_header_size=MAX_HEADER_BYTES,
            max_body_size=sys.maxsize,  # the gateway says 413, and reads on for body_timeout so that it is read
            max_buffer_size=READ_BUFFER_BYTES,
        )
        self._server.max_connections = _connections_that_fit(chosen)
        self._server.websockets = self.service.sessions
        self._server.write_timeout_ms = int(chosen.server.idle_timeout * 1000)
        self._sockets = sockets

    def __repr__(self) -> str:
        return f"<Proxy {self.service!r}>"

    async def start(self) -> None:
        self._server.add_sockets(self._sockets)
        await self.service.start()

    async def stop(self) -> None:
        """Stops accepting, lets requests finish for drain_seconds, then ends what is left."""
        self._server.stop()
        await self.service.stop(self.settings.server.drain_seconds)
        await self._server.close_all_connections()
        if self._demo is not None:
            await self._demo.stop()

    def _start_demo(self) -> dict[str, Upstream]:
        """The built-in upstream listens on a loopback port of its own; its address and key are known only now."""
        demos = [up for up in self.settings.upstreams.values() if up.is_demo and up.enabled]
        if not demos:
            return {}
        token = secrets.token_urlsafe(24)
        self._demo = Demo(token)
        url = self._demo.start()
        return {up.name: dataclasses.replace(up, base_url=url, api_key=token, keys=()) for up in demos}


def _connections_that_fit(chosen: Settings) -> int:
    """[server] max_connections, or as many as the system gives us files for, said in a warning. Without a file left,
    accepting fails, and is tried again without end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = chosen.pool.max_connections + OTHER_FILES
    wanted = chosen.server.max_connections + others
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return chosen.server.max_connections
    fit = max(1, soft - others)
    log.warning("only %d client connections instead of %d ([server] max_connections): the limit of open files is %d; "
                "raise it by ulimit -n or LimitNOFILE=", fit, chosen.server.max_connections, soft)  # fmt: skip
    return fit


async def serve(chosen: Settings, sockets: list[socket.socket], journal: logs.Journal) -> None:
    """Runs until SIGTERM or SIGINT, then drains; a second signal ends at once."""
    stopping = _signals()
    proxy = Proxy(chosen, sockets, journal)
    await proxy.start()
    with contextlib.suppress(BrokenPipeError):  # `proxy.py | head -1` is no reason not to serve
        print(greeting(chosen, proxy.service.router, sockets[0].getsockname()[1], VERSION), flush=True)
    gc.collect()
    gc.freeze()  # what is there now stays; the collector need not look at it again
    gc.set_threshold(20_000, 50, 100)
    await stopping.wait()
    await proxy.stop()


def _signals() -> asyncio.Event:
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopping


if __name__ == "__main__":
    sys.exit(main())
