"""Hooks that are slow, broken or ill-disposed, and clients that would get past them or at them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.apart import Apart
from tests.support.house import ONCE, House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import says
from translate import dialects

PATH = "/v1/chat/completions"
PROMPT = "the-prompt-of-a-user-0123456789"
KEY = "sk-of-the-upstream-0123456789"


def text(up: Upstream, folder: Path, hook: str, more: str = "timeout = 0.3\n", models: str = "* = up") -> str:
    (folder / "guard.py").write_text(hook)
    upstream = f"[upstream up]\nprotocol = chat\nbase_url = {up.url}\napi_key = {KEY}\n"
    return f"{upstream}[models]\n{models}\n[hook guard]\npython = {folder}/guard.py\n{more}\n{ONCE}"


def ask(model: str = "m", said: Any = PROMPT, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": said}]} | more


HANGS = """
import time
def request(event):
    if "hang" in str(event["body"]):
        time.sleep(3600)
"""


def test_01_calls_that_hang_hold_up_neither_others_nor_the_loop(tmp_path: Path) -> None:
    """More of them than threads: those are the hook's own, so that the rest of the proxy goes on."""
    with Upstream([says("x")]) as up, House(text(up, tmp_path, HANGS, "timeout = 0.05\n")) as house:
        for _ in range(20):
            assert house.post(PATH, ask(said="hang"))[0] == 503
        began = time.monotonic()
        large = ask(said="x" * 300_000)  # is read beside the loop
        assert house.request("GET", "/healthz")[0] == 200
        assert house.post("/v1/messages", large | {"max_tokens": 5})[0] == 503  # no thread of the hook is free
        assert time.monotonic() - began < 5


def test_02_nor_the_end_of_the_process(tmp_path: Path) -> None:
    with Upstream([says("x")]) as up:
        apart = Apart(text(up, tmp_path, HANGS), tmp_path)
        with apart:
            status = subprocess.run(
                [sys.executable, "-c", "import sys, urllib.request as u, json\n"
                 "try: u.urlopen(u.Request(sys.argv[1], json.dumps({'model': 'm', 'messages': [{'role': 'user', "
                 "'content': 'hang'}]}).encode(), {'Content-Type': 'application/json'}), timeout=20)\n"
                 "except u.HTTPError as e: print(e.code)\n", f"http://127.0.0.1:{apart.port}{PATH}"],
                capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
            assert status.stdout.strip() == "503"
            began = time.monotonic()
        assert time.monotonic() - began < 15


GARBAGE = {
    "nothing that is JSON": "return {'action': 'change', 'body': {'a': object()}}",
    "itself": "said = {'action': 'change', 'body': {}}\n    said['body']['a'] = said\n    return said",
    "bytes": "return b'allow'",
    "a list": "return ['allow']",
    "another action": "return {'action': 'permit'}",
    "no body": "return {'action': 'change'}",
    "a body that is a list": "return {'action': 'change', 'body': []}",
    "an exit": "raise SystemExit(0)",
    "an interrupt": "raise KeyboardInterrupt",
    "an endless generator": "yield event",
    "half a character": "return {'action': 'refuse', 'message': '\\ud800' * 5, 'status': 'x'}",
    "a body that is no request": "return {'action': 'change', 'body': {'model': ['m']}}",
    "a status that is none": "return {'action': 'refuse', 'status': 200, 'message': ['x']}",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_03_garbage_lets_nothing_through(tmp_path: Path, what: str) -> None:
    hook = f"def request(event):\n    {GARBAGE[what]}\n"
    with Upstream([says("x")]) as up, House(text(up, tmp_path, hook)) as house:
        status, _, raw = house.post(PATH, ask())
        assert status in (400, 500, 503), raw
        assert json.loads(raw)["error"]["message"] and house.request("GET", "/healthz")[0] == 200
    assert not up.requests


def test_04_what_it_does_to_its_copy_does_nothing(tmp_path: Path) -> None:
    hook = "import threading, time\ndef request(event):\n    event['body'].clear()\n    event.clear()\n"
    with Upstream([says("x")]) as up, House(text(up, tmp_path, hook)) as house:
        assert house.post(PATH, ask())[0] == 200
    assert up.requests[0].json["messages"] == ask()["messages"]


RAISES = """
def request(event):
    raise ValueError(str(event))
def reply(event):
    raise ValueError(str(event))
"""


@pytest.mark.parametrize("fail", ["open", "closed"])
def test_05_its_mistakes_tell_neither_prompts_nor_keys(
    tmp_path: Path, fail: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), Upstream([says("the-words-of-a-model-0123456789")]) as up:
        with House(text(up, tmp_path, RAISES, f"fail = {fail}\n")) as house:
            status, _, raw = house.post(PATH, ask(), {"Authorization": "Bearer a-client-key-0123456789"})
    said = "\n".join(record.getMessage() + str(record.exc_text or "") for record in caplog.records) + raw.decode()
    assert status == (200 if fail == "open" else 503)
    assert "guard.py" in said and "ValueError" in said
    words = (PROMPT, KEY, "a-client-key-0123456789", *(() if fail == "open" else ("the-words-of-a-model",)))
    assert not [word for word in words if word in said.replace(raw.decode(), "")]


def test_06_it_sees_no_key_and_no_header(tmp_path: Path) -> None:
    hook = f"""
import json, pathlib
def request(event):
    pathlib.Path({str(tmp_path)!r}, event["event"]).write_text(json.dumps(event))
reply = request
"""
    headers = {"Authorization": "Bearer a-client-key-0123456789", "Cookie": "c=a-cookie", "X-Secret": "a-header"}
    with Upstream([says("x")]) as up, House(text(up, tmp_path, hook)) as house:
        assert house.post(PATH, ask(), headers)[0] == 200
    seen = (tmp_path / "request").read_text() + (tmp_path / "reply").read_text()
    assert PROMPT in seen
    assert not [word for word in (KEY, "a-client-key", "a-cookie", "a-header") if word in seen]


REFUSES = 'def request(event):\n    return {"action": "refuse", "message": "not that model", "status": 403}\n'


@pytest.mark.parametrize("model", ["secret-1", "up/secret-1", "anthropic-proxy/up/secret-1", "secret-1[1m]", "alias"])
def test_07_no_other_name_of_a_model_leads_past_it(tmp_path: Path, model: str) -> None:
    more = "models = secret-*, alias\n"
    with Upstream([says("x")]) as up:
        with House(text(up, tmp_path, REFUSES, more, "alias = up/secret-1\n* = up")) as house:
            assert house.post(PATH, ask(model))[0] == 403
            assert house.post(PATH, ask("public"))[0] == 200
    assert [request.json["model"] for request in up.requests] == ["public"]


def test_08_nor_does_a_count_a_batch_or_a_websocket(tmp_path: Path) -> None:
    """All that would bring a prompt to an upstream."""
    with Upstream(lambda request: Answer.json({"input_tokens": 1, "id": "b"})) as up:
        lines = f"[upstream up]\nprotocol = messages\nbase_url = {up.url}\nbatches = true\nfiles = true\n"
        (tmp_path / "guard.py").write_text(REFUSES)
        hook = f"[models]\n* = up\n[hook guard]\npython = {tmp_path}/guard.py\n{ONCE}"
        with House(lines + hook, folder=tmp_path) as house:
            turn = {"max_tokens": 5, "messages": [{"role": "user", "content": PROMPT}]}
            for dialect in dialects.every():
                if (path := dialect.served("count")) and "{" not in path:
                    body = {"model": "m", "input": PROMPT} if dialect.name == "responses" else {"model": "m"} | turn
                    assert house.post(path, body)[0] == 403, path
            rows = [{"custom_id": "a", "params": {"model": "m"} | turn}]
            status, _, raw = house.post("/v1/messages/batches", {"requests": rows})
            assert status == 200 and json.loads(raw)["id"].startswith("msgbatch_px"), "the proxy runs it itself"
            house.wait(lambda p: not p.service.flows)
    assert not up.requests


def test_09_a_reply_of_the_cache_is_its_own_again(tmp_path: Path) -> None:
    """The request of each client is looked at, also where the answer is known."""
    hook = 'def request(event):\n    if event["client"] == "bob":\n        return {"action": "refuse", "status": 403}\n'
    clients = "[client alice]\nkey = alice-key-0123456789\n[client bob]\nkey = bobby-key-0123456789\n"
    kept = "[cache]\nmodels = *\nalways = *\ncoalesce = *\n"

    def answer(request: Request) -> Answer:
        return says("x")

    with Upstream(answer) as up, House(text(up, tmp_path, hook) + clients + kept) as house:
        asked = ask(temperature=0)
        for _ in range(2):
            assert house.post(PATH, asked, {"Authorization": "Bearer alice-key-0123456789"})[0] == 200
        assert house.post(PATH, asked, {"Authorization": "Bearer bobby-key-0123456789"})[0] == 403
