"""Counts the messages of websockets while they arrive, as parts of the request bodies in memory.

Tornado reads a frame of any length as a whole and joins frames to a message; nobody sees it before it is complete. Here
a frame is read in pieces, and each piece is counted. If the memory for bodies is full, the rest of the message is read
and dropped, like the body of a POST, and answered with an error. If a message is not complete within [server]
body_timeout, the connection ends (1008).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.websocket import WebSocketHandler, WebSocketProtocol13, _WebSocketParams

from gateway.runtime import Service
from translate.failures.errors import ApiError

PIECE = 64 * 1024
DATA = (1, 2)  # opcodes of a message
MOST_OF_CONTROL = 125  # the most bytes of a control frame (RFC 6455, section 5.5)
CLOSE = 8  # opcode
INVALID_PAYLOAD = 1007  # RFC 6455, section 7.4.1
POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1


class Arriving:
    """How much of one connection's message is in memory."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._timer: asyncio.TimerHandle | None = None
        self._held = 0  # bytes

    def __repr__(self) -> str:
        return f"<Arriving {self._held} bytes>"

    def came(self, size: int, protocol: CountingProtocol) -> None:
        """Counts bytes that have arrived. Raises ApiError (503) if there is no memory for them."""
        if self._timer is None:
            patience = self._service.settings.server.body_timeout
            self._timer = asyncio.get_running_loop().call_later(patience, self._too_slow, protocol)
        self._service.bodies.hold(size)
        self._held += size

    def over(self) -> None:
        """Ends the count, because the message is complete, or the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.let_go()

    def let_go(self) -> None:
        self._service.bodies.let_go(self._held)
        self._held = 0

    def _too_slow(self, protocol: CountingProtocol) -> None:
        self._timer = None
        protocol.hang_up(POLICY_VIOLATION, "the message did not arrive in time ([server] body_timeout)")


class CountingProtocol(WebSocketProtocol13):
    """Tornado's protocol, which counts what it reads. refusing: answers a message that was dropped."""

    def __init__(
        self,
        handler: WebSocketHandler,
        params: _WebSocketParams,
        arriving: Arriving,
        refusing: Callable[[ApiError], Awaitable[None]],
    ) -> None:
        super().__init__(handler, False, params)
        self._arriving = arriving
        self._refusing = refusing
        self._refused: ApiError | None = None

    async def _read_bytes(self, n: int) -> bytes:
        """Reads n bytes. Those of a refused message are dropped, except for heads of frames and control frames."""
        parts = bytearray()
        left = n
        while left:
            piece = await self.stream.read_bytes(min(PIECE, left), partial=True)
            left -= len(piece)
            if self._refused is None:
                try:
                    self._arriving.came(len(piece), self)
                except ApiError as full:
                    self._refuse(full, parts)
            if self._refused is None or n <= MOST_OF_CONTROL:
                parts += piece
        self._wire_bytes_in += n
        return bytes(parts)

    def _refuse(self, full: ApiError, parts: bytearray) -> None:
        self._refused = full
        parts.clear()
        if self._fragmented_message_buffer is not None:
            self._fragmented_message_buffer.clear()
        self._arriving.let_go()

    async def _receive_frame(self) -> None:
        await super()._receive_frame()
        if self._fragmented_message_buffer is None:  # no part of a message is in memory
            self._arriving.over()
        elif self._refused is not None:
            self._fragmented_message_buffer.clear()

    def _handle_message(self, opcode: int, data: bytes) -> Any:
        if opcode == CLOSE and not _is_text(data[2:]):
            self.hang_up(INVALID_PAYLOAD, "the reason of a close is not UTF-8")
            return None
        if self._refused is None or opcode not in DATA:
            return super()._handle_message(opcode, data)
        refused, self._refused = self._refused, None
        return self._refusing(refused)

    def hang_up(self, code: int, why: str) -> None:
        self.close(code, why[:100])
        self._abort()


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
