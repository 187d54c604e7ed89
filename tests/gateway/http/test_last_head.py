"""A head that comes again is read once, and is as good as one that is read: whatever differs is read anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.http import framing, last_head
from gateway.http.header_lines import Headers, fact
from gateway.http.last_head import LastHead
from operate.settings import load
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream
from translate.failures.errors import ApiError

HEAD = (
    b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nX-Api-Key: one\r\nContent-Length: 10\r\nAccept: */*\r\nX-Two: a\r\n"
    b"X-Two: b\r\n\r\n"
)


def read(last: LastHead | None, head: bytes) -> object:
    """What comes of a head, by a connection's reader or by the first reading."""
    try:
        line, headers = last.read(head) if last is not None else framing.read(head)
    except ApiError as error:
        return error.status, error.message
    return line, sorted(headers.get_all())


def test_the_same_head_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    last, times = LastHead(), []
    reads = framing.read
    monkeypatch.setattr(last_head.framing, "read", lambda *asked: times.append(1) or reads(*asked))
    for length in (b"10", b"7", b"123456", b"0", b"999999999999999999"):
        head = HEAD.replace(b"10", length)
        assert read(last, head) == read(None, head)
    assert len(times) == 1 + 5  # `read` of this file asks each time, too


@pytest.mark.parametrize(
    "other",
    [
        HEAD.replace(b"one", b"two"), HEAD.replace(b": 10", b": +5"), HEAD.replace(b": 10", b": "),
        HEAD.replace(b": 10", b": 1 0"), HEAD.replace(b": 10", b": " + b"9" * 19), HEAD.replace(b": 10", b": \xb2"),
        HEAD.replace(b": 10", b": 1\r\nContent-Length: 2"), HEAD.replace(b"Content-Length: 10\r\n", b""),
        HEAD.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked"), HEAD[:-2], HEAD.replace(b"\r\n", b"\n"),
        HEAD.replace(b"messages", b"responses"), HEAD.replace(b"1.1", b"1.0"), HEAD.replace(b"Host: a\r\n", b""),
        HEAD.replace(b": 10", b": 1\r\nX-Api-Key: two\r\nContent-Length: 0"),
    ],
)  # fmt: skip
def test_what_differs_is_read_anew(other: bytes) -> None:
    last = LastHead()
    read(last, HEAD)
    assert read(last, other) == read(None, other)
    assert read(last, HEAD) == read(None, HEAD)


@given(some.lists(some.tuples(some.integers(0, len(HEAD) - 1), some.binary(max_size=3), some.integers(0, 3)),
                  max_size=4))  # fmt: skip
def test_whatever_differs(changes: list[tuple[int, bytes, int]]) -> None:
    last, head = LastHead(), HEAD
    read(last, HEAD)
    for at, put, less in changes:
        head = head[:at] + put + head[at + less :]
        assert read(last, head) == read(None, head)
        assert read(last, HEAD) == read(None, HEAD)


def test_a_head_without_a_length() -> None:
    last, head = LastHead(), b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
    for each in (head, head, head.replace(b"models", b"models/x"), head + b"\r\n", head, b"", head):
        assert read(last, each) == read(None, each)


def test_long_heads_are_not_kept() -> None:
    last, head = LastHead(), HEAD.replace(b"*/*", b"x" * last_head.LONGEST)
    for _ in range(2):
        assert read(last, head) == read(None, head)
    assert last._headers is None


def test_what_one_request_changes_is_not_the_next_ones() -> None:
    last = LastHead()
    for _ in range(3):
        _, headers = last.read(HEAD)
        assert sorted(headers.get_all()) == sorted(framing.read(HEAD)[1].get_all())
        headers["X-Api-Key"] = "other"
        headers.add("X-Two", "c")
        del headers["Accept"]
        assert headers.get_list("x-two") == ["a", "b", "c"] and "accept" not in headers


def test_facts_are_of_these_headers() -> None:
    def key(headers: object) -> str:
        assert isinstance(headers, Headers)
        asked.append(1)
        return str(headers["x-api-key"])

    last, asked = LastHead(), []
    for _ in range(3):
        _, headers = last.read(HEAD)
        assert fact(headers, key) == "one"
    assert len(asked) == 1
    headers["x-api-key"] = "two"
    assert fact(headers, key) == "two"
    assert fact(last.read(HEAD)[1], key) == "one"
    assert fact(last.read(HEAD.replace(b"one", b"three"))[1], key) == "three"
    assert len(asked) == 3


CLIENT = "[client ann]\nkey = ann-0123456789abcdef\n"
OK = Answer.json({"id": "x", "type": "message", "role": "assistant", "model": "m", "content": [],
                  "stop_reason": "end_turn", "stop_sequence": None,
                  "usage": {"input_tokens": 1, "output_tokens": 1}})  # fmt: skip


def test_a_client_that_the_settings_have_no_more_is_refused_on_its_open_connection() -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    key = {"x-api-key": "ann-0123456789abcdef"}
    with Upstream([OK] * 3) as up:
        text = one_upstream(up.url, "messages")
        with House(text + CLIENT) as house, house.connect() as client:
            for _ in range(2):
                client.send("POST", "/v1/messages", body, key)
                assert client.reply()[0] == 200
            other = load.read(text + CLIENT.replace("ann", "bob"), "test.ini", ["usage.file="], {})
            house.on_loop(lambda: house.proxy.service.adopt(other))
            client.send("POST", "/v1/messages", body, key)
            assert client.reply()[0] == 401
