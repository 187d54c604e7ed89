"""A request begins as Tornado would begin it, with fewer steps."""

from __future__ import annotations

import socket

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.iostream import IOStream
from tornado.testing import AsyncTestCase

from gateway.http.connection import ClientConnection
from gateway.http.last_head import LastHead


class Begins(AsyncTestCase):
    def test_with_all_that_tornado_gives_it(self) -> None:
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        stream = IOStream(ours)
        self.addCleanup(stream.close)
        for params in (HTTP1ConnectionParameters(max_body_size=5, body_timeout=3.0), HTTP1ConnectionParameters()):
            tornados = vars(HTTP1Connection(stream, False, params, "context"))
            begun = ClientConnection(stream, params, "context", LastHead())
            assert tornados.keys() >= {"stream", "_finish_future", "_pending_write"}
            for name, value in tornados.items():
                if name == "_finish_future":
                    assert not begun._finish_future.done()
                else:
                    assert getattr(begun, name) == value, name

    def test_with_nothing_of_the_request_before(self) -> None:
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        stream = IOStream(ours)
        self.addCleanup(stream.close)
        first = ClientConnection(stream, HTTP1ConnectionParameters(), None, LastHead())
        first._write_finished = first._disconnect_on_finish = True
        second = ClientConnection(stream, HTTP1ConnectionParameters(), None, LastHead())
        assert not second._write_finished and not second._disconnect_on_finish
        assert first._finish_future is not second._finish_future
