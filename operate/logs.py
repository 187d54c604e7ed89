"""Logs: one JSON object a line, in logs/, written where they cannot hold a request up.

performance.json has a record per finished request, errors.json one per failure, requests.json the bodies where
they are asked for, proxy.json what the loggers say. Lines are gathered and written by one thread; when it cannot
keep up, or the disk is full, lines are dropped and counted rather than memory filled. A level that is off costs
one attribute test. Whatever holds one of the secrets that the settings know is masked here, by value, whoever wrote it.
"""

from __future__ import annotations

import collections
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ujson

from operate.schema import LOGGERS
from operate.sections import Logging

MAX_WAITING_BYTES = 32 << 20  # of lines that the thread has not written yet
EVERY_S = 0.2
MAX_BODY_BYTES = 64 * 1024  # of a body in the log
ROTATE_BYTES = 50 << 20
KEPT_FILES = 3
MASK = "[secret]"
MIN_SECRET = 8  # characters; shorter ones stand in innocent words


def worth_masking(secrets: Sequence[str]) -> list[str]:
    """Those long enough, longest first, also as they look inside a JSON string, and inside one of a body that is
    itself a string of a log line."""
    long = {secret for secret in secrets if len(secret) >= MIN_SECRET}
    for _ in range(2):
        long |= {ujson.dumps(secret, escape_forward_slashes=False)[1:-1] for secret in long}
    return sorted(long, key=lambda secret: (-len(secret), secret))


class _File:
    """A log file that is appended to in whole lines. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)  # what fails is not kept to be written half, later

    def __repr__(self) -> str:
        return f"<_File {self._path}>"

    def write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]

    def is_current(self) -> bool:
        """Whether it is still the file of that name: somebody may have removed or rotated it."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    def is_full(self) -> bool:
        return os.fstat(self._file.fileno()).st_size >= ROTATE_BYTES

    def close(self) -> None:
        self._file.close()

    def rotate(self) -> None:
        """Closes it, and moves it and the older ones on by one."""
        self.close()
        for n in range(KEPT_FILES - 1, 0, -1):
            older = self._path.with_suffix(f".json.{n}")
            if older.exists():
                older.replace(self._path.with_suffix(f".json.{n + 1}"))
        self._path.replace(self._path.with_suffix(".json.1"))


class Journal:
    """performance, errors, request_bodies, response_bodies: whether any sink takes such lines."""

    def __init__(self, settings: Logging, folder: Path, secrets: Sequence[str] = ()) -> None:
        info = settings.level_of("access") <= logging.INFO
        self.performance = info
        self.errors = settings.level_of("access") <= logging.ERROR
        self.request_bodies = settings.request_bodies
        self.response_bodies = settings.response_bodies
        self._secrets = worth_masking(secrets)
        self._folder = folder
        self._files: dict[str, _File] = {}
        self._waiting: collections.deque[tuple[str, str]] = collections.deque()
        self._put_bytes = self._taken_bytes = 0  # each has one writer: the loop, the thread
        self._dropped = self._dropped_told = 0
        self._trouble = ""  # why lines are being lost; said when it begins, and when it is over
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._run, name="journal", daemon=True)
        self._writer.start()

    def __repr__(self) -> str:
        return f"<Journal {self._folder} {len(self._waiting)} waiting, {self._dropped} dropped>"

    def finished(self, record: dict[str, Any]) -> None:
        if self.performance:
            self._put("performance", {"time": time.time(), "message": "HTTP request completed"} | record)

    def failed(self, record: dict[str, Any], kind: str, message: str) -> None:
        self.finished(record | {"error": kind})
        if self.errors:
            self._put("errors", {"time": time.time(), "message": message, "error": kind} | record)

    def body(self, what: str, key: str, body: bytes | bytearray, size: int | None = None) -> None:
        """what: "request" (as sent upstream) or "response" (as sent to the client). size: of the whole body, where
        `body` is only its beginning."""
        text = body[:MAX_BODY_BYTES].decode("utf-8", "replace")
        size = len(body) if size is None else size
        self._put("requests", {"time": time.time(), "request_id": key, "what": what, "size": size, "body": text})

    def said(self, record: logging.LogRecord, text: str) -> None:
        line = {
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": text,
        }
        self._put("proxy", line)

    def close(self) -> None:
        """Writes what waits."""
        self._closing.set()
        self._writer.join(timeout=5)

    # ---------------------------------------------------------------------------------------- the thread

    def _put(self, name: str, line: dict[str, Any]) -> None:
        """Makes the line here and leaves it for the thread, which is not woken: a wake-up for every line would
        cost a request more than the line itself."""
        if self._put_bytes - self._taken_bytes > MAX_WAITING_BYTES:
            self._dropped += 1
            return
        text = ujson.dumps(line, ensure_ascii=False, escape_forward_slashes=False)
        self._put_bytes += len(text)
        self._waiting.append((name, text))

    def _run(self) -> None:
        while not self._closing.wait(EVERY_S):
            self._write()
        self._write()
        for name in list(self._files):
            self._forget(name)

    def _write(self) -> None:
        by_file: dict[str, list[str]] = {}
        for _ in range(len(self._waiting)):
            name, text = self._waiting.popleft()
            by_file.setdefault(name, []).append(text)
        trouble = ""
        for name, texts in by_file.items():
            text = self._masked("\n".join(texts)) + "\n"
            try:
                self._file(name).write(text.encode("utf-8", "backslashreplace"))
            except OSError as why:
                self._dropped += len(texts)
                self._forget(name)
                trouble = f"{self._folder}/{name}.json: {why.strerror or why}"
            self._taken_bytes += sum(map(len, texts))
        if by_file:
            self._tell(trouble)

    def _tell(self, trouble: str) -> None:
        """Once when lines begin to be lost and once when that is over, not for every line: it may last all night."""
        if bool(trouble) != bool(self._trouble):
            said = f"log lines are being lost: {trouble}" if trouble else "log lines are written again"
            sys.stderr.write(f"WARNING logs: {said}\n")
        self._trouble = trouble
        if not trouble and self._dropped > self._dropped_told:
            lost, self._dropped_told = self._dropped - self._dropped_told, self._dropped
            line = {"time": time.time(), "level": "warning", "logger": "logs", "message": f"{lost} log lines were lost"}
            self._waiting.append(("proxy", ujson.dumps(line)))

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def _forget(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            file.close()

    def _file(self, name: str) -> _File:
        file = self._files.get(name)
        if file is not None and file.is_current() and not file.is_full():
            return file
        if file is not None:
            del self._files[name]
            if file.is_current():
                file.rotate()
            else:
                file.close()
        file = self._files[name] = _File(self._folder / f"{name}.json")
        return file


class _ToJournal(logging.Handler):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._journal.said(record, self.format(record))
        except Exception:
            self.handleError(record)


class _Masked(logging.Formatter):
    def __init__(self, pattern: str, journal: Journal) -> None:
        super().__init__(pattern)
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        return self._journal._masked(super().format(record))


def install(settings: Logging, journal: Journal) -> None:
    """The loggers' levels, and where they write: proxy.json, and standard error from warning on (all with debug)."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    to_file = _ToJournal(journal)
    to_file.setFormatter(logging.Formatter("%(message)s"))
    to_screen = logging.StreamHandler(sys.stderr)
    to_screen.setLevel(logging.DEBUG if settings.debug else logging.WARNING)
    to_screen.setFormatter(_Masked("%(levelname)s %(name)s: %(message)s", journal))
    root.addHandler(to_file)
    root.addHandler(to_screen)
    root.setLevel(logging.WARNING)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(settings.level_of(name))
