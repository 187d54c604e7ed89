"""The usage of Chat streams whose clients do not ask: known here, and unseen there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.passing import usage_chunk
from gateway.passing.usage_chunk import UsageChunk
from tests.gateway.observe.test_record import Seen
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import ASK, PATH, STREAM, house_text, section

PRICES = "[prices]\nm = 1, 2\n"
USED = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
WORDS = [{"choices": [{"index": 0, "delta": {"content": 'a,"usage":null,b'}}], "id": "c"},
         {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "id": "c"}]  # fmt: skip
DONE = b"data: [DONE]\n\n"


def data(chunk: Any, spaces: bool = False) -> bytes:
    return b"data: " + json.dumps(chunk, separators=None if spaces else (",", ":")).encode() + b"\n\n"


def plain(spaces: bool = False) -> bytes:
    return b"".join(data(word, spaces) for word in WORDS) + DONE


def told(spaces: bool = False, first: bool = False) -> bytes:
    """The same where usage was asked for. first: it stands before all else."""
    words = [{"usage": None} | word if first else word | {"usage": None} for word in WORDS]
    return b"".join(data(word, spaces) for word in [*words, {"id": "c", "choices": [], "usage": USED}]) + DONE


def openai(request: Request) -> Answer:
    asked = (request.json.get("stream_options") or {}).get("include_usage")
    return Answer.sse([told() if asked else plain()])


@pytest.mark.parametrize("spaces", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_what_only_we_asked_for_is_taken_out(spaces: bool, first: bool, end: bytes) -> None:
    raw = told(spaces, first).replace(b"\n", end)
    expected = plain(spaces).replace(b"\n", end)
    assert UsageChunk().without(raw) == expected
    lines, piecewise = raw.splitlines(keepends=True), UsageChunk()
    assert b"".join(map(piecewise.without, lines)) == expected


def test_what_looks_like_it_stays() -> None:
    for chunk in (
        {"choices": [], "prompt_filter_results": []},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USED},
        {"x": {"choices": []}, "choices": [{}], "usage": USED},
    ):
        assert UsageChunk().without(data(chunk)) == data(chunk)
    broken = b'data: {"choices":[],"usage":{\n\n'
    assert UsageChunk().without(broken) == broken


def test_the_wish() -> None:
    for body in (b'{"model":"m"}', b' {"model":"m"}', b"{}", b"{ }"):
        wished = json.loads(usage_chunk.wished(body) or b"")
        assert wished == json.loads(body) | {"stream_options": {"include_usage": True}}
    assert usage_chunk.wished(b'{"stream_options":null}') is None and usage_chunk.wished(b"") is None


@pytest.mark.parametrize(
    ("more", "setting", "asks"),
    [
        (PRICES, "", True),
        ("", "", False),
        ("", "ask_usage = true\n", True),
        (PRICES, "ask_usage = false\n", False),
        (PRICES, "stream_options = false\n", False),
        ("", "tokens_per_minute = 100000\n", True),
    ],
)
def test_the_client_sees_nothing_of_it(more: str, setting: str, asks: bool) -> None:
    with Upstream(openai) as up, House(house_text("* = a", more, a=section(up.url, setting))) as house:
        seen = Seen(house)
        assert house.post(PATH, STREAM)[2] == plain()
        record = seen.last()
    assert ("stream_options" in up.requests[0].json) == asks
    assert record["gen_ai.usage.input_tokens"] == (11 if asks else None)


@pytest.mark.parametrize("own", [{"include_usage": True}, {"include_usage": False}, {}, None])
def test_the_clients_own_word_wins(own: Any) -> None:
    body = STREAM | {"stream_options": own}
    with Upstream(openai) as up, House(house_text("* = a", PRICES, a=up.url)) as house:
        assert house.post(PATH, body)[2] == (told() if own and own["include_usage"] else plain())
    assert up.requests[0].json == body


def test_whole_replies_are_left_alone() -> None:
    with Upstream(lambda r: Answer.json({"choices": [], "usage": USED})) as up:
        with House(house_text("* = a", PRICES, a=up.url)) as house:
            assert json.loads(house.post(PATH, ASK)[2]) == {"choices": [], "usage": USED}
    assert up.requests[0].json == ASK


@pytest.mark.parametrize("status", [400, 422])
def test_an_upstream_that_refuses_it_is_asked_no_more(status: int) -> None:
    def strict(request: Request) -> Answer:
        if "stream_options" in request.json:
            return Answer.json({"error": {"message": "Unknown field: stream_options"}}, status)
        return Answer.sse([plain()])

    with Upstream(strict) as up, House(house_text("* = a", PRICES, a=up.url)) as house:
        assert [house.post(PATH, STREAM)[2] for _ in range(2)] == [plain(), plain()]
    assert len(up.requests) == 3


def test_another_name_is_put_back_too() -> None:
    def named(request: Request) -> Answer:
        return Answer.sse([told().replace(b'"id":"c"', b'"id":"c","model":"theirs"')])

    with Upstream(named) as up, House(house_text("m = a/theirs", "[prices]\ntheirs = 1, 2\n", a=up.url)) as house:
        assert house.post(PATH, STREAM)[2] == plain().replace(b'"id":"c"', b'"id":"c","model":"m"')


def test_a_stream_cut_at_every_byte() -> None:
    pieces = [told()[at : at + 1] for at in range(len(told()))]
    with Upstream([Answer.sse(pieces)]) as up, House(house_text("* = a", PRICES, a=up.url)) as house:
        assert house.post(PATH, STREAM)[2] == plain()
