"""Admits only the proxy that started the demo to the demo, by a token.

The demo listens on a port that every process of the machine can reach. So the token is checked before a body is kept. A
request without the token gets an error, and the rest of it is read and dropped. Of the connections that have not sent
the token, only the latest few stay open, so that they cannot use up the connections of the proxy.
"""

from __future__ import annotations

import functools
import hmac
import socket
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream

MAX_STRANGERS = 32  # how many connections without a token stay open
AT_ONCE = 32  # the most connections accepted in one turn of the loop
STRANGER_S = 10.0  # a connection without the token is closed after this long
_BODY = (  # a form that clients of all three protocols read
    b'{"type":"error","error":{"type":"authentication_error","code":"invalid_api_key","param":null,'
    b'"message":"The demo upstream answers its own proxy only: wrong or missing key."}}'
)
REFUSAL = (
    b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
) % (len(_BODY), _BODY)


class Server(HTTPServer):
    """Tornado's server, with few connections for strangers."""

    strangers: OrderedDict[IOStream, None]

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        self.strangers[stream] = None
        IOLoop.current().call_later(STRANGER_S, self._too_long, stream)
        while len(self.strangers) > MAX_STRANGERS:
            self.strangers.popitem(last=False)[0].close()
        super().handle_stream(stream, address)

    def _too_long(self, stream: IOStream) -> None:
        if stream in self.strangers:
            stream.close()

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        for each in sockets:
            self._sockets[each.fileno()] = each
            loop = IOLoop.current()
            loop.add_handler(each, self._ready, IOLoop.READ)
            self._handlers[each.fileno()] = functools.partial(loop.remove_handler, each)

    def _ready(self, listening: socket.socket, events: int) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, address = listening.accept()
            except OSError:  # none waits, or no file is left; the loop calls again
                return
            self._handle_connection(connection, address)


class Door(HTTPServerConnectionDelegate):
    """Checks the token of each request. inside: handles the requests that have it."""

    def __init__(
        self, inside: HTTPServerConnectionDelegate, token: bytes, strangers: OrderedDict[IOStream, None]
    ) -> None:
        self.inside = inside
        self.token = token
        self.strangers = strangers

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        return _Entrance(self, server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        for stream in [stream for stream in self.strangers if stream.closed()]:
            del self.strangers[stream]
        self.inside.on_close(server_conn)


class _Entrance(HTTPMessageDelegate):
    def __init__(self, door: Door, server_conn: object, conn: HTTPConnection) -> None:
        self._door = door
        self._server_conn = server_conn
        self._conn = conn
        self._to: HTTPMessageDelegate | None = None

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Any:
        assert isinstance(self._conn, HTTP1Connection)
        stream = self._conn.stream
        if not _knows(headers, self._door.token):
            stream.write(REFUSAL)
            return None
        self._door.strangers.pop(stream, None)
        self._to = self._door.inside.start_request(self._server_conn, self._conn)
        return self._to.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:
        return self._to.data_received(chunk) if self._to is not None else None

    def finish(self) -> None:
        if self._to is not None:
            self._to.finish()
        else:
            self._conn.stream.close()  # type: ignore[attr-defined]  # an HTTP1Connection, see above

    def on_connection_close(self) -> None:
        if self._to is not None:
            self._to.on_connection_close()


def _knows(headers: HTTPHeaders, token: bytes) -> bool:
    scheme, _, bearer = headers.get("Authorization", "").partition(" ")
    keys = [headers.get("x-api-key", ""), bearer.strip() if scheme.lower() == "bearer" else ""]
    return any(hmac.compare_digest(key.encode("utf-8", "replace"), token) for key in keys)
