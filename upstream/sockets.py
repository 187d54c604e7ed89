"""Runs libcurl's sockets and its timer on the asyncio loop, with less work than Tornado's client does.

libcurl's sockets are in a set of their own (readiness.py), which is one file descriptor for asyncio: there is no reader
object for each socket, and one wake-up serves those that are ready, for a few milliseconds at most. Idle connections
may stay in the set, because the kernel removes a closed socket itself: if another socket gets its number, it is not
mistaken for the old one. Each wake-up runs libcurl (`socket_action`), then `_turn`, which a subclass defines.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, cast

import pycurl
from tornado.curl_httpclient import CurlAsyncHTTPClient
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.ioloop import IOLoop
from tornado.platform.asyncio import BaseAsyncIOLoop

from upstream import hangup
from upstream.hangup import Hangup
from upstream.readiness import CLOSED, FAILED, READ, SENDS_NO_MORE, WRITE, Readiness

log = logging.getLogger("upstream")

EVENTS = 8  # sockets that are looked at together: the kernel gives those that were longest without a turn first
FEW = 2  # transfers whose results take no time in which another one could become ready
SLICE_S = 0.004  # after which the others wait for the next turn of the loop, since many streams may have much to read

# what libcurl wants of a socket (POLL_NONE, POLL_IN, POLL_OUT, POLL_INOUT) -> what is watched
_READ = READ | SENDS_NO_MORE
_WANTS = (0, _READ, WRITE, _READ | WRITE)
_HUNG_UP = SENDS_NO_MORE | CLOSED | FAILED
_NO_READ, _NO_WRITE = ~READ, ~WRITE


class SocketsOnLoop(CurlAsyncHTTPClient):
    """Runs a multi handle of libcurl. A subclass defines `_bound` and `_turn`, and sets itself up first. libcurl begins
    with the first request: a proxy that nobody asks anything does without 3 MB of it."""

    _begun = False

    def initialize(  # type: ignore[override]  # Tornado's has max_clients, which is fixed here
        self, defaults: dict[str, Any] | None = None
    ) -> None:
        self._watched = Readiness()
        self._wants: dict[int, int] = {}  # sockets that libcurl watches -> what for
        self._kept: dict[int, int] = {}  # idle connections that are still in the set -> what for
        self._soon = False  # whether libcurl is to be called in the next turn
        self._planned = False  # whether the loop has a call of `_on_soon` to make; it must not get a second one
        self._due: float | None = None  # loop.time() at which libcurl wants to be called
        self._timer: asyncio.TimerHandle | None = None
        self._ran_at = 0.0  # when libcurl was last called
        self._hangups: dict[int, Hangup] = {}  # by local port, until another connection opens
        self._loop: asyncio.AbstractEventLoop = cast(BaseAsyncIOLoop, IOLoop.current()).asyncio_loop
        # asyncio's clock is this one, behind a call of Python; another loop may have another.
        is_asyncios = type(self._loop).time is asyncio.BaseEventLoop.time
        self.now: Callable[[], float] = time.monotonic if is_asyncios else self._loop.time
        self._call_soon = self._loop.call_soon
        self._defaults = defaults
        super(CurlAsyncHTTPClient, self).initialize(defaults)
        self._loop.add_reader(self._watched.fileno(), self._on_sockets)

    def _begin(self) -> None:
        """Called before a transfer is made."""
        if not self._begun:
            self._begun = True
            super().initialize(max_clients=4, defaults=self._defaults)  # the handles are for Tornado's `fetch`
            self._bound()

    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        self._begin()
        super().fetch_impl(request, callback)

    def close(self) -> None:
        """Closes every connection, and removes everything from the loop."""
        if self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._loop.is_closed():
            self._loop.remove_reader(self._watched.fileno())
        if self._begun:
            super().close()
        else:
            super(CurlAsyncHTTPClient, self).close()
        self._watched.close()

    def _bound(self) -> None:
        """Tells libcurl how many connections there may be."""
        raise NotImplementedError

    def _turn(self) -> int:
        """Called after libcurl has run, to handle its results. Returns of how many transfers something was handled."""
        raise NotImplementedError

    def _handle_socket(self, event: int, fd: int, multi: pycurl.CurlMulti, data: Any | None) -> None:
        """M_SOCKETFUNCTION: watches a socket for libcurl, or stops watching it."""
        if event == pycurl.POLL_REMOVE:
            # A transfer has ended. As a rule its connection becomes idle, and the next request watches it again:
            # if it stays in the set, that takes one system call instead of two. If it is closed, the kernel removes
            # it; if it gets an event while it is idle (the upstream closes it), `_on_sockets` removes it.
            mask = self._wants.pop(fd, 0)
            if mask and (mask == _READ or self._reads(fd)):
                self._kept[fd] = _READ
            return
        mask = _WANTS[event]
        if self._wants.get(fd) == mask:
            return
        known = fd in self._wants or self._kept.pop(fd, 0)
        self._wants[fd] = mask
        try:
            if known:
                self._watched.modify(fd, mask)
            else:
                self._watched.register(fd, mask)
        except FileNotFoundError:
            # This is a new socket with the number of a closed one, so that it is not in the set yet.
            self._watched.register(fd, mask)

    def _reads(self, fd: int) -> bool:
        """Watches a socket for what comes on it, and no longer for room to write. Returns False where it is closed."""
        try:
            self._watched.modify(fd, _READ)
        except OSError as error:
            log.debug("socket %d is closed already: %s", fd, error)
            return False
        return True

    def _unwatch(self, fd: int) -> None:
        try:
            self._watched.unregister(fd)
        except OSError as error:
            log.debug("socket %d is closed already: %s", fd, error)

    def _on_sockets(self) -> None:
        """Runs libcurl for its sockets that are ready."""
        self._ran_at = self.now()
        if self._soon:  # first, since it may watch again what it has just let go, such as a transfer that was paused
            self._soon = False
            if self._kept:  # a request may be about to take one of them
                self._look_at_idle()
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        until = self._ran_at + SLICE_S
        poll = self._watched.poll
        ready = poll(0, EVENTS)
        while True:
            while len(ready) > 1 and self.now() < until:  # who comes meanwhile need not wait for all others' turns
                self._act(ready)
                ready = poll(0, EVENTS)
            self._act(ready)
            # While many had their turn, others may have become ready: the last ones of a wave of requests would wait
            # for what all of that wave's clients ask next.
            if self._turn() < FEW or self._closed or (now := self.now()) >= until:
                return
            self._ran_at = now
            if not (ready := poll(0, EVENTS)):
                return

    def _act(self, ready: list[tuple[int, int]]) -> None:
        """Runs libcurl for these sockets."""
        wants, act = self._wants, self._multi.socket_action
        for fd, events in ready:
            # libcurl will close a socket that hangs up, or that gets data while it is idle. Ask the kernel before that.
            if events & _HUNG_UP or fd not in wants:
                if (seen := hangup.look(fd, self.now())) is not None:
                    self._hangups[seen.port] = seen
                events &= ~SENDS_NO_MORE
            if fd in wants:
                # An error or a hang-up counts as readable and writable, as with select.
                act(fd, (events & _NO_WRITE and 1) | (events & _NO_READ and 2))
            else:
                self._forget(fd)
                self._has_come(fd)

    def _look_at_idle(self) -> None:
        for fd, events in self._watched.poll(0):
            if fd not in self._wants:
                self._act([(fd, events)])

    def _has_come(self, fd: int) -> None:
        """Called where something has come on a socket that libcurl does not watch: the other side's end, the next part
        of a paused reply, or what nobody has asked for."""
        raise NotImplementedError

    def _forget(self, fd: int) -> None:
        """Watches an idle connection no longer."""
        self._kept.pop(fd, None)
        self._unwatch(fd)

    def _set_timeout(self, msecs: int) -> None:
        """M_TIMERFUNCTION: sets when libcurl is to be called. A timer that fires too early starts again."""
        if msecs == 0:
            self._soon = True
            if not self._planned:  # one may be planned although the event of a socket has done its work meanwhile
                self._planned = True
                self._call_soon(self._on_soon)
            return
        if msecs < 0:
            self._due = None
            return
        due = self._due = self.now() + msecs / 1000
        if self._timer is None or self._timer.when() > due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._on_timer)

    def _on_soon(self) -> None:
        self._planned = False
        if self._soon and not self._closed:
            self._on_sockets()

    def _on_timer(self) -> None:
        self._timer = None
        due = self._due
        if due is None:
            return
        if self.now() < due:
            self._timer = self._loop.call_at(due, self._on_timer)
            return
        self._due = None
        self._ran_at = self.now()
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        # libcurl sets no new timer if nothing was due yet by its own clock, so it must be asked.
        left = self._multi.timeout()
        if left >= 0 and self._due is None:
            self._set_timeout(max(left, 1))
        self._turn()
