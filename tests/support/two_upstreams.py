"""What tests of failover and limits share: settings with several upstreams, requests, answers that say whose."""

from __future__ import annotations

import json
from typing import Any

from tests.support.script import Answer, Gate

PATH = "/v1/chat/completions"
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
STREAM = ASK | {"stream": True}
QUICK = "[retry]\nbackoff = 0.01\nmax_backoff = 0.02\n"


def house_text(models: str, more: str = "", **upstreams: str) -> str:
    """upstreams: name -> base URL, or whole lines of its section."""
    text = ""
    for name, what in upstreams.items():
        lines = what if "\n" in what else f"base_url = {what}\n"
        text += f"[upstream {name}]\n" + ("" if "protocol" in lines else "protocol = chat\n") + lines + "\n"
    return f"{text}[models]\n{models}\n{more}"


def section(url: str, more: str = "max_concurrent = 1\n", protocol: str = "chat") -> str:
    """The lines of an upstream, for house_text."""
    return f"protocol = {protocol}\nbase_url = {url}\n{more}"


def says(who: str, model: str = "m") -> Answer:
    """A whole Chat reply."""
    message = {"role": "assistant", "content": who}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}
    return Answer.json(body)


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def streams(who: str) -> list[bytes]:
    first = event({"role": "assistant", "content": ""})
    return [first, event({"content": who}), event({}, "stop"), b"data: [DONE]\n\n"]


def held(gate: Gate, who: str = "first") -> Answer:
    """A stream that has begun and ends when the gate opens."""
    first, *rest = streams(who)
    return Answer.sse([first, rest[0], gate, *rest[1:]])


def late(answer: Answer, gate: Gate) -> Answer:
    """Not a byte of it before the gate opens."""
    answer.delay = gate
    return answer


def error(status: int, message: str = "no", headers: dict[str, str] | None = None, **fields: Any) -> Answer:
    return Answer.json({"error": {"message": message} | fields}, status, headers=headers or {})


def said(reply: tuple[int, dict[str, str], bytes]) -> str:
    """Who answered: the text of a whole reply, or of a stream."""
    status, _, body = reply
    assert status == 200, reply
    if body.startswith(b"{"):
        text: str = json.loads(body)["choices"][0]["message"]["content"]
        return text
    chunks = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk.get("choices"))
