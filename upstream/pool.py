"""The settings of connections to upstreams, their form as options of libcurl, and the root certificates."""

from __future__ import annotations

import math
import os
import ssl

import pycurl
from msgspec import Struct

# pycurl has no name for this option of libcurl, but passes its number on. Without it, a proxy's own
# "200 Connection established" would look like the head of the reply.
SUPPRESS_CONNECT_HEADERS = 265
CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)


class Pool(Struct, frozen=True):
    """The settings of connections.

    max_connections: the most open connections, idle ones included. Further requests wait, for Timeouts.connect at most.
    max_connections_per_upstream: the most of them to one host; 0 = max_connections.
    keepalive_connections: the most idle connections, to all upstreams together; 0 = none is kept.
    keepalive_expiry: how many seconds a connection may be idle and still be used again. libcurl counts whole seconds,
    so it is rounded up. 0 = none is used again.
    keepalive_max_age: the age in seconds after which a connection takes no new request; 0 = no limit.
    proxy: the URL of an HTTP or SOCKS proxy; "" = none, whatever the environment says.
    ca_file: a PEM file; "" = the system's roots. family: any, ipv4, ipv6, prefer_ipv4 or prefer_ipv6.
    max_head_bytes: of all heads of a reply together, with interim ones and trailers; one line may have a quarter.
    """

    max_connections: int = 1000
    max_connections_per_upstream: int = 0
    keepalive_connections: int = 15
    keepalive_expiry: float = 30.0
    keepalive_max_age: float = 60.0
    http2: bool = False
    proxy: str = ""
    ca_file: str = ""
    family: str = "any"
    max_head_bytes: int = 128 * 1024


def options(pool: Pool) -> dict[int, int | str]:
    """The options of every libcurl handle."""
    chosen: dict[int, int | str] = {
        pycurl.NOSIGNAL: 1,
        pycurl.TCP_NODELAY: 1,
        pycurl.TCP_KEEPALIVE: 1,  # a model may think for minutes without a byte
        pycurl.FOLLOWLOCATION: 0,
        pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
        pycurl.HTTP09_ALLOWED: 0,
        pycurl.PATH_AS_IS: 1,
        pycurl.USERAGENT: "",  # libcurl adds none of its own
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_2TLS if pool.http2 else pycurl.CURL_HTTP_VERSION_1_1,
        pycurl.PIPEWAIT: int(pool.http2),
        SUPPRESS_CONNECT_HEADERS: 1,
    }
    if pool.keepalive_connections <= 0 or pool.keepalive_expiry <= 0:
        chosen[pycurl.FORBID_REUSE] = 1
    else:
        chosen[pycurl.MAXAGE_CONN] = math.ceil(pool.keepalive_expiry)
        chosen[pycurl.MAXLIFETIME_CONN] = math.ceil(pool.keepalive_max_age)
    return chosen


class Roots:
    """The file of root certificates. path: the path that libcurl gets. libcurl reads a file once a day and knows it by
    its path, so that a renewed file gets another path that leads to it."""

    def __init__(self, pool: Pool) -> None:
        self._renewals = 0
        self._trusted = "", 0
        self.path = ""
        self.adopt(pool)

    def adopt(self, pool: Pool) -> None:
        """Looks at the file again, as it may have been renewed, or the settings may name another."""
        file = pool.ca_file or system_ca_file()
        stamp = _stamp(file)
        if (file, stamp) != self._trusted:
            self._renewals += 1
            self._trusted = file, stamp
        folder, slash, name = file.rpartition("/")
        self.path = f"{folder}/{'./' * (self._renewals % 8)}{name}" if slash else file


def _stamp(file: str) -> int:
    """A number that changes when the file does; 0 if there is no file."""
    try:
        found = os.stat(file)
    except OSError:
        return 0
    return found.st_mtime_ns ^ found.st_ino


def system_ca_file() -> str:
    """The file of this system's root certificates; "" = the file that libcurl was built with.

    A wheel of pycurl has a libcurl that was built on another system, and libcurl does not read SSL_CERT_FILE.
    """
    return next((path for path in ca_places() if os.path.isfile(path)), "")


def ca_places() -> list[str]:
    """The files that are looked for, in this order."""
    named = (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().openssl_cafile, *CA_FILES)
    return [path for path in dict.fromkeys(named) if path]
