"""The response writer of a websocket: each event of a stream becomes a text frame.

A Flow writes server-sent events, as for every client. Here their data lines become frames, and all frames of one write
are sent together. A reply with an error status becomes an `error` event with status and body, and a whole response
becomes the events that clients expect. Comments are left out.

A frame has no headers. If fields were dropped (X-Proxy-Dropped), the first event gets a field `headers`, as errors have
one; clients read fields by name, so that they ignore it if they do not know it.
"""

from __future__ import annotations

import struct
from typing import Any, Protocol

from gateway.http.response_writer import ResponseWriter, nothing
from gateway.stored.previous_response import PreviousResponse
from translate.failures import errors
from translate.failures.errors import ApiError
from translate.json import wire
from translate.responses import replay
from translate.responses.dialect import RESPONSES
from translate.streams import sse

_TEXT, _COMPRESSED = 0x81, 0xC1  # a whole text message; RSV1 means that it is compressed (RFC 7692)
_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry", "x-request-id", "x-proxy-upstream", "x-proxy-dropped")
_TO_TELL = b"x-proxy-dropped: "


class Socket(Protocol):
    """What a writer needs of its session. last: it ends after the present turn."""

    last: bool

    def frame(self, data: bytes) -> bytes: ...

    def hang_up(self) -> None: ...


class FrameWriter(ResponseWriter):
    """The writer of one turn. previous: reads every event. stream_id: the stream_id that the client gave, "" = none;
    each event repeats it. kept: the beginning of the reply for the body log, one event on each line, up to `keep`
    bytes; None if keep is 0."""

    __slots__ = ("_events", "_keep", "_stream_id", "_session", "_told", "kept", "previous")

    def __init__(self, session: Socket, stream_id: str, keep: int) -> None:
        super().__init__(session)  # type: ignore[arg-type]  # of a connection, it needs the stream
        self._session = session
        self.previous: PreviousResponse | None = None
        self._events = sse.Splitter()
        self._stream_id = b',"stream_id":"%b"}' % wire.inside(stream_id) if stream_id else b""
        self._told = b""  # for the next event
        self._keep = keep
        self.kept = bytearray() if keep else None

    @property
    def may_wait(self) -> bool:
        return False  # nobody waits for a head, and an error before the first event has a status

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        if self.state != "open":
            return
        self.state = "done"
        if status == 200:
            self._told = _headers_in(head)
        self._send(replay.events(wire.loads(body)) if status == 200 else [wire.dumps(_error(status, head, body))])

    def start(self, status: int, head: bytes) -> None:
        if self.state == "open" and not self.closed:
            self.state = "streaming"
            self._told = _headers_in(head)

    def write(self, data: bytes) -> None:
        if self.state == "streaming" and data:
            self._send([sse.fields(event)[1] for event in self._events.feed(data)])

    def end(self) -> None:
        if self.state == "streaming":
            self.state = "done"
            self._send([sse.fields(self._events.rest())[1]])

    def over(self) -> None:
        self.on_full = self.on_drained = self.on_left = nothing  # the websocket's next turn may be watched already

    def last(self) -> None:
        self._session.last = True

    def abort(self) -> None:
        self.state = "done"
        self._session.hang_up()

    def _send(self, events: list[bytes]) -> None:
        """Sends events. Data that is not a JSON object, such as a comment's, is left out."""
        out = []
        for data in events:
            if data[:1] == b"{":
                if self.previous is not None:
                    self.previous.saw(data)
                self.written += len(data)
                if self.kept is not None and len(self.kept) < self._keep:
                    self.kept += data + b"\n"
                if self._told:
                    data, self._told = _with(data, self._told), b""
                out.append(self._session.frame(_with(data, self._stream_id) if self._stream_id else data))
        if not out:
            return
        if self.closed:
            self._lost = True
        elif rest := self._at_once(b"".join(out)):
            self._queue(rest)
        else:
            self._waiting = 0


def _with(data: bytes, more: bytes) -> bytes:
    """The JSON object with `more`, the last fields and the brace, at its end, if it is an object with fields."""
    whole = data.rstrip()
    return whole[:-1] + more if whole.endswith(b"}") and len(whole) > 2 else data


def frame(data: bytes, compressor: Any) -> bytes:
    """The frame of a text message that a server sends (RFC 6455, section 5.2). compressor: Tornado's, or None."""
    first = _TEXT
    if compressor is not None:
        data, first = compressor.compress(data), _COMPRESSED
    size = len(data)
    if size < 126:
        return struct.pack("!BB", first, size) + data
    if size <= 0xFFFF:
        return struct.pack("!BBH", first, 126, size) + data
    return struct.pack("!BBQ", first, 127, size) + data


def error_event(error: ApiError) -> bytes:
    """The event for an error of the proxy itself that belongs to no reply."""
    return wire.dumps(_error(RESPONSES.errors.status(error), b"", RESPONSES.errors.body(error)))


def _error(status: int, head: bytes, body: bytes) -> dict[str, Any]:
    """An error event in both forms that clients know: with `error` as in a body, and with its fields at the top
    level."""
    try:
        said = wire.loads(body)
    except ValueError:
        said = None
    error = said.get("error") if isinstance(said, dict) else None
    if not isinstance(error, dict):
        error = wire.loads(RESPONSES.errors.body(errors.parse(status, body)))["error"]
    flat = {key: error.get(key) for key in ("code", "message", "param")}
    return {"type": "error", "status": status, "error": error, "headers": _known(head), "sequence_number": 0} | flat


def _headers_in(head: bytes) -> bytes:
    """The end of an event with the headers of a reply; b"" if nothing was dropped."""
    return b',"headers":%b}' % wire.dumps(_known(head)) if _TO_TELL in head.lower() else b""


def _known(head: bytes) -> dict[str, str]:
    """Returns the headers that are told, several of one name as one."""
    known: dict[str, str] = {}
    for name, _, value in (line.partition(": ") for line in head.decode("latin-1").split("\r\n")):
        if (name := name.lower()) in _HEADERS:
            known[name] = f"{known[name]}, {value}" if name in known else value
    return known
