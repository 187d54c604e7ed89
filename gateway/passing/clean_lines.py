"""Takes an upstream's own secrets out of its stream, where the stream speaks of an error.

The text of a stream is a model's and passes as it is. An event that names an error is looked at as a whole before
anybody gets any of it. So lines go on as wholes: a piece of a line waits for its rest, and no client could have read
the piece without it.
"""

from __future__ import annotations

from operate.logs.spellings import Spellings
from operate.search import LONG, has_any

MOST_HELD = 256 * 1024  # bytes of a line that has not ended
WORDS = (b"rror", b"failed", b"debug")  # of an error: error, Error ...
_NONE = (b'"error":null', b'"error": null')  # each snapshot of a Responses reply says it
_BEGINS = (b"data:", b"event:", b"id:", b"retry:", b":")  # an event: pages and traces have blank lines of their own


def about_error(lines: bytes) -> bool:
    """Returns whether the lines have one of the words of an error, besides saying that there is none."""
    if len(lines) < LONG:  # as nearly all are: without a further call
        if lines.rfind(b"rror") < 0 and lines.rfind(b"failed") < 0 and lines.rfind(b"debug") < 0:
            return False
    elif not has_any(lines, WORDS):
        return False
    for none in _NONE:
        lines = lines.replace(none, b"")
    return has_any(lines, WORDS)


def may_tell_error(out: bytes) -> bool:
    """Returns the same for bytes that pass to the client without being read: an error in the middle of a stream has one
    of these words."""
    if len(out) < LONG:
        return out.rfind(b"error") >= 0 or out.rfind(b"response.failed") >= 0
    return has_any(out, (b"error", b"response.failed"))


def _of_errors(lines: bytes) -> list[tuple[int, int]]:
    """Returns where the events begin and end that have one of the words. It looks from the end, as rfind takes half the
    time of find."""
    found = []
    begin = len(lines)
    left = {word: lines.rfind(word) for word in WORDS}
    while left := {word: at for word, at in left.items() if at >= 0}:
        at = max(left.values())
        end = _end(lines, at, begin)
        begin = _begin(lines, at)
        found.append((begin, end))
        left = {word: place if place < begin else lines.rfind(word, 0, begin) for word, place in left.items()}
    return found[::-1]


def _begin(lines: bytes, at: int) -> int:
    """Returns where the event begins that `at` is in."""
    blank = lines.rfind(b"\n\n", 0, at)
    while blank >= 0 and not lines.startswith(_BEGINS, blank + 2):
        blank = lines.rfind(b"\n\n", 0, blank + 1)
    return blank + 2 if blank >= 0 else 0


def _end(lines: bytes, at: int, most: int) -> int:
    """Returns where the event ends that `at` is in: `most` at the latest."""
    blank = lines.find(b"\n\n", at, most)
    while blank >= 0 and not lines.startswith(_BEGINS, blank + 2):
        blank = lines.find(b"\n\n", blank + 1, most)
    return blank if blank >= 0 else most


class CleanEvents:
    """Cleans the events of a stream that is translated. Their reader (translate.streams.reading.Look) calls this with
    each event; of plain deltas it gets only the texts, a fifth of the bytes. tells_error: whether an error was read
    since this was last set."""

    __slots__ = ("_secrets", "tells_error")

    def __init__(self, secrets: Spellings) -> None:
        self._secrets = secrets
        self.tells_error = False

    def __repr__(self) -> str:
        return f"<CleanEvents{', one tells an error' * self.tells_error}>"

    def __call__(self, data: bytes) -> bytes:
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
        goes_on = self._about_error
        self.tells_error = goes_on or about_error(lines)
        if not self.tells_error:
            return lines
        last = _begin(lines, len(lines))
        is_open = not lines.endswith(b"\n\n")
        self._about_error = is_open and (about_error(lines[last:]) or (goes_on and not last))
        done = _end(lines, 0, len(lines)) if goes_on else 0
        out = [self._secrets.clean(lines[:done])]
        for start, end in _of_errors(lines):
            if end > done:
                out += [lines[done:start], self._secrets.clean(lines[start:end])]
                done = end
        return b"".join([*out, lines[done:]])
