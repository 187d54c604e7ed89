"""AWS's binary event stream, application/vnd.amazon.eventstream: messages of headers and a payload, with checksums.

A message is a prelude (its length, that of its headers, a CRC of both), headers, a payload, and a CRC of all that.
`Decoder` takes bytes however they were cut. Lengths are checked before anything is kept for them, so that a hostile
stream takes no more memory than one message may have; the work is linear in what comes. `encode` writes a message.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import crc32

from translate.errors import BadReply

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MAX_HEADERS = 128 * 1024  # bytes, as AWS's own clients have it
MAX_PAYLOAD = 24 * 1024 * 1024
MAX_KNOWN, MAX_KNOWN_BYTES = 8, 1024  # headers that are kept as they were read, and how long each may be
_PRELUDE = struct.Struct(">III")  # length of all, length of the headers, CRC of these two
_CRC = struct.Struct(">I")
_LEAST = _PRELUDE.size + _CRC.size
_STRING = 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # of values by their type; bytes (6) and strings say theirs
_LENGTH = struct.Struct(">H")


Message = tuple[dict[str, str], bytes]
"""The headers that are strings (the others are of no use to anybody here), and the payload."""


class Decoder:
    """feed() gives the messages that are whole. It raises BadReply for what is no such stream, once all that came
    before it was given."""

    __slots__ = ("_broken", "_buffer", "_known", "_needs")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._broken: BadReply | None = None
        self._known: dict[bytes, dict[str, str]] = {}  # headers as they were read: nearly all messages have the same
        self._needs = 0  # bytes of the message that is on, 0 = its prelude is not whole

    def __repr__(self) -> str:
        return f"<Decoder {len(self._buffer)} of {self._needs} bytes>"

    @property
    def is_between(self) -> bool:
        """No message has begun that is not whole."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Message]:
        found: list[Message] = []
        if self._broken is None:
            try:
                self._read(data, found)
            except BadReply as why:
                self._broken = why
                self._buffer.clear()
        if self._broken is not None and not found:
            raise self._broken
        return found

    def _read(self, data: bytes, found: list[Message]) -> None:
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < max(self._needs, _PRELUDE.size):
                return  # the usual way of a large message, piece by piece
            data = bytes(buffer)
            buffer.clear()
        at, size, known = 0, len(data), self._known
        while size - at >= _PRELUDE.size:
            total = self._needs = self._needs or _length(data, at)
            if size - at < total:
                break
            start, end = at + _PRELUDE.size + int.from_bytes(data[at + 4 : at + 8], "big"), at + total - 4
            if crc32(data[at:end]) != int.from_bytes(data[end : end + 4], "big"):
                raise BadReply("the upstream's event stream has a message whose checksum is wrong")
            headers = known.get(raw := data[at + _PRELUDE.size : start])
            if headers is None:
                headers = self._read_headers(raw)
            found.append((headers, data[start:end]))
            at, self._needs = at + total, 0
        if at < size:
            buffer += data[at:] if at else data

    def _read_headers(self, raw: bytes) -> dict[str, str]:
        try:
            headers = _headers(raw)
        except (KeyError, IndexError, ValueError, struct.error):
            raise BadReply("the upstream's event stream has headers that cannot be read") from None
        if len(self._known) < MAX_KNOWN and len(raw) < MAX_KNOWN_BYTES:
            self._known[raw] = headers
        return headers


def _length(data: bytes, at: int) -> int:
    total, headers, crc = _PRELUDE.unpack_from(data, at)
    if crc32(data[at : at + 8]) != crc:
        raise BadReply("the upstream's event stream has a prelude whose checksum is wrong")
    if headers > MAX_HEADERS or not 0 <= total - headers - _LEAST <= MAX_PAYLOAD:
        raise BadReply(f"the upstream's event stream has a message of {total} bytes with {headers} of headers")
    return int(total)


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
    """A message. head: what encode_headers() has written; most messages of a stream have the same."""
    lengths = struct.pack(">II", len(head) + len(payload) + _LEAST, len(head))
    whole = lengths + _CRC.pack(crc32(lengths)) + head + payload
    return whole + _CRC.pack(crc32(whole))
