"""A reply for a client that gets its stream in another form than server-sent events.

What reads the upstream writes server-sent events, whatever the client's address asks for. Here their data is put into
the frames of that address (see translate.dialect.Framing), and a whole reply into its form.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.passing.passthrough import Passthrough
from translate.conversation import Usage
from translate.dialect import Reply
from translate.endpoint import Framed
from translate.failures.errors import ApiError


class Reframed:
    """See translate.dialect.Reply. keeps: how many bytes of the reply are also kept in the protocol's own form. clock:
    tells seconds, from now on, for forms that say how long a reply took."""

    __slots__ = ("_began", "_clock", "_closed", "_form", "_framing", "_parts", "_reply", "_room")

    def __init__(self, reply: Reply, form: Framed, keeps: int, clock: Callable[[], float]) -> None:
        self._reply = reply
        self._form = form
        self._clock = clock
        self._began = clock()
        self._framing = form.framing() if form.timed is None else form.timed.framing(clock)
        self._closed = False
        self._room = keeps
        self._parts: list[bytes] = []

    def __repr__(self) -> str:
        return f"<Reframed {self._reply!r}>"

    @property
    def started(self) -> bool:
        return self._reply.started

    @property
    def ended(self) -> bool:
        return self._reply.ended

    @property
    def goes_on(self) -> bool:
        return self._reply.goes_on

    @property
    def fault(self) -> ApiError | None:
        return self._reply.fault

    @property
    def usage(self) -> Usage | None:
        return self._reply.usage

    @property
    def complete(self) -> bool:
        return self._reply.complete

    @property
    def sample(self) -> bytes:
        return self._reply.sample

    @property
    def has_failed(self) -> bool:
        """See Passthrough."""
        return isinstance(self._reply, Passthrough) and self._reply.has_failed

    @property
    def unframed(self) -> bytes | None:
        """The reply so far in the protocol's own form, None if that is not kept."""
        return b"".join(self._parts) if self._room > 0 else None

    def whole(self, raw: bytes, streamed: bool = False) -> bytes:
        out = self._reply.whole(raw, streamed)
        if self._room > 0:
            self._keep(out)
        form = self._form
        if not out or form.timed is None:
            return form.whole(out) if out else out
        return form.timed.whole(out, self._clock() - self._began)

    def whole_as_stream(self, raw: bytes) -> bytes:
        return self._framed(self._reply.whole_as_stream(raw), ends=True)

    def begin(self) -> bytes:
        """A form whose first line is one with words begins with a sign of life: it is to begin now."""
        return self._framed(self._reply.begin()) or self._framing.ping()

    def feed(self, chunk: bytes) -> bytes:
        return self._framed(self._reply.feed(chunk))

    def end(self) -> bytes:
        return self._framed(self._reply.end(), ends=True)

    def fail(self, error: ApiError) -> bytes:
        return self._framed(self._reply.fail(error), ends=True)

    def ping(self) -> bytes:
        return self._framing.ping() if self._reply.ping() else b""

    def _framed(self, events: bytes, *, ends: bool = False) -> bytes:
        """ends: nothing comes after it, if anything of the stream has gone out at all."""
        if self._room > 0:
            self._keep(events)
        out = self._framing.feed(events) if events else b""
        if (self._reply.ended or ends) and self._reply.started and not self._closed and not self._reply.goes_on:
            self._closed = True
            out += self._framing.end()
        return out

    def _keep(self, said: bytes) -> None:
        self._room -= len(said)
        self._parts.append(said)
        if self._room <= 0:
            self._parts.clear()


def unframed(reply: Reply | None) -> bytes | None:
    """Returns a reply in the form of its protocol, for a client that gets it in another form: b"" if there is none,
    None if it is too long to be kept."""
    return reply.unframed if isinstance(reply, Reframed) else b""


def failed_unsaid(reply: Reply | None) -> bool:
    """Returns whether a passthrough stream has told an error right after its opening, and the client has got
    neither."""
    return isinstance(reply, Passthrough | Reframed) and reply.has_failed
