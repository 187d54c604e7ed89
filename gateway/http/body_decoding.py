"""How large a request's body may be; decompresses one with a Content-Encoding, piece by piece as it comes in.

A few bytes may expand to gigabytes. So the output of every coding is limited like a plain body, and never more than one
piece beyond the limit is made. A body may have several codings, one over the other, and each may be a series of members
or frames (RFC 1952, section 2.2; RFC 8878, section 3.1).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence

from tornado.httputil import HTTPHeaders

from translate.failures.errors import ApiError, BadRequest
from upstream.packed import GZIP, Decoder, Inflating, Zstd, is_zlib

ACCEPTED = "gzip, deflate, zstd"
MAX_CODINGS = 3  # how many codings a body may have, one over the other
MAX_MEMBERS = 10_000  # of a body; an empty member costs as much as some kilobytes of data
PIECE = 256 * 1024
# Powers of 2: what every decoder of zstd must accept, and what zstd accepts by default.
SMALLEST_WINDOW, LARGEST_WINDOW = 23, 27


class UnknownCoding(ApiError):
    """A coding that the proxy cannot read. The answer names the others in Accept-Encoding (RFC 9110, section
    12.5.3)."""

    def __init__(self, coding: str) -> None:
        shown = "".join(c if c.isprintable() else "?" for c in coding[:50])
        message = f"Content-Encoding '{shown}' is not supported: send {ACCEPTED.replace(', ', ' or ')}, or none"
        super().__init__("invalid_request", message, 415)


def unpacker(encoding: str | None, limit: int) -> Unpacker | None:
    """The Unpacker of a body; None if it is not compressed. encoding: the value of the header. limit: the most bytes of
    the body. Raises ApiError (400, 415)."""
    if not encoding:
        return None
    codings = [coding for part in encoding.split(",") if (coding := part.strip().lower()) not in ("", "identity")]
    for coding in codings:
        if coding not in _BEGIN:
            raise UnknownCoding(coding)
    if len(codings) > MAX_CODINGS:
        raise BadRequest(f"Content-Encoding: a body may have at most {MAX_CODINGS} codings")
    return Unpacker([_Stage(coding, limit) for coding in reversed(codings)]) if codings else None


class Unpacker:
    """Decompresses one body: feed() gets its pieces, then end() is called."""

    def __init__(self, stages: Sequence[_Stage]) -> None:
        """stages: one for each coding; the one that was applied last comes first."""
        self._stages = stages

    def __repr__(self) -> str:
        return f"<Unpacker {self._stages}>"

    def feed(self, data: bytes) -> list[bytes]:
        """The plain bytes of a piece. Raises ApiError (400, 413)."""
        return list(_through(self._stages, data))

    def end(self) -> None:
        """Raises BadRequest if the data is not complete."""
        for stage in self._stages:
            stage.end()


def _through(stages: Sequence[_Stage], data: bytes) -> Iterator[bytes]:
    if not stages:
        yield data
        return
    for piece in stages[0].pieces(data):
        yield from _through(stages[1:], piece)


class _Stage:
    """One coding of a body."""

    def __init__(self, coding: str, limit: int) -> None:
        self._coding = coding
        self._limit = limit
        self._made = 0  # bytes
        self._members = 0
        self._member: Decoder | None = None
        self._kept = b""  # bytes that are too few to begin a member

    def __repr__(self) -> str:
        return f"<{self._coding}: {self._made} bytes of {self._members} members>"

    def pieces(self, data: bytes) -> Iterator[bytes]:
        data, self._kept = self._kept + data, b""
        more = False
        while data or more:
            if self._member is None and not (data := self._begun(data)):
                return
            assert self._member is not None
            try:
                out, data, more = self._member.step(data, PIECE)
            except self._member.bad as why:
                raise self._wrong(str(why)) from None
            self._made += len(out)
            check_size(self._made, self._limit, " when unpacked")
            if out:
                yield out
            if self._member.is_over:
                self._member = None

    def _begun(self, data: bytes) -> bytes:
        """Begins the next member, and returns its data; b"" if there is none, or too little to begin."""
        if self._members and self._coding in _GZIP:
            data = data.lstrip(b"\0")  # gzip files may have padding between members
        if len(data) < 2:
            self._kept = data
            return b""
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise BadRequest(f"the request body's {self._coding} data has over {MAX_MEMBERS} members")
        if self._members > 1 and (self._coding == "deflate" or not data.startswith(_GOES_ON.get(self._coding, b""))):
            raise BadRequest(f"the request body goes on after the end of its {self._coding} data")
        self._member = _BEGIN[self._coding](data, self._limit)
        return data

    def _wrong(self, why: str) -> ApiError:
        if "too much memory" in why:  # the frame needs a window that is larger than the largest body
            largest = f"{self._limit >> 20} MB ([server] max_body_mb)"
            return ApiError("too_large", f"the request body's zstd data needs a window larger than {largest}")
        return BadRequest(f"the request body is not valid {self._coding}: {why}")

    def end(self) -> None:
        if self._member is not None or self._kept:
            raise BadRequest(f"the request body's {self._coding} data ends too soon")


def _inflate(data: bytes, limit: int) -> Inflating:
    """The decoder for "deflate". By the standard it is zlib's format, but many clients send raw deflate, and some
    gzip."""
    return Inflating(zlib.MAX_WBITS | 32 if is_zlib(data) or data.startswith(GZIP) else -zlib.MAX_WBITS)


def _zstd(data: bytes, limit: int) -> Zstd:
    return Zstd(min(LARGEST_WINDOW, max(SMALLEST_WINDOW, (limit - 1).bit_length())))


_GZIP = ("gzip", "x-gzip")
_GOES_ON = dict.fromkeys(_GZIP, GZIP)  # how a further member must begin; zstd checks this itself
_BEGIN: dict[str, Callable[[bytes, int], Decoder]] = {
    "gzip": lambda data, limit: Inflating(zlib.MAX_WBITS | 32),
    "x-gzip": lambda data, limit: Inflating(zlib.MAX_WBITS | 32),
    "deflate": _inflate,
    "zstd": _zstd,
}


def told(error: ApiError) -> bytes:
    """The further header line of a refusal; b"" for most errors."""
    return f"Accept-Encoding: {ACCEPTED}\r\n".encode() if isinstance(error, UnknownCoding) else b""


def check_size(size: int, limit: int, what: str = "") -> None:
    """Raises ApiError (413)."""
    if size > limit:
        raise too_large(limit, what)


def too_large(limit: int, what: str = "") -> ApiError:
    return ApiError("too_large", f"request body over {limit >> 20} MB{what} ([server] max_body_mb)")


def check_length(client: HTTPHeaders, limit: int) -> None:
    """Does the same by the Content-Length, before any of the body is there. Tornado refuses a value that is no
    number."""
    length = client.get("Content-Length", "")
    if length.isdecimal() and length.isascii():
        check_size(int(length[:20]), limit)
