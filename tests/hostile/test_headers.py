"""Every header in every lane: nothing of a client goes to an upstream that is not the API's own, and nothing of an
upstream comes back by which a browser acts or that tells of what is inside.

A lane is an address and an upstream. What crosses by name is tested in tests/gateway/http/test_what_crosses.py; here
each lane is walked as a client and an upstream that mean ill do it, on real connections.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.support.faulty import Good, Protocol
from tests.support.house import ONCE, House
from tests.support.script import Answer, Request, Upstream

KEY = "a-client-key-of-some-length"
PLANTED = "planted"
OF_A_CLIENT = (
    "api-key", "apikey", "x-goog-api-key", "x-amz-security-token", "ocp-apim-subscription-key", "x-auth-token",
    "cookie", "x-access-token", "private-token", "x-csrf-token", "x-functions-key", "x-secret", "x-signature",
    "proxy-authorization", "cf-access-client-secret", "x-forwarded-for", "x-forwarded-host", "x-forwarded-prefix",
    "forwarded", "via", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip", "x-geo-city", "referer",
    "keep-alive", "te", "trailer", "proxy-connection", "http2-settings", "x-hop-of-mine", "x-http-method-override",
    "x-proxy-hop", "x-original-url", "x-rewrite-url", "if-none-match", "range", "x-user-id", "x-ssl-client-cert",
)  # fmt: skip
SENT = {name: f"{PLANTED}-{name}" for name in OF_A_CLIENT}
SENT |= {"x-api-key": KEY, "Connection": "keep-alive, X-Hop-Of-Mine"}
OF_AN_UPSTREAM = (
    "set-cookie", "set-cookie2", "clear-site-data", "refresh", "location", "content-location", "link",
    "www-authenticate", "proxy-authenticate", "access-control-allow-origin", "access-control-allow-credentials",
    "access-control-expose-headers", "strict-transport-security", "alt-svc", "nel", "report-to", "reporting-endpoints",
    "sourcemap", "x-sourcemap", "service-worker-allowed", "permissions-policy", "cross-origin-opener-policy",
    "timing-allow-origin", "x-frame-options", "accept-ch", "critical-ch", "origin-agent-cluster", "server",
    "x-powered-by", "via", "x-accel-redirect", "x-sendfile", "x-accel-expires", "x-internal-host", "x-backend", "etag",
    "last-modified", "expires", "age", "x-ratelimit-hop", "keep-alive", "trailer", "x-proxy-upstream", "x-cache",
)  # fmt: skip
EVIL = {name: f"{PLANTED}-{name}" for name in OF_AN_UPSTREAM} | {"Connection": "keep-alive, X-Ratelimit-Hop"}
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: <planted>\r\nSet-Cookie: planted=1\r\n\r\n"
SECTIONS = {"m": "messages", "c": "chat", "r": "responses", "g": "gemini"}
GEMINI = {"candidates": [{"content": {"role": "model", "parts": [{"text": "a"}]}, "finishReason": "STOP"}]}
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nc/x\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nx\r\n--b--\r\n'
)


def said(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]} | more


def asked(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "input": "x"} | more


Lane = tuple[str, str, Any, dict[str, str]]
CROSSINGS: list[Lane] = [
    ("POST", path, body(f"{up}/x", stream=stream), {})
    for up in SECTIONS
    for path, body in (("/v1/messages", said), ("/v1/chat/completions", said), ("/v1/responses", asked))
    for stream in (False, True)
]
OTHERS: list[Lane] = [
    ("POST", "/v1/messages/count_tokens", said("m/x"), {}),
    ("POST", "/v1/responses/input_tokens", asked("r/x"), {}),
    ("POST", "/v1/embeddings", {"model": "c/x", "input": "x"}, {}),
    ("POST", "/v1/audio/speech", {"model": "c/x", "input": "x", "voice": "v"}, {}),
    ("POST", "/v1/audio/transcriptions", FORM, {"Content-Type": "multipart/form-data; boundary=b"}),
    ("POST", "/v1beta/models/g%2Fx:generateContent", {"contents": [{"parts": [{"text": "x"}]}]}, {}),
    ("POST", "/api/chat", {"model": "c/x", "messages": [{"role": "user", "content": "x"}]}, {}),
    ("GET", "/v1/files", None, {"X-Proxy-Upstream": "m"}),
    ("GET", "/v1/models", None, {}),
    ("GET", "/v1/responses/resp_1", None, {}),
    ("GET", "/v1/responses/resp_1/input_items", None, {}),
]  # fmt: skip
LANES = CROSSINGS + OTHERS


def protocol_of(path: str) -> Protocol:
    return "messages" if "messages" in path else "chat" if "chat" in path else "responses"


def good(request: Request) -> tuple[str, bytes]:
    """(its type, its body)."""
    if ":" in request.path:
        data = json.dumps(GEMINI).encode()
        streams = "stream" in request.path
        return ("text/event-stream", b"data: %b\r\n\r\n" % data) if streams else ("application/json", data)
    if "speech" in request.path:
        return "audio/mpeg", b"sound"
    if request.method == "GET" and "responses" not in request.path:
        return "application/json", b'{"object":"list","data":[{"id":"x","object":"model"}]}'
    reply = Good(protocol_of(request.path), "x")
    if request.method == "POST" and b'"stream":true' in request.body.replace(b" ", b""):
        return "text/event-stream", b"".join(reply.events)
    return "application/json", reply.body


def ill(request: Request) -> Answer:
    """The right reply, after other heads and before a trailer, with every header that there is."""
    kind, body = good(request)
    lines = "".join(f"{name}: {value}\r\n" for name, value in EVIL.items())
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n{lines}\r\n".encode()
    end = b"0\r\nSet-Cookie: planted=trailer\r\nX-Ratelimit-Limit: planted\r\n\r\n"
    return Answer(head=False, body=[EARLY + head + b"%x\r\n%b\r\n" % (len(body), body) + end], end="close")


def refused(request: Request) -> Answer:
    return Answer.json({"error": {"message": "no", "type": "invalid_request_error"}}, 400, headers=EVIL)


def settings(url: str) -> str:
    sections = "".join(
        f"[upstream {name}]\nprotocol = {protocol}\nbase_url = {url}\napi_key = sk-of-{name}-0123456789\n"
        + ("count_tokens = true\nfiles = true\n" if name == "m" else "")
        for name, protocol in SECTIONS.items()
    )
    return f"{sections}[models]\n* = r\n[client a]\nkey = {KEY}\n{ONCE}"


def name_of(lane: Lane) -> str:
    body = lane[2] if isinstance(lane[2], dict) else {}
    return f"{lane[1]} {body.get('model', '')} {'stream' if body.get('stream') else ''}"


def check(requests: list[Request], replies: list[dict[str, str]]) -> None:
    for request in requests:
        shown = {name: value for name, value in request.headers.items() if PLANTED in value or KEY in value}
        assert not shown, (request.path, shown)
        assert not {"origin", "host-of-mine", "cookie", "x-hop-of-mine"} & request.headers.keys()
    for reply in replies:
        assert not [item for item in reply.items() if PLANTED in item[1]], reply
        assert reply["x-content-type-options"] == "nosniff" and reply["content-security-policy"] == "sandbox"


@pytest.mark.parametrize("script", [ill, refused])
def test_no_lane_lets_a_header_through(script: Any) -> None:
    with Upstream(script) as up, House(settings(up.url)) as house:
        for lane in LANES:
            method, path, body, more = lane
            up.requests.clear()
            status, headers, got = house.request(method, path, body, SENT | {"Origin": "https://a.example"} | more)
            assert up.requests, name_of(lane)
            expected = {200} if script is ill or path == "/v1/models" else {400}
            assert status in expected or "count" in path or "input_tokens" in path, (name_of(lane), status, got)
            check(up.requests, [headers])
            assert headers.get("access-control-allow-origin") == "https://a.example"


def test_nor_does_a_websocket() -> None:
    async def turn(house: House, model: str) -> list[dict[str, Any]]:
        own = {name: value for name, value in SENT.items() if name.lower() not in ("connection", "te", "keep-alive")}
        socket = await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{house.port}/v1/responses", headers=own))
        await socket.write_message(json.dumps({"type": "response.create"} | asked(model)))
        events = [json.loads(str(await socket.read_message()))]
        while events[-1]["type"] not in ("response.completed", "response.failed", "error"):
            events.append(json.loads(str(await socket.read_message())))
        socket.close()
        while await socket.read_message() is not None:
            continue
        return events

    with Upstream(ill) as up, House(settings(up.url)) as house:
        for name in SECTIONS:
            events = asyncio.run(turn(house, f"{name}/x"))
            assert events[-1]["type"] == "response.completed" and PLANTED not in json.dumps(events)
        assert len(up.requests) == len(SECTIONS)
        check(up.requests, [])
