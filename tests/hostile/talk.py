"""One input over one connection: what came back, and whether the connection ended."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from typing import Any

AFTER_S = 0.03  # in which a second answer, to what was smuggled, would have come
_LENGTH = re.compile(rb"(?i)content-length: (\d+)")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


def said(port: int, data: bytes, deadline_s: float, answers: int = 1) -> str:
    """A line such as "400 anthropic close": the statuses in their order, the dialect of an error's body ("bare" for
    none), and whether the proxy closed. "nothing" where it closed without a word. answers: how many are waited for;
    those that come on top of them are heard only for a moment."""
    return told(*heard(port, data, deadline_s, answers))


def heard(port: int, data: bytes, deadline_s: float, answers: int = 1) -> tuple[bytes, bool]:
    """All that came, and whether the proxy closed."""
    with socket.create_connection(("127.0.0.1", port), deadline_s) as client:
        return _exchanged(client, data, time.monotonic() + deadline_s, answers)


def told(got: bytes, closed: bool) -> str:
    """The line of what was heard."""
    statuses = [status.decode() for status in _STATUS.findall(got)]
    if not statuses:
        return "nothing close" if closed else "nothing"
    words = [*statuses]
    if statuses[0][0] in "45":
        words.append(_dialect(_first_body(got)))
    return " ".join([*words, *(["close"] if closed else [])])


def _exchanged(client: socket.socket, data: bytes, until: float, answers: int) -> tuple[bytes, bool]:
    got = b""
    with contextlib.suppress(OSError):  # it was refused before all of it was there: the answer says why
        client.sendall(data)
    try:
        while time.monotonic() < until:
            over = _is_whole(got) and len(_STATUS.findall(got)) >= answers
            client.settimeout(AFTER_S if over else max(0.01, until - time.monotonic()))
            piece = client.recv(65536)
            if not piece:
                return got, True
            got += piece
    except TimeoutError:
        return got, False
    except OSError:
        return got, True
    return got, False


def _is_whole(got: bytes) -> bool:
    """Whether the first answer is all there."""
    head, blank, body = got.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        return _is_whole(body)
    if not blank:
        return False
    if length := _LENGTH.search(head):
        return len(body) >= int(length[1])
    return body.endswith(b"0\r\n\r\n") if b"chunked" in head.lower() else True


def _first_body(got: bytes) -> bytes:
    head, _, rest = got.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return rest[: int(length[1])] if length else rest


def _dialect(body: bytes) -> str:
    try:
        error: Any = json.loads(body)
    except (ValueError, RecursionError):
        return "bare" if not body.strip() else "no JSON"
    if not isinstance(error, dict) or not isinstance(error.get("error"), dict) or not error["error"].get("message"):
        return "no error"
    return "anthropic" if error.get("type") == "error" else "openai"
