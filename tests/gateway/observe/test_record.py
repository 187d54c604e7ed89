"""The record of each finished request: who, where, how long, how much, and how it ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.flow.info import Finished, Tried
from gateway.flow.states import State
from gateway.flow.timing import Clock
from gateway.observe.record import record
from gateway.passing.passthrough import Passthrough
from operate.logs.lines import API_REQUESTS, ERRORS, PERFORMANCE, of_record
from operate.logs.redaction import Redaction
from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Gate, Upstream
from translate.failures.errors import ApiError

CHAT, MESSAGES, COUNT = "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
USED = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2}}  # fmt: skip
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
OK = Answer.json({"id": "x", "choices": [CHOICE], "usage": USED}, headers={"x-request-id": "theirs"})
BEGUN = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":%b}\n\ndata: [DONE]\n\n'
STREAM = [BEGUN, 0.15, DONE % json.dumps(USED).encode()]
TIMES = ("receive_ms", "queue_ms", "upstream_ms", "overhead_ms", "total_ms")


class Seen:
    """A house, and the records that it has made."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.records: list[dict[str, Any]] = []
        house.on_loop(lambda: house.proxy.service.observers.on_finished.append(self.records.append))

    def last(self, count: int = 1) -> dict[str, Any]:
        """Of `count` requests."""
        self.house.wait(lambda p: len(self.records) >= count)
        return self.records[-1]


@contextmanager
def seen(*answers: Answer, protocol: str = "chat", more: str = "", server: str = "", tail: str = "") -> Iterator[Seen]:
    with Upstream(list(answers)) as up, House(one_upstream(up.url, protocol, more, server) + tail) as house:
        yield Seen(house)


def test_a_whole_reply() -> None:
    with seen(OK, OK) as told:
        body = json.dumps(ASKED).encode()
        _, headers, reply = told.house.post(CHAT, body)
        record = told.last()
        assert record["connection"] == "new" and record["request_id"] == headers["x-request-id"]
        assert record["upstream_request_id"] == headers["request-id"] == "theirs"
        told.house.post(CHAT, body)
        record = told.last(2)
    expected = {
        "client": "", "url.path": CHAT, "protocol": "chat", "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m", "upstream": "up", "upstream_protocol": "chat", "upstream_model": "m",
        "upstream_request_id": "theirs", "stream": False, "status": 200, "attempts": 1, "tried": [],
        "ended": "finished", "connection": "reused", "bytes_in": len(body), "bytes_out": len(reply),
        "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_creation.input_tokens": 0, "gen_ai.usage.reasoning.output_tokens": 2, "dropped": [],
        "stream_ms": None,
    }  # fmt: skip
    assert {key: record[key] for key in expected} == expected
    assert "error.type" not in record and record["tokens_per_second"] > 0
    assert 0 < record["overhead_ms"] < record["first_token_ms"] <= record["total_ms"]
    assert 0 < record["ttfb_ms"] <= record["first_token_ms"]
    sum_of_parts = record["receive_ms"] + record["queue_ms"] + record["upstream_ms"] + record["overhead_ms"]
    assert sum_of_parts == pytest.approx(record["first_token_ms"], abs=0.03)


@pytest.mark.parametrize(("server", "address"), [("", "127.0.0.1"), ("trusted_proxies = 127.0.0.1/32", "203.0.113.7")])
def test_from_where_it_comes(server: str, address: str) -> None:
    """Of a refused request too; what a reverse proxy says counts where the settings trust it."""
    tail = "[client ann]\nkey = key-of-ann-0123456789\n"
    headers = {"x-forwarded-for": "198.51.100.9, 203.0.113.7", "user-agent": "claude-cli/2.1 (external, cli)"}
    with seen(OK, server=server, tail=tail) as told:
        for key, status in (("key-of-ann-0123456789", 200), ("wrong-key-0123456789", 401)):
            told.house.post(CHAT, ASKED, headers | {"x-api-key": key})
            record = told.last(1 if status == 200 else 2)
            assert record["status"] == status and record["client.address"] == address
            assert record["user_agent.original"] == "claude-cli/2.1 (external, cli)"


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_stream(path: str) -> None:
    with seen(Answer.sse(STREAM)) as told:
        told.house.post(path, ASKED | {"stream": True})
        record = told.last()
    assert (record["stream"], record["status"], record["ended"]) == (True, 200, "finished")
    assert record["gen_ai.usage.output_tokens"] == 5 and record["gen_ai.usage.cache_read.input_tokens"] == 4
    assert record["stream_ms"] >= 75 and record["upstream_ms"] >= record["stream_ms"]
    assert record["first_token_ms"] + record["stream_ms"] <= record["total_ms"] + 0.02
    assert record["tokens_per_second"] == pytest.approx(5e3 / record["stream_ms"], rel=0.01)


def test_a_stream_that_is_over_at_once_has_no_pace_of_its_own() -> None:
    with seen(Answer.sse([0.1, STREAM[0] + STREAM[2]])) as told:  # type: ignore[operator]
        told.house.post(CHAT, ASKED | {"stream": True})
        assert told.last()["tokens_per_second"] < 5e3 / 20


def test_what_we_do_with_the_first_event_is_our_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Passthrough.feed

    def slow(self: Passthrough, chunk: bytes) -> bytes:
        time.sleep(0.05)
        return feed(self, chunk)

    monkeypatch.setattr(Passthrough, "feed", slow)
    with seen(Answer.sse(STREAM)) as told:
        _, headers, _ = told.house.post(CHAT, ASKED | {"stream": True})
        assert told.last()["overhead_ms"] >= 50
    assert float(headers["x-proxy-overhead-ms"]) >= 50


def test_what_was_tried_and_waited_for() -> None:
    failed = Answer.json({"error": {"message": "busy"}}, 503)
    with seen(failed, OK, more="", tail="[retry]\nbackoff = 0.05\nmax_backoff = 0.05\n") as told:
        told.house.post(CHAT, ASKED)
        record = told.last()
    assert record["attempts"] == 2 and record["status"] == 200
    tried = {"upstream": "up", "model": "m", "key": 1, "status": 503, "error": "overloaded", "message": "busy"}
    assert record["tried"] == [tried]
    assert record["queue_ms"] > 0 and record["overhead_ms"] + record["queue_ms"] < record["total_ms"]


def test_a_wait_for_a_place() -> None:
    gate = Gate()
    with seen(Answer.sse([BEGUN, gate, DONE % b"{}"]), OK, more="max_concurrent = 1") as told:
        house = told.house
        with house.connect() as first, house.connect() as second:
            first.send("POST", CHAT, ASKED | {"stream": True})
            first.head()
            second.send("POST", CHAT, ASKED)
            house.wait(lambda p: p.service.admission.waiting == 1)
            house.on_loop(lambda: _turn_back(house, 5.0))
            gate.open()
            second.reply()
        told.last(2)
        record = next(one for one in told.records if not one["stream"])
    assert record["queue_ms"] > 5000 and record["overhead_ms"] < 5000


def _turn_back(house: House, seconds: float) -> None:
    """As if the one that waits had begun earlier."""
    (waits,) = [flow for flow in house.proxy.service.flows if flow.state is State.QUEUED]
    assert waits.clock._waits
    for name in ("began", "read", "_waits"):
        setattr(waits.clock, name, getattr(waits.clock, name) - seconds)


@pytest.mark.parametrize(
    ("answer", "status", "kind", "attempts"),
    [
        (Answer.json({"error": {"message": "no"}}, 400), 400, "invalid_request", 1),
        (Answer.drop(), 502, "upstream", 1),
        (None, 400, "invalid_request", 0),
    ],
)
def test_an_error(answer: Answer | None, status: int, kind: str, attempts: int) -> None:
    with seen(*[answer] * (answer is not None), tail=ONCE) as told:  # type: ignore[list-item]
        told.house.post(MESSAGES, ASKED if answer else b"{")
        record = told.last()
    assert (record["status"], record["error.type"], record["attempts"]) == (status, kind, attempts)
    assert record["error.message"] and record["first_token_ms"] is None and record["ended"] == "finished"
    assert record["gen_ai.usage.input_tokens"] is None and record["tokens_per_second"] is None
    assert record["connection"] == ("" if answer is None else "new")


def test_a_stream_that_breaks_off() -> None:
    with seen(Answer.sse([BEGUN], end="reset"), tail=ONCE) as told:
        told.house.post(CHAT, ASKED | {"stream": True})
        record = told.last()
    assert record["status"] == 200 and record["error.type"] == "upstream" and record["stream"]


@pytest.mark.parametrize("begun", [False, True])
def test_a_client_that_leaves(begun: bool) -> None:
    answer = Answer.sse([BEGUN], end="hang") if begun else Answer.silence()
    with seen(answer) as told:
        with told.house.connect() as client:
            client.send("POST", CHAT, ASKED | {"stream": True})
            told.house.wait(lambda p: any(flow.failover.attempts for flow in p.service.flows))
            if begun:
                client.head()
        record = told.last()
    assert (record["ended"], record["status"], record["connection"]) == ("left", 200 if begun else 0, "new")
    assert record["upstream_ms"] > 0 and "error.type" not in record


def test_one_that_we_break_off() -> None:
    with seen(Answer.sse([BEGUN], end="hang"), server="drain_seconds = 0") as told:
        house = told.house
        with house.connect() as client:
            client.send("POST", CHAT, ASKED | {"stream": True})
            client.head()
            house._loop.call_soon_threadsafe(house._stop.set)
            assert b"shutting down" in b"".join(client.pieces())
        house._thread.join(10)
        (record,) = told.records
    assert (record["ended"], record["error.type"]) == ("aborted", "overloaded")


def test_names_and_fields() -> None:
    text = "\n[models]\nmine = up/theirs\n[client ann]\nkey = sk-ann-123456789\n"
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat").replace("[models]\n* = up\n", text)) as house:
        told = Seen(house)
        body = ASKED | {"model": "mine", "top_k": 3}
        house.post(MESSAGES, body, {"x-api-key": "sk-ann-123456789"})
        record = told.last()
    assert (record["client"], record["gen_ai.request.model"], record["upstream_model"]) == ("ann", "mine", "theirs")
    assert record["dropped"] == ["top_k"] and (record["protocol"], record["upstream_protocol"]) == ("messages", "chat")
    assert "sk-ann" not in json.dumps(record)


def test_counts_of_tokens_have_their_own_operation() -> None:
    with seen() as told:
        told.house.post(COUNT, ASKED)
        record = told.last()
    assert (record["gen_ai.operation.name"], record["url.path"], record["attempts"]) == ("count_tokens", COUNT, 0)
    assert record["gen_ai.usage.output_tokens"] is None


@pytest.mark.parametrize(
    ("protocol", "usage", "expected"),
    [
        ("messages", {"input_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 5,
                      "output_tokens": 6}, (12, 6, 4, 5, 0)),
        ("responses", {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 6,
                       "output_tokens_details": {"reasoning_tokens": 2}}, (9, 6, 4, 0, 2)),
        ("chat", {"prompt_tokens": "many"}, (0, 0, 0, 0, 0)),
        ("chat", None, (None,) * 5),
    ],
)  # fmt: skip
def test_usage_in_each_protocols_words(protocol: str, usage: Any, expected: tuple[Any, ...]) -> None:
    path = {"messages": MESSAGES, "chat": CHAT, "responses": "/v1/responses"}[protocol]
    with seen(Answer.json({"id": "x", "usage": usage} if usage else {"id": "x"}), protocol=protocol) as told:
        told.house.post(path, ASKED | {"input": "x"})
        record = told.last()
    names = ("input_tokens", "output_tokens", "cache_read.input_tokens", "cache_creation.input_tokens",
             "reasoning.output_tokens")  # fmt: skip
    assert tuple(record[f"gen_ai.usage.{name}"] for name in names) == expected


def test_the_log_has_it_too(tmp_path: Any) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat"), folder=tmp_path) as house:
        told = Seen(house)
        house.post(CHAT, ASKED)
        record = told.last()
    (line,) = [json.loads(text) for text in (tmp_path / "performance.json").read_text().splitlines()]
    assert {key: line[key] for key in record if key != "time"} == {key: record[key] for key in record if key != "time"}


SECRET = "sk-Of-Somebody-0123456789"
OURS = {"key", "client", "protocol", "task", "upstream", "upstream_protocol", "connection", "cache"}


def planted(kind: type[Any], ours: set[str], **given: Any) -> Any:
    """Of this kind of data, one that has the secret in each text that is not ours."""
    texts = {"str": f"a {SECRET} b", "Sequence[str]": ["hidden_in_a_field"], "Mapping[str, str]": {SECRET: SECRET}}
    plain = {"str": "", "Protocol": "messages", "Sequence[str]": ["up"], "bool": False, "int": 1, "float": 1.0}
    written = {name: getattr(what, "__forward_arg__", what) for name, what in kind.__annotations__.items()}
    fields = {name: what.removesuffix(" | None") for name, what in written.items()}
    made = {name: (plain if name in ours else plain | texts).get(what) for name, what in fields.items()}
    return kind(**made | given)


@pytest.mark.parametrize("failed", [False, True])
def test_a_key_in_any_text_that_is_not_ours_is_masked(failed: bool, tmp_path: Any) -> None:
    """The lines of records are not masked again as a whole. Whoever adds a text to Finished decides whose it is."""
    mask = Redaction([SECRET, "hidden_in_a_field"])
    error = ApiError("api", f"no {SECRET}") if failed else None
    headers = [("request-id", f"req-{SECRET}")]
    tried = [planted(Tried, {"upstream", "error"})]
    over = planted(Finished, OURS, clock=Clock(), error=error, tried=tried, upstream_headers=headers, status=500)
    lines = dict(of_record(record(over, lambda *_: None, mask.text), frozenset((PERFORMANCE, API_REQUESTS, ERRORS))))
    assert set(lines) == {PERFORMANCE, API_REQUESTS, *([ERRORS] if failed else [])}
    for line in lines.values():
        assert SECRET not in line and "hidden_in_a_field" not in line
    assert lines[PERFORMANCE].count("[secret]") >= 12
