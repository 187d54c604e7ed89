"""Masks an upstream's own secrets in its replies in other spellings, too: escaped, in base64 or hex, or only a part.

Servers repeat the key that they refuse, in the spelling of their error page or JSON. The bytes are searched as they are
and, if they have escapes of any kind, also with the escapes undone. Services show the last four characters of a key on
purpose; a longer part of a secret, of SHOWN characters or more, is masked. The search takes linear time. An upstream
may have a thousand keys, each with a dozen spellings: beyond MANY pieces to look for, all words of eight bytes of the
data are looked up in a set, which takes as long for many pieces as for few.
"""

from __future__ import annotations

import base64
import re
import sys
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from html import entities

from operate.logs.redaction import MASK, MIN_SECRET
from operate.search import LONG, has_any

SHOWN = 10  # so many characters of a secret in a row are masked; fewer are of no use to anybody
LONGEST = 8192  # a secret with more characters is not looked for in other spellings
GRAM = 8  # bytes of the pieces of secrets that are looked for; no secret is shorter
MANY = 256  # pieces; to look for so many one by one takes as long as to look all words of a short reply up
MAX_CLEAN = 512  # how many values of headers are known to have no secret
MAX_CLEAN_LENGTH = 128  # of such a value
OF_EACH = 2  # values that each reply has anew, such as its id: not worth remembering

# The beginning of a key that is not secret: sk-ant-api03-, sk-proj-, gsk_, xai- ...
_PUBLIC = re.compile(
    r"(?:Bearer |Basic )?(?:(?:sk|pk|rk)-(?:[a-z]{2,6}(?:-v?\d)?-)?(?:[a-z]{2,5}\d\d-)?|[A-Za-z]{2,6}[_-])?"
)
# `\\\\*`, not `\\+`: where each choice begins with a letter, places without one take a third of the time.
_ESCAPE = re.compile(
    rb"\\\\*u00([0-9A-Fa-f]{2})|\\\\*x([0-9A-Fa-f]{2})|%(?:25)*([0-9A-Fa-f]{2})|&(?:amp;)*#0*([0-9]{1,3});"
    rb"|&(?:amp;)*#[xX]0*([0-9A-Fa-f]{1,2});|&(?:amp;)*([A-Za-z]{2,9});|\\\\*([/\"\\+=-])"
)
# What may hide a letter of a secret. Quotes and line ends, of which texts in JSON are full, hide none.
_MAY_HIDE = (b"\\u00", b"%", b"&", b"\\/", b"\\x", b"\\+", b"\\-", b"\\=")
_HIDES = re.compile(rb"\\(?:u00[2-7]|x[2-7]|[/+=-])|%(?:25)*[2-7][0-9A-Fa-f]|&(?:amp;)*(?:#|[A-Za-z]{2,9};)")
_NAMED = {
    name.removesuffix(";").encode(): text.encode()
    for name, text in entities.html5.items() if len(text) == 1 and text.isascii()
}  # fmt: skip


class Spellings:
    """The secrets of an upstream in all spellings. It works on bytes, because their encoding is not known."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._texts: list[tuple[bytes, int]] = []  # a spelling, and the length of its beginning that is not secret
        self._quotes = False  # whether a secret has a letter that each JSON text escapes
        for secret in dict.fromkeys(secrets):
            self._quotes = self._quotes or '"' in secret or "\\" in secret
            if MIN_SECRET <= len(secret) <= LONGEST:
                self._texts += [(text, public) for text, public in _spelled(secret)]
        # Short pieces of the spellings: every part of SHOWN characters contains one of them whole.
        self._grams: dict[bytes, list[tuple[bytes, int]]] = {}
        for text, public in self._texts:
            for at in _starts(len(text), public):
                self._grams.setdefault(text[at : at + GRAM], []).append((text, at))
        self._ends = tuple(dict.fromkeys(
            text[at : at + GRAM].lower() for text, public in self._texts
            for at in (min(public, len(text) - GRAM), len(text) - GRAM)
        ))  # fmt: skip
        self._words = _words(self._grams)
        self._pieces = tuple(self._grams)
        self._end_words = _words(self._ends)
        self._clean_values: set[str] = set()

    def __repr__(self) -> str:
        return f"<Spellings {len(self._texts)}>"

    def clean(self, data: bytes) -> bytes:
        """The bytes of an error with every part of a secret masked."""
        if not self._grams or not data:
            return data
        if spans := self._found(data):
            data = _masked(data, spans)
        if self._quotes or _hides(data):
            plain, starts, origins = _unescaped(data)
            if starts and (spans := self._found(plain)):
                places = [(_origin(a, starts, origins), _origin(b, starts, origins)) for a, b in spans]
                data = _masked(data, places)
        return data

    def clean_reply(self, data: bytes) -> bytes:
        """The same for a good reply, which nearly never has a secret: it looks for the ends of secrets first, to be
        quick, and undoes its escapes only if it has some."""
        low = data.lower()  # so that the spellings in either case are one search
        if len(low) < LONG and not self._end_words:  # as nearly all are: without a further call
            for end in self._ends:
                if low.rfind(end) >= 0:
                    return self.clean(data)
        elif self._may_have(low):
            return self.clean(data)
        if self._grams and (self._quotes or _hides(data)):
            plain, starts, _ = _unescaped(data)
            if starts and self._may_have(plain.lower()):
                return self.clean(data)
        return data

    def _may_have(self, low: bytes) -> bool:
        """Whether data in small letters has an end of a secret."""
        if self._end_words:
            return any(not self._end_words.isdisjoint(words) for words in _all_words(low))
        return has_any(low, self._ends)

    def headers(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The headers of a reply with secrets masked; the same list if there is none."""
        known = self._clean_values  # most values are those of the reply before
        new = [value for _, value in headers if value not in known]
        values = "\n".join(new).encode("latin-1", "replace")
        if self.clean_reply(values) is values:
            if len(known) > MAX_CLEAN:
                known.clear()
            if len(new) > OF_EACH:
                known.update([value for value in new if len(value) <= MAX_CLEAN_LENGTH])
            return headers
        return [(name, self.text(value)) for name, value in headers]

    def text(self, text: str) -> str:
        """A text, such as the message of an error, with every part of a secret masked."""
        data = text.encode("utf-8", "surrogatepass")
        clean = self.clean(data)
        return text if clean is data else clean.decode("utf-8", "replace")

    def _found(self, data: bytes) -> list[tuple[int, int]]:
        """The parts of secrets in the data, as (start, end)."""
        return [
            (start, end)
            for at, gram in self._places(data) for text, begins in self._grams[gram]
            for start, end in [_stretch(data, at, text, begins)] if end - start >= min(SHOWN, len(text))
        ]  # fmt: skip

    def _places(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Where the data has pieces of secrets: the place, and the piece. Places of one piece do not overlap."""
        if self._words:
            past: dict[bytes, int] = {}
            for at in sorted(_places_of_words(self._words, data)):
                gram = data[at : at + GRAM]
                if at >= past.get(gram, 0):
                    past[gram] = at + GRAM
                    yield at, gram
            return
        if not has_any(data, self._pieces):
            return
        for gram in self._pieces:
            at = data.find(gram)
            while at >= 0:
                yield at, gram
                at = data.find(gram, at + GRAM)


def _spelled(secret: str) -> Iterator[tuple[bytes, int]]:
    """The spellings of a secret, each with the length of its beginning that is not secret: as it is, in upper and lower
    case, in base64 at each offset, and in hex."""
    found = _PUBLIC.match(secret)
    public = found.end() if found else 0
    public = public if len(secret) - public >= MIN_SECRET else 0
    raw = secret.encode("utf-8", "surrogatepass")
    for text in dict.fromkeys((raw, raw.upper(), raw.lower())):
        yield text, public
    if len(raw) < 12:
        return  # what a short secret leaves in base64 may also be there by chance
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        inner = coded[(0, 2, 3)[shift] : len(raw + b"\0" * shift) // 3 * 4]
        for text in dict.fromkeys((inner, inner.translate(bytes.maketrans(b"+/", b"-_")))):
            yield text, public * 4 // 3
    yield raw.hex().encode(), 2 * public
    yield raw.hex().upper().encode(), 2 * public


def _words(grams: Collection[bytes]) -> frozenset[int]:
    """The pieces as numbers, if there are many; else none."""
    return frozenset(int.from_bytes(gram, sys.byteorder) for gram in grams) if len(grams) > MANY else frozenset()


def _all_words(data: bytes) -> Iterator[memoryview]:
    """All that have GRAM bytes in a row in the data, as numbers: those that begin at 0, 8, 16 ..., at 1, 9, 17 ..."""
    view = memoryview(data)
    for offset in range(min(GRAM, len(data) + 1 - GRAM)):
        yield view[offset : offset + (len(data) - offset) // GRAM * GRAM].cast("Q")


def _places_of_words(wanted: frozenset[int], data: bytes) -> Iterator[int]:
    for offset, words in enumerate(_all_words(data)):
        if not wanted.isdisjoint(words):
            yield from (offset + number * GRAM for number, word in enumerate(words) if word in wanted)


def _starts(length: int, public: int) -> list[int]:
    """Where the pieces of a spelling begin: so close together that every part of SHOWN characters contains one."""
    step = SHOWN + 2 - GRAM
    last = length - GRAM
    return [*range(min(public, last), last, step), last]


def _stretch(data: bytes, at: int, text: bytes, begins: int) -> tuple[int, int]:
    """The (start, end) of the part of a secret around a piece that was found at `at`."""
    start, left = at, begins
    while start and left and data[start - 1] == text[left - 1]:
        start, left = start - 1, left - 1
    end, right = at + GRAM, begins + GRAM
    while end < len(data) and right < len(text) and data[end] == text[right]:
        end, right = end + 1, right + 1
    return start, end


def _masked(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    out, done = [], 0
    for start, end in sorted(spans):
        if end <= done:
            continue
        if start >= done:
            out += [data[done:start], MASK.encode()]
        done = end
    return b"".join([*out, data[done:]])


def _hides(data: bytes) -> bool:
    return has_any(data, _MAY_HIDE) and _HIDES.search(data) is not None


def _unescaped(data: bytes) -> tuple[bytes, list[int], list[tuple[int, int]]]:
    """Undoes the escapes -> (plain, starts, origins). starts: where in `plain` each escaped character, and the text
    behind it, begins. origins: for each start its place in `data`, and 1 if the characters from there on are plain,
    else 0."""
    out: list[bytes] = []
    starts, origins = [0], [(0, 1)]
    size = done = 0
    for found in _ESCAPE.finditer(data):
        char = _char(found)
        if char is None:
            continue
        plain = data[done : found.start()]
        out += [plain, char]
        size += len(plain)
        starts += [size, size + 1]
        origins += [(found.start(), 0), (found.end(), 1)]
        size += 1
        done = found.end()
    return b"".join([*out, data[done:]]), starts if done else [], origins


def _char(found: re.Match[bytes]) -> bytes | None:
    index = found.lastindex
    value = found[index] if index else b""
    if index in (1, 2, 3, 5):
        code = int(value, 16)
    elif index == 4:
        code = int(value)
    elif index == 6:
        return _NAMED.get(value)
    else:
        return value
    return bytes((code,)) if 0x20 < code < 0x7F else None


def _origin(at: int, starts: list[int], origins: list[tuple[int, int]]) -> int:
    index = bisect_right(starts, at) - 1
    origin, goes_on = origins[index]
    return origin + (at - starts[index]) * goes_on
