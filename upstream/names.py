"""Names of upstreams -> addresses, looked up in threads that nobody waits for.

libcurl's own look-ups share a few threads: one name server that is silent about one name holds up all others, and the
end of the process; and an address is kept for a minute, however often nobody answers there. Here each name has at most
one thread, a daemon, whatever the number of requests that wait for it. An answer is used for LOOK_UP_S, then renewed
while it is still used; one that nobody can connect to is dropped (`forget`). A name server that fails takes no upstream
down whose address was known.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger("upstream")

LOOK_UP_S = 20.0  # an answer's age from which on it is renewed
TOO_OLD_S = 120.0  # from here on the new one is waited for
PATIENCE_S = 1.0  # but no longer than that, where there is an old one
MAX_THREADS = 64  # at once; further names wait
MAX_NAMES = 4096  # remembered

_FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_FIRST = {"prefer_ipv4": socket.AF_INET, "prefer_ipv6": socket.AF_INET6}


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """addresses: as libcurl takes them, in the order of preference. at: when it came. error: why there are none."""

    addresses: tuple[str, ...]
    at: float
    error: str = ""


Then = Callable[[Answer], None]


@dataclass(slots=True, eq=False)
class _Asking:
    waiting: list[Then] = field(default_factory=list)
    started: bool = False


def is_name(host: str) -> bool:
    """Whether somebody must be asked for its address; libcurl knows localhost's by itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return True
    return False


class Names:
    """For the loop's thread only. call: runs something on the loop, from any thread; False once there is no loop.
    later: the same after so many seconds."""

    def __init__(
        self,
        now: Callable[[], float],
        call: Callable[..., bool],
        later: Callable[..., object],
        look: Callable[[str, str], tuple[str, ...]] | None = None,
    ) -> None:
        """look: the look-up itself, which may take its time. Raises OSError."""
        self._now, self._call, self._later = now, call, later
        self._look = look or addresses
        self._known: dict[tuple[str, str], Answer] = {}
        self._asking: dict[tuple[str, str], _Asking] = {}
        self._threads = 0

    def __repr__(self) -> str:
        return f"<Names {len(self._known)} known, {len(self._asking)} asked for>"

    def known(self, host: str, family: str) -> Answer | None:
        """Returns what may be used at once; an answer that is getting old is renewed meanwhile."""
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
        """Looks a name up. `then` is called from the loop, never from here."""
        key = host, family
        self._ask(key).waiting.append(then)
        if key in self._known:
            self._later(PATIENCE_S, self._settle_for, key)

    def forget(self, host: str) -> None:
        """Nobody answered there: the name may have moved."""
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
        """Looks names up; it runs in a thread."""
        try:
            found, error = self._look(*key), ""
        except (OSError, UnicodeError) as why:
            found, error = (), getattr(why, "strerror", None) or str(why)
        self._call(self._came, key, found, error)

    def _came(self, key: tuple[str, str], found: tuple[str, ...], error: str) -> None:
        self._threads -= 1
        asking = self._asking.pop(key)
        old = self._known.get(key)
        if not found and old is not None:  # better than nothing
            log.warning("%s: %s; the address of before is used on", key[0], error)
            answer = old
        else:
            answer = Answer(found, self._now(), error or "" if found else error or "it has no address")
        if found:
            self._known.pop(key, None)
            while len(self._known) >= MAX_NAMES:
                del self._known[next(iter(self._known))]
            self._known[key] = answer
        self._start_some()
        for then in asking.waiting:
            then(answer)

    def _settle_for(self, key: tuple[str, str]) -> None:
        """The new answer is late: who waits for it gets the old one."""
        asking, old = self._asking.get(key), self._known.get(key)
        if asking is None or old is None:
            return
        waiting, asking.waiting = asking.waiting, []
        for then in waiting:
            then(old)


def addresses(host: str, family: str) -> tuple[str, ...]:
    """Raises OSError."""
    if host.rstrip(".").endswith(".onion"):  # no name server is to hear of it: RFC 7686
        raise socket.gaierror(socket.EAI_NONAME, "names under .onion are for a Tor proxy to look up")
    found = socket.getaddrinfo(host, None, _FAMILIES.get(family, socket.AF_UNSPEC), socket.SOCK_STREAM)
    first = _FIRST.get(family)
    if first is not None:
        found.sort(key=lambda each: each[0] != first)
    shown = [f"[{each[4][0]}]" if each[0] == socket.AF_INET6 else str(each[4][0]) for each in found]
    return tuple(dict.fromkeys(shown))
