"""Finds the members of a JSON object's top level in its bytes, without a parse of the rest.

Brackets are counted outside of strings: a key that stands outside of strings, with one bracket open before it, is one
of the object's own. A body that is not plain is left to `members`, which reads all of the object.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from json.decoder import JSONDecoder, scanstring  # type: ignore[attr-defined]  # typeshed leaves it out

MOST_HITS = 64  # places where a key may stand; if there are more, a parse costs less than looking at each

_SPACE = re.compile(r"[ \t\n\r]*")
_VALUE = JSONDecoder()
# A value that can be cut out as it is: a string, a word or number, a list of strings.
_PLAIN = re.compile(
    rb'\s*:\s*("(?:[^"\\]|\\.)*"|true|false|null|-?[0-9][0-9.eE+-]*|\[\s*(?:"(?:[^"\\]|\\.)*"\s*,?\s*)*\])'
)
_BLANKS = re.compile(rb"\s*")
_COLON = re.compile(rb"\s*:")
_NUMBER = re.compile(rb"\s*:\s*([0-9]{1,9})(?![0-9.eE])")
_AFTER, _OPENS, _EMPTY = re.compile(rb"\s*,"), re.compile(rb"\s*\{"), re.compile(rb"\s*\}")


Seen = Mapping[str, list[int]]
"""Names that stand in quotes somewhere in a body, outside of strings or as a whole one, and where."""


def seen(body: bytes, names: tuple[str, ...]) -> Seen:
    """Returns all of these names that are in the body, in one pass. For many names this costs less than one search for
    each."""
    found: dict[str, list[int]] = {}
    for match in _any_of(names).finditer(body):
        at = match.start()
        if at == 0 or body[at - 1] != 0x5C:  # an escaped quote stands inside a string
            found.setdefault(match[1].decode(), []).append(at)
    return found


@functools.lru_cache(64)
def _any_of(names: tuple[str, ...]) -> re.Pattern[bytes]:
    """Returns a pattern for any of the names. It leaves the last quote to the next match, because two may share one."""
    return re.compile(b'"(%b)(?=")' % b"|".join(re.escape(name.encode()) for name in names))


def taken(
    body: bytes, names: Collection[str], first: bytes = b"", where: Seen | None = None
) -> tuple[bytes, dict[str, bytes]]:
    """Returns the object without its top-level members of these names, and their values. first: further members
    (without their last comma) that are put in front. Every other byte stays. A body that is no JSON object stays as it
    is. where: what seen() has found, if known."""
    values: dict[str, bytes] = {}
    gaps: list[tuple[int, int]] = []
    for name in names:
        key = f'"{name}"'.encode()
        cut = _plain(body, key, places(body, key) if where is None else where.get(name, ()))
        if cut is None:
            body, values = _read(body, names)
            return with_members(body, first), values
        if cut[1]:
            value = _PLAIN.match(body, cut[0] + len(key))
            assert value is not None
            values[name] = value.group(1)
            gaps.append(cut)
    if not gaps:
        return with_members(body, first), values
    return with_members(_joined(body, sorted(gaps)), first), values


def _joined(body: bytes, gaps: list[tuple[int, int]]) -> bytes:
    """Returns the object without what stands in the gaps."""
    view = memoryview(body)
    spans: list[tuple[int, int]] = []
    at = 0
    for start, end in gaps:
        after = _AFTER.match(body, end)
        spans.append((at, start))
        at = after.end() if after is not None else end
        if after is None:  # the last member: the comma before it goes, which may stand before other gaps
            while spans and _is_blank(body, *spans[-1]):
                spans.pop()
            if spans:
                spans[-1] = spans[-1][0], _without_comma(body, *spans[-1])
    return b"".join([view[start:end] for start, end in (*spans, (at, len(body)))])


def _is_blank(body: bytes, start: int, end: int) -> bool:
    blanks = _BLANKS.match(body, start, end)
    return blanks is not None and blanks.end() == end


def _without_comma(body: bytes, start: int, end: int) -> int:
    """Where the span ends without its last comma."""
    while end > start and body[end - 1] in b" \t\r\n":
        end -= 1
    return end - 1 if end > start and body[end - 1] == 0x2C else end


def _plain(body: bytes, key: bytes, found: Sequence[int] | None) -> tuple[int, int] | None:
    """Returns where the only member of this name stands, (0, 0) if there is none; None if that is not plain. found:
    where the key stands, None = in too many places."""
    if not found:
        return None if found is None else (0, 0)
    if len(found) > MOST_HITS:
        return None
    keys = [at for at in found if body[at + len(key) :].lstrip()[:1] == b":"] if len(found) > 1 else found
    hits = [(at, _PLAIN.match(body, at + len(key))) for at in keys]
    spans = [(at, match.end() if match else at + len(key)) for at, match in hits]
    depths = levels(body, spans) if spans else []
    own = [hit for hit, level in zip(hits, depths, strict=True) if level == 1]
    if not own:
        return 0, 0
    at, match = own[0]
    return (at, match.end()) if len(own) == 1 and match is not None else None


def _read(body: bytes, names: Collection[str]) -> tuple[bytes, dict[str, bytes]]:
    try:
        text = body.decode("utf-8")
        found = members(text)
    except (ValueError, IndexError, RecursionError):
        return body, {}
    values = {name: text[start:end].partition(":")[2].strip().encode() for name, start, end in found if name in names}
    kept = [text[start:end] for name, start, end in found if name not in names]
    head, tail = text[: found[0][1]], text[found[-1][2] :]
    return f"{head}{','.join(kept)}{tail}".encode(), values


def with_members(body: bytes, first: bytes) -> bytes:
    """Returns the object with further members (without their last comma) in front of its own. A body that is no object
    stays as it is."""
    opens = _OPENS.match(body)
    if opens is None or not first:
        return body
    start = opens.end()
    comma = b"" if _EMPTY.match(body, start) else b","
    view = memoryview(body)  # one copy: of a large body each costs as much as a search
    return b"".join((view[:start], first, comma, view[start:]))


def places(body: bytes, key: bytes) -> list[int] | None:
    """Returns where the key (in its quotes) stands outside of strings; None if that is in too many places. rfind()
    takes half the time of find(), which is many times as fast as a regex."""
    found: list[int] = []
    at = len(body)
    while (at := body.rfind(key, 0, at + len(key) - 1)) >= 0:  # two of them may share a quote
        if at == 0 or body[at - 1] != 0x5C:  # an escaped quote stands inside a string
            if len(found) == MOST_HITS:
                return None
            found.append(at)
    found.reverse()
    return found


def early(key: bytes) -> re.Pattern[bytes]:
    """Matches the beginning of an object up to this key (in its quotes), where only short values stand before it:
    strings, numbers, words."""
    member = rb'"[^"\\]*+"\s*+:\s*+(?:"[^"\\]*+"|[^\s"{}\[\],]++)\s*+,\s*+'
    return re.compile(rb"\s*+\{\s*+(?:%b)*?%b\s*+:" % (member, re.escape(key)))


def has_key(body: bytes, key: bytes) -> bool:
    """Tells whether the object itself has such a key (in its quotes), and not only something within it. If the key
    stands in too many places, the answer is yes."""
    if key not in body:
        return False
    found = places(body, key)
    if found is None:
        return True
    keys = [(at, at + len(key)) for at in found if _COLON.match(body, at + len(key))]
    return 1 in levels(body, keys) if keys else False


def levels(body: bytes, spans: list[tuple[int, int]]) -> list[int]:
    """Returns how many brackets are open at each of these spans. They follow one another, outside of strings."""
    if len(spans) == 1:  # the usual case: counted on the shorter side
        start, end = spans[0]
        return [_depth(body[:start]) if start <= len(body) - end else -_depth(body[end:])]
    found: list[int] = []
    level = at = 0
    for start, end in spans:
        level += _depth(body[at:start])
        found.append(level)
        at = end
    return found


def numbers(body: bytes, keys: Sequence[bytes], depth: int) -> list[int] | None:
    """Returns the whole numbers that these keys (in their quotes) have where so many brackets are open; the same name
    at another depth, such as in the argument of a tool, does not count. None if a key is in too many places."""
    found: list[tuple[int, int, int]] = []
    for key in keys:
        at_all = places(body, key)
        if at_all is None:
            return None
        said = ((at, _NUMBER.match(body, at + len(key))) for at in at_all)
        found += [(at, number.end(), int(number[1])) for at, number in said if number is not None]
    found.sort()
    depths = levels(body, [(at, end) for at, end, _ in found]) if found else ()
    return [number for (_, _, number), each in zip(found, depths, strict=True) if each == depth]


def _depth(piece: bytes) -> int:
    """Returns the brackets opened less the brackets closed in `piece`, which begins and ends outside of any string."""
    if b"\\" in piece:
        piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
    if b'"' in piece:
        piece = b"".join(piece.split(b'"')[::2])
    opened = piece.count(b"{") + piece.count(b"[")
    return opened - piece.count(b"}") - piece.count(b"]")


def members(text: str) -> list[tuple[str, int, int]]:
    """Yields (name, start, end) of each member of the object, with the space around it. Raises ValueError,
    IndexError."""
    at = _space(text, 0)
    if text[at] != "{":
        raise ValueError("no object")
    found = []
    while True:
        start = at + 1
        at = _space(text, start)
        if text[at] != '"':
            raise ValueError("no name")
        name, at = scanstring(text, at + 1, True)
        at = _space(text, at)
        if text[at] != ":":
            raise ValueError("no value")
        _, at = _VALUE.raw_decode(text, _space(text, at + 1))
        at = _space(text, at)
        found.append((name, start, at))
        if text[at] == "}":
            return found
        if text[at] != ",":
            raise ValueError("no end")


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
