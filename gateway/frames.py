"""An Answer whose reader is at the other end of a websocket: each event of the stream is a text frame.

The Relay writes what it writes to every client, server-sent events; here their data lines become frames, all those of
a write in one piece. What would be a status with a body becomes an `error` event that holds both, and a whole
response, from an upstream that does not stream, the events that clients read it from. Comments stay behind.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from gateway.answer import Answer
from operate.logs import MAX_BODY_BYTES
from translate import errors, sse, wire
from translate.errors import ApiError

if TYPE_CHECKING:
    from gateway.session import Session, Turn

_TEXT, _COMPRESSED = 0x81, 0xC1  # the whole of a text message; RSV1 says that it is deflated (RFC 7692)
_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry", "x-request-id", "x-proxy-upstream")


class Frames(Answer):
    """turn: its recall is shown every event. lane: the stream_id that the client gave, "" for none; it is said with
    each. kept: for the log of reply bodies, one event a line; None while that is off."""

    __slots__ = ("_events", "_lane", "_session", "_turn", "kept")

    def __init__(self, session: Session, turn: Turn, lane: str, keep: bool) -> None:
        super().__init__(session)  # type: ignore[arg-type]  # of a connection, it needs the stream
        self._session = session
        self._turn = turn
        self._events = sse.Splitter()
        self._lane = b',"stream_id":"%b"}' % wire.inside(lane) if lane else b""
        self.kept = bytearray() if keep else None

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        if self.state != "open":
            return
        self.state = "done"
        self._send(list(_of_whole(body)) if status == 200 else [wire.dumps(_error(status, head, body))])

    def start(self, status: int, head: bytes) -> None:
        """A stream's headers have no place here."""
        if self.state == "open" and not self.closed:
            self.state = "streaming"

    def write(self, data: bytes) -> None:
        if self.state == "streaming" and data:
            self._send([sse.fields(event)[1] for event in self._events.feed(data)])

    def end(self) -> None:
        if self.state == "streaming":
            self.state = "done"
            self._send([sse.fields(self._events.rest())[1]])

    def last(self) -> None:
        self._session.last = True

    def abort(self) -> None:
        self.state = "done"
        self._session.hang_up()

    def _send(self, events: list[bytes]) -> None:
        """events: JSON objects; what is none of them is left out, such as the data of a comment."""
        out = []
        for data in events:
            if data[:1] == b"{":
                if self._turn.recall is not None:
                    self._turn.recall.saw(data)
                self.written += len(data)
                if self.kept is not None and len(self.kept) < MAX_BODY_BYTES:
                    self.kept += data + b"\n"
                out.append(self._session.frame(data[:-1] + self._lane if self._lane else data))
        if out:
            self._put(b"".join(out))


def frame(data: bytes, compressor: Any) -> bytes:
    """A text message that a server sends (RFC 6455, section 5.2). compressor: Tornado's, or None."""
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
    """An error of the proxy's own, outside of any reply."""
    return wire.dumps(_error(errors.status_for("responses", error), b"", errors.body("responses", error)))


def _error(status: int, head: bytes, body: bytes) -> dict[str, Any]:
    """Both shapes that clients know: with `error` as in a reply's body, and with its fields at the top level."""
    lines = (line.partition(": ") for line in head.decode("latin-1").split("\r\n"))
    told = {name.lower(): value for name, _, value in lines if name.lower() in _HEADERS}
    try:
        said = wire.loads(body)
    except ValueError:
        said = None
    error = said.get("error") if isinstance(said, dict) else None
    if not isinstance(error, dict):
        error = wire.loads(errors.body("responses", errors.parse(status, body)))["error"]
    flat = {key: error.get(key) for key in ("code", "message", "param")}
    return {"type": "error", "status": status, "error": error, "headers": told, "sequence_number": 0} | flat


def _of_whole(body: bytes) -> list[bytes]:
    """The events of a response that came in one piece: clients read its items from their own events."""
    response = wire.loads(body)
    kind = {"failed": "response.failed", "incomplete": "response.incomplete"}.get(
        response.get("status"), "response.completed"
    )
    output = response.get("output")
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response | {"status": "in_progress", "output": []}}
    ]
    for index, item in enumerate(output if isinstance(output, list) else []):
        for step in ("added", "done"):
            events.append({"type": f"response.output_item.{step}", "output_index": index, "item": item})
    events.append({"type": kind, "response": response})
    return [wire.dumps(event | {"sequence_number": number}) for number, event in enumerate(events)]
