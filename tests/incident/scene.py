"""The incident: two upstreams, three clients, two workers.

Alpha has a key that was revoked, and for a while it answers nothing but 503, which a fallback to beta makes good. Beta
takes its time over one request, and has one slot, so that another one waits in the queue. One client spends a lot. A
script with a wrong key knocks again and again.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.script import Answer, Request, Upstream
from tests.test_proxy import started

REVOKED, GOOD = "sk-alpha-revoked-0001", "sk-alpha-good-00000002"
KEYS = {"ann": "ann-client-key-00001", "bob": "bob-client-key-00002", "cat": "cat-client-key-00003"}
SETTINGS = """
[server]
port = 0
workers = 2
[logging]
dir = {logs}
[retry]
backoff = 0.01
max_backoff = 0.02
[breaker]
enabled = false
[upstream alpha]
protocol = chat
base_url = {alpha}
keys = {revoked}, {good}
[upstream beta]
protocol = chat
base_url = {beta}
max_concurrent = 1
[models]
m = alpha, beta
b = beta
[prices]
* = 3, 15
"""
ASK = {"messages": [{"role": "user", "content": "hi"}]}


@dataclass(frozen=True)
class Played:
    """What happened, to compare with what the logs say. slow, queued: ids of requests. usd: by client."""

    folder: Path
    slow: str
    queued: str
    usd: Mapping[str, float]
    failed: int
    knocks: int


def play(folder: Path, times: int = 3, slow_s: float = 1.2) -> Played:
    """Plays it in a folder, and leaves its logs there. times: how often each thing happens."""
    trouble = threading.Event()

    def alpha(request: Request) -> Answer:
        if REVOKED in request.headers["authorization"]:
            return Answer.json({"error": {"message": f"{REVOKED} was revoked", "code": "invalid_api_key"}}, 401)
        if trouble.is_set():
            return Answer.json({"error": {"message": "no capacity"}}, 503)
        return _says("alpha", 1000, 100)

    def beta(request: Request) -> Answer:
        much = "much" in request.body.decode()
        answer = _says("beta", 200_000 if much else 1000, 10_000 if much else 100)
        answer.delay = slow_s if "slow" in request.body.decode() else 0.0
        return answer

    with Upstream(alpha) as first, Upstream(beta) as second:
        file = folder / "settings.ini"
        file.write_text(
            SETTINGS.format(logs=folder / "logs", alpha=first.url, beta=second.url, revoked=REVOKED, good=GOOD)
            + "".join(f"[client {name}]\nkey = {key}\n" for name, key in KEYS.items())
        )
        with started("--config", str(file)) as (process, url, _):
            for _ in range(times * 4):
                _ask(url, "ann", "m")  # whichever key it is: the revoked one is passed over
            trouble.set()
            for _ in range(times):
                _ask(url, "ann", "m")
            trouble.clear()
            for _ in range(times):
                _ask(url, "bob", "b", "much")
            slow, queued = _one_behind_the_other(url)
            for _ in range(times * 5):
                _ask(url, "nobody", "m", agent="old-script/1.0")
            process.terminate()
            assert process.wait(20) == 0
    usd = {"ann": times * 5 * (1000 * 3 + 100 * 15) / 1e6, "bob": times * (200_000 * 3 + 10_000 * 15) / 1e6,
           "cat": 2 * (1000 * 3 + 100 * 15) / 1e6}  # fmt: skip
    return Played(folder / "logs", slow, queued, usd, times, times * 5)


def _one_behind_the_other(url: str) -> tuple[str, str]:
    """The ids of a request that is slow, and of one more, which waits for its slot where the same worker has it."""
    ids: dict[str, str] = {}
    found = threading.Thread(target=lambda: ids.update(slow=_ask(url, "cat", "b", "slow")))
    found.start()
    second = _ask(url, "cat", "b", "slow")
    found.join()
    return ids["slow"], second


def _ask(url: str, client: str, model: str, text: str = "", agent: str = "claude-cli/2.0") -> str:
    """Returns the id of the request."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        body = json.dumps(ASK | {"model": model, "user": text})
        headers = {"Authorization": f"Bearer {KEYS.get(client, 'a-wrong-key-000000')}", "User-Agent": agent,
                   "Content-Type": "application/json"}  # fmt: skip
        connection.request("POST", "/v1/chat/completions", body, headers)
        reply = connection.getresponse()
        said = reply.read()
        assert reply.status == (200 if client in KEYS else 401), (client, reply.status, said)
        return reply.headers["x-request-id"]
    finally:
        connection.close()


def _says(who: str, tokens_in: int, tokens_out: int) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", "content": who}, "finish_reason": "stop"}
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    body: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return Answer.json(body | {"usage": usage})
