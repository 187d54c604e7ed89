"""Which names a request may call this proxy by, in its Host header.

A page can have a name of its own point at this machine (DNS rebinding): then the browser takes the proxy for the page's
own server, and sends that name as Host. Addresses cannot be made to point elsewhere, names can. So without a [client] a
request must name this machine, or be called by a name in [server] allowed_hosts. With clients a request needs a key,
which such a page does not have; allowed_hosts says then which names hold for every request, where it is set.
"""

from __future__ import annotations

import functools
import ipaddress
import re

from operate.settings.load import Settings, is_loopback
from translate.failures.errors import ApiError

_NETLOC = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([^\s\[\]:/?#@\\,]{1,253}))(?::[0-9]{0,5})?")
_SHOWN = 100  # characters


class Hosts:
    """check(host) for every request, where `always` says that there is something to check."""

    def __init__(self, settings: Settings) -> None:
        server = settings.server
        self._open = not settings.clients
        named = (*server.tcp_hosts, *server.allowed_hosts)
        self._named = frozenset(name for name in named if not name.startswith("*"))
        self._within = tuple(name[1:] for name in named if name.startswith("*"))
        self.always = self._open or bool(server.allowed_hosts)

    def __repr__(self) -> str:
        return f"<Hosts {', '.join(sorted(self._named))}>"

    def check(self, host: str) -> None:
        """Raises ApiError (403)."""
        if not self.always or self._is_ours(name_in(host)):
            return
        if self._open:
            raise _refusal(
                host,
                "is not this machine. Without a [client] section in settings.ini only localhost may be named, and what "
                "[server] allowed_hosts has; add a [client] to serve other machines",
            )
        raise _refusal(host, "is not one of [server] allowed_hosts in settings.ini")

    def _is_ours(self, name: str) -> bool:
        return is_local(name) or name in self._named or (bool(self._within) and name.endswith(self._within))


def _refusal(host: str, why: str) -> ApiError:
    shown = "".join(c if c.isprintable() else "?" for c in host[:_SHOWN])
    return ApiError("permission", f"Host '{shown}' {why}.")


def name_in(netloc: str) -> str:
    """The lower-case name or address in "host" or "host:port"; "" for anything else, such as a user part."""
    found = _NETLOC.fullmatch(netloc)
    return (found.group(1) or found.group(2)).lower().removesuffix(".") if found else ""


@functools.lru_cache(maxsize=256)
def is_local(host: str) -> bool:
    """A loopback name or address."""
    if host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return is_loopback(host)
