"""The journal: the log files of the proxy, with one JSON object on each line.

performance.json has a record of each finished request, errors.json one of each failure, api_requests.json a short line
for each request of any kind, requests.json the bodies if they are wanted, and proxy.json the messages of the loggers. A
Journal knows which of them are wanted; to ask costs one look at an attribute. It gives the data to the thread in
writer.py, which makes lines of them where it has not, masks secrets and writes. All settings may change while the proxy
runs (`adopt`).
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from operate import installation
from operate.logs import lines
from operate.logs.capture import capture
from operate.logs.redaction import Redaction
from operate.logs.rotation import Rotation
from operate.logs.stream import STREAMS
from operate.logs.writer import LINE_BYTES, Destination, ToWriter, Writer
from operate.settings.schema_logging import LOGGERS
from operate.settings.sections import Logging

_NAMES = {"stdout": "standard output", "stderr": "standard error"}
MAX_PATH = 200  # the most characters of a path in a log line, since anybody may send any path


_WANTED = {
    (one, two, three): frozenset([lines.PERFORMANCE] * one + [lines.API_REQUESTS] * two + [lines.ERRORS] * three)
    for one in (False, True) for two in (False, True) for three in (False, True)
}  # fmt: skip


class Journal:
    """The logs of one process.

    performance, errors, api_requests: whether such lines are wanted. request_bodies, response_bodies: which bodies are
    wanted, None = none. redaction: masks secrets, here and in everything else that the proxy writes. clock: a function
    like time.time. A journal starts its thread at once, so that it is made in the process that uses it; close() ends
    it.
    """

    def __init__(
        self, settings: Logging, folder: Path, secrets: Sequence[str] = (), clock: Callable[[], float] = time.time
    ) -> None:
        self.redaction = Redaction(secrets)
        self.clock = clock
        self._dir, self._folder = settings.folder, folder
        self._unwritable: tuple[Path, str] = (folder, "")
        self._adopt(settings)
        self._writer = Writer(self._destination(settings), self.redaction, clock)
        self._writer.start()

    def __repr__(self) -> str:
        return f"<Journal {self._writer!r}>"

    @property
    def lost(self) -> int:
        """How many lines could not be written, because the disk was full or too many came at once."""
        return self._writer.lost

    @property
    def trouble(self) -> str:
        """Why lines are not written where they should be; "" = they are."""
        return self._writer.trouble or self._unwritable[1]

    @property
    def folder(self) -> Path:
        """The folder of the log files."""
        return self._folder

    @property
    def waiting(self) -> int:
        """How many lines are still to be written."""
        return len(self._writer.waiting)

    def adopt(self, settings: Logging, secrets: Sequence[str]) -> None:
        """Takes over changed settings, also the loggers' levels. They count from the next line on."""
        self.redaction.configure(secrets)
        if settings.folder != self._dir:
            self._dir, self._folder = settings.folder, folder_of(settings)
        self._adopt(settings)
        self._writer.place = self._destination(settings)
        set_levels(settings)

    def _adopt(self, settings: Logging) -> None:
        level = settings.level_of("access")
        self.performance = self.api_requests = level <= logging.INFO
        self.errors = level <= logging.ERROR
        self.request_bodies = capture(settings.request_bodies)
        self.response_bodies = capture(settings.response_bodies)
        self.body_bytes = settings.body_kb << 10

    def _destination(self, settings: Logging) -> Destination:
        rotation = Rotation(settings.rotate_mb << 20, settings.rotate_hours * 3600, settings.keep_files)
        screen = logging.DEBUG if settings.debug else logging.WARNING
        stream = settings.stream
        files = settings.to_files and self._is_writable(stream or "stderr")
        if not files and not stream:
            stream = "stderr"
        return Destination(self._folder, rotation, screen, STREAMS.get(stream, 0), files, self._wanted)

    def _is_writable(self, otherwise: str) -> bool:
        """Whether files can be written in the folder. It reports once that they cannot, and that lines go to this
        stream."""
        why = installation.why_unwritable(self._folder)
        if why and self._unwritable != (self._folder, why):
            instead = f"log lines go to {_NAMES[otherwise]} instead, and none is lost; see [logging] dir and to"
            with contextlib.suppress(OSError):
                sys.stderr.write(f"cannot write in {self._folder} ({why}): {instead}\n")
        self._unwritable = (self._folder, why)
        return not why

    # ------------------------------------------------------------------------------------------- lines

    def wants(self, failed: bool) -> bool:
        """Whether the record of a finished request is written to any file. If not, none need be made."""
        return self.performance or self.api_requests or (failed and self.errors)

    def finished(self, record: dict[str, Any]) -> None:
        """Logs a finished request. record: made by gateway/observe/record.py, which has masked its texts."""
        for file, line in lines.of_record(record, self._wanted):
            self._writer.put_ready(file, line)

    def request(self, method: str, path: str, status: int, ms: float, client: str, key: str = "") -> None:
        """Logs a request that is not for a model, such as for /v1/models."""
        line = {"method": method[:20], "request_id": key, "client": client, "path": path[:MAX_PATH]}
        self._put("api_requests", self.clock(), line | {"status": status, "ms": round(ms, 2)})

    def body(self, what: str, key: str, body: bytes | bytearray, size: int | None = None) -> None:
        """Logs a body. what: "request" (as it was sent to the upstream), "refused request" (as the client sent it) or
        "response" (as it was sent to the client). size: of the whole body, if `body` is only its beginning."""
        size = len(body) if size is None else size
        line = {"request_id": key, "what": what, "size": size, "body": body[: self.body_bytes]}
        self._put("requests", self.clock(), line, LINE_BYTES + min(size, self.body_bytes))

    def _put(self, file: str, when: float, line: dict[str, Any], size: int = LINE_BYTES) -> None:
        self._writer.put((file, when, line, 0), size)

    @property
    def _wanted(self) -> frozenset[str]:
        return _WANTED[self.performance, self.api_requests, self.errors]

    def close(self) -> None:
        """Writes the lines that wait, and ends the thread."""
        self._writer.stop()


def folder_of(settings: Logging) -> Path:
    """The folder of the log files and of the usage store. A relative folder starts at the program's home."""
    return installation.home() / settings.folder


def install(settings: Logging, journal: Journal) -> None:
    """Makes the loggers write to proxy.json, and to standard error from warning on (with debug, everything)."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    to_writer = ToWriter(journal._writer)
    to_writer.setFormatter(logging.Formatter("%(message)s"))
    root.addHandler(to_writer)
    root.setLevel(logging.WARNING)
    set_levels(settings)


def set_levels(settings: Logging) -> None:
    """Sets the levels of the loggers."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(settings.level_of(name))
