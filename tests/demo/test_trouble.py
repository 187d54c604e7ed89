"""The trouble that the demo upstream makes when it is asked to: refusals, cuts, long and slow answers."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import anthropic
import httpx2 as httpx
import openai
import pytest

from tests.demo.running import A_TOOL, ASK, C_TOOL, LONG_EVENTS, PATHS, R_TOOL, TOKEN, Running, body, events


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (529, "overloaded_error", "overloaded"),
        (500, "api_error", None),
    ],
)
def test_demo_errors_are_their_sdks_exceptions(
    claude: anthropic.Anthropic, gpt: openai.OpenAI, streamed: bool, status: int, kind: str, code: str | None
) -> None:
    model: Any = f"demo-{status}"
    with pytest.raises(anthropic.APIStatusError) as refused:
        claude.messages.create(model=model, max_tokens=9, messages=ASK, stream=streamed)
    assert refused.value.status_code == status and refused.value.body["error"]["type"] == kind
    assert refused.value.response.headers.get("retry-after") == ("1" if status == 429 else None)
    for call in (
        lambda: gpt.chat.completions.create(model=model, messages=ASK, stream=streamed),
        lambda: gpt.responses.create(model=model, input="hi", stream=streamed),
    ):
        with pytest.raises(openai.APIStatusError) as answer:
            call()
        assert answer.value.status_code == status and answer.value.body["code"] == code
        assert answer.value.response.headers.get("retry-after") == ("1" if status == 429 else None)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("streamed", [False, True])
def test_cut_is_a_reset_after_some_text(running: Running, path: str, streamed: bool) -> None:
    payload = json.dumps(body(path, "demo-cut", stream=streamed)).encode()
    with socket.create_connection(running.url.removeprefix("http://").split(":"), timeout=10) as sock:
        sock.sendall(
            b"POST %s HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (path.encode(), TOKEN.encode(), len(payload), payload)
        )
        got = b""
        with pytest.raises(ConnectionResetError):
            while chunk := sock.recv(65536):
                got += chunk
    assert got.startswith(b"HTTP/1.1 200") and b"This is the " in got
    assert b"message_stop" not in got and b"response.completed" not in got and b"[DONE]" not in got


def test_cut_and_error_as_the_sdks_see_them(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    seen: list[str] = []
    with pytest.raises(Exception, match=r"(?i)peer|read|reset|closed|connection"):
        with claude.messages.stream(model="demo-cut", max_tokens=99, messages=ASK) as stream:
            seen.extend(stream.text_stream)
    assert "".join(seen).startswith("This is the built-in demo")
    seen.clear()
    with pytest.raises(anthropic.APIStatusError, match="Overloaded") as broken:
        with claude.messages.stream(model="demo-error", max_tokens=99, messages=ASK) as stream:
            seen.extend(stream.text_stream)
    assert broken.value.body["error"]["type"] == "overloaded_error" and "".join(seen).startswith("This is the")
    with pytest.raises(openai.APIError, match="demo-error"):
        list(gpt.chat.completions.create(model="demo-error", messages=ASK, stream=True))
    *_, last = gpt.responses.create(model="demo-error", input="hi", stream=True)
    assert last.type == "response.failed" and last.response.error.code == "server_error"
    for call in (
        lambda: gpt.chat.completions.create(model="demo-error", messages=ASK),
        lambda: gpt.responses.create(model="demo-error", input="hi"),
    ):
        with pytest.raises(openai.InternalServerError):
            call()
    with pytest.raises(anthropic.InternalServerError):
        claude.messages.create(model="demo-error", max_tokens=9, messages=ASK)


@pytest.mark.parametrize("path", PATHS)
def test_short_answers_break_too(http: httpx.Client, path: str) -> None:
    tool = {PATHS[0]: A_TOOL, PATHS[1]: C_TOOL, PATHS[2]: R_TOOL}[path]
    choice: Any = {"type": "any"} if path == PATHS[0] else "required"
    reply = http.post(path, json=body(path, "demo-error", stream=True, tools=[tool], tool_choice=choice))
    assert "error" in events(reply.text)[-1] or events(reply.text)[-1]["response"]["status"] == "failed"


def test_demo_long_says_every_one_of_its_events(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    with claude.messages.stream(model="demo-long", max_tokens=32_000, messages=ASK) as stream:
        texts = list(stream.text_stream)
    assert texts == [f"{n:04d} " for n in range(LONG_EVENTS)]
    chunks = gpt.chat.completions.create(model="demo-long", messages=ASK, stream=True)
    assert sum(1 for chunk in chunks if chunk.choices[0].delta.content) == LONG_EVENTS
    deltas = gpt.responses.create(model="demo-long", input="hi", stream=True)
    assert sum(event.type == "response.output_text.delta" for event in deltas) == LONG_EVENTS


@pytest.mark.parametrize("path", PATHS)
def test_demo_slow_takes_its_time(http: httpx.Client, path: str) -> None:
    begin = time.monotonic()
    with http.stream("POST", path, json=body(path, "demo-slow", stream=True)) as reply:
        first_s = time.monotonic() - begin
        text = reply.read().decode()
    assert first_s >= 0.3
    paced = text.count("data: ") - 5  # at most five frames come with the first delta
    assert paced > 10 and time.monotonic() - begin - first_s >= 0.01 * paced * 0.9
    begin = time.monotonic()
    assert http.post(path, json=body(path, "demo-slow")).status_code == 200
    assert time.monotonic() - begin >= 0.3
