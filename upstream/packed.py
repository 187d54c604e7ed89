"""Replies that come compressed, though every request asks for none of it (Accept-Encoding: identity).

Servers behind a cache, and those that compress whatever they say, do it all the same. Only such a reply passes through
here: `reader` stands between its exchange and its sink.

A header may be wrong, too: a server in between has unpacked the body and left the header. So the first bytes decide.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from upstream.failure import Failure
from upstream.request import Sink

PIECE = 64 * 1024  # bytes that one turn of the loop brings at most, about, as of a reply that is not compressed
MOST = 16 * 1024 * 1024  # bytes that a reply may have unpacked, however few it has packed
MOST_FOLD = 256  # so many times as many it may have beyond that
LOOK = 4  # bytes that tell the coding
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_TEXT = b'{["<:dei\r\n\t \xef'  # how JSON, events (data, event, id, a comment), pages and a byte order mark begin


class Unreadable(ValueError):
    """The body cannot be unpacked, and why."""


class Decoder(Protocol):
    bad: type[Exception]

    @property
    def is_over(self) -> bool: ...

    def step(self, data: bytes, most: int) -> tuple[bytes, bytes, bool]:
        """Decompresses data -> (at most `most` bytes of output; the rest of the data; whether more output comes without
        more data)."""


class Inflating:
    """One member of gzip, or a whole deflate body."""

    bad: type[Exception] = zlib.error

    def __init__(self, wbits: int) -> None:
        self._inflate = zlib.decompressobj(wbits)

    @property
    def is_over(self) -> bool:
        return self._inflate.eof

    def step(self, data: bytes, most: int) -> tuple[bytes, bytes, bool]:
        out = self._inflate.decompress(data, most)
        if self._inflate.eof:
            return out, self._inflate.unused_data, False
        return out, self._inflate.unconsumed_tail, len(out) == most


class Zstd:
    """One frame of zstd. The package is loaded with the first one: most programs never meet any."""

    def __init__(self, window: int) -> None:
        """window: the power of 2 that is the largest one."""
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        self.bad: type[Exception] = zstd.ZstdError
        self._frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window})

    @property
    def is_over(self) -> bool:
        return bool(self._frame.eof)

    def step(self, data: bytes, most: int) -> tuple[bytes, bytes, bool]:
        out = self._frame.decompress(data, most)
        if self._frame.eof:
            return out, self._frame.unused_data, False
        return out, b"", not self._frame.needs_input


def is_zlib(data: bytes) -> bool:
    """Whether deflate has the header that its standard wants; many send it without one."""
    return data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0


def reader(sink: Sink, headers: list[tuple[str, str]], host: str, again: Callable[[], None]) -> Sink:
    """The sink of a reply with a Content-Encoding. host: for messages. again: asks for another call of on_data, with
    nothing, in a later turn of the loop, and before on_end."""
    said = ",".join(value for name, value in headers if name == "content-encoding")
    codings = [coding for part in said.lower().split(",") if (coding := part.strip()) not in ("", "identity")]
    return Unpacking(sink, codings, host, again) if codings else sink


class Unpacking:
    """Gives the plain bytes of a reply to its sink, in each turn as many as an uncompressed reply would bring."""

    def __init__(self, sink: Sink, codings: list[str], host: str, again: Callable[[], None]) -> None:
        """codings: the one that was applied last is the last."""
        self.sink = sink
        self._codings = codings
        self._host = host
        self._again = again
        self._kept = b""  # too few bytes to tell, or those for later turns
        self._more = False  # the decoder has more, without more bytes
        self._out = b""  # unpacked, and from `_at` on not given yet
        self._at = 0
        self._came = self._made = 0  # bytes, packed and unpacked
        self._decoder: Decoder | None = None
        self._members = 0
        self._plain = False

    def __repr__(self) -> str:
        return f"<Unpacking {self._codings} for {self.sink!r}>"

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.sink.on_head(status, headers)

    def on_data(self, chunk: bytes) -> None:
        """Raises Unreadable."""
        if self._plain:
            self.sink.on_data(chunk)
            return
        data, self._kept = self._kept + chunk, b""
        self._came += len(chunk)
        if self._decoder is None and len(data) < LOOK:
            self._kept = data
            return
        if self._at < len(self._out):
            self._kept, waits = data, True
        else:
            self._out, waits = self._unpacked(data)
            self._at = 0
        out = self._out if self._plain else self._out[self._at : self._at + PIECE]
        self._at += len(out)
        if waits or self._at < len(self._out):
            self._again()
        if out:
            self.sink.on_data(out)

    def on_end(self, failure: Failure | None) -> None:
        if failure is None and self._decoder is not None and not self._decoder.is_over:
            failure = Failure("closed", f"{self._host}: the connection was lost ({self._named} data ends too soon)")
        if self._kept and self._decoder is None:
            self.sink.on_data(self._kept)
        self.sink.on_end(failure)

    @property
    def _named(self) -> str:
        return f"'{', '.join(self._codings)[:50]}'"

    def _unpacked(self, data: bytes) -> tuple[bytes, bool]:
        """Returns what the data becomes, and whether more of it waits for later turns. What grows so much that it may
        be a bomb is unpacked further, before any of it is given."""
        parts: list[bytes] = []
        size, more, self._more = 0, self._more, False
        while data or more:
            if size >= PIECE and self._made <= MOST_FOLD * (self._came - len(data)):
                self._kept, self._more = data, more
                return b"".join(parts), True
            if self._decoder is not None and self._decoder.is_over and len(data) < LOOK:
                self._kept = data  # another member may begin
                break
            if (self._decoder is None or self._decoder.is_over) and not self._begins(data):
                return b"".join([*parts, data]) if self._plain else b"".join(parts), False
            assert self._decoder is not None
            try:
                out, data, more = self._decoder.step(data, PIECE)
            except self._decoder.bad as why:
                raise Unreadable(f"its reply is not valid {self._named}: {why}") from None
            parts.append(out)
            size += len(out)
            self._made += len(out)
            if self._made > max(MOST, MOST_FOLD * self._came):
                raise Unreadable(f"its reply grows more than {MOST_FOLD}-fold when it is unpacked ({self._named})")
        return b"".join(parts), False

    def _begins(self, data: bytes) -> bool:
        """Whether a member begins. What follows the last one is no part of the reply."""
        first = not self._members
        self._members += 1
        coding = self._codings[0] if len(self._codings) == 1 else ""
        if data.startswith(GZIP) and coding in ("gzip", "x-gzip", "deflate", "br", "zstd"):
            self._decoder = Inflating(zlib.MAX_WBITS | 16)
        elif data.startswith(ZSTD) and coding == "zstd":
            self._decoder = Zstd(23)
        elif not first:
            return False
        elif data[:1] in _TEXT or coding not in ("", "deflate", "br"):  # the others would begin with their mark
            self._plain = True
            return False
        elif coding == "deflate":
            self._decoder = Inflating(zlib.MAX_WBITS if is_zlib(data) else -zlib.MAX_WBITS)
        else:
            raise Unreadable(f"its reply is compressed ({self._named}), though the request asks for none of that")
        return True


def behind(sink: Sink) -> Sink:
    """Returns the sink that has the reply in the end."""
    return sink.sink if isinstance(sink, Unpacking) else sink
