"""Who and what comes in at the demo upstream, the lists of models, and how its streams end."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2 as httpx
import openai
import pytest

from demo import messages as demo_messages
from demo.answer import MODELS
from demo.door import MAX_STRANGERS
from demo.server import Demo
from tests.demo.running import ASK, PATHS, TOKEN, Running, body
from tests.support.waiting import soon, until


def test_key_is_asked_for(running: Running) -> None:
    with httpx.Client(base_url=running.url) as stranger:
        for headers in (
            {},
            {"x-api-key": "other"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "Bearer", "x-api-key": ""},
        ):
            for path in (*PATHS, "/v1/messages/count_tokens"):
                assert stranger.post(path, json=body(path), headers=headers).status_code == 401
            assert stranger.get("/v1/models", headers=headers).status_code == 401
        assert stranger.post(PATHS[0], json={}).json()["error"]["type"] == "authentication_error"
        assert stranger.post(PATHS[1], json={}).json()["error"]["code"] == "invalid_api_key"
        assert stranger.get("/v1/models", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    with pytest.raises(ValueError, match="token"):
        Demo("")


def test_strangers_hold_nothing(running: Running) -> None:
    """Neither their bodies nor their connections: each is answered at its head, and the latest few stay."""
    port = int(running.url.rpartition(":")[2])
    head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 5) as stranger:
        stranger.sendall(head)
        assert stranger.recv(100).startswith(b"HTTP/1.1 401")  # no byte of the body was sent
    many = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(3 * MAX_STRANGERS)]
    for first in many[:MAX_STRANGERS]:
        first.settimeout(5)
        assert first.recv(1) == b""
    with httpx.Client(base_url=running.url, headers={"Authorization": f"Bearer {TOKEN}"}) as own:
        assert own.get("/v1/models").status_code == 200
    for each in many:
        each.close()


def test_both_sdks_list_and_find_the_models(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    assert tuple(model.id for model in claude.models.list(limit=3)) == MODELS
    assert claude.models.retrieve("demo-slow").type == "model" and claude.models.retrieve("demo").display_name == "Demo"
    assert tuple(model.id for model in gpt.models.list()) == MODELS
    assert gpt.models.retrieve("demo-cut").object == "model"
    with pytest.raises(openai.NotFoundError, match="demo-think"):
        gpt.models.retrieve("nobody")
    with pytest.raises(anthropic.NotFoundError, match="demo-think"):
        claude.models.retrieve("nobody")


@pytest.mark.parametrize("path", [*PATHS, "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        b"",
        b"{}",
        b'{"model":"demo"}',
        b'{"messages":[],"input":[],"max_tokens":9}',
        b'{"model":"","messages":[{"role":"user","content":"x"}],"input":"x","max_tokens":9}',
        b'{"model":"demo","messages":[],"input":[],"max_tokens":9}',
        b'{"model":"demo","messages":"x","input":7,"max_tokens":9}',
        b'{"model":"demo","messages":["x"],"input":["x"],"max_tokens":9}',
        b'{"model":"demo","messages":[{"role":"user","content":"x"}],"input":"x","max_tokens":0,"max_output_tokens":0}',
    ],
)
def test_bad_requests(http: httpx.Client, path: str, payload: bytes) -> None:
    reply = http.post(path, content=payload)
    assert reply.status_code == 400 and reply.headers["content-type"] == "application/json"
    error = reply.json()["error"]
    assert error["type"] == "invalid_request_error" and error["message"]
    assert (reply.json().get("type") == "error") == path.startswith("/v1/messages")
    assert ("code" in error) != path.startswith("/v1/messages")


def test_max_tokens_is_required_for_messages(http: httpx.Client) -> None:
    refused = http.post(PATHS[0], json={"model": "demo", "messages": ASK})
    assert refused.status_code == 400 and "max_tokens" in refused.json()["error"]["message"]


@pytest.mark.parametrize("path", PATHS)
def test_odd_bodies_are_answered(http: httpx.Client, path: str) -> None:
    """Fields of the wrong type are not the demo's to judge, but never a 500 either."""
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    odd = {
        "tools": [7, {}, {"name": None}, {"type": "function", "function": 1}],
        "tool_choice": 7,
        "stop": 7,
        "stop_sequences": [7, ""],
        "response_format": [],
        "output_config": 3,
        "text": "x",
        "metadata": deep,
        "system": 7,
        "reasoning": [],
        "include": 3,
        "stream_options": 9,
        "stream": "yes",
    }
    contents = [None, 7, [], [7, {"type": "text"}, {"type": "tool_result", "content": 7}], "\ud83d lone"]
    for content in contents:
        messages = [
            {"role": "user", "content": content},
            {"role": "assistant", "content": content, "tool_calls": [1]},
            {"role": "user", "content": content},
        ]
        reply = http.post(
            path,
            content=json.dumps({"model": "demo", "max_tokens": 99, "messages": messages, "input": messages, **odd}),
        )
        assert reply.status_code == 200, reply.text


def test_unknown_paths_and_methods(http: httpx.Client) -> None:
    assert http.get("/v1/nothing").status_code == 404
    assert http.get("/v1/nothing", headers={"anthropic-version": "2023-06-01"}).json()["type"] == "error"
    assert http.get(PATHS[0]).status_code == 405 and http.get(PATHS[0]).json()["type"] == "error"
    assert http.get(PATHS[1]).json()["error"]["code"] == "method_not_supported"


@pytest.mark.parametrize("path", PATHS)
def test_same_request_same_bytes(http: httpx.Client, path: str) -> None:
    for more in ({}, {"stream": True}):
        first, second = (http.post(path, json=body(path, "demo-think", **more)) for _ in range(2))
        assert first.content == second.content and len(first.content) > 300


def test_a_client_that_leaves_ends_the_stream(running: Running) -> None:
    with Running(slow_first_byte_s=60, slow_event_s=60) as patient:
        for model, reads in (("demo-slow", 0), ("demo-long", 1)):
            payload = json.dumps(body(PATHS[0], model, stream=True)).encode()
            sock = socket.create_connection(patient.url.removeprefix("http://").split(":"), timeout=10)
            sock.sendall(
                b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: %d\r\n\r\n%s"
                % (TOKEN.encode(), len(payload), payload)
            )
            until(lambda: len(patient.demo.running) == 1)
            if reads:
                assert sock.recv(100)
            sock.close()
            until(lambda: not patient.demo.running)


def test_a_slow_reader_slows_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    frames = demo_messages.Stream.frames

    def counted(self: demo_messages.Stream) -> Iterator[tuple[bool, bytes]]:
        nonlocal made
        for frame in frames(self):
            made += 1
            yield frame

    monkeypatch.setattr(demo_messages.Stream, "frames", counted)
    total = 200_000  # about 24 MB on the wire, far more than the sockets of both ends hold
    with Running(long_events=total) as server, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = server.url.removeprefix("http://").split(":")
        sock.connect((host, int(port)))
        payload = json.dumps(body(PATHS[0], "demo-long", stream=True, max_tokens=1_000_000)).encode()
        sock.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (TOKEN.encode(), len(payload), payload)
        )
        seen = -1
        while made == 0 or seen != made:  # until it stands still
            seen = made
            threading.Event().wait(0.2)
        assert made < total / 2
        sock.recv(1)
    assert not server.demo.running


def test_stop_hangs_up_on_what_is_running() -> None:
    async def run() -> None:
        demo = Demo(TOKEN, slow_first_byte_s=60)
        url = demo.start()
        assert demo.start() == url and url in repr(demo)
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        payload = json.dumps(body(PATHS[1], "demo-slow")).encode()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (TOKEN.encode(), len(payload), payload)
        )
        await soon(lambda: demo.running)
        await asyncio.wait_for(demo.stop(), 5)
        assert not demo.running and await reader.read() == b""
        writer.close()
        with pytest.raises(OSError):
            await asyncio.open_connection(host, int(port))
        await demo.stop()

    asyncio.run(run())
