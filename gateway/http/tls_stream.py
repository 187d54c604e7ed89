"""The byte stream of a client's connection with TLS: Tornado's, with other handling of failed handshakes and of
closing.

Failed handshakes are logged rarely instead of once each, and a client that speaks plain HTTP gets an error.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from typing import Any

from tornado.iostream import IOStream, SSLIOStream

from gateway.http.client_stream import ClientStream
from gateway.http.rate_limited_warning import Seldom

log = logging.getLogger("proxy")

DRAINED = 65536  # how many bytes of a plain request are read, so that closing does not discard the answer
_BODY = (
    b'{"type":"error","error":{"type":"invalid_request_error","code":null,"param":null,'
    b'"message":"this port speaks TLS: use an address that begins with https:// ([server] tls_cert)"}}'
)
_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
) % (len(_BODY), _BODY)
_failed = Seldom(log, "the TLS handshake with %s failed: %s")


class TlsStream(ClientStream, SSLIOStream):
    """A stream whose socket is wrapped in TLS already, before its handshake."""

    def _handle_events(self, fd: Any, events: int) -> None:
        IOStream._handle_events(self, fd, events)  # a handshake changes what is listened for

    def _try_inline_read(self) -> None:
        IOStream._try_inline_read(self)  # what is decrypted already is not listened for

    def close(self, exc_info: Any = False) -> None:
        super().close(exc_info)
        _forget_errors()

    def _do_ssl_handshake(self) -> None:
        self._handshake_reading = self._handshake_writing = False
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._handshake_reading = True
        except ssl.SSLWantWriteError:
            self._handshake_writing = True
        # AttributeError: the connection was reset before it was wrapped.
        except (OSError, ValueError, AttributeError) as why:
            self._fails(why)
        else:
            self._ssl_accepting = False
            self._finish_ssl_connect()

    def _fails(self, why: Exception) -> None:
        reason = getattr(why, "reason", None)
        if reason == "HTTP_REQUEST":
            with contextlib.suppress(OSError):  # directly on the socket, as TLS has failed
                socket.socket.send(self.socket, _PLAIN)
                socket.socket.recv(self.socket, DRAINED)
        if reason:  # otherwise it has only left, as port scans do
            with contextlib.suppress(OSError):
                _failed.tell(self.socket.getpeername()[0], str(reason).lower().replace("_", " "))
        self.close(exc_info=(type(why), why, why.__traceback__))


_NO_CIPHER = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _forget_errors() -> None:
    """OpenSSL keeps errors by thread, and Python 3.14 leaves one there when a client ends its connection without a
    word, as port scans do: the next operation of another connection would fail with it. This is the only call that
    clears them."""
    with contextlib.suppress(ssl.SSLError):
        _NO_CIPHER.set_ciphers("none")


def write_no_more(stream: IOStream) -> None:
    """Closes the sending side of a connection. What the other side sends can still be read, also with TLS, where
    Python's own method would end decryption. Raises OSError."""
    socket.socket.shutdown(stream.socket, socket.SHUT_WR)
