"""Takes an upstream's own secrets out of its stream, where the stream speaks of an error.

The text of a stream is a model's and passes as it is. An event that names an error is looked at as a whole before
anybody gets any of it. So lines go on as wholes: a piece of a line waits for its rest, and no client could have read
the piece without it.
"""

from __future__ import annotations

from operate.logs.spellings import Spellings
from operate.search import has_any

MOST_HELD = 256 * 1024  # bytes of a line that has not ended


def about_error(lines: bytes) -> bool:
    """Returns whether the lines have one of these words: error or Error, failed, debug."""
    return has_any(lines, (b"rror", b"failed", b"debug"))


def may_tell_error(out: bytes) -> bool:
    """Returns the same for bytes that pass to the client without being read: an error in the middle of a stream has one
    of these words."""
    return has_any(out, (b"error", b"response.failed"))


class CleanEvents:
    """Does the same for a stream that is translated. The reader of its events (translate.reading.Look) calls this with
    each event; of plain deltas it gets only the texts, a fifth of the bytes. tells_error: whether an error was read
    since this was last set."""

    __slots__ = ("_secrets", "tells_error")

    def __init__(self, secrets: Spellings) -> None:
        self._secrets = secrets
        self.tells_error = False

    def __repr__(self) -> str:
        return f"<CleanEvents{', one tells an error' * self.tells_error}>"

    def __call__(self, data: bytes) -> bytes:
        if not self.tells_error:
            if not about_error(data):
                return data
            self.tells_error = True
        return self._secrets.clean(data)


class CleanLines:
    """Cleans the lines of a stream that passes as it is. tells_error: of what `feed` or `rest` has just returned."""

    __slots__ = ("_about_error", "_held", "_secrets", "tells_error")

    def __init__(self, secrets: Spellings) -> None:
        self._secrets = secrets
        self.tells_error = False
        self._held: list[bytes] = []
        self._about_error = False  # an earlier line of the present event was about an error

    def __repr__(self) -> str:
        return f"<CleanLines {sum(map(len, self._held))} bytes held>"

    def feed(self, chunk: bytes) -> bytes:
        if not self._held and chunk.endswith(b"\n"):
            return self._cleaned(chunk)
        cut = chunk.rfind(b"\n") + 1 or chunk.rfind(b"\r") + 1
        if cut:
            out, self._held = b"".join([*self._held, chunk[:cut]]), [chunk[cut:]] if chunk[cut:] else []
        else:
            self._held.append(chunk)
            if len(self._held) > 64:
                self._held = [b"".join(self._held)]
            if sum(map(len, self._held)) <= MOST_HELD:
                return b""
            out, self._held = b"".join(self._held), []
        return self._cleaned(out)

    def rest(self) -> bytes:
        """Returns what still waits when the stream is over."""
        out, self._held = b"".join(self._held), []
        return self._cleaned(out) if out else b""

    def _cleaned(self, lines: bytes) -> bytes:
        self.tells_error = self._about_error or about_error(lines)
        if self.tells_error:
            event = lines.rpartition(b"\n\n")[2]
            self._about_error = about_error(event) if b"\n\n" in lines else True
            return self._secrets.clean(lines)
        return lines
