"""How the other side of a connection hung up, as the kernel tells it: what it had of our bytes by then, and when.

A connection that dies without a byte of reply may die for two reasons: the upstream had closed it just as the request
was on its way, or it had the request and broke while it worked. Only the first may be sent again. The kernel knows:
bytes that were never acknowledged were never read, and a FIN within a round trip of the request had been sent before
the request was there. Its clock is not late where our loop is. Source: struct tcp_info in <linux/tcp.h>.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass

RACE_S = 0.03  # beyond the round trips: for timers of the kernel and a server that is slow to close

_STATE, _LAST_ACK, _RTT, _ACKED, _SENT = 0, 56, 68, 120, 200  # offsets; milliseconds, microseconds, bytes
_SIZE = 216
_CLOSED = 7  # TCP_CLOSE: by a reset


@dataclass(frozen=True, slots=True)
class Hangup:
    """port: our own. at: on the loop's clock. unread: the end of what we sent was not taken. race_s: a close within
    this time of the request has crossed it on its way."""

    fd: int
    inode: int
    port: int
    at: float
    unread: bool
    race_s: float


def look(fd: int, now: float) -> Hangup | None:
    """None where the kernel does not tell. Before libcurl has seen it: what that says at the
    end, a TLS alert for one, would count as sent and not taken."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
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
    # A reset carries no time of its own: it is as late as we hear of it.
    at = now if info[_STATE] == _CLOSED else now - last_ack_ms / 1e3
    return Hangup(fd, inode, port, at, sent - again > acked, RACE_S + 2 * rtt_us / 1e6)
