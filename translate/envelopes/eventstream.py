"""AWS's binary event stream, application/vnd.amazon.eventstream: messages of headers and a payload, with checksums.

A message is a prelude (its length, the length of its headers, a CRC of both), headers, a payload, and a CRC of
everything. `Decoder` takes bytes however they were cut. Lengths are checked before anything is kept for them, so that a
hostile stream takes no more memory than one message may have; the work is linear in what comes. `encode` writes a
message.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from zlib import crc32

from translate.failures.errors import BadReply

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MAX_HEADERS = 128 * 1024  # bytes, as AWS's own clients have it
MAX_PAYLOAD = 24 * 1024 * 1024
MAX_KNOWN, MAX_KNOWN_BYTES = 8, 1024  # headers that are kept as they were read, and how long each may be
MAX_PRELUDES = 4096  # that are kept
_PRELUDE = struct.Struct(">III")  # length of all, length of the headers, CRC of these two
_PRELUDE_SIZE = _PRELUDE.size
_CRC = struct.Struct(">I")
_LEAST = _PRELUDE.size + _CRC.size
_STRING = 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # of values by their type; bytes (6) and strings say theirs
_LENGTH = struct.Struct(">H")


_WRONG = "the upstream's event stream has a message whose checksum is wrong"

Message = tuple[dict[str, str], bytes]
"""The headers that are strings (the others are of no use to anybody here), and the payload."""


class Usual:
    """How nearly all messages of a stream look. headers, payload: what their headers are, and what their payloads begin
    with. ends: what stands after the text that follows. read: makes of such texts what is wanted, less those from the
    first one on that cannot be read."""

    __slots__ = ("begins", "ends", "headers", "known", "read", "rest")

    def __init__(self, headers: bytes, payload: bytes, ends: bytes, read: Callable[[list[bytes]], list[bytes]]) -> None:
        self.begins = headers + payload
        self.headers = len(headers)
        self.rest = _PRELUDE.size + len(self.begins)
        self.ends = ends
        self.read = read
        self.known: dict[bytes, tuple[int, int]] = {}  # messages of one length have the same prelude

    def __repr__(self) -> str:
        return f"<Usual {self.headers} bytes of headers, {len(self.known)} lengths>"

    def learn(self, prelude: bytes) -> tuple[int, int]:
        """How long a message is, and the checksum of its beginning if it is a usual one; -1 where it cannot be. Raises
        BadReply."""
        total, start = _lengths(prelude)
        alike = start == _PRELUDE.size + self.headers and total >= self.rest + _CRC.size
        if len(self.known) >= MAX_PRELUDES:
            self.known.clear()
        self.known[prelude] = found = total, crc32(prelude + self.begins) if alike else -1
        return found


NONE = Usual(b"\0", b"", b"", list)  # no headers begin like this


class Decoder:
    """feed() gives the messages that are whole. It raises BadReply for what is no such stream, once all that came
    before it was given. Most of the cost of a stream would be the calls for each message: cut() reads those that are
    as usual at once."""

    __slots__ = ("_broken", "_buffer", "_known", "_needs")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._broken: BadReply | None = None
        self._known: dict[bytes, dict[str, str]] = {}  # headers as they were read: nearly all messages have the same
        self._needs = 0  # bytes of the message that is on, 0 = its prelude is not whole

    def __repr__(self) -> str:
        return f"<Decoder {len(self._buffer)} of {self._needs} bytes>"

    def feed(self, data: bytes) -> list[Message]:
        return [message for _, message in self.cut(data, NONE)[1]]

    def cut(self, data: bytes, usual: Usual) -> tuple[list[bytes], list[tuple[int, Message]]]:
        """(what was read of the usual messages, the others, each with how many usual ones come before it)."""
        read: list[bytes] = []
        others: list[tuple[int, Message]] = []
        if self._broken is None:
            try:
                self._read(data, usual, read, others)
            except BadReply as why:
                self._broken = why
                self._buffer.clear()
        made = usual.read(read) if read else read
        if len(made) < len(read):
            self._broken = BadReply("the upstream's event stream has a payload that cannot be read")
            self._buffer.clear()
            others = [other for other in others if other[0] <= len(made)]
        if self._broken is not None and not (made or others):
            raise self._broken
        return made, others

    def _read(self, data: bytes, usual: Usual, read: list[bytes], others: list[tuple[int, Message]]) -> None:
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < max(self._needs, _PRELUDE_SIZE):
                return  # the usual way of a large message, piece by piece
            data = bytes(buffer)
            buffer.clear()
        begins, rest, ends, known = usual.begins, usual.rest, usual.ends, usual.known
        crc_at = _CRC.unpack_from
        at, size = 0, len(data)
        self._needs = 0
        while size - at >= _PRELUDE_SIZE:
            prelude = data[at : at + _PRELUDE_SIZE]
            total, begun = known.get(prelude) or usual.learn(prelude)
            end = at + total - 4
            if end + 4 > size:
                self._needs = total
                break
            if begun >= 0 and data.startswith(begins, at + _PRELUDE_SIZE):
                text = data[at + rest : end]
                if crc32(text, begun) != crc_at(data, end)[0]:
                    raise BadReply(_WRONG)
                read.append(text.partition(ends)[0])
            else:
                if crc32(data[at:end]) != crc_at(data, end)[0]:
                    raise BadReply(_WRONG)
                start = _lengths(prelude)[1]
                headers = self._headers(data[at + _PRELUDE_SIZE : at + start])
                others.append((len(read), (headers, data[at + start : end])))
            at = end + 4
        if at < size:
            buffer += data[at:] if at else data

    def _headers(self, raw: bytes) -> dict[str, str]:
        headers = self._known.get(raw)
        if headers is None:
            try:
                headers = _headers(raw)
            except (KeyError, IndexError, ValueError, struct.error):
                raise BadReply("the upstream's event stream has headers that cannot be read") from None
            if len(self._known) < MAX_KNOWN and len(raw) < MAX_KNOWN_BYTES:
                self._known[raw] = headers
        return headers


def _lengths(prelude: bytes) -> tuple[int, int]:
    """How long a message is, and where in it its payload begins. Raises BadReply."""
    total, headers, crc = _PRELUDE.unpack(prelude)
    if crc32(prelude[:8]) != crc:
        raise BadReply("the upstream's event stream has a prelude whose checksum is wrong")
    if headers > MAX_HEADERS or not 0 <= total - headers - _LEAST <= MAX_PAYLOAD:
        raise BadReply(f"the upstream's event stream has a message of {total} bytes with {headers} of headers")
    return int(total), _PRELUDE_SIZE + int(headers)


def _headers(raw: bytes) -> dict[str, str]:
    """Raises KeyError, IndexError, ValueError, struct.error."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    at = 0
    while at < len(raw):
        end = at + 1 + raw[at]
        name, kind = raw[at + 1 : end].decode("utf-8"), raw[end]
        at = end + 1
        if kind in (6, _STRING):
            size = _LENGTH.unpack_from(raw, at)[0]
            at += 2
        else:
            size = _SIZES[kind]
        if at + size > len(raw) or name in seen:
            raise ValueError(name)
        seen.add(name)
        if kind == _STRING:
            found[name] = raw[at : at + size].decode("utf-8")
        at += size
    return found


def encode_headers(headers: Mapping[str, str]) -> bytes:
    out = bytearray()
    for name, value in headers.items():
        key, text = name.encode(), value.encode()
        out += bytes((len(key),)) + key + bytes((_STRING,)) + _LENGTH.pack(len(text)) + text
    return bytes(out)


def encode(head: bytes, payload: bytes) -> bytes:
    """A message. head: what encode_headers() has written."""
    return Writer(head).message(payload)


class Writer:
    """Writes messages that all have the same headers, as most of a stream have."""

    __slots__ = ("_begun", "_head")

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._begun: dict[int, tuple[bytes, int]] = {}  # a payload's size -> what stands before it, and its checksum

    def __repr__(self) -> str:
        return f"<Writer {len(self._head)} bytes of headers>"

    def message(self, payload: bytes) -> bytes:
        begun, crc = self._begun.get(len(payload)) or self._begin(len(payload))
        return b"%b%b%b" % (begun, payload, _CRC.pack(crc32(payload, crc)))

    def _begin(self, size: int) -> tuple[bytes, int]:
        lengths = struct.pack(">II", len(self._head) + size + _LEAST, len(self._head))
        begun = lengths + _CRC.pack(crc32(lengths)) + self._head
        if len(self._begun) >= MAX_PRELUDES:
            self._begun.clear()
        self._begun[size] = found = begun, crc32(begun)
        return found
