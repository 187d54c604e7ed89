"""A client of the websocket on a real socket, as the tests use it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.support.house import House

DEMO = "[upstream demo]\nprotocol = {}\nbase_url = demo:\n"
TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}, "strict": False}

UPGRADE = {
    "Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "EHy7tGUYrw5MFhtCnHArLg==",
}  # fmt: skip


class Socket:
    """A client's end. `reply` reads one turn's events, to its last."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection
        self.ended = False

    async def send(self, **fields: Any) -> None:
        await self.connection.write_message(json.dumps({"type": "response.create", "model": "m"} | fields))

    async def event(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.connection.read_message(), 20)
        assert isinstance(text, str), f"closed: {self.connection.close_code}"
        return json.loads(text)

    async def reply(self) -> list[dict[str, Any]]:
        events = [await self.event()]
        while events[-1]["type"] not in ("response.completed", "response.failed", "response.incomplete", "error"):
            events.append(await self.event())
        return events

    async def turn(self, **fields: Any) -> dict[str, Any]:
        """The final event of a turn."""
        await self.send(**fields)
        return (await self.reply())[-1]

    async def closed(self) -> int | None:
        while await asyncio.wait_for(self.connection.read_message(), 20) is not None:
            continue
        self.ended = True
        return self.connection.close_code


def with_socket(
    house: House, work: Callable[[Socket], Awaitable[Any]], headers: dict[str, str] | None = None, deflate: bool = False
) -> Any:
    async def run() -> Any:
        request = HTTPRequest(f"ws://127.0.0.1:{house.port}/v1/responses", headers=headers)
        options = {} if deflate else None
        connection = await websocket_connect(request, compression_options=options, max_message_size=1 << 26)
        socket = Socket(connection)
        try:
            return await work(socket)
        finally:
            connection.close()
            if not socket.ended:
                await socket.closed()

    return asyncio.run(run())


def text_of(event: dict[str, Any]) -> str:
    assert event["type"] == "response.completed", event
    return "".join(part["text"] for item in event["response"]["output"] for part in item.get("content", []))
