"""How an upstream is reached: the certificates of both sides, the proxy, and the family of addresses."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pycurl
from msgspec import Struct

from upstream.names import is_name

PROXY_PORT = 1080  # libcurl's default if the URL of a proxy has no port

# pycurl has no name for this option of libcurl, but passes its number on.
CA_CACHE_TIMEOUT = 321

_RESOLVE = {"ipv4": pycurl.IPRESOLVE_V4, "ipv6": pycurl.IPRESOLVE_V6}


class Lookup(Struct, frozen=True):
    """What is looked up before libcurl connects: the name of a host."""

    host: str
    port: int
    family: str


def lookup_of(url: str, proxy: str, family: str) -> Lookup | None:
    """The host that libcurl connects to for a URL: the proxy's, or its own. None if no name must be looked up."""
    parts = urlsplit(proxy or url)
    port = parts.port or (443 if parts.scheme == "https" else PROXY_PORT if proxy else 80)
    host = parts.hostname or ""
    return Lookup(host, port, family) if host and is_name(host) else None


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """How one upstream is reached; handles are kept for each Way. ca_file: a PEM file, "" = that of the Pool.
    client_cert, client_key: PEM files; client_cert may hold the key, too. proxy: a URL, "" = none, None = that of the
    Pool. family: as in Pool, "" = that of the Pool. socket: the path of a Unix socket, "" = it has an address."""

    verify: bool = True
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    client_key_password: str = field(default="", repr=False)
    proxy: str | None = field(default=None, repr=False)
    family: str = ""
    socket: str = ""

    def put(self, curl: pycurl.Curl, ca_file: str, proxy: str, family: str) -> None:
        """Sets the options of a new handle. ca_file, proxy, family: those of the Pool."""
        curl.setopt(pycurl.SSL_VERIFYPEER, 1 if self.verify else 0)
        curl.setopt(pycurl.SSL_VERIFYHOST, 2 if self.verify else 0)
        own = self.ca_file or ca_file
        if own:
            curl.setopt(pycurl.CAINFO, own)
        # libcurl keeps the certificates of one file, and reads it once a day. The file of one upstream is small and may
        # be renewed, so it is read for each connection.
        curl.setopt(CA_CACHE_TIMEOUT, 0 if self.ca_file else 86400)
        files = ((pycurl.SSLCERT, self.client_cert), (pycurl.SSLKEY, self.client_key))
        for option, value in (*files, (pycurl.KEYPASSWD, self.client_key_password)):
            if value:
                curl.setopt(option, value)
        curl.setopt(pycurl.PROXY, proxy if self.proxy is None else self.proxy)
        if self.socket:
            curl.setopt(pycurl.UNIX_SOCKET_PATH, self.socket)
        curl.setopt(pycurl.NOPROXY, "")  # otherwise libcurl reads exceptions from the environment
        curl.setopt(pycurl.IPRESOLVE, _RESOLVE.get(self.family or family, pycurl.IPRESOLVE_WHATEVER))
