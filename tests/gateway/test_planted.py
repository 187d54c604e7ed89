"""Secrets and prompts are planted everywhere; every fault happens and every page is asked for; then all that was
written and said is searched for them.

No key may be found anywhere, in no log, error or page. Of prompts nothing may be in a log (bodies are off) or on a
page.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.dashboard import panels
from operate.logs import journal
from tests.support.house import Cut, House
from tests.support.script import Answer, Request, Upstream

OURS = "sk-Planted-Upstream-1111"
OTHER = "sk-Planted-Other-2222"
HEADER = "Planted-Header-3333-value"
ADMIN = "Planted-Admin-Key-4444"
GUEST = "Planted-Guest-Key-5555"
BROUGHT = "sk-ant-Planted-Brought-6666"
STRANGER = "Planted-Stranger-Key-7777"
PROMPT = "PROMPT-MARK the lighthouse keeper's daughter counts the waves at night"
PROMPTS = ("PROMPT-MARK", "lighthouse", "daughter", "waves")

PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses")
PAGES = (
    "/debug/quirks", "/debug/upstreams", "/metrics", "/healthz", "/readyz", "/dashboard", "/v1/models", "/v1/models/x",
    "/v1/responses/resp_1", "/", "/nowhere", "/v1/v1/messages", f"/v1/models/{BROUGHT}", f"/{GUEST}/x",
    f"/v1beta/models/{BROUGHT}", "/api/tags", "/v1/files", f"/v1/files/{GUEST}", "/v1/batches", "/v1/messages/batches",
    *(f"/dashboard/data/{panel}" for panel in panels.SHOWN),
)  # fmt: skip


def echo(request: Request) -> str:
    """All that the upstream knows: what an upstream that quotes may say."""
    prompt = PROMPT if PROMPT.encode() in request.body else ""
    return f"Wrong key {request.headers.get('authorization')} ({HEADER}) for {request.json.get('messages')}; {prompt}"


def fault(request: Request) -> Answer:
    """By the model's name."""
    if request.method == "GET" or "model" not in request.json:
        return Answer.json({"error": {"message": f"{request.headers.get('authorization')} {HEADER}"}}, 401)
    name, said = str(request.json["model"]), echo(request)
    error = {"error": {"message": said, "type": "invalid_request_error", "param": said, "code": said}}
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    event = b"data: " + json.dumps(error).encode() + b"\n\n"
    chunk = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
    if name.isdigit():
        return Answer.json(error, int(name))
    return CHOSEN.get(name, lambda *_: Answer.json(error, 404))(said, key, event, chunk)


CHOSEN: dict[str, Callable[[str, str, bytes, bytes], Answer]] = {
    "html": lambda said, *_: Answer(
        502, {"Content-Type": "text/html"}, f"<html><title>{said}</title>{said}</html>".encode()
    ),
    "text": lambda said, *_: Answer(400, {"Content-Type": "text/plain"}, said.encode()),
    "redirect": lambda said, key, *_: Answer(302, {"Location": f"http://elsewhere/{key}"}, b""),
    "nonsense": lambda *_: Answer(200, {"Content-Type": "application/json"}, PROMPT.encode()),
    "empty": lambda *_: Answer(200, {"Content-Type": "application/json"}, b""),
    "wrong": lambda *_: Answer.json({"choices": PROMPT}),
    "first": lambda said, key, event, chunk: Answer.sse([event]),
    "plain": lambda said, *_: Answer.sse([b"data: " + said.encode() + b"\n\n"]),
    "later": lambda said, key, event, chunk: Answer.sse([chunk, 0.02, event]),
    "torn": lambda said, key, event, chunk: Answer.sse([chunk, b"data: {" + PROMPT.encode() + b"\n\n"]),
    "short": lambda said, key, event, chunk: Answer.sse([chunk], end="close", framing="chunked"),
    "drop": lambda *_: Answer.drop(),
}


FAULTS = ("400", "401", "403", "404", "413", "422", "429", "500", "503", "529", *CHOSEN)


def body_for(path: str, model: str, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "stream": stream, "max_tokens": 9, "metadata": {"user_id": PROMPT}}
    if path == "/v1/responses":
        del body["max_tokens"]
        return body | {"input": PROMPT, "instructions": PROMPT}
    return body | {"messages": [{"role": "user", "content": PROMPT}]}


FURTHER: tuple[tuple[str, Any], ...] = (
    *((path, {"model": model, "input": PROMPT, "query": PROMPT, "documents": [PROMPT], "prompt": PROMPT})
      for model in ("400", "500", "nonsense", "html", "text")
      for path in ("/v1/embeddings", "/v1/rerank", "/v1/completions", "/v1/audio/speech")),
    ("/api/chat", {"model": "400", "messages": [{"role": "user", "content": PROMPT}]}),
    ("/api/generate", {"model": "text", "prompt": PROMPT}),
    ("/v1beta/models/400:generateContent", {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]}),
    ("/v1/batches", {"input_file_id": PROMPT, "endpoint": PROMPT, "completion_window": "24h"}),
    ("/v1/messages/batches", {"requests": [{"custom_id": PROMPT, "params": {"model": 5, "messages": PROMPT}}]}),
)  # fmt: skip
ODD: tuple[Any, ...] = (
    b"{" + PROMPT.encode(), PROMPT.encode(), json.dumps([PROMPT]).encode(), {"model": "400"},
    {"model": "400", "max_tokens": PROMPT, "messages": PROMPT, "input": 5},
    {"model": "400", "max_tokens": 5, "messages": [{"role": PROMPT, "content": PROMPT}], "input": [{"type": PROMPT}]},
    {"model": "400", "max_tokens": 5, "messages": [{"role": "user", "content": [{"type": PROMPT, "text": PROMPT}]}],
     "input": [{"role": "user", "content": [{"type": PROMPT}]}], "tools": [{"type": PROMPT}]},
)  # fmt: skip


HAS_TELEMETRY = importlib.util.find_spec("opentelemetry") is not None
TELEMETRY = "[telemetry]\notlp_endpoint = {}\nmetrics = true\n"


@pytest.fixture
def loggers() -> Iterator[None]:
    named = [logging.getLogger(name) for name in ("", *journal.LOGGERS)]
    before = [(logger, logger.level, list(logger.handlers)) for logger in named]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def settings(url: str, more: str = "", upstream: str = f"keys = {OURS}, {OTHER}") -> str:
    return f"""
[upstream up]
protocol = chat
base_url = {url}
{upstream}
headers =
    X-Secret-Token: {HEADER}
[upstream other]
protocol = messages
base_url = {url}
{upstream}
[models]
* = up, other
[retry]
max_attempts = 2
backoff = 0.01
max_backoff = 0.01
budget_percent = 100
budget_per_second = 10000
max_retry_after = 0
[breaker]
enabled = false
[logging]
debug = true
{more}
"""


def ask_everything(
    house: House, headers: dict[str, str], others: list[dict[str, str]], slips: Iterable[str]
) -> tuple[bytes, bytes]:
    """(what requests were answered, what pages showed). slips: keys that somebody takes for names of models."""
    told, shown = [], []

    def ask(path: str, body: Any, headers: dict[str, str]) -> None:
        try:
            status, got, answer = house.post(path, body, headers)
            told.append(f"{status} {got}".encode() + answer)
        except Cut as cut:  # a stream that broke
            told.append(cut.args[0])

    for path in PATHS:
        for model in FAULTS:
            for stream in (False, True):
                ask(path, body_for(path, model, stream), headers)
        for body in ODD:
            ask(path, body, headers)
        for other in others:
            ask(path, body_for(path, "400", False), other)
        for model in slips:
            ask(path, body_for(path, model, False), headers)
    for path, body in FURTHER:
        ask(path, body, headers)
    for path in ("/v1/messages/count_tokens", "/v1/responses/input_tokens", "/v1/responses/compact", "/debug/translate",
                 "/dashboard/probe/up"):  # fmt: skip
        ask(path, body_for("/v1/responses" if "responses" in path else PATHS[0], "400", False), headers)
    status, _, newest = house.get("/dashboard/data/requests?limit=500", headers)
    stories = [f"/dashboard/data/request?id={id}" for id in re.findall(r"req_[0-9a-f]+", newest.decode())[-25:]]
    assert status != 200 or stories
    for page in (*PAGES, *stories):
        for one in (headers, *others):
            status, got, answer = house.get(page, one)
            shown.append(f"{status} {got}".encode() + answer)
    return b"\n".join(told), b"\n".join(shown)


def found(places: dict[str, str], marks: Iterable[str]) -> list[tuple[str, str]]:
    """(where, what stands around it)."""
    return [
        (name, text[max(0, text.find(mark) - 200) : text.find(mark) + 80])
        for name, text in places.items()
        for mark in marks
        if mark in text
    ]


def search(folder: Path, told: bytes, shown: bytes, stderr: str, spans: bytes) -> None:
    written = {path.name: path.read_text("utf-8", "replace") for path in folder.iterdir() if path.is_file()}
    assert {"performance.json", "errors.json", "api_requests.json", "proxy.json"} <= written.keys()
    assert "requests.json" not in written
    places = written | {"replies": told.decode("utf-8", "replace"), "pages": shown.decode("utf-8", "replace"),
                        "stderr": stderr, "spans": spans.decode("utf-8", "replace")}  # fmt: skip
    assert found(places, ["Planted-"]) == []
    del places["replies"]  # who asks may hear what it said
    assert found(places, PROMPTS) == []


@pytest.mark.parametrize("guarded", [True, False])
def test_nothing_planted_is_found(
    guarded: bool, tmp_path: Path, loggers: None, capfd: pytest.CaptureFixture[str]
) -> None:
    """guarded: with [client]s; else open, and the client's own key goes to the upstream."""
    clients = f"[client admin]\nkey = {ADMIN}\nadmin = true\n[client guest]\nkey = {GUEST}\n" if guarded else ""
    upstream = f"keys = {OURS}, {OTHER}" if guarded else "forward_client_key = true"
    clients += TELEMETRY if HAS_TELEMETRY else ""
    if guarded:
        first = {"x-api-key": ADMIN, "api-key": BROUGHT}
        others = [{"x-api-key": GUEST}, {"authorization": f"Bearer {STRANGER}"}, {}]
    else:
        first, others = {"x-api-key": BROUGHT}, [{"authorization": f"Bearer {STRANGER}"}, {"x-goog-api-key": GUEST}]
    with Upstream(lambda _: Answer()) as collector, Upstream(fault) as up:
        with House(settings(up.url, clients.format(collector.url), upstream), folder=tmp_path) as house:
            service = house.proxy.service
            house.on_loop(lambda: journal.install(service.settings.logging, service.journal))
            told, shown = ask_everything(house, first, others, (OURS, GUEST) if guarded else (BROUGHT,))
            house.wait(lambda p: not p.service.flows)
            assert len(up.requests) > 100
        spans = b"".join(gzip.decompress(request.body) for request in collector.requests)
    assert (b"gen_ai.request.model" in spans) is HAS_TELEMETRY
    search(tmp_path, told, shown, capfd.readouterr().err, spans)
