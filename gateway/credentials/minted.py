"""A key that expires. It is kept, and a new one is made before it ends, or when the upstream refuses it.

A `Mint` runs its source at most once at a time, beside the event loop, and everybody who needs the key waits for the
same run. Near the end of a key, the next one is made in the background, so that no request waits. After a failure
nobody asks again for a while, since a hundred requests a second must not start a hundred commands a second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.limits.retry_policy import Unasked
from operate import steady_clock

log = logging.getLogger("gateway")

RETRY_S = 10.0  # the pause after a failure; and a key that is younger than this is not made anew when it is refused
SHORTEST_S = 5.0  # a key is used for at least so long
EARLY = 0.25  # the part of a key's life in which the next one is made
EARLIEST_S = 300.0


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """The keys with which requests to AWS are signed."""

    access: str
    secret: str = field(repr=False)
    session: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Minted:
    """A minted key. key: goes into the header of the key; "" if requests are signed with `aws` instead. expires:
    seconds since 1970, None = the source does not say."""

    key: str = field(default="", repr=False)
    expires: float | None = None
    aws: AwsKeys | None = None

    @property
    def secrets(self) -> list[str]:
        """The parts of the key that must stay secret."""
        if self.aws is None:
            return [self.key]
        return [text for text in (self.aws.secret, self.aws.session) if text]


class NoKey(Exception):
    """The source gave no key. The text is for the log; public: what clients may read."""

    def __init__(self, why: str, public: str) -> None:
        super().__init__(why)
        self.public = public


class Mint:
    """Makes one key of one upstream. make: asks the source. ttl_s: how long a key is used if the source does not say
    when it ends. on_new: is told every new key before it is used. said: the name of the source, for the log."""

    def __init__(
        self, upstream: str, said: str, make: Callable[[], Awaitable[Minted]], ttl_s: float,
        clock: Callable[[], float] = steady_clock.seconds, unix: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.on_new: Callable[[Minted], None] = lambda minted: None
        self.minted: Minted | None = None
        self._upstream = upstream
        self._said = said
        self._make = make
        self._ttl_s = ttl_s
        self._clock = clock  # not that of the day: where somebody sets it back, a key would seem young for too long
        self._unix = unix
        self._made_at = self._renew_at = self._ends_at = 0.0
        self._failed_at = -RETRY_S
        self._failure = ""
        self._secrets: list[str] = []
        self._run: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Mint of {self._upstream}: {self._said}, {'has' if self.minted else 'no'} key>"

    def is_ready(self) -> bool:
        """Whether there is a key that is valid now. If it ends soon, this starts the making of the next one."""
        now = self._clock()
        if self.minted is None or now >= self._ends_at:
            return False
        if now >= self._renew_at and self._run is None and now - self._failed_at >= RETRY_S:
            self._begin()
        return True

    async def have(self) -> Minted:
        """Returns the key, once there is one. Raises Unasked if none can be made."""
        if not self.is_ready():
            if self._run is None:
                left = self._failed_at + RETRY_S - self._clock()
                if left > 0:
                    raise self._refusal(left)
                self._begin()
            assert self._run is not None
            await asyncio.shield(self._run)  # others wait for the same run
            if self.minted is None or self._clock() >= self._ends_at:
                raise self._refusal(RETRY_S)
        assert self.minted is not None
        return self.minted

    def refused(self, minted: Minted | None) -> bool:
        """The upstream has refused this key. Returns whether there is, or will be, another one to try."""
        if minted is not self.minted:
            return True  # another request met this before, so there is a new key
        if self._clock() - self._made_at < RETRY_S:
            return False
        self.minted = None
        return True

    def stop(self) -> None:
        if self._run is not None:
            self._run.cancel()

    def _begin(self) -> None:
        self._run = asyncio.ensure_future(self._renew())

    async def _renew(self) -> None:
        try:
            minted = await self._make()
        except NoKey as why:
            self._failed_at, self._failure = self._clock(), why.public
            log.error("upstream '%s': no key from %s: %s", self._upstream, self._said, why)
        else:
            self._take(minted)
        finally:
            self._run = None

    def _take(self, minted: Minted) -> None:
        now = self._clock()
        life = self._ttl_s if minted.expires is None else max(minted.expires - self._unix(), SHORTEST_S)
        self._made_at, self._ends_at = now, now + life
        self._renew_at = self._ends_at - min(life * EARLY, EARLIEST_S)
        self._failed_at = now - RETRY_S
        if self._secrets != minted.secrets:  # most sources give the same key for a while
            self._secrets = minted.secrets
            self.on_new(minted)
            log.info("upstream '%s': a new key from %s, good for %.0f s", self._upstream, self._said, life)
        self.minted = minted

    def _refusal(self, retry_after_s: float) -> Unasked:
        message = f"upstream '{self._upstream}' cannot be asked: {self._failure}; the proxy's log says more"
        return Unasked("api", message, 503, retry_after=retry_after_s)
