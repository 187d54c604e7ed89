"""What a reverse proxy in front of this one tells by headers: that it was there, the client's address, and the public
address of this proxy.

Anybody can send these headers with false values, so no value of them gives any right. The client's address is believed
only from proxies that the settings trust, and it is used only for limits. The presence of such a header takes a right
away: a request that was forwarded does not come from this machine, whatever its address and its Host header say. None
of these headers goes to an upstream: they are about our clients, and services behind a CDN refuse those of their own
kind.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Sequence

from tornado.httputil import HTTPHeaders

from operate.settings.load import is_loopback

MAX_NAMED = 20  # proxies in a row
MAX_KNOWN = 4096  # addresses
_OWN = ("127.0.0.1", "::1")  # most requests of this machine come from these, and need no further look
PREFIX = "x-forwarded"
NAMES = frozenset(
    ("forwarded", "via", "x-real-ip", "x-client-ip", "client-ip", "x-cluster-client-ip", "x-remote-ip", "x-remote-addr",
     "x-original-forwarded-for", "x-original-host", "x-original-url", "x-original-remote-addr", "true-client-ip",
     "cf-connecting-ip", "cf-connecting-ipv6", "cf-connecting-o2o", "cf-pseudo-ipv4", "cf-visitor", "cf-ipcountry",
     "cf-ray", "cf-ew-via", "cf-worker", "cdn-loop", "fastly-client-ip", "fastly-ff", "akamai-origin-hop",
     "x-akamai-edgescape", "fly-client-ip", "fly-forwarded-port", "x-envoy-external-address",
     "x-envoy-original-dst-host", "x-appengine-user-ip", "x-appengine-remote-addr", "x-azure-clientip",
     "x-azure-socketip", "x-azure-ref", "x-arr-log-id", "x-arr-ssl", "x-amz-cf-id",
     "cloudfront-viewer-address", "x-nf-client-connection-ip", "x-vercel-forwarded-for",
     "x-vercel-id", "wl-proxy-client-ip", "proxy-client-ip", "x-proxyuser-ip", "x-sucuri-clientip",
     "incap-client-ip", "tailscale-user-login", "x-varnish", "x-scheme")
)  # fmt: skip
"""In lower case, besides those that begin with PREFIX."""

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?)(?::[0-9]{1,5})?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]{1,100}){1,20}")
_URL = re.compile(rf"https?://{_HOST.pattern}(?:{_PATH.pattern})?")


def told_by(headers: HTTPHeaders) -> str:
    """Returns the name of the first header that a reverse proxy has added; "" if none has."""
    for name in headers:
        low = name.lower()
        if low in NAMES or low.startswith(PREFIX):
            return str(name)
    return ""


class Clients:
    """of(...) returns the address of the client. trusted: networks of reverse proxies that are believed."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._networks = tuple(map(ipaddress.ip_network, trusted))
        self._known: dict[str, bool] = {}

    def __repr__(self) -> str:
        return f"<Clients behind {self._networks}>"

    def trusts(self, address: str) -> bool:
        found = self._known.get(address)
        if found is None:
            if len(self._known) > MAX_KNOWN:
                self._known.clear()
            found = self._known[address] = self._is_in(address)
        return found

    def _is_in(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def of(self, address: str, headers: HTTPHeaders) -> str:
        """address: of the other side. In a chain of proxies, the first one that is not trusted decides: what it
        forwards may come from anybody."""
        if not self._networks or not self.trusts(address):
            return address
        for named in reversed(_named(headers)):
            if not _is_address(named):
                return address
            address = named
            if not self.trusts(named):
                break
        return address

    def bounded(self, address: str, headers: HTTPHeaders) -> str:
        """Returns the same; "" for this machine and for a reverse proxy that is trusted, which have no limit."""
        found = self.of(address, headers) if self._networks else address
        return "" if found in _OWN or self.is_unbounded(found) else found

    def is_unbounded(self, address: str) -> bool:
        return is_own(address) or (bool(self._networks) and self.trusts(address))


@functools.lru_cache(maxsize=MAX_KNOWN)
def is_own(address: str) -> bool:
    """Returns whether it is an address of this machine. The end of a Unix socket, which has no address, counts as
    one."""
    return not address or is_loopback(address)


def _named(headers: HTTPHeaders) -> list[str]:
    """Returns the addresses that the proxies on the way have added, the client's first."""
    if "X-Forwarded-For" in headers:
        return [_bare(each) for each in headers["X-Forwarded-For"].split(",")[-MAX_NAMED:]]
    pairs = (part.partition("=") for part in re.split("[,;]", headers.get("Forwarded", "")))
    named = [value for name, _, value in pairs if name.strip().lower() == "for"]
    return [_bare(each) for each in named[-MAX_NAMED:]]


def _bare(text: str) -> str:
    """The address of "1.2.3.4:567", "[2001:db8::1]:567" and either without a port."""
    text = text.strip().strip('"')
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def public_url(headers: HTTPHeaders, asked: str = "", own_scheme: str = "http") -> str:
    """Returns where clients find this proxy, without a final slash. asked: the address in the browser's own request,
    which is the best answer; otherwise the request and the reverse proxies in front decide. own_scheme: of our own
    port."""
    if _URL.fullmatch(asked):
        return asked
    said = _forwarded(headers)
    scheme = (_first(headers, "X-Forwarded-Proto") or _first(headers, "X-Scheme") or said.get("proto", "")).lower()
    host = _first(headers, "X-Forwarded-Host") or said.get("host", "")
    path = "/" + _first(headers, "X-Forwarded-Prefix").strip("/")
    if not _HOST.fullmatch(host):
        host = headers.get("Host", "")
    return (
        f"{scheme if scheme in ('http', 'https') else own_scheme}://{host if _HOST.fullmatch(host) else 'localhost'}"
        f"{path if _PATH.fullmatch(path) else ''}"
    )


def _first(headers: HTTPHeaders, name: str) -> str:
    """Returns the first value: if there are several proxies in a row, clients talk to the first."""
    return str(headers.get(name, "")).partition(",")[0].strip()


def _forwarded(headers: HTTPHeaders) -> dict[str, str]:
    """Reads the first element of RFC 7239's header."""
    pairs = (part.partition("=") for part in _first(headers, "Forwarded").split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
