"""A body on its way from a client to an upstream, of which as little as possible is held.

Until it is known where the body goes, what comes is kept; beyond a megabyte, in a temporary file. From then on it
passes through: while the upstream takes nothing, nothing more is read from the client. A body of up to a megabyte is
kept to its end, so that another upstream can be asked when one fails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import IO, cast

from translate.failures.errors import ApiError

KEPT_BYTES = 1 << 20  # of the beginning, which are kept in memory
AHEAD_BYTES = 256 * 1024  # by which a client may be ahead of the upstream


class Upload:
    """A body. size: bytes that have come. length: of the whole body, -1 = unknown. begun: an upstream reads it.
    on_more: is called when a reader that had nothing to read may go on."""

    def __init__(self, length: int, most_bytes: int) -> None:
        self.length = length
        self.size = 0
        self.begun = False
        self.complete = False
        self.closed = False
        self.on_more: Callable[[], None] = _nothing
        self._most = most_bytes
        import tempfile  # only here, as few requests are uploads

        self._kept = cast(IO[bytes], tempfile.SpooledTemporaryFile(KEPT_BYTES))  # noqa: SIM115  # until close()
        self._kept_size = 0
        self._ahead: deque[bytes] = deque()  # the bytes after the kept ones
        self._ahead_size = 0
        self._lost = False  # bytes after the kept ones were read, and are gone
        self._room = asyncio.Event()
        self._writing = False  # a thread is writing the kept bytes

    def __repr__(self) -> str:
        return f"<Upload {self.size} of {self.length} bytes, {self._ahead_size} ahead>"

    @property
    def replayable(self) -> bool:
        """Whether the body can be read from its beginning."""
        return not self._lost

    def check(self, size: int) -> None:
        """Raises ApiError (413)."""
        if size > self._most:
            raise ApiError("too_large", f"an upload over {self._most >> 20} MB ([limits] upload_mb)")

    async def comes(self, chunk: bytes) -> None:
        """Takes a piece. Returns when more may come. Raises ApiError."""
        self.size += len(chunk)
        self.check(self.size)
        if self.closed:
            return
        if not self._ahead_size and not self._lost and (not self.begun or self.size <= KEPT_BYTES):
            await self._keep(chunk)
            self.on_more()
            return
        self._ahead.append(chunk)
        self._ahead_size += len(chunk)
        self.on_more()
        while self._ahead_size > AHEAD_BYTES and not self.closed:
            self._room.clear()
            await self._room.wait()

    async def _keep(self, chunk: bytes) -> None:
        try:
            if self._kept_size + len(chunk) <= KEPT_BYTES:
                self._append(chunk)
            else:  # it is on a disk now, or will be
                self._writing = True
                await asyncio.get_running_loop().run_in_executor(None, self._append, chunk)
        except OSError as why:
            message = f"the form cannot be kept on disk ({why.strerror or why}); send the field 'model' before the file"
            raise ApiError("overloaded", message, 503) from None
        finally:
            self._writing = False
            if self.closed:
                self._kept.close()
        self._kept_size += len(chunk)

    def _append(self, chunk: bytes) -> None:
        self._kept.seek(0, 2)
        self._kept.write(chunk)

    def ends(self) -> None:
        """Takes the end of the body."""
        self.complete = True
        self.length = self.size
        self.on_more()

    def close(self) -> None:
        """Nobody reads the body any more; what still comes is dropped."""
        self.closed = True
        self.on_more = _nothing
        self._ahead.clear()
        self._room.set()
        if not self._writing:  # otherwise `_keep` does it
            self._kept.close()

    # ------------------------------------------------------------------------------------------ for a reader

    def kept(self, at: int, most: int) -> bytes:
        if at >= self._kept_size or self._writing or self.closed:
            return b""
        self._kept.seek(at)
        return self._kept.read(most)

    def ahead(self, most: int) -> bytes:
        """Returns bytes after the kept ones, and drops them."""
        if not self._ahead:
            return b""
        self._lost = True
        chunk = self._ahead.popleft()
        if len(chunk) > most:
            self._ahead.appendleft(chunk[most:])
            chunk = chunk[:most]
        self._ahead_size -= len(chunk)
        if self._ahead_size <= AHEAD_BYTES // 2:
            self._room.set()
        return chunk


class Reading:
    """One reading of an upload, in which a span of the kept bytes is replaced (upstream.request.Body)."""

    def __init__(self, upload: Upload, span: tuple[int, int] = (0, 0), instead: bytes = b"") -> None:
        self._upload = upload
        self._span = span
        self._instead = instead
        self._at = 0  # the place in the upload
        self.is_read = False
        more = len(instead) - (span[1] - span[0])
        self.size = upload.length + more if upload.length >= 0 else -1
        upload.begun = True

    def __repr__(self) -> str:
        return f"<Reading of {self._upload!r} at {self._at}>"

    def read(self, most: int) -> bytes | None:
        upload, (begin, end) = self._upload, self._span
        if begin < end and self._at == begin:
            piece, self._instead = self._instead[:most], self._instead[most:]
            if not self._instead:
                self._at = end
            return piece
        up_to = min(most, begin - self._at) if self._at < begin else most
        piece = upload.kept(self._at, up_to) or upload.ahead(up_to)
        self._at += len(piece)
        if not piece and not upload.complete:
            return None
        self.is_read = not piece or (upload.complete and self._at >= upload.length)
        return piece


def _nothing() -> None:
    return
