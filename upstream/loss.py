"""Why libcurl has lost an exchange, and whether the upstream can have worked on its request.

A request may be sent once more only if it certainly was not worked on. libcurl does not tell that. What is known comes
of four places: how much of the request libcurl has sent, how the other side has closed the connection (hangup.py), when
libcurl was last run, and, with HTTP/2, the GOAWAYs, which name the last stream that a connection serves.
"""

from __future__ import annotations

from collections.abc import Iterable

import pycurl
from msgspec import Struct

from upstream.exchange import Exchange, Handle
from upstream.failure import Failure, from_curl, host_of
from upstream.hangup import Hangup
from upstream.http2 import NO_GOAWAY

MAX_GOAWAYS = 256  # how many connections' GOAWAYs are kept


class Goaways:
    """HTTP/2: the last stream that each connection serves, by its GOAWAY."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}  # libcurl's id of a connection -> number of a stream

    def __repr__(self) -> str:
        return f"<Goaways of {len(self._last)} connections>"

    def last_stream(self, handle: Handle, live: Iterable[Exchange]) -> int:
        """The last stream of the handle's connection that the upstream may have worked on. NO_GOAWAY if none has come.
        live: all exchanges that have not ended, since libcurl reports a GOAWAY to any of a connection's handles."""
        connection = handle.curl.getinfo(pycurl.CONN_ID)
        if connection < 0:  # it has none
            return handle.stream.last
        named = [self._last.get(connection, NO_GOAWAY), handle.stream.last]
        for other in live:
            if (their := other._handle) is not None and their.stream.last < NO_GOAWAY:
                if their.curl.getinfo(pycurl.CONN_ID) == connection:
                    named.append(their.stream.last)
        if (last := min(named)) < NO_GOAWAY:
            while len(self._last) >= MAX_GOAWAYS:
                del self._last[next(iter(self._last))]
            self._last[connection] = last
        return last


class LossFacts(Struct, frozen=True):
    """The facts about a lost connection that the client knows. hangup: how the other side has closed it, if it has.
    last_stream: that it serves, by a GOAWAY. ran_at: when libcurl was last called, on the loop's clock."""

    http2: bool
    hangup: Hangup | None
    last_stream: int
    ran_at: float


def failure_of(exchange: Exchange, handle: Handle, errno: int, detail: str, seen: LossFacts) -> Failure:
    """The failure of an exchange that libcurl has ended. errno, detail: libcurl's number and words; 0 = for libcurl, a
    connection that ends within the head is no error."""
    url, curl = exchange.request.url, handle.curl
    if not errno:
        return Failure("closed", f"{host_of(url)}: the connection was lost within the head of the reply")
    sent, replied = curl.getinfo(pycurl.REQUEST_SIZE) > 0, exchange._head_bytes > 0
    connected = curl.getinfo(pycurl.CONNECT_TIME) > 0
    # libcurl may try to send again what it could not send; then it reports error 65.
    could_not_send = errno == pycurl.E_SEND_ERROR or (errno == pycurl.E_SEND_FAIL_REWIND and "Send f" in detail)
    if could_not_send and not curl.getinfo(pycurl.NUM_CONNECTS):
        exchange.reused = True
    return from_curl(
        errno,
        detail,
        url,
        reused=exchange.reused,
        replied=replied,
        sent=sent,
        connected=connected,
        proxied=_ends_at_proxy(curl),
        unworked=not replied and _is_unworked(exchange, seen, could_not_send=could_not_send),
        refused=handle.stream.refused or handle.stream.number > seen.last_stream,
    )


def _ends_at_proxy(curl: pycurl.Curl) -> bool:
    """Whether a proxy has not opened the way to the upstream, as far as one can tell."""
    used, tunnel = pycurl.USED_PROXY, pycurl.HTTP_CONNECTCODE  # type: ignore[attr-defined]  # not in the types
    return bool(curl.getinfo(used)) and curl.getinfo(tunnel) != 200


def _is_unworked(exchange: Exchange, seen: LossFacts, *, could_not_send: bool) -> bool:
    """Whether the upstream certainly has not worked on a request whose connection was lost before any byte of
    reply."""
    if not exchange.is_sent:
        return True
    # Then bytes on the connection may belong to other requests.
    many = seen.http2 and exchange.request.url.startswith("https:")
    if could_not_send and not many:
        return True  # the kernel has not taken all of the request
    hangup = seen.hangup
    if hangup is not None and hangup.unread and not many:
        return True
    if seen.last_stream < NO_GOAWAY or not exchange.reused:  # a GOAWAY says which requests were not worked on
        return False
    if exchange.sent_at >= seen.ran_at:
        return True  # libcurl found the connection dead in the same call in which it sent the request
    return hangup is not None and hangup.at - exchange.sent_at <= hangup.race_s
