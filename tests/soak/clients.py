"""Clients that ask all there is to ask, one thing at a time, until the requests are used up."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from tests.chaos.clients import PATHS, PATIENCE_S, Client, _reply

KINDS = {"ask": 70, "leave": 7, "slow": 2, "bad": 5, "unknown": 4, "count": 5, "page": 4, "websocket": 3}
LAST = ("response.completed", "response.failed", "response.incomplete", "error")
LONG = 60_000  # digits of a mark, so that the reply does not fit into the buffers on its way


class Mixed(Client):
    """What it asks is drawn by lot; the verdicts are those of the chaos client."""

    async def use_up(self, numbers: Iterator[int]) -> None:
        """One request for each number; others take from the same numbers."""
        for number in numbers:
            kind = self._lot.choices(list(KINDS), list(KINDS.values()))[0]
            try:
                verdict = await asyncio.wait_for(getattr(self, f"_{kind}")(f"mark-{self._name}-{number}"), PATIENCE_S)
            except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, WebSocketClosedError) as why:
                verdict = f"wrong: {why!r}"
                self._close()
            self._tally[f"{kind} {verdict.split(':')[0]}"] += 1
            if verdict.startswith("wrong"):
                self._wrong.append(f"{kind} {number}: {verdict}")
        self._close()
        await asyncio.sleep(0)  # what was closed is let go

    async def _request(
        self, method: str, path: str, body: bytes = b"", connection: str = "keep-alive"
    ) -> asyncio.StreamReader:
        if self._pair is None:
            self._pair = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n"
        head += "Content-Type: application/json\r\n"
        self._pair[1].write(head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        return self._pair[0]

    async def _says(self, status: int, method: str, path: str, body: bytes = b"") -> str:
        got, raw = await _reply(await self._request(method, path, body))
        return "right" if got == status else f"wrong: {got} {raw[:200]!r}"

    # ------------------------------------------------------------------------------------------ the kinds

    async def _ask_mark(self, mark: str, connection: str = "keep-alive") -> tuple[str, bool, asyncio.StreamReader]:
        protocol, stream = self._lot.choice(list(PATHS)), self._lot.random() < 0.7
        body = json.dumps(question(protocol, self._lot.choice("abcmn"), mark) | {"stream": stream}).encode()
        return protocol, stream, await self._request("POST", PATHS[protocol], body, connection)

    async def _ask(self, mark: str) -> str:  # type: ignore[override]
        protocol, stream, reader = await self._ask_mark(mark)
        return self._judge(protocol, stream, mark, *await _reply(reader))

    async def _leave(self, mark: str) -> str:
        """In the middle: before the reply, at its head, or within it."""
        _, _, reader = await self._ask_mark(mark)
        wanted = self._lot.choice((0, 0, 1, 300, 900))
        if wanted:
            await reader.read(wanted)
        else:
            await asyncio.sleep(self._lot.random() * 0.02)
        self._close()
        return "left"

    async def _slow(self, mark: str) -> str:
        """Takes a long stream in small sips, and has enough before its end."""
        self._close()
        taker = socket.socket()
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        taker.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(taker, ("127.0.0.1", self._port))
            self._pair = await asyncio.open_connection(sock=taker, limit=2048)
        except BaseException:  # also when the soak is over just now
            taker.close()
            raise
        _, _, reader = await self._ask_mark(mark + "0" * LONG, "close")  # an error, which is short, is at its end then
        for _ in range(10):
            await reader.read(1024)
            await asyncio.sleep(0.02)
        self._close()
        return "left"

    async def _bad(self, mark: str) -> str:
        body = self._lot.choice((b"", b'{"model":', b"[]", b"\xff\xfe", b'{"model": 3}', b'{"messages": []}'))
        return await self._says(400, "POST", self._lot.choice(list(PATHS.values())), body)

    async def _unknown(self, mark: str) -> str:
        if self._lot.random() < 0.5:
            return await self._says(404, "GET", f"/nowhere/{mark}")
        return await self._says(404, "POST", PATHS["chat"], json.dumps(question("chat", "none", mark)).encode())

    async def _count(self, mark: str) -> str:
        body = json.dumps(question("messages", self._lot.choice("ac"), mark)).encode()
        return await self._says(200, "POST", "/v1/messages/count_tokens", body)

    async def _page(self, mark: str) -> str:
        return await self._says(200, "GET", self._lot.choice(("/healthz", "/v1/models", "/metrics")))

    async def _websocket(self, mark: str) -> str:
        """One or two turns; now and then it leaves in the middle of one."""
        connection = await websocket_connect(f"ws://127.0.0.1:{self._port}/v1/responses")
        try:
            for _ in range(self._lot.choice((1, 2))):
                model = self._lot.choice("abc")
                await connection.write_message(
                    json.dumps({"type": "response.create"} | question("responses", model, mark))
                )
                if self._lot.random() < 0.3:
                    return "left"
                if not await _turn(connection):
                    return "garbled"
            return "right"
        finally:
            protocol = connection.protocol  # close() forgets it
            connection.close()
            if protocol is not None:
                protocol._abort()  # the soak may be over before the proxy has said goodbye, too


async def _turn(connection: WebSocketClientConnection) -> bool:
    """Whether it came to its end without the upstream's rubbish, which is passed on as it is."""
    while True:
        message = await connection.read_message()
        if message is None:
            raise WebSocketClosedError
        if b"{garbage" in (message if isinstance(message, bytes) else message.encode()):
            return False
        if json.loads(message)["type"] in LAST:
            return True


def question(protocol: str, model: str, mark: str) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model}
    body |= {"input": mark} if protocol == "responses" else {"messages": [{"role": "user", "content": mark}]}
    return body | {"max_tokens": 100} if protocol == "messages" else body
