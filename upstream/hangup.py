"""Asks the kernel how the other side has closed a connection: when, and which bytes it had received by then.

A connection may be lost before any byte of reply for two reasons: the upstream closed it while the request was on its
way, or it had the request and failed while it worked. A request may be sent again only in the first case. The kernel
knows: bytes that were not acknowledged were not read, and a FIN that came within a round trip of the request was sent
before the request arrived. Unlike the event loop, the kernel's clock is never late. Source: struct tcp_info in
<linux/tcp.h>.
"""

from __future__ import annotations

import os
import socket
import struct
import sys

from msgspec import Struct

RACE_S = 0.03  # added to the round trips, for the kernel's timers and for servers that close slowly

_STATE, _LAST_ACK, _RTT, _ACKED, _SENT = (
    0,
    56,
    68,
    120,
    200,
)  # offsets; the values are milliseconds, microseconds and bytes
_SIZE = 216
_TCP_INFO = getattr(socket, "TCP_INFO", 0) if sys.platform == "linux" else 0  # elsewhere, its struct is another one
_CLOSED = 7  # TCP_CLOSE: a reset has closed it


class Hangup(Struct, frozen=True):
    """How a connection was closed. port: its local port. at: when, on the loop's clock. unread: the other side has
    not received all that was sent. race_s: a close within this time after the request was sent has crossed it on
    the way."""

    fd: int
    inode: int
    port: int
    at: float
    unread: bool
    race_s: float


def look(fd: int, now: float) -> Hangup | None:
    """The Hangup of a socket; None if the kernel does not say (only Linux does). It must be called before libcurl
    handles the socket, because libcurl's last words, such as a TLS alert, would count as sent and not received."""
    if not _TCP_INFO:
        return None
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _SIZE)
        port, inode = sock.getsockname()[1], os.fstat(fd).st_ino
    except OSError:
        return None
    finally:
        sock.detach()
    if len(info) < _SIZE:  # an older kernel
        return None
    last_ack_ms, rtt_us = struct.unpack_from("=I", info, _LAST_ACK)[0], struct.unpack_from("=I", info, _RTT)[0]
    acked = struct.unpack_from("=Q", info, _ACKED)[0] - 1  # the SYN counts
    sent, again = struct.unpack_from("=2Q", info, _SENT)
    # A reset has no time of its own: it counts from the moment when it is seen.
    at = now if info[_STATE] == _CLOSED else now - last_ack_ms / 1e3
    return Hangup(fd, inode, port, at, sent - again > acked, RACE_S + 2 * rtt_us / 1e6)
