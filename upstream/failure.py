"""What can go wrong on the way to an upstream, as one small table.

libcurl knows about a hundred error numbers; the retry policy needs to know two things: which phase failed
(`kind`), and whether the upstream can have worked on the request (`replayable`).  Everything libcurl reports
passes through `from_curl`; the client's own verdicts (timeouts, limits) are made with `Failure` directly.
A message names the upstream's host and what happened, never a header, a body or a URL's user part.
Source: https://curl.se/libcurl/c/libcurl-errors.html
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an exchange ended without a whole reply.

    kind: dns, connect, tls, certificate, connect_timeout, tls_timeout, first_byte_timeout, idle_timeout,
    total_timeout, pool_exhausted, closed, protocol, too_large, cancelled_by_pool (the client itself was closed),
    bad_url, internal.
    replayable: the upstream cannot have worked on it. fresh: though it was lost on a connection made for it, so that
    this is no everyday loss of a kept one.
    errno: libcurl's CURLE number, 0 where the verdict is our own.
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
    28: "connect_timeout",  # the only timeout that is left to libcurl
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
    "dns": "name not resolved",
    "connect": "connection failed",
    "tls": "TLS failed",
    "certificate": "its TLS certificate is not trusted",
    "connect_timeout": "no connection in time",
    "tls_timeout": "no end of the TLS handshake in time",
    "closed": "connection lost",
    "protocol": "not a valid HTTP reply",
    "too_large": "reply head too large",
    "bad_url": "not a usable URL",
    "internal": "request failed",
}

# Nothing of the request has left this machine when one of these is reported.
UNSENT = frozenset(
    {"dns", "connect", "tls", "certificate", "connect_timeout", "tls_timeout", "pool_exhausted", "bad_url"}
)

# libcurl reports these, too, as a receive error (56); its words are the only difference.
_BAD_REPLY = ("chunk", "header", "status line", "content-length", "invalid", "nul byte")


def host_of(url: str) -> str:
    """Returns host[:port] of a URL for messages, without the user part."""
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
    unworked: bool = False,
    refused: bool = False,
) -> Failure:
    """libcurl's (errno, words) -> Failure.

    reused: on a connection that an earlier request opened.  replied: at least one line of a reply head came.
    sent: the connection was ready and the request began to go out.  connected: TCP was, TLS may not have been.
    unworked: for what was sent, the client knows that it cannot have been worked on.  refused: the upstream said so.
    """
    kind = KINDS.get(errno, "internal")
    if errno == 56 and any(word in detail.lower() for word in _BAD_REPLY):
        kind = "protocol"
    elif kind == "connect_timeout" and connected and not sent:
        kind = "tls_timeout"
    elif sent and kind in UNSENT:
        # libcurl uses some of its numbers twice: 1 also for a status line of an unknown HTTP version.
        kind = "protocol" if errno in (1, 3) else "closed"
    elif errno in (55, 56) and not sent and not replied:
        kind = "connect"  # the proxy's tunnel, or a TLS handshake cut short
    if "alert certificate required" in detail:  # TLS 1.3 says so after the handshake, before anything is looked at
        message = f"{host_of(url)}: it asks for a client certificate ([upstream NAME] client_cert)"
        return Failure("certificate", message, True, errno)
    if refused and not replied:
        message = f"{host_of(url)}: takes no more requests on this connection" + (f" ({detail})" if detail else "")
        return Failure("closed", message, True, errno)
    replayable = kind in UNSENT or (kind == "closed" and unworked and not replied)
    words = WORDS[kind]
    if kind == "closed" and reused and not replied:
        words = "a kept-alive connection was closed before any reply"
    message = f"{host_of(url)}: {words}" + (f" ({detail})" if detail else "")
    return Failure(kind, message, replayable, errno, fresh=not reused)
