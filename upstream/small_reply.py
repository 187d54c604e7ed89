"""A small reply of an upstream, gathered whole: a list of models, or the answer to a question of the doctor."""

from __future__ import annotations

import asyncio

from msgspec import Struct, field

from upstream.failure import Failure


class SmallReply(Struct):
    """status: 0 = no head has come. body: at most as many bytes as were wanted; the rest is left out. failure: None =
    the reply is complete."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    failure: Failure | None = None


class SmallReplySink:
    """The sink of a request with a small reply. done: the reply, whatever came of it; it never has an exception."""

    def __init__(self, max_bytes: int) -> None:
        self.done: asyncio.Future[SmallReply] = asyncio.get_running_loop().create_future()
        self._reply = SmallReply()
        self._parts: list[bytes] = []
        self._left = max_bytes

    def __repr__(self) -> str:
        return f"<SmallReplySink {self._reply.status} {len(self._parts)} parts>"

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._reply.status, self._reply.headers = status, headers

    def on_data(self, chunk: bytes) -> None:
        if self._left > 0:
            self._parts.append(chunk[: self._left])
            self._left -= len(chunk)

    def on_end(self, failure: Failure | None) -> None:
        self._reply.body, self._reply.failure = b"".join(self._parts), failure
        if not self.done.done():
            self.done.set_result(self._reply)
