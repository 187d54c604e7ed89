#!/usr/bin/env python3
"""anthropic-proxy: one address for Anthropic Messages, OpenAI Chat Completions and OpenAI Responses.

Read this first. `main` reads the command line and settings.ini, `serve` builds the Service (gateway/service.py),
binds the port, prints what to paste where, and runs until a signal. What happens to a request is
gateway/relay.py; which path leads there is the table in gateway/door.py.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import errno
import gc
import logging
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets

from gateway.door import Door
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
DRAIN_READ_FACTOR = 4  # an oversized body is read up to this many times the limit, so that the 413 is read


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
    except OSError as why:
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


def _cannot_listen(chosen: Settings, why: OSError) -> str:
    where = f"{chosen.server.host}:{chosen.server.port}"
    if why.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program: stop that one, or choose another with --port N"
    if why.errno == errno.EACCES:
        return f"{where}: not allowed; ports below 1024 need root: choose another with --port N"
    return f"cannot listen on {where}: {why.strerror or why}"


class Server(HTTPServer):
    """Tornado's, with a bound on connections."""

    max_connections = 2000

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        if len(self._connections) >= self.max_connections:
            log.warning("connection from %s refused: %d are open ([server] max_connections)", address[0],
                        self.max_connections)  # fmt: skip
            stream.close()
            return
        super().handle_stream(stream, address)


class Proxy:
    """Everything that serves: start() it on a running loop with bound sockets, stop() it to drain."""

    def __init__(self, chosen: Settings, sockets: list[socket.socket], journal: logs.Journal) -> None:
        self._demo: Demo | None = None
        self.settings = chosen
        self.service = Service(chosen, journal, self._start_demo())
        limit = self.service.max_body_bytes * DRAIN_READ_FACTOR
        self._server = Server(
            Door(self.service),  # type: ignore[arg-type]
            idle_connection_timeout=chosen.server.idle_timeout,
            body_timeout=chosen.server.body_timeout,
            max_header_size=MAX_HEADER_BYTES,
            max_body_size=limit,
            max_buffer_size=limit,
        )
        self._server.max_connections = chosen.server.max_connections
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
        return {up.name: dataclasses.replace(up, base_url=url, api_key=token) for up in demos}


async def serve(chosen: Settings, sockets: list[socket.socket], journal: logs.Journal) -> None:
    """Runs until SIGTERM or SIGINT, then drains; a second signal ends at once."""
    stopping = _signals()
    proxy = Proxy(chosen, sockets, journal)
    await proxy.start()
    print(banner(chosen, sockets[0].getsockname()[1]), flush=True)
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


def banner(chosen: Settings, port: int) -> str:
    """Where it listens, what it has, what to paste."""
    host = chosen.server.host
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    url = f"http://{name}:{port}"
    key = "KEY-OF-A-CLIENT" if chosen.clients else "any-key"
    on = [up for up in chosen.upstreams.values() if up.enabled]
    lines = [f"anthropic-proxy {VERSION} listens on {url}", ""]
    for upstream in chosen.upstreams.values():
        if not upstream.enabled:
            lines.append(f"  {upstream.name:<12} off    {upstream.off_because}")
        elif upstream.is_demo:
            lines.append(
                f"  {upstream.name:<12} on     built in, answers offline; models demo, demo-slow, demo-429, ..."
            )
        else:
            lines.append(f"  {upstream.name:<12} on     {upstream.base_url} ({', '.join(upstream.protocol)})")
    if all(up.is_demo for up in on):
        lines += ["", "  Only the demo is on: it answers to every model. Set a key in the environment for a real one."]
    lines += [
        "",
        "Paste one of these:",
        f"  Claude Code    ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY={key} claude",
        f'  Anthropic SDK  anthropic.Anthropic(base_url="{url}", api_key="{key}")',
        f'  OpenAI SDK     openai.OpenAI(base_url="{url}/v1", api_key="{key}")',
        f"  Codex          PROXY_KEY={key} codex -c model_provider=proxy -c model_providers.proxy.name=proxy \\",
        f"                   -c model_providers.proxy.base_url={url}/v1 -c model_providers.proxy.wire_api=responses \\",
        "                   -c model_providers.proxy.env_key=PROXY_KEY",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
