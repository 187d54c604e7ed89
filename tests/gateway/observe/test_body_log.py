"""Bodies in the log: which, how much of them, and that nobody looks at one while none is asked for."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.flow.info import Info
from gateway.observe import body_log
from operate.logs.capture import Capture, capture, spelled
from operate.logs.journal import Journal
from operate.logs.rotation import LogFile
from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream

CHAT = "/v1/chat/completions"
REPLY = {
    "id": "c", "object": "chat.completion", "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
}  # fmt: skip
CHUNK = {"id": "c", "choices": [{"index": 0, "delta": {"content": "streamed"}, "finish_reason": "stop"}]}
STREAM = [b"data: " + json.dumps(CHUNK).encode() + b"\n\n", b"data: [DONE]\n\n"]


def asked(text: str, stream: bool = False) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": text}]}


def said_by(request: Request) -> Answer:
    if request.method == "GET":
        return Answer.json({"data": []})
    if b"fail" in request.body:
        return Answer.json({"error": {"message": "no", "type": "invalid_request_error"}}, 400)
    return Answer.sse(STREAM) if request.json["stream"] else Answer.json(REPLY)


def logged(tmp_path: Path, what: Callable[[House], Any], **bodies: str) -> list[dict[str, Any]]:
    """The lines of requests.json."""
    more = "[logging]\n" + "".join(f"{name} = {value}\n" for name, value in bodies.items())
    with Upstream(said_by) as up, House(one_upstream(up.url, "chat") + ONCE + more, folder=tmp_path) as house:
        what(house)
        house.wait(lambda p: not p.service.flows)
        house.on_loop(lambda: house.proxy.service.observers.flush())
        assert house.on_loop(lambda: house.proxy.console.bodies.held_bytes) == 0
    path = tmp_path / "requests.json"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def three(house: House) -> None:
    assert house.post(CHAT, asked("whole"))[0] == 200
    assert house.post(CHAT, asked("streamed", True))[0] == 200
    assert house.post(CHAT, asked("fail"))[0] == 400


def test_all_bodies_are_logged(tmp_path: Path) -> None:
    lines = logged(tmp_path, three, request_bodies="all", response_bodies="true")
    assert [line["what"] for line in lines] == ["request", "response"] * 3
    assert all(line["request_id"] == lines[at - at % 2]["request_id"] for at, line in enumerate(lines))
    assert "whole" in lines[0]["body"] and "fine" in lines[1]["body"]
    assert "streamed" in lines[3]["body"] and lines[3]["body"].endswith("data: [DONE]\n\n")
    assert lines[5]["size"] == len(lines[5]["body"])


def test_those_that_fail(tmp_path: Path) -> None:
    lines = logged(tmp_path, three, request_bodies="errors", response_bodies="errors")
    assert [(line["what"], "fail" in line["body"]) for line in lines] == [("request", True), ("response", False)]
    assert '"message":"no"' in lines[1]["body"].replace(" ", "")


def test_a_refused_request_is_there_as_the_client_sent_it(tmp_path: Path) -> None:
    def refused(house: House) -> None:
        assert house.post("/v1/messages", {"model": "m", "max_tokens": 1, "messages": "odd"})[0] == 400

    (line,) = logged(tmp_path, refused, request_bodies="errors")
    assert line["what"] == "refused request" and '"odd"' in line["body"]


def test_a_share(tmp_path: Path) -> None:
    def many(house: House) -> None:
        with house.connect() as client:
            for _ in range(200):
                client.send("POST", CHAT, asked("x"))
                assert client.reply()[0] == 200

    lines = logged(tmp_path, many, request_bodies="sampled 30%", response_bodies="sampled 30%")
    by_kind = [{line["request_id"] for line in lines if line["what"] == what} for what in ("request", "response")]
    assert by_kind[0] == by_kind[1] and 20 < len(by_kind[0]) < 110


def test_they_are_cut(tmp_path: Path) -> None:
    def large(house: House) -> None:
        house.post(CHAT, asked("x" * 5000))

    (line,) = logged(tmp_path, large, request_bodies="all", body_kb="1")
    assert line["size"] > 5000 and len(line["body"]) == 1024


def test_answers_that_can_be_rejoined_are_logged_too(tmp_path: Path) -> None:
    more = ONCE + "rejoin_seconds = 5\n[logging]\nresponse_bodies = all\n"
    with Upstream(said_by) as up, House(one_upstream(up.url, "chat") + more, folder=tmp_path) as house:
        three(house)
        house.wait(lambda p: not p.service.flows)
    lines = [json.loads(line) for line in (tmp_path / "requests.json").read_text().splitlines()]
    assert [("fine" in line["body"], "[DONE]" in line["body"]) for line in lines[:2]] == [(True, False), (False, True)]


def test_while_none_is_asked_for_none_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither kept nor given to the journal, whatever else is logged."""

    def touched(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a body was looked at")

    for name in ("to_copy", "copied", "sent", "finished"):
        monkeypatch.setattr(body_log.BodyLog, name, touched)
    monkeypatch.setattr(Journal, "body", touched)
    assert logged(tmp_path, three, debug="true") == []
    assert len((tmp_path / "performance.json").read_text().splitlines()) == 3


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(body_log, "MAX_HELD_BYTES", 100)

    class Silent:
        request_bodies = Capture(only_failed=True)
        body_bytes = 80

    bodies = body_log.BodyLog(Silent())  # type: ignore[arg-type]
    for n in range(9):
        info = Info(f"k{n}", "chat", "", "", "m", 1, "", b"", None)
        bodies.sent(info, b"x" * 1000)
        bodies.sent(replace(info, attempt=2), b"x" * 1000)
    assert bodies.held_bytes == 160


@pytest.mark.parametrize(("text", "is_spelled", "means"), [
    ("none", "none", None), ("false", "none", None), ("0", "none", None),
    ("all", "all", Capture()), ("true", "all", Capture()), ("ON", "all", Capture()),
    ("errors", "errors", Capture(only_failed=True)),
    ("sampled 1%", "sampled 1%", Capture(0.01)), ("Sampled  0.50 %", "sampled 0.5%", Capture(0.005)),
])  # fmt: skip
def test_what_may_be_asked_for(text: str, is_spelled: str, means: Capture | None) -> None:
    assert spelled(text) == is_spelled and capture(is_spelled) == means


@pytest.mark.parametrize("text", ["", "some", "sampled", "sampled 0%", "sampled 101%", "sampled -1%", "1%"])
def test_what_may_not(text: str) -> None:
    with pytest.raises(ValueError):
        spelled(text)


def test_a_long_stream_is_kept_up_to_the_bound(tmp_path: Path) -> None:
    large = [b"data: " + json.dumps(CHUNK).encode() + b"\n\n"] * 2000
    more = "[logging]\nresponse_bodies = all\nbody_kb = 2\n"
    with (
        Upstream([Answer.sse([*large, b"data: [DONE]\n\n"])]) as up,
        House(one_upstream(up.url, "chat") + more, folder=tmp_path) as house,
        house.connect() as client,
    ):
        client.send("POST", CHAT, asked("x", True))
        client.reply()
        house.wait(lambda p: not p.service.flows)
    (line,) = [json.loads(line) for line in (tmp_path / "requests.json").read_text().splitlines()]
    assert len(line["body"]) == 2048 and line["size"] > 100_000


# -------------------------------------------------------------------------- further lines about requests


def test_each_request_has_a_short_line_but_for_probes(tmp_path: Path) -> None:
    with Upstream(said_by) as up, House(one_upstream(up.url, "chat"), folder=tmp_path) as house:
        three(house)
        for path in ("/healthz", "/v1/models/m", "/nowhere"):
            house.get(path)
        house.wait(lambda p: not p.service.flows)
    lines = [json.loads(line) for line in (tmp_path / "api_requests.json").read_text().splitlines()]
    assert sorted((line["method"], line["path"], line["status"]) for line in lines) == [
        ("GET", "/nowhere", 404), ("GET", "/v1/models/m", 200),
        ("POST", CHAT, 200), ("POST", CHAT, 200), ("POST", CHAT, 400),
    ]  # fmt: skip
    posted = [line for line in lines if line["method"] == "POST"]
    assert all({"request_id", "model", "upstream", "ms", "bytes_in", "bytes_out"} <= line.keys() for line in posted)


@pytest.mark.parametrize("where", ["upstream", "admission"])
def test_a_pool_that_runs_dry_is_said_once_in_a_while(where: str, caplog: pytest.LogCaptureFixture) -> None:
    """`grep "connection pool" logs/*` finds it; a queue without end does not fill the log."""
    gate = Gate()
    upstream, more = ("max_concurrent = 1\n", "") if where == "upstream" else ("", "[admission]\nmax_concurrent = 1\n")
    held = Answer.sse([STREAM[0], gate, STREAM[1]])
    with Upstream([held, Answer.json(REPLY)]) as up, House(one_upstream(up.url, "chat", upstream) + more) as house:
        first, *others = [house.connect() for _ in range(6)]
        first.send("POST", CHAT, asked("x", True))
        up.wait(lambda u: len(u.requests) == 1)
        for client in others:
            client.send("POST", CHAT, asked("x"))
        house.wait(lambda p: p.service.admission.waiting == 5)
        gate.open()
        assert [client.reply()[0] for client in (first, *others)] == [200] * 6
        for client in (first, *others):
            client.socket.close()
    (said,) = [record.getMessage() for record in caplog.records if "connection pool" in record.getMessage()]
    assert "1 of 1" in said and ("'up'" in said) is (where == "upstream")


def test_a_full_disk_costs_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines are lost, counted and shown."""

    def full(self: LogFile, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LogFile, "append", full)
    with Upstream(said_by) as up, House(one_upstream(up.url, "chat") + ONCE, folder=tmp_path) as house:
        three(house)
        house.wait(lambda p: p.service.journal.lost == 7)  # two for each, one more for the failure
        three(house)
        status, _, page = house.get("/dashboard/data/now")
        assert status == 200 and json.loads(page)["log_lines_lost"] >= 7
    assert not (tmp_path / "performance.json").exists()
