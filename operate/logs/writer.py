"""The thread that writes the logs: it makes lines of the data in its queue, masks secrets, and appends to files.

It is built on QueueHandler and QueueListener of the standard library. Its queue is bounded by size, and is emptied as a
whole a few times a second: to wake the thread for every line would cost a request more than the line itself. The lines
of finished requests come ready-made and without secrets: the interpreter runs one thread at a time, so that to make
them here would save nothing, and to pass the interpreter back and forth costs more than a line. To look for each of a
hundred clients' keys in all of their lines would cost more than all else; so the texts in them are masked, once, where
the record is made. Bodies and messages are turned into text here, and are masked here. If the thread cannot keep up, or
the disk is full, lines are lost and counted; this is reported once, and requests go on. The thread pauses after each
piece that it writes: it often shares a core with the event loop, which would wait for all of them otherwise.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from typing import Any

from msgspec import Struct

from operate.logs import fields, lines
from operate.logs.redaction import Redaction
from operate.logs.rotation import Lock, LogFile, Rotation
from operate.logs.stream import StreamFile

MAX_WAITING_BYTES = 32 << 20  # the estimated size of the queue
EVERY_S = 0.2
PIECE = 512 * 1024  # about how many characters are written together; the reply that waits for it is one of some 400
PAUSE_S = 0.002  # after each piece
LINE_BYTES = 2048  # the estimated size of a record in memory


Item = tuple[str, float, dict[str, Any], int]
"""(file without .json, seconds since 1970, what is to be in the line, level). The level is that of a logger's message,
else 0."""


class Taken(Struct, frozen=True):
    """What has waited. ready: by file without .json, the lines that are made and masked."""

    items: list[Item]
    ready: list[tuple[str, list[str]]]

    @property
    def lines(self) -> int:
        """How many lines this is."""
        return len(self.items) + sum(len(ready) for _, ready in self.ready)


class Destination(Struct, frozen=True):
    """Where lines are written. screen: the level from which on messages go to the terminal, too. stream: the file
    descriptor that gets all lines, 0 = none. files: whether files in the folder get them. wanted: the files (without
    .json) that are there before their first line, so that whoever reads them need not know whether there is one."""

    folder: Path
    rotation: Rotation
    screen: int = logging.CRITICAL + 1
    stream: int = 0
    files: bool = True
    wanted: frozenset[str] = frozenset()


class Waiting:
    """The queue. Any thread may put items, only one puts lines that are ready, and only the writer's thread gets."""

    def __init__(self) -> None:
        self._items: collections.deque[Item] = collections.deque()
        self._ready: collections.defaultdict[str, list[str]] = collections.defaultdict(list)
        self._put = self._got = 0  # bytes; there is no lock, and the next get() corrects what two threads count wrong
        self._ending = threading.Event()

    def __len__(self) -> int:
        return len(self._items) + sum(map(len, list(self._ready.values())))

    def put_nowait(self, item: Item, size: int = LINE_BYTES) -> None:
        """Adds an item. size: about how many bytes it has. Raises queue.Full."""
        if self._put - self._got > MAX_WAITING_BYTES:
            raise queue.Full
        self._put += size
        self._items.append(item)

    def put_ready(self, file: str, line: str) -> None:
        """Adds a line that is made and masked. Raises queue.Full."""
        if self._put - self._got > MAX_WAITING_BYTES:
            raise queue.Full
        self._put += len(line)
        self._ready[file].append(line)

    def get(self) -> Taken:
        """Waits for EVERY_S, then returns all that waits. Raises queue.Empty when that is nothing and no more will
        come."""
        self._ending.wait(EVERY_S)
        put = self._put
        items = [self._items.popleft() for _ in range(len(self._items))]
        ready = [(file, _taken(lines)) for file, lines in list(self._ready.items()) if lines]
        if not items and not ready and self._ending.is_set():
            raise queue.Empty
        self._got = put
        return Taken(items, ready)

    def pause(self) -> None:
        """Lets others work for a moment, unless no more items will come."""
        self._ending.wait(PAUSE_S)

    def end(self) -> None:
        """Says that no more items will come."""
        self._ending.set()


def _taken(waiting: list[str]) -> list[str]:
    """Takes all lines out of a list to which another thread appends meanwhile."""
    taken = waiting[:]
    del waiting[: len(taken)]
    return taken


class Writer(QueueListener):
    """The thread. lost: how many lines could not be written. trouble: why they are lost at the moment. clock: a
    function like time.time."""

    def __init__(self, place: Destination, redaction: Redaction, clock: Callable[[], float] = time.time) -> None:
        self.waiting = Waiting()
        super().__init__(self.waiting)
        self.place = place
        self.lost = 0
        self._redaction = redaction
        self._clock = clock
        self._in_use: Destination | None = None
        self._lock = Lock(place.folder)
        self._files: dict[str, list[LogFile | StreamFile]] = {}
        self._told = 0
        self.trouble = ""

    def __repr__(self) -> str:
        return f"<Writer {self.place.folder} {len(self.waiting)} waiting, {self.lost} lost>"

    def put(self, item: Item, size: int = LINE_BYTES) -> None:
        """Queues an item, or counts it as lost if the queue is full."""
        try:
            self.waiting.put_nowait(item, size)
        except queue.Full:
            self.lost += 1

    def put_ready(self, file: str, line: str) -> None:
        """Queues a line that is made and masked, or counts it as lost if the queue is full."""
        try:
            self.waiting.put_ready(file, line)
        except queue.Full:
            self.lost += 1

    def stop(self) -> None:
        """Writes what waits, and ends the thread; after 5 seconds it gives up, because a disk may be stuck."""
        self.enqueue_sentinel()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout=5)

    # ---------------------------------------------------------------------------------------- the thread

    def dequeue(self, block: bool) -> Taken:  # type: ignore[override]  # a QueueListener gets one item at a time
        try:
            return self.waiting.get()
        except queue.Empty:
            self._forget()
            raise

    def enqueue_sentinel(self) -> None:
        self.waiting.end()

    def handle(self, taken: Taken) -> None:  # type: ignore[override]  # as above
        try:
            self._write(taken)
        except Exception as why:  # no error may end the thread, since nothing would be written after it
            self.lost += taken.lines
            self._tell(repr(why))

    def _write(self, taken: Taken) -> None:
        place = self.place
        if place is not self._in_use:
            self._forget()
            self._lock = Lock(place.folder)
            self._in_use = place
            for name in sorted(place.wanted):
                self._append(place, name, b"", 0)
        if not taken.items and not taken.ready:
            return
        trouble = ""
        pieces = itertools.chain(_pieces(taken.ready), self._made(taken.items, place))
        for number, (file, data, count) in enumerate(pieces):
            if number:
                self.waiting.pause()
            trouble = self._append(place, file, data, count) or trouble
        self._tell(trouble)

    def _made(self, items: list[Item], place: Destination) -> Iterator[tuple[str, bytes, int]]:
        """Makes lines of data, and masks them. Each piece: its file, its bytes, how many lines it has."""
        by_file: dict[str, list[str]] = {}
        gathered = 0
        for file, at, line, level in items:
            text = lines.of(line, at)
            by_file.setdefault(file, []).append(text)
            gathered += len(text)
            # what goes to standard error anyway is not shown there a second time
            if level >= place.screen and place.stream != 2:
                self._show(line, level)
            if gathered >= PIECE:
                yield from self._masked(by_file)
                by_file, gathered = {}, 0
        yield from self._masked(by_file)

    def _masked(self, by_file: dict[str, list[str]]) -> Iterator[tuple[str, bytes, int]]:
        for file, texts in by_file.items():
            yield file, self._redaction.data(_encoded(texts)), len(texts)

    def _append(self, place: Destination, name: str, data: bytes, count: int) -> str:
        """Appends lines. Returns an error message, or ""."""
        trouble = ""
        logs = self._files.get(name)
        if logs is None:
            logs = self._files[name] = self._opened(place, name)
        for log in logs:
            try:
                with self._lock.held() if isinstance(log, LogFile) else contextlib.nullcontext():
                    log.append(data)
            except OSError as why:
                self.lost += count
                trouble = f"{log.path}: {why.strerror or why}"
        return trouble

    def _opened(self, place: Destination, name: str) -> list[LogFile | StreamFile]:
        logs: list[LogFile | StreamFile] = []
        if place.files:
            logs.append(LogFile(place.folder / f"{name}.json", place.rotation, self._clock))
        if place.stream:
            logs.append(StreamFile(name, place.stream))
        return logs

    def _show(self, line: dict[str, Any], level: int) -> None:
        """Writes a message to the terminal. It is no reason to stop if that fails."""
        said = f"{logging.getLevelName(level)} {line['logger']}: {line['message']}\n"
        try:
            sys.stderr.write(self._redaction.text(said))
        except (OSError, ValueError):
            self.lost += 1

    def _tell(self, trouble: str) -> None:
        """Reports when lines begin to be lost, and when they are written again; not every line, as it may last all
        night."""
        if bool(trouble) != bool(self.trouble):
            said = f"log lines are being lost: {trouble}" if trouble else "log lines are written again"
            self._show({"logger": "logs", "message": said}, logging.WARNING)
        self.trouble = trouble
        if not trouble and self.lost > self._told:
            lost, self._told = self.lost - self._told, self.lost
            line = {"level": "warning", "logger": "logs", "message": f"{lost} log lines were lost"}
            self.put(("proxy", self._clock(), line, 0))

    def _forget(self) -> None:
        for file in itertools.chain.from_iterable(self._files.values()):
            file.close()
        self._files.clear()
        self._lock.close()


def _pieces(ready: list[tuple[str, list[str]]]) -> Iterator[tuple[str, bytes, int]]:
    """Cuts lines that are ready into pieces. Each piece: its file, its bytes, how many lines it has."""
    for file, texts in ready:
        many = max(1, PIECE * len(texts) // sum(map(len, texts)))
        for at in range(0, len(texts), many):
            some = texts[at : at + many]
            yield file, _encoded(some), len(some)


def _encoded(texts: list[str]) -> bytes:
    return "".join(texts).encode("utf-8", "backslashreplace")


class ToWriter(QueueHandler):
    """The handler that puts the loggers' messages into the queue."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer.waiting)
        self._writer = writer

    def prepare(self, record: logging.LogRecord) -> Item:
        """Makes the text of the message at once, because its arguments may change later."""
        line = {"level": record.levelname.lower(), "logger": record.name, "message": self.format(record)}
        line |= fields.of(record)
        return "proxy", record.created, line, 0 if fields.is_shown(record) else record.levelno

    def enqueue(self, item: Item) -> None:  # type: ignore[override]  # an Item of `prepare`, not a LogRecord
        self._writer.put(item, LINE_BYTES + len(item[2]["message"]))
