"""Logs: one JSON object a line, in logs/, written where they cannot hold a request up.

performance.json has a record per finished request, errors.json one per failure, requests.json the bodies where
they are asked for, proxy.json what the loggers say. Lines are gathered and written by one thread; when it cannot
keep up, lines are dropped and counted rather than memory filled. A level that is off costs one attribute test.
Whatever holds one of the secrets that the settings know is masked here, by value, whoever wrote it.
"""

from __future__ import annotations

import collections
import logging
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import ujson

from operate.schema import LOGGERS
from operate.sections import Logging

MAX_WAITING = 20_000  # lines
EVERY_S = 0.2
MAX_BODY_BYTES = 64 * 1024  # of a body in the log
ROTATE_BYTES = 50 << 20
KEPT_FILES = 3
MASK = "[secret]"


class Journal:
    """performance, errors, request_bodies, response_bodies: whether any sink takes such lines."""

    def __init__(self, settings: Logging, folder: Path, secrets: Sequence[str] = ()) -> None:
        info = settings.level_of("access") <= logging.INFO
        self.performance = info
        self.errors = settings.level_of("access") <= logging.ERROR
        self.request_bodies = settings.request_bodies
        self.response_bodies = settings.response_bodies
        self._secrets = tuple(secret for secret in secrets if len(secret) >= 8)
        self._folder = folder
        self._files: dict[str, TextIO] = {}
        self._waiting: collections.deque[tuple[str, str]] = collections.deque()
        self._dropped = 0
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

    def body(self, what: str, key: str, body: bytes) -> None:
        """what: "request" (as sent upstream) or "response" (as sent to the client)."""
        text = body[:MAX_BODY_BYTES].decode("utf-8", "replace")
        self._put(
            "requests",
            {"time": time.time(), "request_id": key, "what": what, "size": len(body), "body": text},
        )

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
        if len(self._waiting) >= MAX_WAITING:
            self._dropped += 1
            return
        self._waiting.append((name, ujson.dumps(line, ensure_ascii=False, escape_forward_slashes=False)))

    def _run(self) -> None:
        while not self._closing.wait(EVERY_S):
            self._write()
        self._write()
        for file in self._files.values():
            file.close()

    def _write(self) -> None:
        by_file: dict[str, list[str]] = {}
        for _ in range(len(self._waiting)):
            name, text = self._waiting.popleft()
            by_file.setdefault(name, []).append(text)
        for name, texts in by_file.items():
            try:
                file = self._file(name)
                file.write(self._masked("\n".join(texts)) + "\n")
                file.flush()
            except (OSError, UnicodeError) as why:
                self._dropped += len(texts)
                sys.stderr.write(f"{len(texts)} log lines lost: {self._folder}/{name}.json: {why}\n")

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def _file(self, name: str) -> TextIO:
        file = self._files.get(name)
        if file is not None and file.tell() < ROTATE_BYTES:
            return file
        path = self._folder / f"{name}.json"
        if file is not None:
            file.close()
            for n in range(KEPT_FILES - 1, 0, -1):
                older = path.with_suffix(f".json.{n}")
                if older.exists():
                    older.replace(path.with_suffix(f".json.{n + 1}"))
            path.replace(path.with_suffix(".json.1"))
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._files[name] = path.open("a", encoding="utf-8", errors="backslashreplace")
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
    """The loggers' levels, and where they write: proxy.json, and standard error from warning on."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    to_file = _ToJournal(journal)
    to_file.setFormatter(logging.Formatter("%(message)s"))
    to_screen = logging.StreamHandler(sys.stderr)
    to_screen.setLevel(logging.WARNING)
    to_screen.setFormatter(_Masked("%(levelname)s %(name)s: %(message)s", journal))
    root.addHandler(to_file)
    root.addHandler(to_screen)
    root.setLevel(logging.WARNING)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(settings.level_of(name))
