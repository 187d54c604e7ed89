"""A stream that passes is rid of the upstream's own secrets in the events that speak of an error, and in no others."""

from __future__ import annotations

import random

import pytest

from gateway.passing.clean_lines import CleanLines, about_error
from operate.logs.spellings import Spellings
from tests.support.corpus import cuts

KEY = "sk-ant-api03-Q7dKx92LmNp4RtVw8ZsB"
SECRETS = Spellings([KEY])
EVENTS = [
    b'data: {"delta":" word"}',
    b'data: {"delta":" an Error"}',
    b'data: {"response":{"error":null}}',
    b'event: error\ndata: {"message":"%b is bad"}' % KEY.encode(),
    b'data: {"type":"response.failed","key":"%b"}' % KEY.encode(),
    b'data: {"debug":{"key":"%b"},"error": null}' % KEY.encode(),
    b": ping",
]


def _expected(event: bytes) -> bytes:
    return SECRETS.clean(event) if about_error(event) else event


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("size", [5, 200])
def test_each_event_that_speaks_of_an_error_is_cleaned(seed: int, size: int) -> None:
    chance = random.Random(seed)
    events = [chance.choice(EVENTS) for _ in range(size)]
    for pieces in ([e + b"\n\n" for e in events], [b"".join(e + b"\n\n" for e in events)]):
        lines = CleanLines(SECRETS)
        assert b"".join([*map(lines.feed, pieces), lines.rest()]) == b"".join(_expected(e) + b"\n\n" for e in events)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("seed", range(10))
def test_no_secret_is_left_however_the_stream_is_cut(end: bytes, seed: int) -> None:
    raw = b"".join(event.replace(b"\n", end) + end + end for event in EVENTS)
    lines = CleanLines(SECRETS)
    out = b"".join([*map(lines.feed, cuts(raw, str(seed))), lines.rest()])
    assert KEY.encode() not in out and out.count(b"[secret]") == 3


def test_that_there_is_no_error_is_not_about_an_error() -> None:
    assert not about_error(b'data: {"error":null,"x":{"error": null}}')
    assert about_error(b'data: {"error":null,"x":{"error": {}}}')
    assert about_error(b'data: {"error":1}')


def test_an_event_in_two_pieces_is_cleaned_in_both() -> None:
    lines = CleanLines(SECRETS)
    begun = lines.feed(b"data: 1\n\nevent: error\n")
    went_on = lines.feed(b"data: the key %b\n\ndata: the key %b\n\n" % (KEY.encode(), KEY.encode()))
    assert begun + went_on == b"data: 1\n\nevent: error\ndata: the key [secret]\n\ndata: the key %b\n\n" % KEY.encode()


@pytest.mark.parametrize("before", [b"", b"data: 1\n\n"])
@pytest.mark.parametrize(
    "text", [b"data: Error: refused\n\nsent: %b", b"<p>%b</p>\n\n\n<p>An error</p>", b"Error\n\n%b"]
)
def test_a_text_of_several_paragraphs_is_one_event(before: bytes, text: bytes) -> None:
    """Some servers write the trace of an exception, or a page, into their stream as it is."""
    for end in (b"\n", b"\n\n", b"\n\ndata: the key %b\n\n" % KEY.encode()):
        lines = CleanLines(SECRETS)
        out = lines.feed(before + text % KEY.encode() + end) + lines.rest()
        assert out == before + text % b"[secret]" + end


def test_a_text_of_several_paragraphs_may_come_in_pieces() -> None:
    lines = CleanLines(SECRETS)
    out = lines.feed(b"data: Error: refused\n\nsent:\n") + lines.feed(b"%b\n\n\n" % KEY.encode())
    assert out == b"data: Error: refused\n\nsent:\n[secret]\n\n\n"
