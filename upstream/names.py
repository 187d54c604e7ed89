"""Looks up the addresses of upstreams' names, in threads that nobody waits for.

libcurl's own look-ups share a few threads, so that a name server that does not answer for one name delays all others,
and the end of the process. It also keeps an address for a minute, even if nobody answers there. Here each name has at
most one thread, a daemon, however many requests wait for it. An answer is used for LOOK_UP_S; then it is renewed, and
used until the new one is there. An answer with addresses that do not work is dropped (`forget`). If a name server
fails, the known addresses are used on.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections.abc import Callable

from msgspec import Struct, field

log = logging.getLogger("upstream")

LOOK_UP_S = 20.0  # an answer that is older than this is renewed
TOO_OLD_S = 120.0  # an answer that is older than this is not used until it is renewed
PATIENCE_S = 1.0  # but after this wait, an old answer is used
MAX_THREADS = 64  # how many names are looked up at once; further ones wait
MAX_NAMES = 4096  # how many names are kept

_FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_FIRST = {"prefer_ipv4": socket.AF_INET, "prefer_ipv6": socket.AF_INET6}


class Answer(Struct, frozen=True, eq=False):
    """The result of a look-up. addresses: in libcurl's spelling, in the order of preference. at: when it came, on the
    loop's clock. error: why there are no addresses."""

    addresses: tuple[str, ...]
    at: float
    error: str = ""


Then = Callable[[Answer], None]


class _Asking(Struct, eq=False):
    waiting: list[Then] = field(default_factory=list)
    started: bool = False


def is_name(host: str) -> bool:
    """Whether the address of a host must be looked up. libcurl knows that of localhost."""
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return True
    return False


class Names:
    """The known names. Only the thread of the event loop may use it. now: the loop's clock. call: runs a function on
    the loop, from any thread, and returns False if the loop has ended. later: runs a function after so many seconds."""

    def __init__(
        self,
        now: Callable[[], float],
        call: Callable[..., bool],
        later: Callable[..., object],
        look: Callable[[str, str], tuple[str, ...]] | None = None,
    ) -> None:
        """look: the function that looks a name up; it may block, and may raise OSError."""
        self._now, self._call, self._later = now, call, later
        self._look = look or addresses
        self._known: dict[tuple[str, str], Answer] = {}
        self._asking: dict[tuple[str, str], _Asking] = {}
        self._threads = 0

    def __repr__(self) -> str:
        return f"<Names {len(self._known)} known, {len(self._asking)} asked for>"

    def known(self, host: str, family: str) -> Answer | None:
        """The answer that may be used at once, or None. If it is older than LOOK_UP_S, it is renewed meanwhile."""
        answer = self._known.get((host, family))
        if answer is None:
            return None
        age = self._now() - answer.at
        if age >= LOOK_UP_S:
            self._ask((host, family))
            if age >= TOO_OLD_S:
                return None
        return answer

    def look_up(self, host: str, family: str, then: Then) -> None:
        """Looks a name up. The loop calls `then` with the answer later, never this method itself."""
        key = host, family
        self._ask(key).waiting.append(then)
        if key in self._known:
            self._later(PATIENCE_S, self._settle_for, key)

    def forget(self, host: str) -> None:
        """Drops the answers for a host, because nobody answers at its addresses: it may have others now."""
        for key in [key for key in self._known if key[0] == host]:
            del self._known[key]

    # ---- one look-up

    def _ask(self, key: tuple[str, str]) -> _Asking:
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = _Asking()
            self._start_some()
        return asking

    def _start_some(self) -> None:
        for key, asking in self._asking.items():
            if self._threads >= MAX_THREADS:
                return
            if not asking.started:
                asking.started = True
                self._threads += 1
                threading.Thread(target=self._run, args=(key,), name=f"look up {key[0]}", daemon=True).start()

    def _run(self, key: tuple[str, str]) -> None:
        """Looks a name up. It runs in a thread."""
        try:
            found, error = self._look(*key), ""
        except (OSError, UnicodeError) as why:
            found, error = (), getattr(why, "strerror", None) or str(why)
        self._call(self._came, key, found, error)

    def _came(self, key: tuple[str, str], found: tuple[str, ...], error: str) -> None:
        self._threads -= 1
        asking = self._asking.pop(key)
        old = self._known.get(key)
        if not found and old is not None:  # an old address is better than none
            log.warning("%s: the look-up of the name failed (%s); its last known address is used", key[0], error)
            answer = old
        else:
            answer = Answer(found, self._now(), error or "" if found else error or "the name has no address")
        if found:
            self._known.pop(key, None)
            while len(self._known) >= MAX_NAMES:
                del self._known[next(iter(self._known))]
            self._known[key] = answer
        self._start_some()
        for then in asking.waiting:
            then(answer)

    def _settle_for(self, key: tuple[str, str]) -> None:
        """Gives the old answer to those who wait, because the new one is late."""
        asking, old = self._asking.get(key), self._known.get(key)
        if asking is None or old is None:
            return
        waiting, asking.waiting = asking.waiting, []
        for then in waiting:
            then(old)


def addresses(host: str, family: str) -> tuple[str, ...]:
    """Looks up the addresses of a host, in the order of preference and in libcurl's spelling. Raises OSError."""
    if host.rstrip(".").endswith(".onion"):  # RFC 7686: such a name must not be sent to a name server
        raise socket.gaierror(socket.EAI_NONAME, "names under .onion need a Tor proxy; set [upstream NAME] proxy")
    found = socket.getaddrinfo(host, None, _FAMILIES.get(family, socket.AF_UNSPEC), socket.SOCK_STREAM)
    first = _FIRST.get(family)
    if first is not None:
        found.sort(key=lambda each: each[0] != first)
    shown = [f"[{each[4][0]}]" if each[0] == socket.AF_INET6 else str(each[4][0]) for each in found]
    return tuple(dict.fromkeys(shown))
