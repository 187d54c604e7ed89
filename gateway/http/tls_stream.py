"""A client's connection under TLS: Tornado's, but for how a handshake may fail and how one side is closed.

Strangers' failures are a warning now and then instead of a line each, and who speaks plain HTTP is told so in words.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl

from tornado.iostream import IOStream, SSLIOStream

from gateway.http.client_stream import ClientStream
from gateway.observe.rate_limited_warning import Seldom

log = logging.getLogger("proxy")

DRAINED = 65536  # bytes of a plain request that are read, so that closing does not take the answer back
_BODY = (
    b'{"type":"error","error":{"type":"invalid_request_error","code":null,"param":null,'
    b'"message":"this port speaks TLS: the address begins with https:// ([server] tls_cert)"}}'
)
_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
) % (len(_BODY), _BODY)
_failed = Seldom(log, "TLS with %s came to nothing: %s")


class TlsStream(ClientStream, SSLIOStream):
    """Given a socket that is wrapped already, whose handshake is still to come."""

    def _do_ssl_handshake(self) -> None:
        self._handshake_reading = self._handshake_writing = False
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._handshake_reading = True
        except ssl.SSLWantWriteError:
            self._handshake_writing = True
        except (OSError, ValueError, AttributeError) as why:  # the last: reset before it was wrapped
            self._fails(why)
        else:
            self._ssl_accepting = False
            self._finish_ssl_connect()

    def _fails(self, why: Exception) -> None:
        reason = getattr(why, "reason", None)
        if reason == "HTTP_REQUEST":
            with contextlib.suppress(OSError):  # past TLS, which has given up
                socket.socket.send(self.socket, _PLAIN)
                socket.socket.recv(self.socket, DRAINED)
        if reason:  # else it has just left, as port scans and probes of TCP do
            with contextlib.suppress(OSError):
                _failed.tell(self.socket.getpeername()[0], str(reason).lower().replace("_", " "))
        self.close(exc_info=(type(why), why, why.__traceback__))


def write_no_more(stream: IOStream) -> None:
    """Says to the other side that nothing follows. What it sends meanwhile can still be read: under TLS too, where
    Python's own method would end the decryption with it. Raises OSError."""
    socket.socket.shutdown(stream.socket, socket.SHUT_WR)
