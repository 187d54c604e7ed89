"""The failures of exchanges with upstreams, and the table that maps libcurl's errors to them.

libcurl has about a hundred error numbers. The retry policy needs two facts: which phase failed (`kind`), and whether
the upstream can have worked on the request (`replayable`). Every error of libcurl goes through `from_curl`; the client
makes a `Failure` directly for its own timeouts and limits. A message names the upstream's host and what happened, and
never a header, a body or the user part of a URL. Source: https://curl.se/libcurl/c/libcurl-errors.html
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from msgspec import Struct


class Failure(Struct, frozen=True):
    """Why an exchange ended without a complete reply.

    kind: dns, connect, tls, certificate, connect_timeout, tls_timeout, first_byte_timeout, idle_timeout,
    total_timeout, pool_exhausted, closed, protocol, too_large, cancelled_by_pool (the client itself was closed),
    bad_url or internal.
    replayable: the upstream cannot have worked on the request. fresh: the connection was opened for this request, so
    that its loss is not the usual loss of an idle connection. errno: libcurl's CURLE number; 0 = the client's own
    decision.
    """

    kind: str
    message: str
    replayable: bool = False
    errno: int = 0
    fresh: bool = False


KINDS: dict[int, str] = {
    1: "bad_url",  # unsupported scheme
    3: "bad_url",
    5: "dns",  # of the proxy
    6: "dns",
    7: "connect",
    8: "protocol",
    16: "protocol",  # HTTP/2 framing
    18: "closed",  # fewer bytes than Content-Length said, or no last chunk
    28: "connect_timeout",  # the only timeout that libcurl has to watch
    35: "tls",
    45: "connect",
    52: "closed",  # no reply at all
    53: "tls",
    54: "tls",
    55: "closed",
    56: "closed",
    58: "tls",
    59: "tls",
    60: "certificate",
    61: "protocol",
    63: "too_large",
    64: "tls",
    65: "closed",  # libcurl wanted to send the body again on a new connection; see `Handle.read`
    66: "tls",
    77: "tls",
    82: "tls",
    83: "tls",
    90: "tls",
    91: "tls",
    92: "protocol",  # HTTP/2 stream
    95: "protocol",  # HTTP/3
    96: "connect",  # QUIC
    97: "connect",  # proxy handshake
    98: "tls",
    100: "too_large",
}

WORDS = {
    "dns": "the name cannot be resolved",
    "connect": "the connection failed",
    "tls": "TLS failed",
    "certificate": "its TLS certificate is not trusted",
    "connect_timeout": "there was no connection in time",
    "tls_timeout": "the TLS handshake did not end in time",
    "closed": "the connection was lost",
    "protocol": "the reply is not valid HTTP",
    "too_large": "the head of the reply is too large",
    "bad_url": "the URL cannot be used",
    "internal": "the request failed",
}

WANTS_PASSWORD = "its proxy asks for a password (407); set it in the proxy's URL"

# With these kinds, nothing of the request has left this machine.
UNSENT = frozenset(
    {"dns", "connect", "tls", "certificate", "connect_timeout", "tls_timeout", "pool_exhausted", "bad_url"}
)

# libcurl reports a bad reply, too, as a receive error (56); only its message is different.
_BAD_REPLY = ("chunk", "header", "status line", "content-length", "invalid", "nul byte")


# Where files of this machine are is not for clients, who get to read these messages.
_SOCKET = re.compile(r" over unix:\S+")
_PATH = re.compile(r"(?<![\w:/.])/[^\s,;()'\"]+")


def host_of(url: str) -> str:
    """The host[:port] of a URL for messages, without its user part."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or "upstream"
    except ValueError:
        return "upstream"


def from_curl(
    errno: int,
    detail: str,
    url: str,
    *,
    reused: bool,
    replied: bool,
    sent: bool,
    connected: bool = False,
    proxied: bool = False,
    unworked: bool = False,
    refused: bool = False,
) -> Failure:
    """The Failure for an error number of libcurl and its message (detail).

    reused: an earlier request had opened the connection. replied: at least one line of a reply's head came. sent: the
    connection was ready, and a part of the request was sent. connected: TCP was ready, but perhaps not TLS. proxied:
    that was to a proxy, which has not opened the way yet. unworked: the client knows that the upstream cannot have
    worked on what was sent. refused: the upstream has said so.
    """
    detail = _PATH.sub("[path]", _SOCKET.sub(" over its Unix socket", detail))
    kind = _kind(errno, detail, replied=replied, sent=sent, connected=connected, proxied=proxied)
    if "alert certificate required" in detail:  # TLS 1.3 sends it after the handshake, before the request is read
        message = f"{host_of(url)}: the server asks for a client certificate; set [upstream NAME] client_cert"
        return Failure("certificate", message, replayable=True, errno=errno)
    if refused and not replied:
        message = f"{host_of(url)}: the server takes no more requests on it" + (f" ({detail})" if detail else "")
        return Failure("closed", message, replayable=True, errno=errno)
    words = WORDS[kind]
    if kind == "closed" and reused and not replied:
        words = "an idle connection that was used again was closed before any reply"
    elif errno == 92:
        words = "the server broke its reply off"
    elif proxied and "response 407" in detail:
        words = WANTS_PASSWORD
    elif kind == "connect_timeout" and connected and proxied:
        words = "its proxy did not open the way in time"
    message = f"{host_of(url)}: {words}" + (f" ({detail})" if detail else "")
    replayable = kind in UNSENT or (kind == "closed" and unworked and not replied)
    return Failure(kind, message, replayable, errno, fresh=not reused)


def _kind(errno: int, detail: str, *, replied: bool, sent: bool, connected: bool, proxied: bool) -> str:
    """The kind that libcurl's number means. Its numbers alone do not tell how far the request has come."""
    kind = KINDS.get(errno, "internal")
    if errno == 56 and any(word in detail.lower() for word in _BAD_REPLY):
        return "protocol"
    if kind == "connect_timeout" and connected and not sent and not proxied:
        return "tls_timeout"
    if sent and kind in UNSENT:
        # libcurl uses some numbers twice: 1 is also a status line with an unknown HTTP version.
        return "protocol" if errno in (1, 3) else "closed"
    if errno in (55, 56) and not sent and not replied:
        return "connect"  # the tunnel through a proxy, or a TLS handshake that was cut short
    return kind
