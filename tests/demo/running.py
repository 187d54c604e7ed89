"""The demo upstream over real sockets, and what the tests ask it for: every model in every protocol.

The server runs in a loop of its own in a thread, so that the SDKs' blocking clients can be used as users
use them. What an SDK forgives (order of events, numbering) the raw streams are checked for beside it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pydantic

from demo.server import Demo

TOKEN = "demo-token-of-the-test"
LONG_EVENTS = 5_000
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
    "required": ["city"],
}
A_TOOL = {"name": "get_weather", "description": "weather", "input_schema": PARAMETERS}
C_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
R_TOOL = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}
ASK: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses")


class Weather(pydantic.BaseModel):
    city: str
    degrees: int


class Running:
    """A Demo in a thread of its own."""

    def __init__(self, **options: Any) -> None:
        self.demo = Demo(TOKEN, **options)
        self.url = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self) -> Running:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self.url = self.demo.start()
        self._ready.set()
        await self._end.wait()
        await self.demo.stop()


def body(path: str, model: str = "demo", **more: Any) -> dict[str, Any]:
    if path == "/v1/responses":
        return {"model": model, "input": ASK, **more}
    return {
        "model": model,
        "messages": ASK,
        **({"max_tokens": 9_999} if path == "/v1/messages" else {}),
        **more,
    }


def events(text: str) -> list[dict[str, Any]]:
    """The data of each event; the event line, where there is one, must name the data's type."""
    found = []
    assert text.endswith("\n\n")
    for block in text.split("\n\n")[:-1]:
        *names, data = block.split("\n")
        assert data.startswith("data: ") and len(names) <= 1
        value = json.loads(data[6:]) if data != "data: [DONE]" else {"done": True}
        assert not names or names == [f"event: {value['type']}"]
        found.append(value)
    return found
