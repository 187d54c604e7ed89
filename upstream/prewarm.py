"""Opens a connection before anybody needs it, so that the first request does not wait for DNS, TCP and TLS."""

from __future__ import annotations

import asyncio
import logging

from upstream.client import UpstreamClient
from upstream.failure import Failure
from upstream.request import DIRECT, Request, Timeouts
from upstream.way import Way

log = logging.getLogger("upstream")


class Warm:
    """The sink of a request that only opens a connection."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Does nothing: any reply shows that there is a connection."""

    def on_data(self, chunk: bytes) -> None:
        """Does nothing: a reply to HEAD has no body."""

    def on_end(self, failure: Failure | None) -> None:
        if not self.ended.done():
            self.ended.set_result(failure)


async def prewarm(client: UpstreamClient, url: str, timeouts: Timeouts | None = None, way: Way = DIRECT) -> bool:
    """Opens a connection to the URL's origin and leaves it in the pool. Returns False, and logs, if that fails.

    It sends HEAD "/", because libcurl does not put CONNECT_ONLY connections into its pool. Any status is right.
    """
    origin = "/".join(url.split("/", 3)[:3]) + "/"
    warm = Warm()
    request = Request("HEAD", origin, [], None, timeouts or Timeouts(total=10.0), way)
    try:
        exchange = client.send(request, warm)
    except ValueError as error:
        log.warning("prewarm: %s", error)
        return False
    try:
        failure = await warm.ended
    finally:
        exchange.cancel()
    if failure is not None:
        log.warning("prewarm: %s", failure.message)
    return failure is None
