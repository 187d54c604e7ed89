"""Guards against loops: a request that comes back to this proxy, and an upstream that is this proxy itself.

Every request to an upstream has a header with the names of the proxies that it has passed, each a random word. A
request with this proxy's name is refused, before it can multiply. Well-known public services do not get the header. An
upstream that is this proxy is found by its address.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders

from operate.settings.presets import PRESETS
from translate.failures.errors import ApiError

HEADER = "X-Proxy-Hops"
MAX_SENT = 1000  # the most characters of the header that are passed on, as a chain of proxies is short
_LOOPBACKS = ("127.0.0.1", "::1")
_PUBLIC = frozenset(
    host for keys in PRESETS.values() if (host := urlsplit(keys.get("base_url", "")).hostname) and "." in host
    and host not in _LOOPBACKS
) | {"api.anthropic.com", "api.openai.com"}  # fmt: skip

Address = tuple[str, int]


class Hops:
    """The guard. own: the name of this proxy. addresses: where it listens, by its sockets."""

    def __init__(self, own: str, addresses: Iterable[Address] = ()) -> None:
        self.own = own
        self._addresses = tuple(addresses)
        self._known: dict[str, bool] = {}  # by base URL: whether it is this proxy

    def __repr__(self) -> str:
        return f"<Hops {self.own} at {self._addresses}>"

    def check(self, headers: HTTPHeaders) -> None:
        """Raises ApiError (508) for a request that has passed this proxy already."""
        if HEADER in headers and self.own in headers[HEADER].replace(" ", "").split(","):
            message = (
                "this request has come back to the proxy that sent it: an upstream is this proxy itself, or leads "
                "back to "
                "it; correct its base_url in settings.ini"
            )
            raise ApiError("api", message, 508, code="loop_detected")

    def onward(self, headers: HTTPHeaders) -> str:
        """The value of the header for an upstream. headers: those of the client's request."""
        before = headers.get(HEADER, "")[:MAX_SENT]
        return f"{before}, {self.own}" if before else self.own

    def check_upstream(self, name: str, base_url: str) -> None:
        """Raises ApiError (508) if an upstream is this proxy itself."""
        if self._known.get(base_url) or (base_url not in self._known and self.lead_here(base_url)):
            message = f"upstream '{name}' is this proxy itself ({base_url}); correct its base_url in settings.ini"
            raise ApiError("api", message, 508, code="loop_detected")

    def lead_here(self, base_url: str) -> bool:
        found = self._known.get(base_url)
        if found is None:
            found = self._known[base_url] = self._lead_here(base_url)
        return found

    def _lead_here(self, base_url: str) -> bool:
        url = urlsplit(base_url)
        port = url.port or (443 if url.scheme == "https" else 80)
        listening = [ip for ip, own in self._addresses if own == port]
        if not listening:
            return False
        host = (url.hostname or "").rstrip(".")
        if host == socket.gethostname().lower():  # no look-up is needed for it
            return any(ipaddress.ip_address(ip).is_unspecified for ip in listening)
        return any(_reaches(ip, to) for ip in listening for to in ips(host))


@functools.lru_cache(maxsize=256)  # of the settings' upstreams; each request asks
def is_told(base_url: str) -> bool:
    """Whether an upstream at this address gets the header."""
    return urlsplit(base_url).hostname not in _PUBLIC


def ips(host: str) -> tuple[str, ...]:
    """The addresses of a host that needs no look-up; () for others, whose loops the header shows."""
    if host == "localhost" or host.endswith(".localhost"):
        return _LOOPBACKS
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return ()
    mapped = getattr(ip, "ipv4_mapped", None)
    if ip.is_unspecified:
        return (_LOOPBACKS[ip.version == 6],)  # a connection to 0.0.0.0 is one to 127.0.0.1
    return (str(mapped or ip),)


def _reaches(listening: str, to: str) -> bool:
    """Whether a connection to the address `to` arrives at a socket that listens on `listening`."""
    return _is_ours(to) if ipaddress.ip_address(listening).is_unspecified else listening == to


def _is_ours(ip: str) -> bool:
    """Whether an address belongs to this machine: only then a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((ip, 0))
        except OSError:
            return False
    return True
