"""How an upstream is reached: whom its certificate must satisfy, who we say we are, by which proxy and which family."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pycurl

from upstream.names import is_name

PROXY_PORT = 1080  # libcurl's, where a proxy's URL names none
FAMILIES = ("any", "ipv4", "ipv6", "prefer_ipv4", "prefer_ipv6")

# pycurl 7.49 has no name for this option of libcurl, but passes its number on.
CA_CACHE_TIMEOUT = 321

_RESOLVE = {"ipv4": pycurl.IPRESOLVE_V4, "ipv6": pycurl.IPRESOLVE_V6}


@dataclass(frozen=True, slots=True)
class Place:
    """A name that is looked up before libcurl is asked to connect there."""

    host: str
    port: int
    family: str


def place_of(url: str, proxy: str, family: str) -> Place | None:
    """Who is connected to on the way to a URL; None where no name must be looked up, or libcurl has to do it."""
    parts = urlsplit(proxy or url)
    port = parts.port or (443 if parts.scheme == "https" else PROXY_PORT if proxy else 80)
    host = parts.hostname or ""
    return Place(host, port, family) if host and is_name(host) else None


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """Handles are kept for each of them: one object for each upstream. ca_file: PEM, "" = the client's own.
    client_cert, client_key: PEM files; the key may be in the former. proxy: a URL, "" = none, None = the client's own.
    family: one of FAMILIES, "" = the client's own."""

    verify: bool = True
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    client_key_password: str = field(default="", repr=False)
    proxy: str | None = field(default=None, repr=False)
    family: str = ""

    def put(self, curl: pycurl.Curl, ca_file: str, proxy: str, family: str) -> None:
        """Sets the options of a new handle. ca_file, proxy, family: the client's own."""
        curl.setopt(pycurl.SSL_VERIFYPEER, 1 if self.verify else 0)
        curl.setopt(pycurl.SSL_VERIFYHOST, 2 if self.verify else 0)
        own = self.ca_file or ca_file
        if own:
            curl.setopt(pycurl.CAINFO, own)
        # libcurl keeps one file's certificates, read once a day. Those of one upstream are few, and may be renewed.
        curl.setopt(CA_CACHE_TIMEOUT, 0 if self.ca_file else 86400)
        files = ((pycurl.SSLCERT, self.client_cert), (pycurl.SSLKEY, self.client_key))
        for option, value in (*files, (pycurl.KEYPASSWD, self.client_key_password)):
            if value:
                curl.setopt(option, value)
        curl.setopt(pycurl.PROXY, proxy if self.proxy is None else self.proxy)
        curl.setopt(pycurl.NOPROXY, "")  # else libcurl takes exceptions from the environment
        curl.setopt(pycurl.IPRESOLVE, _RESOLVE.get(self.family or family, pycurl.IPRESOLVE_WHATEVER))
