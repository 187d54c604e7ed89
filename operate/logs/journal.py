"""Logs: one JSON object a line, in logs/, written where they cannot hold a request up.

performance.json has a record per finished request, errors.json one per failure, api_requests.json a short line for each
request of any kind, requests.json the bodies where they are asked for, proxy.json what the loggers say. A Journal knows
which of them is wanted, which costs one attribute test to ask; what is wanted goes as it is to the writer's thread
(writer.py), which serialises, masks and writes it. Everything may change while the proxy runs (`adopt`).
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from operate import place
from operate.logs import lines
from operate.logs.capture import capture
from operate.logs.redaction import Redaction
from operate.logs.rotation import Rotation
from operate.logs.stream import STREAMS
from operate.logs.writer import LINE_BYTES, Place, ToWriter, Writer
from operate.settings.schema import LOGGERS
from operate.settings.sections import Logging

MAX_PATH = 200  # characters of a path in a log: strangers choose them


_WANTED = {
    (one, two, three): frozenset([lines.PERFORMANCE] * one + [lines.API_REQUESTS] * two + [lines.ERRORS] * three)
    for one in (False, True) for two in (False, True) for three in (False, True)
}  # fmt: skip


class Journal:
    """performance, errors, api_requests: whether such lines are wanted. request_bodies, response_bodies: which of them,
    None = none. redaction: what must not be shown, for all that is written or shown anywhere. clock: as time.time.

    It has a thread of its own from the start: made in the process that uses it, and ended by close()."""

    def __init__(
        self, settings: Logging, folder: Path, secrets: Sequence[str] = (), clock: Callable[[], float] = time.time
    ) -> None:
        self.redaction = Redaction(secrets)
        self.clock = clock
        self._dir, self._folder = settings.dir, folder
        self._unwritable: tuple[Path, str] = (folder, "")
        self._adopt(settings)
        self._writer = Writer(self._place(settings), self.redaction, clock)
        self._writer.start()

    def __repr__(self) -> str:
        return f"<Journal {self._writer!r}>"

    @property
    def lost(self) -> int:
        """Lines that were to be written and are in no file: the disk was full, or there were too many at once."""
        return self._writer.lost

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder

    @property
    def waiting(self) -> int:
        """Counts the lines that are still to be written."""
        return len(self._writer.waiting)

    def adopt(self, settings: Logging, secrets: Sequence[str]) -> None:
        """Takes over other settings from the next line on, the loggers' levels among them."""
        self.redaction.configure(secrets)
        if settings.dir != self._dir:
            self._dir, self._folder = settings.dir, folder_of(settings)
        self._adopt(settings)
        self._writer.place = self._place(settings)
        set_levels(settings)

    def _adopt(self, settings: Logging) -> None:
        level = settings.level_of("access")
        self.performance = self.api_requests = level <= logging.INFO
        self.errors = level <= logging.ERROR
        self.request_bodies = capture(settings.request_bodies)
        self.response_bodies = capture(settings.response_bodies)
        self.logs_bodies = self.request_bodies is not None or self.response_bodies is not None
        self.body_bytes = settings.body_kb << 10

    def _place(self, settings: Logging) -> Place:
        rotation = Rotation(settings.rotate_mb << 20, settings.rotate_hours * 3600, settings.keep_files)
        screen = logging.DEBUG if settings.debug else logging.WARNING
        stream = STREAMS.get(settings.dir, 0) or self._refuge()
        return Place(self._folder, rotation, screen, stream)

    def _refuge(self) -> int:
        """Standard error where nothing can be written in the folder, which is said once: never silence."""
        why = place.why_unwritable(self._folder)
        if why and self._unwritable != (self._folder, why):
            instead = "log lines go to standard error, and none is lost ([logging] dir)"
            say = f"cannot write in {self._folder} ({why}): {instead}\n"
            with contextlib.suppress(OSError):
                sys.stderr.write(say)
        self._unwritable = (self._folder, why)
        return STREAMS["stderr"] if why else 0

    # ------------------------------------------------------------------------------------ what is written

    def wants(self, failed: bool) -> bool:
        """Whether a finished request's record goes anywhere: none need be made otherwise."""
        return self.performance or self.api_requests or (failed and self.errors)

    def finished(self, record: dict[str, Any]) -> None:
        """record: of gateway/observe/record.py, with its time first; nobody changes it any more."""
        self._put(self._wanted, record["time"], record)

    def request(self, method: str, path: str, status: int, ms: float, client: str, key: str = "") -> None:
        """Logs a request that no model was to answer."""
        line = {"method": method[:20], "request_id": key, "client": client, "path": path[:MAX_PATH]}
        self._put("api_requests", self.clock(), line | {"status": status, "ms": round(ms, 2)})

    def body(self, what: str, key: str, body: bytes | bytearray, size: int | None = None) -> None:
        """what: "request" (as sent upstream), "refused request" (as the client sent it) or "response" (as sent to the
        client). size: of the whole body, where `body` is only its beginning."""
        size = len(body) if size is None else size
        line = {"request_id": key, "what": what, "size": size, "body": body[: self.body_bytes]}
        self._put("requests", self.clock(), line, LINE_BYTES + min(size, self.body_bytes))

    def _put(self, file: str | frozenset[str], when: float, line: dict[str, Any], size: int = LINE_BYTES) -> None:
        self._writer.put((file, when, line, 0), size)

    @property
    def _wanted(self) -> frozenset[str]:
        return _WANTED[self.performance, self.api_requests, self.errors]

    def close(self) -> None:
        """Writes what waits, and ends."""
        self._writer.stop()


def folder_of(settings: Logging) -> Path:
    """Where the log files go, and the books beside them: a relative folder counts from the program's home. Where log
    lines go to a stream, it is the default one."""
    return place.home() / ("logs" if settings.dir in STREAMS else settings.dir)


def install(settings: Logging, journal: Journal) -> None:
    """The loggers' levels, and where they write: proxy.json, and standard error from warning on (all with debug)."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    to_writer = ToWriter(journal._writer)
    to_writer.setFormatter(logging.Formatter("%(message)s"))
    root.addHandler(to_writer)
    root.setLevel(logging.WARNING)
    set_levels(settings)


def set_levels(settings: Logging) -> None:
    """Sets the loggers' levels. It may be called at any time."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(settings.level_of(name))
