"""What most encoders of a stream do with events, whatever the protocol makes of them.

Three states: waiting (nothing is written), writing, over. A protocol's own encoder says what an event becomes.
"""

from __future__ import annotations

from typing import Literal

from translate.conversation import Close, Delta, Event, Fault, Open, Part, Ping, Start, Stop, Usage
from translate.failures import errors


class StreamWriting:
    """Takes events by `emit` and returns bytes; none after the terminal event. ping_bytes: a sign of life, once the
    stream has begun."""

    __slots__ = ("_part", "_ping_bytes", "_state", "_usage")

    def __init__(self, ping_bytes: bytes) -> None:
        self._ping_bytes = ping_bytes
        self._state: Literal["waiting", "writing", "over"] = "waiting"
        self._part: Part | None = None  # the open one
        self._usage: Usage | None = None  # as the start has told it

    @property
    def started(self) -> bool:
        return self._state != "waiting"

    @property
    def ended(self) -> bool:
        return self._state == "over"

    def emit(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self._state == "over":
                break
            if type(event) is Delta:
                self._delta(event.pieces, out)
            else:
                self._other(event, out)
        return b"".join(out)

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Start():
                self._usage = event.usage
                self._begin(out)
            case Open():
                self._begin(out)
                self._open(event.part, out)
            case Close():
                self._close(event, out)
            case Stop():
                self._begin(out)
                self._stop(event, out)
                self._state = "over"
            case Fault():
                error = event.error
                self._fail(error if isinstance(error, errors.ApiError) else errors.BadReply(str(error)), out)
                self._state = "over"
            case Ping() if self._state == "writing":  # earlier it would fix the status at 200
                out.append(self._ping_bytes)

    # ------------------------------------------------------------------------ what each protocol knows

    def _begin(self, out: list[bytes]) -> None:
        """Writes the beginning of the stream, if it is not written."""
        raise NotImplementedError

    def _open(self, part: Part, out: list[bytes]) -> None:
        raise NotImplementedError

    def _delta(self, pieces: list[bytes], out: list[bytes]) -> None:
        raise NotImplementedError

    def _close(self, close: Close, out: list[bytes]) -> None:
        raise NotImplementedError

    def _stop(self, stop: Stop, out: list[bytes]) -> None:
        raise NotImplementedError

    def _fail(self, error: errors.ApiError, out: list[bytes]) -> None:
        raise NotImplementedError
