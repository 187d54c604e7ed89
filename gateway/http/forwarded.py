"""What a reverse proxy in front of this one tells of the client by headers: that it was there, and our public address.

Whoever brings one of these headers need not tell the truth, so that no value of theirs opens anything. Their presence
closes: a request that was forwarded does not come from this machine, whatever its address and its Host header say. None
of them goes on to an upstream: they are about our clients, and services behind a CDN refuse those of their own kind.
"""

from __future__ import annotations

import re

from tornado.httputil import HTTPHeaders

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
    """The name of the first header that a reverse proxy has added; "" where none has."""
    for name in headers:
        low = name.lower()
        if low in NAMES or low.startswith(PREFIX):
            return str(name)
    return ""


def public_url(headers: HTTPHeaders, asked: str = "", own_scheme: str = "http") -> str:
    """Where clients find this proxy, without a final slash. asked: where the browser that asks has found it, which
    knows best; otherwise what the request and the reverse proxies before us say. own_scheme: of our own port."""
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
    """Takes the first value: of several proxies in a row, clients talk to the first."""
    return str(headers.get(name, "")).partition(",")[0].strip()


def _forwarded(headers: HTTPHeaders) -> dict[str, str]:
    """Reads the first element of RFC 7239's header."""
    pairs = (part.partition("=") for part in _first(headers, "Forwarded").split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
