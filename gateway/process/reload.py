"""Reload: takes over changed settings while the proxy runs, after the file was saved or at SIGHUP.

The file is looked at once a second, and so are the certificates that it names (operate/settings/file_watch.py). It is
read in a thread, with `${ENV}` and key files. If it has any error, nothing changes, and the log has every error with
its line. Keys that change only at a restart are named in the log. `service.reloaded` has the last result for pages that
show it: {"time", "taken", "changed": [names], "restart": [names], "why": [errors]}.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from gateway.runtime import Service
from operate.logs.fields import fields
from operate.settings import changes
from operate.settings.file_watch import Source
from operate.settings.load import Settings, SettingsError

log = logging.getLogger("proxy")

EVERY_S = 1.0
SETTLE_S = 0.2  # the time until the next look at a file that is being written


class Reload:
    """Watches the settings from start() to stop(), on a running loop. take: a function that puts checked settings in
    force."""

    def __init__(self, service: Service, source: Source, take: Callable[[Settings], None]) -> None:
        self._service = service
        self._source = source
        self._take = take
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Reload {self._source!r}>"

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def now(self) -> None:
        """Reads the settings at once (SIGHUP), even if the file has not changed, because files that it names may
        have."""
        self._asked.set()

    async def _run(self) -> None:
        while True:
            # wait_for is not used: in Python 3.11 it loses a cancel that comes in the same moment as the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_S if self._source.settling else EVERY_S):
                    await self._asked.wait()
            saved = self._source.saved()
            if saved or self._asked.is_set():
                asked = self._asked.is_set() or self._source.named_saved
                self._asked.clear()
                await self._read(asked)

    async def _read(self, asked: bool) -> None:
        """asked: files that the settings name may have changed, though the settings have not."""
        try:
            new = await asyncio.get_running_loop().run_in_executor(None, self._source.read)
            if asked or self._source.whole():
                self._judge(new, asked)
        except SettingsError as faults:
            if asked or self._source.whole():
                self._refuse(faults)
        except Exception:
            self._tell(taken=False, why=["internal error of the proxy, see its log"])
            log.exception("an error in the proxy: the settings could not be changed, and the old ones stay in force")

    def _judge(self, new: Settings, asked: bool) -> None:
        old = self._service.settings
        settings, waits = changes.followed(old, new)
        names = changes.changed(old, settings)
        if names or asked:
            try:
                self._take(settings)
            except Exception:
                self._take(old)
                raise
        self._tell(taken=True, changed=names, restart=waits)
        self._say(logging.INFO, "%s was read again; changed: %s", new.file, ", ".join(names) or "nothing",
                  event="reload", changed=names, restart=waits)  # fmt: skip
        if waits:
            self._say(logging.WARNING, "%s: the changes of %s need a restart", new.file, ", ".join(waits))

    def _refuse(self, faults: SettingsError) -> None:
        why = list(map(str, faults.problems))
        self._tell(taken=False, why=why)
        self._say(logging.ERROR, "%s has errors, so that the old settings stay in force:\n%s",
                  self._service.settings.file, "\n".join(why), event="reload refused", why=why)  # fmt: skip

    def _say(self, level: int, message: str, *args: object, **facts: object) -> None:
        """Logs in the first worker only, as all workers do the same. facts: further fields of the line."""
        level = level if self._service.worker_rpc.number == 0 else logging.DEBUG
        log.log(level, message, *args, extra=fields(**facts))

    def _tell(self, *, taken: bool, **more: Any) -> None:
        self._service.reloads["taken" if taken else "refused"] += 1
        self._service.reloaded = {"time": time.time(), "taken": taken, "changed": [], "restart": [], "why": []} | more
