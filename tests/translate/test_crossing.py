"""Crossing: what a reply's two ends see of the way between them, at its beginning, its end and when it breaks off."""

from __future__ import annotations

import json

import pytest

from tests.support.streams import END, HI, ROLE, USAGE, chat
from translate import pair
from translate.failures import errors
from translate.pair import Crossing
from translate.target import Asked, Protocol, Target

ASKED = Asked("m", "k", include_usage=True)
WHOLE = {
    "id": "x", "model": "up", "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}  # fmt: skip


def to_messages() -> Crossing:
    return Crossing("messages", "chat", ASKED)


def test_a_whole_reply() -> None:
    crossing = to_messages()
    body = json.loads(crossing.whole(json.dumps(WHOLE).encode()))
    assert body["content"] == [{"type": "text", "text": "hi"}] and body["model"] == "m"
    assert crossing.usage is not None and crossing.usage.output == 4 and crossing.fault is None


def test_a_stream_where_a_whole_reply_was_due() -> None:
    crossing = to_messages()
    body = json.loads(crossing.whole(chat(ROLE, HI, END, USAGE), streamed=True))
    assert body["content"] == [{"type": "text", "text": "hi"}]
    assert crossing.usage is not None and crossing.usage.output == 4


def test_a_whole_reply_where_a_stream_was_due() -> None:
    crossing = to_messages()
    out = crossing.whole_as_stream(json.dumps(WHOLE).encode())
    assert b"text_delta" in out and out.endswith(b'{"type":"message_stop"}\n\n')
    assert crossing.ended and crossing.started and crossing.usage is not None


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "the upstream answered 200 with an empty body"),
        (b" \n", "the upstream answered 200 with an empty body"),
        (b" <html>", "the upstream answered 200 with an HTML page where JSON is due; is base_url right?"),
        (b'{"a', "the upstream's reply is not valid JSON (cut off?), it begins: {\"a"),
        (b"x" * 130, "the upstream's reply is not valid JSON (cut off?), it begins: " + "x" * 120),
        (b"\xffx", "the upstream's reply is not valid JSON (cut off?), it begins: \ufffdx"),
        (b"[]", "the upstream answered a JSON list where an object is due"),
        (b'{"error":{"message":"no"}}', "no"),
    ],
)
def test_bodies_that_are_no_reply(raw: bytes, words: str) -> None:
    for way in (to_messages().whole, to_messages().whole_as_stream):
        with pytest.raises(errors.ApiError) as caught:
            way(raw)
        assert str(caught.value) == words


def test_nothing_goes_out_before_there_is_something_to_tell() -> None:
    crossing = to_messages()
    assert crossing.begin() == b"" and not crossing.started and not crossing.ended
    assert crossing.ping() == b": ping\n\n"
    assert crossing.feed(b"") == b"" and crossing.begin() == b""
    assert crossing.feed(chat(ROLE, end=b"")) == b"" and not crossing.started
    assert crossing.begin().startswith(b"event: message_start") and crossing.started
    assert crossing.begin() == b"", "once is enough"
    assert crossing.ping().startswith(b"event: ping")
    assert b"text_delta" in crossing.feed(chat(HI, end=b"")) and not crossing.ended
    assert crossing.feed(chat(END)).endswith(b'message_stop"}\n\n') and crossing.ended
    assert crossing.end() == b"" and crossing.ping() == b""
    assert crossing.fail(errors.BadReply("late")) == b"" and crossing.fault is None


def test_an_upstream_that_says_nothing() -> None:
    crossing = to_messages()
    assert crossing.end() == b"" and not crossing.started
    assert str(crossing.fault) == "the upstream answered 200 with an empty body"
    assert crossing.fault is not None and crossing.fault.status == 502


def test_an_error_before_the_first_word_is_the_callers_to_answer() -> None:
    crossing = to_messages()
    assert crossing.feed(b'data: {"error":{"message":"no","code":429}}\n\n') == b""
    assert crossing.fault is not None and crossing.fault.status == 429 and not crossing.started


def test_an_error_after_it_is_told_in_the_stream() -> None:
    crossing = to_messages()
    crossing.feed(chat(ROLE, HI, end=b""))
    out = crossing.feed(b'data: {"error":{"message":"no"}}\n\n')
    assert b"event: error\n" in out and crossing.ended and str(crossing.fault) == "no"


def test_a_broken_connection() -> None:
    broken = errors.ApiError("upstream", "gone")
    cut = to_messages()
    cut.feed(chat(ROLE, HI, end=b""))
    assert b'"message":"gone"' in cut.fail(broken) and cut.fault is broken
    early = to_messages()
    assert early.fail(broken) == b"" and early.fault is broken
    whole = to_messages()
    whole.feed(chat(ROLE, HI, END, end=b""))
    assert whole.fail(broken).endswith(b'message_stop"}\n\n'), "all of it was there"
    assert whole.fault is None


def test_a_request_without_anything_to_say_is_refused() -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "container_upload"}]}]}
    for upstream in ("chat", "responses"):
        with pytest.raises(errors.BadRequest, match="nothing in them can be sent"):
            pair.request("messages", upstream, body, Target("m"))  # type: ignore[arg-type]


@pytest.mark.parametrize("upstream", ["chat", "messages", "gemini"])
def test_it_is_refused_in_the_clients_own_word_for_its_history(upstream: Protocol) -> None:
    with pytest.raises(errors.BadRequest, match=r"^input: "):
        pair.request("responses", upstream, {"model": "m", "input": []}, Target("m"))


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_refused_by_name(odd: float) -> None:
    """JSON readers let NaN and 1e999 through."""
    text = [{"role": "user", "content": "x"}]
    for client, body in (
        ("messages", {"model": "m", "max_tokens": 9, "messages": text, "temperature": odd}),
        ("chat", {"model": "m", "messages": text, "max_tokens": odd}),
        ("chat", {"model": "m", "messages": text, "top_p": odd}),
        ("responses", {"model": "m", "input": "x", "max_output_tokens": odd}),
        ("responses", {"model": "m", "input": "x", "temperature": odd}),
    ):
        field = next(key for key, value in body.items() if value is odd)
        with pytest.raises(errors.BadRequest, match=field):
            pair.request(client, "messages", body, Target("m"))  # type: ignore[arg-type]


def test_an_infinite_count_counts_nothing() -> None:
    raw = json.dumps(WHOLE).replace('"prompt_tokens": 3', '"prompt_tokens": 1e999').encode()
    crossing = to_messages()
    crossing.whole(raw)
    assert crossing.usage is not None and (crossing.usage.prompt, crossing.usage.output) == (0, 4)
