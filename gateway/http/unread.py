"""Closes connections whose client takes nothing of what waits for it, where the kernel does not see to it.

Over TCP it does (TCP_USER_TIMEOUT, listener.py). Over a Unix socket, and on other systems than Linux, a client that
stopped reading would hold its reply, its slot and the upstream's connection for as long as the upstream may take.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time

from tornado.iostream import IOStream

EVERY_S = 1.0


class Unread:
    """Call watch() for each such connection."""

    def __init__(self) -> None:
        self.patience_s = 75.0
        self._streams: dict[IOStream, tuple[int, float]] = {}  # -> bytes that were sent by then; since when no others
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Unread of {len(self._streams)} connections>"

    def watch(self, stream: IOStream) -> None:
        self._streams[stream] = 0, time.monotonic()
        if self._timer is None:
            self._plan()

    def _plan(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(min(EVERY_S, self.patience_s / 2), self._look)

    def _look(self) -> None:
        now, self._timer = time.monotonic(), None
        for stream, (sent, since) in list(self._streams.items()):
            if stream.closed():
                del self._streams[stream]
            elif not stream._write_futures or stream._total_write_done_index != sent:
                self._streams[stream] = stream._total_write_done_index, now
            elif now - since >= self.patience_s:
                del self._streams[stream]
                why = TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))  # as the kernel says it over TCP
                stream.close((TimeoutError, why, None))
        if self._streams:
            self._plan()
