"""The prompt-cache watchdog: how much of each session's prompts comes from the cache, and what broke it.

A cache is used as far as a prompt begins like an earlier one: tools, system text, messages, in this order. So a hash is
kept of each of these parts, and the next request of the session is compared with them: the first part that differs is
where the cache ended. A session may have several conversations (Claude Code's subagents); a request belongs to the one
with which it has most in common. Only hashes and the names of parts are kept, within limits, and no text. A body that
is parsed anyway is hashed; a body is parsed only for this if the settings say so.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from console.dashboard import prefix
from console.dashboard.prefix import Prefix

MAX_SESSIONS = 200
MAX_THREADS = 4  # how many conversations of one session are kept
MAX_CHANGES = 10  # how many changes of a session are kept
MAX_WAITING = 4_000  # how many requests in flight are kept
KEPT_S = 300.0  # how long providers keep a prompt by default


class KnownConversation:
    """One conversation: the hashes of its latest request that was answered or is in flight."""

    __slots__ = ("parts", "seen")

    def __init__(self) -> None:
        self.parts: Prefix | None = None
        self.seen = 0.0


class WatchedRequest(Struct, frozen=True):
    """A request in flight. before, parts: the hashes of its conversation without it and with it."""

    session: Session
    change: dict[str, Any] | None = None
    thread: KnownConversation | None = None
    before: Prefix | None = None
    parts: Prefix | None = None


class Session:
    """One session. prompt, cached: tokens since its first request. looked: how many of its requests were compared."""

    __slots__ = ("cached", "changes", "client", "hit", "id", "looked", "model", "prompt", "requests", "seen", "threads")

    def __init__(self, id: str) -> None:
        self.id = id
        self.client = self.model = ""
        self.requests = self.prompt = self.cached = self.looked = 0
        self.hit: float | None = None  # of the latest request
        self.seen = 0.0
        self.threads: list[KnownConversation] = []
        self.changes: deque[dict[str, Any]] = deque(maxlen=MAX_CHANGES)

    def shown(self) -> dict[str, Any]:
        return {
            "session": self.id,
            "client": self.client,
            "model": self.model,
            "requests": self.requests,
            "prompt": self.prompt,
            "cached": self.cached,
            "looked": self.looked,
            "last_hit": self.hit,
            "last": self.seen,
            "changes": list(self.changes),
        }


class CacheWatch:
    """The watchdog. asked() is called for each request that is sent, used() for each that is over. clock: seconds since
    1970."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._waiting: OrderedDict[str, WatchedRequest] = OrderedDict()

    def __repr__(self) -> str:
        return f"<CacheWatch {len(self._sessions)} sessions, {len(self._waiting)} requests waiting>"

    def asked(self, request: str, name: str, client: str, model: str, data: Mapping[str, Any] | None) -> None:
        """Records a request that is sent. name: that of its session. data: its body; None = it was not parsed."""
        now = self._clock()
        session = self._session(f"{client}\0{name}")
        asked = WatchedRequest(session)
        if data is not None:
            session.looked += 1
            asked = self._compared(session, prefix.of(data, model), data, now)
            if asked.change is not None:
                asked.change.update(time=now, request=request)
                session.changes.append(asked.change)
        session.client, session.model, session.seen = client, model, now
        self._waiting[request] = asked
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)

    def used(self, request: str, answered: bool, prompt: int, cached: int) -> tuple[str, dict[str, Any] | None] | None:
        """Records the usage of a request that is over -> (session, what had changed); None if it has no session. A
        request that was not answered is in no cache, so it is forgotten."""
        asked = self._waiting.pop(request, None)
        if asked is None:
            return None
        session, change = asked.session, asked.change
        if not answered:
            if asked.thread is not None and asked.thread.parts is asked.parts:
                asked.thread.parts = asked.before
            if change is not None and change in session.changes:
                session.changes.remove(change)
            return session.id, None
        session.requests += 1
        if prompt:
            session.prompt += prompt
            session.cached += cached
            session.hit = cached / prompt
            if change is not None:
                change |= {"prompt": prompt, "cached": cached}
        return session.id, change

    def shown(self) -> list[dict[str, Any]]:
        """The sessions, the latest first."""
        return [session.shown() for session in reversed(self._sessions.values())]

    def _session(self, name: str) -> Session:
        id = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
        session = self._sessions.get(id)
        if session is None:
            session = self._sessions[id] = Session(id)
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(id)
        return session

    def _compared(self, session: Session, parts: Prefix, data: Mapping[str, Any], now: float) -> WatchedRequest:
        """Compares a request with its conversation, whose latest request it then is."""
        thread, alike = None, 0
        for each in session.threads:
            shared = prefix.shared(each.parts, parts) if each.parts is not None else 0
            if shared > alike:
                thread, alike = each, shared
        if thread is None:
            thread = KnownConversation()
            session.threads.append(thread)
            if len(session.threads) > MAX_THREADS:
                session.threads.remove(min(session.threads[:-1], key=lambda each: each.seen))
        before, idle = thread.parts, now - thread.seen
        thread.parts, thread.seen = parts, now
        change = prefix.difference(before, parts, data) if before is not None else None
        if before is not None and change is None and idle > KEPT_S:
            change = {"where": "nothing", "what": "too late", "idle_s": round(idle)}
        return WatchedRequest(session, change, thread, before, parts)
