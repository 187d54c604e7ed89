"""Raw requests of hostile clients, and a look whether anything is left of them."""

from __future__ import annotations

import socket

from tests.support.house import House
from tests.support.script import Answer

PATH = "/v1/chat/completions"
OK = Answer.json({"id": "x", "choices": [{}]})
BEGUN = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
ASKED = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
KEY = "a-client-key-of-some-length"


def nothing_is_left(house: House) -> None:
    house.wait(lambda p: not p.service.flows and p.service.client.stats()["in_flight"] == 0, 5.0)


def raw(house: House, data: bytes) -> bytes:
    """Sends bytes, and reads until the proxy closes or says no more for a while."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=5) as client:
        client.sendall(data)
        got = b""
        try:
            while piece := client.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
        return got


def post(body: bytes, *lines: str, path: str = PATH, version: str = "1.1") -> bytes:
    head = [f"POST {path} HTTP/{version}", "Host: localhost", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1") + body
