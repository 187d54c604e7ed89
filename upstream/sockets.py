"""libcurl's sockets and its timer on the asyncio loop: Tornado's hooks, made lean.

libcurl's sockets live in an epoll set of our own, of which asyncio sees one descriptor: no reader object per
socket, one wake-up for all that is ready.  Idle connections may stay in the set, because the kernel forgets a
closed socket by itself, so a number that passes to another socket of the process is never mistaken for it.
Each wake-up runs libcurl (`socket_action`), then `_turn`, which a subclass fills in.
"""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import Sized
from typing import Any, cast

import pycurl
from tornado.curl_httpclient import CurlAsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.platform.asyncio import BaseAsyncIOLoop

from upstream import hangup
from upstream.hangup import Hangup

log = logging.getLogger("upstream")

EVENTS = 128  # sockets looked at in one turn; epoll is level-triggered, the rest come in the next

# libcurl's wish for a socket (POLL_NONE, POLL_IN, POLL_OUT, POLL_INOUT) -> epoll's words
_READ = select.EPOLLIN | select.EPOLLRDHUP
_WANTS = (0, _READ, select.EPOLLOUT, _READ | select.EPOLLOUT)
_HUNG_UP = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class SocketsOnLoop(CurlAsyncHTTPClient):
    """Runs a multi handle. A subclass has `_live`, `_fit_pool` and `_turn`, and sets them up first."""

    _live: Sized  # transfers that libcurl has and that have not ended

    def initialize(  # type: ignore[override]  # Tornado's takes max_clients, which is fixed here
        self, defaults: dict[str, Any] | None = None
    ) -> None:
        self._epoll = select.epoll()
        self._wants: dict[int, int] = {}  # the sockets libcurl watches now -> epoll mask
        self._kept: dict[int, int] = {}  # idle connections that were left in the epoll set -> epoll mask
        self._soon = False  # libcurl asked to be called in the next turn
        self._due: float | None = None  # loop.time() at which libcurl wants to be called
        self._timer: asyncio.TimerHandle | None = None
        self._ran_at = 0.0  # when libcurl was last given the word
        self._hangups: dict[int, Hangup] = {}  # of connections that are open yet, or were so in this turn: by our port
        self._loop: asyncio.AbstractEventLoop = cast(BaseAsyncIOLoop, IOLoop.current()).asyncio_loop
        self.now = self._loop.time
        self._call_soon = self._loop.call_soon
        super().initialize(max_clients=4, defaults=defaults)  # Tornado's own handles, for `fetch`
        self._loop.add_reader(self._epoll.fileno(), self._on_sockets)

    def close(self) -> None:
        """Close every connection and let go of the loop."""
        if self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._loop.is_closed():
            self._loop.remove_reader(self._epoll.fileno())
        super().close()
        self._epoll.close()

    def _fit_pool(self, busy: int) -> None:
        """`busy` transfers are left: one has just ended while others may end before the next `_turn`."""
        raise NotImplementedError

    def _turn(self) -> None:
        """libcurl has run; this looks at what became of it."""
        raise NotImplementedError

    def _handle_socket(self, event: int, fd: int, multi: pycurl.CurlMulti, data: Any | None) -> None:
        """M_SOCKETFUNCTION: what libcurl wants to know about a socket."""
        if event == pycurl.POLL_REMOVE:
            # The end of a transfer: as a rule the connection goes idle and the next request watches it again.
            # Left in the set, that costs one system call instead of two. If it is being closed, the kernel
            # takes it out; if it speaks up while idle (the upstream closes it), `_on_sockets` does.
            mask = self._wants.pop(fd, 0)
            if mask == _READ:
                self._kept[fd] = mask
            elif mask:
                self._unwatch(fd)
            return
        mask = _WANTS[event]
        if self._wants.get(fd) == mask:
            return
        known = fd in self._wants or self._kept.pop(fd, 0)
        self._wants[fd] = mask
        try:
            if known:
                self._epoll.modify(fd, mask)
            else:
                self._epoll.register(fd, mask)
        except FileNotFoundError:
            # Another socket than the one we knew by this number, which is closed: not in the set yet.
            self._epoll.register(fd, mask)

    def _unwatch(self, fd: int) -> None:
        try:
            self._epoll.unregister(fd)
        except OSError as error:
            log.debug("socket %d was closed already: %s", fd, error)

    def _on_sockets(self) -> None:
        """Some of libcurl's sockets are ready."""
        wants, act = self._wants, self._multi.socket_action
        running = len(self._live)
        self._ran_at = self.now()
        for fd, events in self._epoll.poll(0, EVENTS):
            # What hangs up, or speaks while it is idle (as TLS does before), libcurl will close: who could tell then?
            if events & _HUNG_UP or fd not in wants:
                if (seen := hangup.look(fd, self.now())) is not None:
                    self._hangups[seen.port] = seen
                events &= ~select.EPOLLRDHUP
            if fd in wants:
                # An error or a hang-up counts as both, as with select.
                left = act(fd, (events & ~select.EPOLLOUT and 1) | (events & ~select.EPOLLIN and 2))[1]
                if left < running:  # this one's connection is idle now, and the next event may free another
                    running = left
                    self._fit_pool(running)
            else:
                self._kept.pop(fd, None)
                self._unwatch(fd)
        self._turn()

    def _set_timeout(self, msecs: int) -> None:
        """M_TIMERFUNCTION: when libcurl wants to be called.  A timer that fires too early re-arms itself."""
        if msecs == 0:
            if not self._soon:
                self._soon = True
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
        self._soon = False
        if self._closed:
            return
        self._ran_at = self.now()
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._turn()

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
        # libcurl says nothing when, by its own clock, nothing was due yet: ask.
        left = self._multi.timeout()
        if left >= 0 and self._due is None:
            self._set_timeout(max(left, 1))
        self._turn()
