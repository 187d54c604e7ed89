"""A relay that makes a server far away: a byte is late by half a round trip, and a new connection by a whole one."""

from __future__ import annotations

import asyncio


class Relay:
    """Between a client and the server at (host, port)."""

    def __init__(self, host: str, port: int, round_trip_s: float) -> None:
        self._to = host, port
        self.round_trip_s = round_trip_s
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there: asyncio.StreamWriter | None = None
        try:
            # The kernel has taken the connection at once: the round trip that this takes elsewhere is made up for here.
            await asyncio.sleep(self.round_trip_s)
            back, there = await asyncio.open_connection(*self._to)
            await asyncio.gather(self._pass(reader, there), self._pass(back, writer))
        except OSError:
            writer.transport.abort()  # as a server that cannot be reached
        except asyncio.CancelledError:  # the relay ends
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            if there is not None:
                there.close()

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        late = self.round_trip_s / 2
        while data := await source.read(65536):
            loop.call_later(late, _written, to, data)
        await asyncio.sleep(late)
        if to.can_write_eof() and not to.is_closing():
            to.write_eof()
        else:
            to.close()


def _written(to: asyncio.StreamWriter, data: bytes) -> None:
    if not to.is_closing():
        to.write(data)
