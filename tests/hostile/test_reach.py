"""What a client says never makes the proxy ask anybody but the upstreams of the settings: a canary hears nothing."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostile import talk
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
SETTINGS = """
[upstream c]
protocol = chat
base_url = {url}
api_key = k
[upstream r]
protocol = responses
base_url = {url}
api_key = k
[models]
m = c
r = r
[breaker]
enabled = false
[retry]
max_attempts = 1
"""


class Canary:
    """Counts who connects."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.at = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"http://{self.at}"
        self.heard = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                other, _ = self._socket.accept()
            except OSError:  # closed
                return
            self.heard += 1
            other.close()

    def close(self) -> None:
        self._socket.close()


def body(model: str = "m", text: Any = "x", **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": text}]} | more


def image(url: str) -> list[Any]:
    return [{"type": "image_url", "image_url": {"url": url}}]


def source(kind: str, url: str) -> list[Any]:
    return [{"type": kind, "source": {"type": "url", "url": url}}]


def tries(at: str) -> list[tuple[str, str, dict[str, str], Any]]:
    """(method, target, headers, body)"""
    url = f"http://{at}"
    plain = body()
    headers = ("Host", "X-Forwarded-Host", "X-Forwarded-For", "Forwarded", "X-Original-URL", "X-Rewrite-URL", "Referer",
               "Location", "X-Upstream", "X-Base-URL", "anthropic-base-url", "OpenAI-Base-URL", "Proxy", "Proxy-Host",
               "Via", "Upgrade", "Alt-Svc", "Destination", "X-Proxy-Upstream")  # fmt: skip
    return [
        ("POST", f"{url}{CHAT}", {}, plain), ("POST", f"{url}/", {}, plain), ("CONNECT", at, {"Host": at}, None),
        ("GET", f"{url}/x", {}, None), ("GET", f"//{at}/x", {}, None), ("POST", f"/{url}{CHAT}", {}, plain),
        *(("POST", CHAT, {name: url if name != "Host" else at}, plain) for name in headers),
        *(("POST", CHAT, {}, body(model)) for model in (url, f"m@{at}", f"c/{url}", f"//{at}/m", f"m#{url}")),
        *(("POST", f"{CHAT}?{key}={url}", {}, plain) for key in ("url", "base_url", "api-version", "beta")),
        *(("POST", path, {}, body(text=image(f"{url}/i.png"))) for path in (CHAT, MESSAGES)),
        *(("POST", MESSAGES, {}, body(text=source(kind, f"{url}/f"))) for kind in ("image", "document")),
        ("POST", RESPONSES, {}, {"model": "m", "input": [{"role": "user", "content": [
            {"type": "input_image", "image_url": f"{url}/i"}, {"type": "input_file", "file_url": f"{url}/f"}]}]}),
        ("POST", MESSAGES, {}, body(mcp_servers=[{"type": "url", "url": url, "name": "x"}])),
        ("POST", RESPONSES, {}, {"model": "m", "input": "x", "tools": [
            {"type": "mcp", "server_label": "x", "server_url": url}]}),
        *(("POST", RESPONSES, {}, {"model": "r", "input": "x", "previous_response_id": id})
          for id in (url, f"../../{at}", f"resp_1@{at}/")),
        *((method, f"/v1/responses/{id}", {}, None) for method in ("GET", "DELETE")
          for id in (f"..%2f..%2f{at}", f"@{at}", f"%40{at}%2f", f"resp_1%0d%0aHost:%20{at}", url.replace("/", "%2f"))),
        ("GET", f"/v1/models/{url}", {}, None), ("GET", f"/v1/models?after_id={url}", {}, None),
        ("POST", f"/debug/translate?to={url}", {}, plain),
    ]  # fmt: skip


def raw(method: str, target: str, headers: dict[str, str], data: Any) -> bytes:
    sent = b"" if data is None else json.dumps(data).encode()
    lines = {"Host": "localhost", "Content-Length": str(len(sent))} | headers
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return head.encode() + b"\r\n" + sent


@pytest.fixture
def canary() -> Iterator[Canary]:
    it = Canary()
    yield it
    it.close()


def redirecting(canary: Canary) -> Any:
    def answer(request: Request) -> Answer:
        return Answer(307, {"Location": canary.url, "Refresh": f"0; url={canary.url}"}, [b"{}"])

    return answer


def test_no_client_makes_the_proxy_ask_another_server(canary: Canary) -> None:
    """The upstream answers each of them with a redirection to the canary besides, which is not followed either."""
    with Upstream(redirecting(canary)) as up, House(SETTINGS.format(url=up.url)) as house:
        asked = tries(canary.at)
        assert len(asked) >= 30
        for each in asked:
            said = talk.said(house.port, raw(*each), 5.0)
            assert said, each
            assert canary.heard == 0, each
    host, _, port = canary.at.partition(":")
    with socket.create_connection((host, int(port))) as other:
        assert other.recv(1) == b"", "the canary hears and hangs up"
    assert canary.heard == 1
