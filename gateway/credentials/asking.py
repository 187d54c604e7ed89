"""The small requests of sources of keys: to token endpoints, and to AWS's metadata services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from upstream.client import UpstreamClient
from upstream.request import DIRECT, Request, Timeouts
from upstream.small_reply import SmallReplySink
from upstream.way import Way

MAX_REPLY = 256 * 1024


class Answer(Struct, frozen=True):
    """An answer. status: 0 = there was none, and failure says why."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    failure: str = ""


Ask = Callable[[str, str, Sequence[str], bytes | None, float], Awaitable[Answer]]
"""(method, URL, header lines, body, seconds) -> what was answered. It never raises."""


_DIRECT = Way(proxy="")


def asker(client: UpstreamClient) -> Ask:
    """Returns the function that asks. A metadata service, which has no TLS, is on this machine or next to it, so it is
    asked without a proxy."""

    async def ask(method: str, url: str, lines: Sequence[str], body: bytes | None, timeout_s: float) -> Answer:
        sink = SmallReplySink(MAX_REPLY)
        try:
            way = DIRECT if url.startswith("https:") else _DIRECT
            exchange = client.send(Request(method, url, [*lines], body, Timeouts(total=timeout_s), way), sink)
        except (ValueError, RuntimeError) as why:
            return Answer(0, [], b"", str(why))
        try:
            reply = await sink.done
        finally:
            exchange.cancel()
        failure = reply.failure.message if reply.failure is not None else ""
        return Answer(0 if failure else reply.status, reply.headers, reply.body, failure)

    return ask
