"""What the writer of a turn knows of its client, without a websocket."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from gateway.websocket.writer import FrameWriter, frame
from tests.gateway.http.test_response_writer import pair


def test_what_comes_after_its_client_has_left_was_not_sent() -> None:
    """Nobody has been told yet that it has left; then the turn is not one of which it had all."""

    async def run() -> None:
        stream, theirs = pair()
        session: Any = SimpleNamespace(stream=stream, last=False, frame=lambda data: frame(data, None))
        writer, told = FrameWriter(session, "", 0), []
        writer.start(200, b"")
        writer.write(b'data: {"type":"response.created"}\n\n')
        assert theirs.recv(4096) and writer.all_sent
        stream.close()
        writer.write(b": ping\n\n")
        assert writer.all_sent
        writer.write(b'data: {"type":"response.completed"}\n\n')
        assert not writer.all_sent
        writer.end()
        writer.when_sent(told.append)
        assert told == [False]
        theirs.close()

    asyncio.run(run())
