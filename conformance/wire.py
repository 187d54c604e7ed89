"""Requests to the server that is examined, and whole replies: bytes as they came, no judgement."""

from __future__ import annotations

import json
import ssl
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection  # noqa: TID251 - there is no loop to block
from typing import Any
from urllib.parse import urlsplit

MAX_REPLY = 16 << 20
JSON_TYPE = {"content-type": "application/json"}


class BadAddress(Exception):
    """The address cannot be asked; args: why."""


@dataclass(slots=True)
class Reply:
    """status: 0 = none came. headers by their names in small letters. trouble: why it is not whole, in words."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trouble: str = ""
    seconds: float = 0.0

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Line:
    """The way to one server. sent: how many requests it got."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """url: with or without /v1 at its end. Raises BadAddress."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError as why:
            raise BadAddress(f"{url}: {why}") from why
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadAddress(f"{url} is no http:// or https:// address")
        self.base = parts.path.rstrip("/").removesuffix("/v1")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.url = f"{parts.scheme}://{host}{f':{port}' if port else ''}{self.base}"
        self.sent = 0
        self._https = parts.scheme == "https"
        self._at = (parts.hostname, port)
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"<Line to {self.url}, {self.sent} requests>"

    def get(self, path: str, headers: dict[str, str], method: str = "GET") -> Reply:
        return self._ask(method, path, None, headers, 0)

    def post(self, path: str, body: Any, headers: dict[str, str], leave_after: int = 0) -> Reply:
        """body: what becomes JSON, or bytes as they are. leave_after: so many bytes of the reply are read, and the
        connection is closed then."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._ask("POST", path, data, headers | JSON_TYPE, leave_after)

    def _ask(self, method: str, path: str, data: bytes | None, headers: dict[str, str], leave_after: int) -> Reply:
        """On a connection of its own, so that what one reply leaves behind troubles no other."""
        reply = Reply()
        pieces: list[bytes] = []
        size = 0
        began = time.monotonic()
        self.sent += 1
        connection = self._connection()
        try:
            connection.request(method, self.base + path, data, headers | {"accept": "*/*"})
            answer = connection.getresponse()
            reply.status = answer.status
            reply.headers = {name.lower(): value for name, value in answer.getheaders()}
            while piece := answer.read1(65536):
                pieces.append(piece)
                size += len(piece)
                if leave_after and size >= leave_after:
                    break
                if size > MAX_REPLY:
                    reply.trouble = f"more than {MAX_REPLY >> 20} MB"
                    break
        except TimeoutError:
            reply.trouble = f"silent for {self._timeout_s:.0f} s"
        except (OSError, HTTPException) as why:
            reply.trouble = str(why) or type(why).__name__
        finally:
            connection.close()
        reply.body = b"".join(pieces)
        reply.seconds = time.monotonic() - began
        return reply

    def _connection(self) -> HTTPConnection:
        host, port = self._at
        if self._https:
            return HTTPSConnection(host, port, timeout=self._timeout_s, context=ssl.create_default_context())
        return HTTPConnection(host, port, timeout=self._timeout_s)
