#!/usr/bin/env python3
"""anthropic-proxy: one address for Anthropic Messages, OpenAI Chat Completions and Responses, and Google Gemini.

Read this file first. `main` reads the command line and settings.ini and binds the port. `serve` builds the Service
(gateway/runtime.py), prints the banner, and runs until a signal comes, in this process or in each of several workers
(operate/supervisor.py). gateway/endpoints.py has the table of paths; gateway/flow/flow.py is what happens to a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import gc
import importlib
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable

try:
    import tornado  # noqa: F401  # the first of what is to be installed
except ModuleNotFoundError as missing:
    sys.exit(f"proxy.py: {missing.name} is not installed for {sys.executable}: type  ./run.sh  in this folder")
else:
    gc.disable()  # until all is loaded: nothing of it is garbage, and the looking takes a tenth of the time

from msgspec import structs

from console import commands, start_options
from console.mount import Console
from gateway.batches.runner import Runner
from gateway.endpoints import Door
from gateway.http.listener import make_server
from gateway.process.banner import banner
from gateway.process.mistakes import mistakes
from gateway.process.reload import Reload
from gateway.process.upgrade import Upgrade
from gateway.process.watch import Watch
from gateway.process.worker_rpc import WorkerRpc
from gateway.routing.router import Router
from gateway.runtime import Service
from operate import extras, handover, installation, listening, memory, privileges, systemd
from operate.logs.fields import SHOWN, fields
from operate.logs.journal import Journal, folder_of, install
from operate.printing import printed
from operate.settings.file_watch import Source
from operate.settings.load import Settings, SettingsError, Upstream
from operate.supervisor import KILLED, Supervisor, Worker
from operate.terminal import Terminal
from operate.version import VERSION

gc.freeze()
gc.enable()

log = logging.getLogger("proxy")

LATER = (
    *("argparse", "difflib", "sqlite3", "tempfile", "zoneinfo"),
    *("prometheus_client.core", "prometheus_client.exposition"),
    "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd",
    *("demo.server", "gateway.batches.fleet_queue", "gateway.shared.redis_store", "gateway.shared.sqlite_store"),
    *("gateway.credentials.aws", "gateway.credentials.command", "gateway.credentials.google_account"),
    *("gateway.flow.made_files", "gateway.hooks.hooks"),
)
"""What a process loads only when something needs it; a test holds that all of it is here."""

EX_CONFIG = 78  # sysexits.h: the settings have an error
EX_UNAVAILABLE = 69
LINGER_S = 0.25  # at shutdown, the shortest time in which a reply can still say that its connection ends


def main(argv: list[str] | None = None) -> int:
    """Runs the program and returns its exit code: 0, 69 (the port cannot be used) or 78 (the settings have an error). A
    command other than start has exit codes of its own."""
    given = sys.argv[1:] if argv is None else argv
    name = commands.asked(given)
    if name != "start":
        return printed(lambda: commands.run(name, given[1:]))
    options = start_options.read(given[1:] if given[:1] == ["start"] else given, (__doc__ or "").partition("\n")[0])
    privileges.harden()
    memory.give_back_large_blocks()
    source = Source(options.config, options.set)
    try:
        chosen = source.read()
    except SettingsError as problems:
        print(problems, file=sys.stderr)
        return EX_CONFIG
    if options.print_config:
        return printed(lambda: print("\n".join(chosen.describe())))
    if options.check_config:
        print(_checked(chosen))
        return 0
    return _run(options, source, chosen)


def _run(options: start_options.Options, source: Source, chosen: Settings) -> int:
    """Opens the sockets, and serves until the end. Returns the exit code."""
    try:
        extras.ensure(extras.needed(chosen), functools.partial(print, flush=True))
    except extras.Missing as why:
        print(why, file=sys.stderr)
        return EX_CONFIG
    # Many servers open their logs anew at SIGUSR1, and so logrotate sends it; its default would end this one.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    installation.commit()  # remembered: neither a loop nor each worker waits for git
    try:
        sockets = handover.taken_over(listening.address(chosen.server)) or listening.bound(chosen.server)
    except (OSError, UnicodeError) as why:  # UnicodeError: a name that is not valid
        print(_cannot_listen(chosen, why), file=sys.stderr)
        return EX_UNAVAILABLE
    if chosen.server.workers > 1 or chosen.server.user:  # workers share it, and another user may not read the files
        for module in LATER:
            importlib.import_module(module)
    try:
        chosen = _as_user(chosen, source)
    except (privileges.Refused, SettingsError) as why:
        print(f"[server] user = {chosen.server.user}: {why}", file=sys.stderr)
        return EX_CONFIG
    if options.config is None and installation.is_shipped(installation.settings_file()):
        where = f"{installation.home() / 'settings.ini'} nor {installation.SYSTEM}"
        own = f"{installation.command()} init"
        print(f"There is neither {where}, so the shipped settings are used. To make your own: {own}")
    if chosen.server.workers == 1:
        return _work(sockets, source, chosen)
    work = functools.partial(_work, sockets, source)
    return Supervisor(source, chosen, sockets, work, listening.address(chosen.server)).run()


def _checked(chosen: Settings) -> str:
    """What --check-config says of settings without an error. It leaves nothing behind."""
    folder, stream = folder_of(chosen.logging), chosen.logging.stream or "stderr"
    doubts = mistakes(chosen, Router(chosen))
    if chosen.logging.to_files and (why := installation.why_unwritable(folder, keep=False)):
        doubts.insert(0, f"[logging] dir: cannot write in {folder} ({why}): log lines would go to {stream}")
    files = {"[usage] file": chosen.usage.file, "[batches] file": chosen.batches.file,
             "[responses] owners": chosen.responses.owners}  # fmt: skip
    for key, file in files.items():
        place = (folder / file).parent
        is_told = chosen.logging.to_files and place == folder
        if file and not is_told and (why := installation.why_unwritable(place, keep=False)):
            doubts.append(f"{key}: cannot write in {place} ({why})")
    return "\n".join(f"ok, but {doubt}" for doubt in doubts) or "ok"


def _as_user(chosen: Settings, source: Source) -> Settings:
    """Becomes the user of [server] user, and reads the settings again as that user, who also reads later changes.
    Raises Refused or SettingsError."""
    if not chosen.server.user:
        return chosen
    privileges.become(chosen.server.user, folder_of(chosen.logging))
    return source.read()


def _work(sockets: list[socket.socket], source: Source, chosen: Settings, worker: Worker | None = None) -> int:
    """Runs one process from its start to its end. worker: None = it is the only one."""
    journal = Journal(chosen.logging, folder_of(chosen.logging), chosen.secrets())
    install(chosen.logging, journal)
    try:
        asyncio.run(serve(chosen, sockets, journal, source, worker))
    finally:
        journal.close()
    return 0


def _cannot_listen(chosen: Settings, why: OSError | UnicodeError) -> str:
    if isinstance(why, UnicodeError):
        return f"cannot listen on {chosen.server.host}: that is not a valid host name; see [server] host"
    where = why.filename or chosen.server.host
    if where in chosen.server.hosts:  # a Unix socket
        return f"cannot listen on {where}: {why.strerror or why}"
    if why.errno == errno.EADDRINUSE:
        return f"another program is using {where}: stop it, or choose another port with --port N"
    if why.errno == errno.EACCES:
        return f"cannot listen on {where}: ports below 1024 need root; choose another port with --port N"
    return f"cannot listen on {where}: {why.strerror or why}"


class Proxy:
    """Everything that serves requests in one process. start() and stop() need a running event loop."""

    def __init__(
        self,
        chosen: Settings,
        sockets: list[socket.socket],
        journal: Journal,
        source: Source | None = None,
        worker_rpc: WorkerRpc | None = None,
    ) -> None:
        """sockets: bound ones. source: the settings file that is watched for changes, if any. worker_rpc: the other
        workers, if any."""
        self._demo: tuple[str, str] | None = None  # the address and the key of the built-in server, if it runs
        self._stop_demo: Callable[[], Awaitable[None]] | None = None
        addresses = listening.with_ports(sockets)
        self.service = Service(chosen, journal, self._demos(chosen), worker_rpc, addresses)
        self.console = Console(self.service)
        self._batches = Runner(self.service, self.service.batches)
        self._door = Door(self.service, self.console.rows)
        self._server = make_server(self._door, self._door.idle, self.service.in_flight.sessions)
        self.service.connections = self._server
        self._sockets = sockets
        self.reload = Reload(self.service, source, self.adopt) if source is not None else None
        self._server.adopt(chosen)

    def __repr__(self) -> str:
        return f"<Proxy {self.service!r}>"

    async def start(self) -> None:
        """No request is served before this process knows what the others know: limits, resting keys, drained upstreams.
        Clients that connect meanwhile wait for their connection to be accepted."""
        self.console.start()
        await self.service.start()
        self._server.add_sockets(self._sockets)
        await self.service.prewarm()
        self._batches.start()
        if self.reload is not None:
            self.reload.start()

    def adopt(self, chosen: Settings) -> None:
        """Puts changed settings in force. They have been checked, and fit a running proxy
        (operate/settings/changes.py)."""
        self.service.adopt(chosen, self._demos(chosen))
        self.console.adopt(chosen)
        self._door.adopt(chosen)
        self._server.adopt(chosen)

    async def stop(self, replaced: bool = False) -> None:
        """Stops accepting, lets requests finish for drain_seconds, and ends those that are left. replaced: another
        process serves in its place, so that requests may take upgrade_seconds."""
        chosen = self.service.settings.server
        within_s = chosen.upgrade_seconds if replaced else chosen.drain_seconds
        if self.reload is not None:
            await self.reload.stop()
        if chosen.drain_delay and not replaced:
            self.service.in_flight.stage = "leaving"  # as /readyz says it
            await asyncio.sleep(chosen.drain_delay)
        self._server.stop()
        self.service.drain()
        self._batches.drain()
        # A client that does not know yet may be sending its next request on an open connection.
        begun = time.monotonic()
        await self._server.emptied(within_s if replaced else min(LINGER_S, within_s))
        within_s = max(0.0, within_s - (time.monotonic() - begun)) if replaced else within_s
        await self.service.stop(within_s)
        await self._batches.stop()
        await self.console.stop()
        self.service.shared.stop()
        await self._server.close_all_connections()
        if self._stop_demo is not None:
            await self._stop_demo()

    def _demos(self, chosen: Settings) -> dict[str, Upstream]:
        """The demo upstreams, with the address and key of the built-in server, which is started if it is needed. Once
        it runs, it runs to the end."""
        demos = [up for up in chosen.upstreams.values() if up.is_demo and up.enabled]
        if demos and self._demo is None:
            from demo.server import Demo

            key = secrets.token_urlsafe(24)
            demo = Demo(key)
            self._demo, self._stop_demo = (demo.start(), key), demo.stop
        if not demos or self._demo is None:
            return {}
        url, token = self._demo
        return {up.name: structs.replace(up, base_url=url, api_key=token, keys=()) for up in demos}


async def serve(
    chosen: Settings, sockets: list[socket.socket], journal: Journal, source: Source, worker: Worker | None
) -> None:
    """Serves until SIGTERM or SIGINT comes, then drains; a second signal ends the process at once. SIGHUP reads the
    settings again, and SIGUSR2 starts another process that takes over."""
    worker_rpc = WorkerRpc(worker.number, worker.of, worker.secret) if worker else None
    proxy = Proxy(chosen, sockets, journal, source, worker_rpc)
    proxy.service.restarts = worker.restarts if worker is not None else 0
    watch = Watch(worker)
    upgrade = Upgrade(sockets, listening.address(chosen.server)) if worker is None else None
    stopping = _signals(proxy, worker, upgrade)
    await proxy.start()
    _log_start(proxy, worker)
    if worker is not None and worker.why:
        log.error("%s", worker.why, extra=SHOWN | fields(event="worker ended", worker=worker.number))
    elif worker is None or worker.number == 0:
        with contextlib.suppress(OSError):  # it must serve even if nobody reads this, as with `proxy.py | head -1`
            print(banner(chosen, proxy.service.router, listening.port_of(sockets), VERSION), flush=True)
    watch.start()
    memory.collect_seldom()
    await stopping.wait()
    log.info("%s: process %d stops, with %d requests on their way", stopping.why, os.getpid(), len(proxy.service.flows),
             extra=fields(event="stop", why=stopping.why, pid=os.getpid()))  # fmt: skip
    if not stopping.replaced and worker is None:
        systemd.stopping()
    await proxy.stop(stopping.replaced)
    watch.stop()
    log.info("process %d has stopped", os.getpid(), extra=fields(event="stopped", pid=os.getpid()))


def _log_start(proxy: Proxy, worker: Worker | None) -> None:
    chosen, pid = proxy.service.settings, os.getpid()
    facts = fields(event="start", version=VERSION, commit=installation.commit(), pid=pid, settings=str(chosen.file),
                   worker=worker.number if worker else None, workers=chosen.server.workers)  # fmt: skip
    at = ", ".join(listening.named(host, chosen.server.port) for host in chosen.server.hosts)
    log.info("anthropic-proxy %s serves as process %d at %s", VERSION, pid, at, extra=facts)


class Stopping(asyncio.Event):
    """Is set when the proxy is to stop. why: the reason. replaced: another process serves in its place."""

    replaced = False
    why = ""

    def because(self, why: str) -> None:
        self.why = why
        self.set()


def _signals(proxy: Proxy, worker: Worker | None, upgrade: Upgrade | None) -> Stopping:
    stopping = Stopping()
    loop = asyncio.get_running_loop()
    terminal = Terminal()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            os._exit(KILLED)
        stopping.because(number.name)

    def hang_up() -> None:
        if worker is None and terminal.gone():
            stopping.because("the terminal is gone")
        elif proxy.reload is not None:
            proxy.reload.now()

    def replaced() -> None:
        stopping.replaced = True
        stopping.because("another process serves")

    def orphaned(lifeline: int) -> None:
        loop.remove_reader(lifeline)
        stopping.because("the supervisor is gone")

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    loop.add_signal_handler(signal.SIGUSR2, functools.partial(upgrade.begin, replaced) if upgrade else replaced)
    if worker is not None:
        loop.add_reader(worker.lifeline, orphaned, worker.lifeline)
    return stopping


if __name__ == "__main__":
    sys.exit(main())
