"""The picture of the dashboard in the README, made anew: python -m tests.console.dashboard.picture docs/dashboard.png

With a folder in place of the file: the page in three sizes, light and dark, to be looked at.

A made-up quarter of an hour: what happened before is told to the watch as records, the latest requests really walk
through a proxy to scripted upstreams.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from console.dashboard.watch import BUCKET_S, HOUR_S
from console.dashboard.window import Window
from operate.usage_store import Sum, SumKey, UsageStore
from tests.console.dashboard.records import record
from tests.support.browser import Browser
from tests.support.house import House
from tests.support.script import Answer, Gate, Request, Upstream

SETTINGS = """[client boss]
key = boss-key-0123456789
admin = true
[client alice]
key = alice-key-0123456789
[client build]
key = build-key-0123456789
[upstream anthropic]
protocol = messages
base_url = {up}
[upstream openai]
protocol = chat
base_url = {up}
[upstream ollama]
protocol = chat
base_url = http://127.0.0.1:9
[models]
claude-haiku-* = ollama/qwen3:8b, anthropic
claude-* = anthropic
gpt-* = openai
[retry]
backoff = 0.02
[prices]
claude-sonnet-5-5 = 2, 10, 0.1, 2.5
claude-haiku-5-5 = 0.1, 0.5, 0.01
gpt-5.1 = 1.25, 10, 0.125
"""
ASKED = {"claude-sonnet-5-5": "anthropic", "claude-haiku-5-5": "anthropic", "gpt-5.1": "openai"}
SECONDS = 900


def answers(slowest_s: float, request: Request) -> Answer:
    if b"go on" in request.body:
        word = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
        return Answer.sse([word, Gate()])
    pause = random.uniform(0.2, 1.0) * slowest_s
    if b"too long" in request.body:
        return Answer.json({"error": {"message": "prompt is too long", "type": "invalid_request_error"}}, 400)
    read, text = random.randrange(8_000, 40_000), "Here you are."
    if request.path.endswith("messages"):
        usage = {"input_tokens": random.randrange(20, 900), "cache_read_input_tokens": read, "output_tokens": 240}
        reply: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "stop_reason": "end_turn",
                                 "model": "m", "content": [{"type": "text", "text": text}], "usage": usage}  # fmt: skip
    else:
        cached = {"prompt_tokens_details": {"cached_tokens": read}}
        usage = {"prompt_tokens": read + 700, "completion_tokens": 180} | cached
        message = {"role": "assistant", "content": text}
        reply = {"id": "c", "model": "m", "usage": usage,
                 "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip
    return Answer.json(reply, delay=pause)


def history(house: House) -> None:
    """What the watch would know had it watched for a while."""
    watch = house.proxy.console.watch
    clock, end = watch.clock, time.time()
    watch.hour = Window(BUCKET_S, int(HOUR_S / BUCKET_S))  # it has begun in the present
    for second in range(SECONDS, 3, -1):
        at = end - second
        watch.clock = lambda at=at: at  # type: ignore[misc]
        wave = 1 + math.sin(second / 70) * 0.6
        busy = int(3 * wave + random.random() * 3)
        watch.tick(busy, int(busy * 0.7), max(0, busy - 6))
        for n in range(int(random.random() * 3.2 * wave + 0.4)):
            model = random.choice([*ASKED, "claude-sonnet-5-5"])
            first = random.lognormvariate(6.2, 0.45) * wave**0.5
            failed = random.random() < (0.25 if 300 < second < 360 else 0.01)
            prompt = random.randrange(5_000, 60_000)
            cached = int(prompt * random.uniform(0.6, 0.97))
            tokens = {"input": prompt, "cached": cached, "output": random.randrange(50, 900)}
            stream = random.random() < 0.8
            fault = {"status": random.choice([529, 529, 400, 502]), "error": "overloaded", "first_token_ms": None,
                     "input": None, "output": None, "cached": None}  # fmt: skip
            watch.finished(
                record(
                    f"{second}-{n}",
                    model=model,
                    upstream=ASKED[model],
                    upstream_model=model,
                    client=random.choice(["alice", "alice", "build"]),
                    total_ms=first + random.lognormvariate(8, 0.5),
                    stream=stream,
                    cost=random.random() * 0.05,
                    attempts=int(random.random() > 0.01),
                    **({"first_token_ms": first} | tokens | (fault if failed else {})),
                )
            )
    watch.clock = clock
    watch.began = end - SECONDS


def spent(store: UsageStore | None) -> None:
    """A week of the usage store."""
    assert store is not None
    end, sums = int(time.time()) // 3600 * 3600, {}
    for ago in range(168):
        hour = time.strftime("%Y-%m-%dT%H", time.gmtime(end - ago * 3600))
        work = max(0.1, 1 + math.sin((ago + 4) / 24 * 2 * math.pi))
        for model, upstream in ASKED.items():
            for client, session, agent in (
                ("alice", f"5d1f{ago // 30:02d}aa-77", ""), ("alice", f"5d1f{ago // 30:02d}aa-77", "a41c9e"),
                ("alice", f"5d1f{ago // 30:02d}aa-77", "b2207f"), ("build", "", ""),
            ):  # fmt: skip
                tokens = int(random.uniform(0.2, 1) * work * 60_000)
                key = SumKey(hour[:10], client, model, upstream, session, agent, hour)
                usd = round(tokens * random.random() / 2e5, 4)
                sums[key] = Sum(int(work * 9), 0, tokens, tokens * 6, 0, tokens // 8, usd)
    store.add(sums, {(key.session, "b2207f"): "a41c9e" for key in sums if key.session})


def traffic(house: House) -> None:
    for n in range(16):
        steps = [{"role": ("user", "assistant")[step % 2], "content": f"step {step}"} for step in range(n // 2 * 2 + 1)]
        if n == 12:
            steps[-1]["content"] = "too long"
        system = "You are a coding agent." if n < 9 or n % 2 else "You are a coding agent. It is Tuesday."
        who = {"x-api-key": ("alice-key-0123456789", "build-key-0123456789")[n % 2]}
        model = ("gpt-5.1", "claude-sonnet-5-5", "gpt-5.1", "claude-haiku-5-5")[n % 4]
        said = {"model": model, "max_tokens": 999, "system": system, "messages": steps}
        house.post("/v1/messages", said | {"metadata": {"user_id": f"session-{n % 2}"}}, who)


SIZES = ((390, 844), (820, 1180), (1440, 900))
BOSS = {"x-api-key": "boss-key-0123456789"}
GOES_ON = {"model": "gpt-5.1", "stream": True, "max_tokens": 99, "messages": [{"role": "user", "content": "go on"}]}


@contextlib.contextmanager
def staged(slowest_s: float = 0.25) -> Iterator[House]:
    """A proxy with a past, four requests on their way, and some trouble. slowest_s: of the latest replies."""
    random.seed(7)
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(Upstream(functools.partial(answers, slowest_s)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="picture-")))
        house = stack.enter_context(House(SETTINGS.format(up=up.url), folder=folder))
        spent(house.proxy.console.books.store)
        house.on_loop(lambda: history(house))
        traffic(house)
        for n in range(4):
            client = stack.enter_context(house.connect())
            headers = {"x-api-key": "alice-key-0123456789", "X-Claude-Code-Session-Id": f"5d1f0c{n}2-77aa"}
            if n == 2:
                headers["X-Claude-Code-Agent-Id"] = "a41c9e"
            client.send("POST", "/v1/messages", GOES_ON, headers)
        house.post("/dashboard/drain/ollama", b"", BOSS)
        house.wait(lambda proxy: len(proxy.service.flows) >= 4)
        yield house


def shots(folder: Path) -> None:
    """The page in three sizes, light and dark, each as long as it is; and its top as it is seen at first."""
    folder.mkdir(parents=True, exist_ok=True)
    with staged() as house, Browser() as page:
        for width, height in SIZES:
            for scheme in ("light", "dark"):
                feature = {"name": "prefers-color-scheme", "value": scheme}
                page.command("Emulation.setEmulatedMedia", features=[feature])
                page.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                             mobile=False)  # fmt: skip
                opened(page, house)
                page.picture(folder / f"{width}-{scheme}-top.png")
                whole = page.command("Page.captureScreenshot", captureBeyondViewport=True)["data"]
                (folder / f"{width}-{scheme}.png").write_bytes(base64.b64decode(whole))


def opened(page: Browser, house: House) -> None:
    page.open(f"{house.url}/dashboard")
    page.wait("return document.querySelector('#ask').open || admitted")
    if page.run("return document.querySelector('#ask').open"):
        page.type("#key", f"{BOSS['x-api-key']}\ue007")
    page.wait("return document.querySelectorAll('#request-rows tr').length > 9")
    page.wait("return document.querySelector('#cache-rows tr') && document.querySelector('#settings-rows tr')")
    page.run("return new Promise((done) => setTimeout(done, 300))")


def main(path: Path) -> None:
    """From the top to the cost."""
    with staged() as house, Browser(*SIZES[-1]) as page:
        opened(page, house)
        height = page.run("return document.querySelector('#spent').getBoundingClientRect().bottom + scrollY + 14")
        clip = {"x": 0, "y": 0, "width": SIZES[-1][0], "height": height, "scale": 1}
        data = page.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        path.write_bytes(base64.b64decode(data))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    main(target) if target.suffix else shots(target)
