"""The upstreams that a Messages client may have behind the proxy, and what each of them answers when all is well."""

from __future__ import annotations

from typing import Any

from tests.gateway.clouds.test_clients import settings as cloud_settings
from tests.gateway.clouds.test_clients import stream_of, whole_of
from tests.gateway.flow.test_gemini import SAYING, answer
from tests.support.house import ONCE
from tests.support.script import Answer, Request, Upstream

MESSAGES = ("messages", "bedrock", "vertex")  # those whose replies and errors are in Messages' own words
OTHERS = ("chat", "responses", "gemini")
UPSTREAMS = (*MESSAGES, *OTHERS)

HI = [{"role": "user", "content": "hi"}]
ASK: dict[str, Any] = {"model": "claude-x", "max_tokens": 50, "messages": HI}

VERTEX = "/v1/projects/p/locations/us/publishers/anthropic/models/claude-x:"
CLIENTS: dict[str, dict[bool, str]] = {  # path of a whole reply, of a stream
    "messages": {False: "/v1/messages?beta=true", True: "/v1/messages?beta=true"},
    "bedrock": {False: "/model/claude-x/invoke", True: "/model/claude-x/invoke-with-response-stream"},
    "vertex": {False: f"{VERTEX}rawPredict", True: f"{VERTEX}streamRawPredict"},
    "chat": {False: "/v1/chat/completions", True: "/v1/chat/completions"},
    "responses": {False: "/v1/responses", True: "/v1/responses"},
    "gemini": {False: "/v1beta/models/claude-x:generateContent",
               True: "/v1beta/models/claude-x:streamGenerateContent?alt=sse"},
}  # fmt: skip


def asking(client: str, stream: bool = False, **more: Any) -> dict[str, Any]:
    """The body of a request of a client, which says whether it streams where its path does not."""
    if client == "gemini":
        return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], **more}
    if client in ("bedrock", "vertex"):
        version = {"bedrock": "bedrock-2023-05-31", "vertex": "vertex-2023-10-16"}[client]
        return {"anthropic_version": version, "max_tokens": 50, "messages": HI, **more}
    body = {"model": "claude-x", "input": "hi"} if client == "responses" else ASK
    return {**body, "stream": stream, **more}


def settings(up: Upstream, upstream: str, more: str = "") -> str:
    """Nothing is tried twice."""
    return cloud_settings(up, upstream, ONCE + more)


def pieces_of(upstream: str) -> list[bytes]:
    """The events of a stream, each in the frame that this upstream has for it."""
    if upstream != "gemini":
        pieces = stream_of(upstream).body
        assert isinstance(pieces, list)
        return pieces
    request = Request("POST", "/v1beta/models/m:streamGenerateContent", {}, b"{}", 0)
    body = answer("gemini", SAYING, request).body
    assert isinstance(body, list)
    return [piece + b"\n\n" for piece in b"".join(body).split(b"\n\n") if piece]


def good(upstream: str, stream: bool, headers: dict[str, str] | None = None) -> Answer:
    if stream:
        return streaming(upstream, pieces_of(upstream), headers)
    if upstream != "gemini":
        return Answer.json(whole_of(upstream), headers=headers or {})
    request = Request("POST", "/v1beta/models/m:generateContent", {}, b"{}", 0)
    return Answer(200, {"Content-Type": "application/json"} | (headers or {}), answer("gemini", SAYING, request).body)


def streaming(upstream: str, items: list[Any], headers: dict[str, str] | None = None) -> Answer:
    kind = "application/vnd.amazon.eventstream" if upstream == "bedrock" else "text/event-stream"
    return Answer(200, {"Content-Type": kind} | (headers or {}), items, framing="chunked")
