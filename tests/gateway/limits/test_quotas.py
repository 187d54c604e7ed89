"""What quotas are charged: media as they count, nothing for what failed, the real usage in the end."""

from __future__ import annotations

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.flow.states import State
from gateway.limits.limiter import Limiter
from tests.gateway.observe.test_record import Seen
from tests.support.house import Cut, House
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import ASK, PATH, STREAM, error, event, held, house_text, late, says, section

KEY = {"Authorization": "Bearer alice-key-0123456789"}
MESSAGES = "/v1/messages"
PICTURE = "iVBORw0KGgo" * 60_000
SEEN = ASK | {"messages": [{"role": "user", "content": [
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}]}]}  # fmt: skip
LARGE = ASK | {"messages": [{"role": "user", "content": "word " * 8000}]}
BEGUN = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
    b'"model":"m","content":[],"usage":{"input_tokens":3000,"cache_read_input_tokens":500,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text",'
    b'"text":""}}\n\n'
)
WORDS = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    b'"text":"hello there"}}\n\n'
)
ENDED = (
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\nevent: message_delta\n'
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":70}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def alice(tokens: int) -> str:
    return f"[client alice]\nkey = alice-key-0123456789\ntokens_per_minute = {tokens}\n"


def left(house: House, client: str = "alice") -> float:
    """Tokens that the client may still use."""
    house.wait(lambda p: not p.service.flows)
    return house.on_loop(lambda: of(house.proxy.service.quotas[client]))


def of(quota: Limiter) -> float:
    """Tokens that are left."""
    return quota.left(time.monotonic())[-1].left


def test_a_picture_is_no_text() -> None:
    with Upstream(lambda r: says("ok")) as up, House(house_text("* = a", alice(20_000), a=up.url)) as house:
        assert [house.post(PATH, body, KEY)[0] for body in (SEEN, ASK, SEEN)] == [200] * 3
        assert left(house) > 19_900  # three times two tokens, by the upstream's word


_TOOLED = {"type": "function", "function": {"name": "f", "parameters": {}, "max_tokens": 1, "maxOutputTokens": 1}}
_CALLED = {"functionCall": {"name": "f", "args": {"maxOutputTokens": 1, "max_tokens": 1, "max_output_tokens": 1}}}
_CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [_CALLED]}]
_GEMINI = "/v1beta/models/m:generateContent"
_ARGUMENTS = {"max_tokens": 1, "max_completion_tokens": 1, "max_output_tokens": 1}
_NOTED = {"model": "m", "input": "hi", "metadata": {"max_output_tokens": 1}}
_USE = [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": _ARGUMENTS}]}]


@pytest.mark.parametrize(
    ("path", "body", "charged"),
    [
        (PATH, ASK | {"tools": [_TOOLED]}, 2500),
        (PATH, ASK | {"max_completion_tokens": 700, "tools": [_TOOLED]}, 700),
        (PATH, ASK | {"max_output_tokens": 1}, 2500),  # which is no field of Chat
        (PATH, ASK | {"max_tokens": 10**11}, 2500),
        (PATH, ASK | {"max_tokens": 0}, 2500),  # which is no limit, as is -1
        (PATH, ASK | {"max_tokens": -1}, 2500),
        (MESSAGES, {"messages": _USE, "model": "m", "max_tokens": 900}, 900),
        (MESSAGES, {"model": "m", "max_tokens": 90_000, "messages": _USE}, 2500),
        ("/v1/responses", _NOTED | {"max_output_tokens": 300}, 300),
        ("/v1/responses", _NOTED, 2500),
        (_GEMINI, {"contents": _CONTENTS}, 2500),
        (_GEMINI, {"contents": _CONTENTS, "generationConfig": {"topK": 1, "maxOutputTokens": 600}}, 600),
        ("/api/chat", ASK | {"tools": [_TOOLED], "options": {"num_predict": 400}}, 400),
        ("/api/chat", ASK | {"tools": [_TOOLED]}, 2500),
    ],
)
def test_the_advance_is_of_what_the_reply_may_be(path: str, body: dict[str, Any], charged: int) -> None:
    """Another number of that name, such as an argument of a tool, would let many requests in at once."""
    gate = Gate()
    with Upstream([late(says("ok"), gate)]) as up, House(house_text("* = a", alice(10_000), a=up.url)) as house:
        with house.connect() as client:
            client.send("POST", path, body, KEY)
            up.wait(lambda u: len(u.requests) == 1)
            used = 10_000 - house.on_loop(lambda: of(house.proxy.service.quotas["alice"]))
            gate.open()
    assert charged <= used + 20 and used < charged + 250  # some of it has come back, and the request has tokens, too


def test_a_picture_that_is_looked_at() -> None:
    gate = Gate()
    with Upstream([late(says("ok"), gate), says("ok")]) as up:
        with House(house_text("* = a", alice(20_000), a=up.url)) as house, house.connect() as first:
            first.send("POST", PATH, SEEN, KEY)
            up.wait(lambda u: len(u.requests) == 1)
            assert house.post(PATH, ASK, KEY)[0] == 200
            gate.open()
            first.reply()


@pytest.mark.parametrize("status", [400, 500, 529])
def test_what_failed_has_taken_nothing(status: int) -> None:
    with Upstream(lambda r: error(status)) as up:
        more = alice(10_000) + "[retry]\nmax_attempts = 1\n"
        text = house_text("* = a", more, a=section(up.url, "tokens_per_minute = 10000\n"))
        with House(text) as house:
            assert [house.post(PATH, LARGE, KEY)[0] for _ in range(4)] == [status] * 4
            assert left(house) > 9_990
            assert house.on_loop(lambda: of(house.proxy.service.router.upstreams["a"].quota)) > 9_990


def test_what_was_left_before_its_reply_has_taken_nothing() -> None:
    gate = Gate()
    with Upstream([late(says("never"), gate), says("ok")]) as up:
        with House(house_text("* = a", alice(10_000), a=up.url)) as house:
            with house.connect() as client:
                client.send("POST", PATH, LARGE, KEY)
                up.wait(lambda u: len(u.requests) == 1)
            assert left(house) > 9_990
            gate.open()


def test_a_stream_that_was_left_has_taken_what_it_said() -> None:
    gate = Gate()
    with Upstream([Answer.sse([BEGUN, WORDS * 40, gate, ENDED])]) as up:
        text = house_text("* = a", alice(10_000), a=section(up.url, "", "messages"))
        with House(text) as house:
            with house.connect() as client:
                client.send("POST", MESSAGES, STREAM | {"max_tokens": 9}, KEY)
                client.head()
                said, pieces = b"", client.pieces()
                while len(said) < len(BEGUN + WORDS * 40):
                    said += next(pieces)
            assert 10_000 - 3_500 - 200 < left(house) < 10_000 - 3_500 - 80
            gate.open()


def at_work(flow: Any) -> bool:
    """Whether its upstream has sent something."""
    return bool(flow.lead and flow.lead.incoming.mode)


@pytest.mark.parametrize("path", [PATH, MESSAGES])
@pytest.mark.parametrize(("protocol", "opening", "tokens"), [
    ("messages", BEGUN, 3_500), ("chat", event({"role": "assistant", "content": ""}), 900),
])  # fmt: skip
def test_who_leaves_while_the_model_thinks_has_taken_the_input(
    path: str, protocol: str, opening: bytes, tokens: int
) -> None:
    """The stream is open, and nothing is said yet: the upstream charges for what it has read."""
    gate, ask = Gate(), STREAM | {"max_tokens": 9, "messages": [{"role": "user", "content": "a b " * 900}]}
    with Upstream([Answer.sse([opening, gate, ENDED])]) as up:
        with House(house_text("* = a", BUDGETS.format("tokens_per_minute = 100000"),
                              a=section(up.url, "", protocol))) as house:  # fmt: skip
            told = Seen(house)
            with house.connect() as client:
                client.send("POST", path, ask, KEY)
                house.wait(lambda p: any(at_work(flow) for flow in p.service.flows))
            record = told.last()
            assert 100_000 - left(house) == pytest.approx(tokens, rel=0.3)
            gate.open()
    assert record["gen_ai.usage.input_tokens"] == pytest.approx(tokens, rel=0.3) and record["ended"] == "left"


@pytest.mark.parametrize("path", [PATH, MESSAGES])
def test_who_leaves_after_an_open_stream_has_failed_has_taken_nothing(path: str) -> None:
    """The upstream was overloaded, and the next attempt has not begun."""
    overloaded = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    more = alice(100_000) + "[retry]\nbackoff = 20\nmax_backoff = 20\n"
    with Upstream([Answer.sse([BEGUN, overloaded])]) as up:
        with House(house_text("* = a", more, a=section(up.url, "", "messages"))) as house:
            told = Seen(house)
            with house.connect() as client:
                client.send("POST", path, STREAM | {"max_tokens": 9}, KEY)
                house.wait(lambda p: any(flow.state is State.BACKING_OFF for flow in p.service.flows))
            record = told.last()
            assert left(house) > 99_900
    assert record["ended"] == "left" and not record["gen_ai.usage.input_tokens"]


def test_a_stream_that_broke_off_has_taken_what_it_said() -> None:
    with Upstream([Answer.sse([event({"content": "a word or two"}) * 50])]) as up:
        with House(house_text("* = a", alice(10_000), a=up.url)) as house:
            house.post(PATH, STREAM, KEY)
            assert 10_000 - 400 < left(house) < 10_000 - 100


def test_streams_that_pass_through_tell_their_input() -> None:
    with Upstream([Answer.sse([BEGUN, WORDS * 2000, ENDED])]) as up:
        with House(house_text("* = a", alice(10_000), a=section(up.url, "", "messages"))) as house:
            told = Seen(house)
            house.post(MESSAGES, STREAM | {"max_tokens": 9}, KEY)
            record: dict[str, Any] = told.last()
            assert left(house) == pytest.approx(10_000 - 3_500 - 70, abs=100)
    names = ("input_tokens", "cache_read.input_tokens", "output_tokens")
    assert [record[f"gen_ai.usage.{name}"] for name in names] == [3_500, 500, 70]


COMPACTED = ENDED.replace(
    b'{"output_tokens":70}',
    b'{"input_tokens":40,"cache_read_input_tokens":0,"cache_creation_input_tokens":0,"output_tokens":70,"iterations":['
    b'{"type":"compaction","input_tokens":3000,"cache_read_input_tokens":500,"output_tokens":30},'
    b'{"type":"message","input_tokens":40,"output_tokens":70}]}',
)


@pytest.mark.parametrize("path", [MESSAGES, PATH])
def test_a_compaction_on_the_way_is_charged(path: str) -> None:
    """Anthropic tells what it took apart from the answer's tokens. Clients are told what Anthropic tells."""
    with Upstream([Answer.sse([BEGUN, WORDS, COMPACTED])]) as up:
        with House(house_text("* = a", alice(10_000), a=section(up.url, "", "messages"))) as house:
            told = Seen(house)
            ask = STREAM | {"max_tokens": 9, "stream_options": {"include_usage": True}}
            _, _, got = house.post(path, ask, KEY)
            record: dict[str, Any] = told.last()
            assert left(house) == pytest.approx(10_000 - 3_540 - 100, abs=100)
    names = ("input_tokens", "cache_read.input_tokens", "output_tokens")
    assert [record[f"gen_ai.usage.{name}"] for name in names] == [3_540, 500, 100]
    assert path == MESSAGES or b'"prompt_tokens":40,' in got


BUDGETS = """[client alice]
key = alice-key-0123456789
{}
[prices]
m = 10, 1000
"""


@pytest.mark.parametrize("bound", ["tokens_per_day = 100", "usd_per_month = 0.05"])
@pytest.mark.parametrize("path", [PATH, MESSAGES])
@pytest.mark.parametrize("leaves", [True, False])
def test_a_budget_has_what_a_stream_said_that_came_to_no_end(bound: str, path: str, *, leaves: bool) -> None:
    """Its upstream tells the tokens with the last event: neither who leaves before nor what breaks off is free."""
    gate = Gate()
    words = event({"content": "a word or two"}) * 200
    with Upstream(lambda r: Answer.sse([words, gate] if leaves else [words])) as up:
        with House(house_text("* = a", BUDGETS.format(bound), a=up.url)) as house:
            told = Seen(house)
            with house.connect() as client:
                client.send("POST", path, STREAM | {"max_tokens": 9}, KEY)
                client.head()
                size = 0
                for piece in client.pieces():
                    size += len(piece)
                    if leaves and size > len(words) // 2:
                        break
            record = told.last()
            status, _, said = house.post(path, ASK | {"max_tokens": 9}, KEY)
            gate.open()
    assert record["usage_estimated"] is True and 100 <= record["gen_ai.usage.output_tokens"] <= 1_000
    assert status == 429 and bound.partition(" ")[0].encode() in said


OVERLOADED = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'


@pytest.mark.parametrize(("at_end", "end"), [(b"", "close"), (b"", "keep"), (OVERLOADED, "keep")])
@pytest.mark.parametrize("path", [PATH, MESSAGES])
def test_what_a_stream_told_at_its_beginning_is_not_all_that_it_took(path: str, at_end: bytes, end: Any) -> None:
    """Anthropic's message_start counts one token of output. A stream that fails after that has written more."""
    body = [BEGUN, WORDS * 200, 0.05, at_end]
    with Upstream(lambda r: Answer.sse(body, end=end)) as up:
        with House(house_text("* = a", BUDGETS.format(""), a=section(up.url, "", "messages"))) as house:
            told = Seen(house)
            with contextlib.suppress(Cut):
                house.post(path, STREAM | {"max_tokens": 9}, KEY)
            record = told.last()
    assert record["usage_estimated"] is True and 300 <= record["gen_ai.usage.output_tokens"] <= 1_200
    assert record["gen_ai.usage.input_tokens"] == 3_500


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}])
def test_a_reply_of_an_upstream_that_tells_no_tokens_has_some(usage: Any) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "word " * 9_000}}
    reply = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "usage": usage, "choices": [choice]}
    bounds = BUDGETS.format("tokens_per_day = 5000\ntokens_per_minute = 9000")
    with Upstream(lambda r: Answer.json(reply)) as up, House(house_text("* = a", bounds, a=up.url)) as house:
        told = Seen(house)
        assert house.post(PATH, ASK | {"max_tokens": 1}, KEY)[0] == 200
        assert told.last()["usage_estimated"] is True and left(house) < 1_000
        status, _, said = house.post(PATH, ASK, KEY)
        assert status == 429 and b"tokens_per_day" in said


def test_what_an_upstream_has_told_is_not_estimated() -> None:
    with Upstream(lambda r: Answer.sse([BEGUN, WORDS * 2000, ENDED])) as up:
        text = house_text("* = a", BUDGETS.format("tokens_per_day = 3571"), a=section(up.url, "", "messages"))
        with House(text) as house:
            told = Seen(house)
            asked = [house.post(MESSAGES, STREAM | {"max_tokens": 9}, KEY)[0]]
            record = told.last()
            asked += [house.post(MESSAGES, STREAM | {"max_tokens": 9}, KEY)[0]]
    assert asked == [200, 200] and "usage_estimated" not in record and record["gen_ai.usage.output_tokens"] == 70


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize("path", ["/v1/images/edits", "/v1/images/generations"])
def test_a_budget_has_what_a_stream_of_pictures_said_that_came_to_no_end(path: str, *, leaves: bool) -> None:
    gate = Gate()
    said = {"type": "image_edit.partial_image", "b64_json": PICTURE, "partial_image_index": 0}
    partial = b"event: image_edit.partial_image\ndata: " + json.dumps(said).encode() + b"\n\n"
    fields = {"model": "m", "prompt": "a cat", "stream": "true"}
    form = "".join(f'--B\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items())
    asked: Any = fields | {"stream": True} if path.endswith("generations") else (form + "--B--\r\n").encode()
    head = KEY | {"Content-Type": "application/json" if isinstance(asked, dict) else "multipart/form-data; boundary=B"}
    answer = Answer.sse([partial, gate]) if leaves else Answer.sse([partial], end="close")
    with Upstream(lambda r: answer) as up:
        with House(house_text("* = a", BUDGETS.format("tokens_per_day = 100"), a=up.url)) as house:
            told = Seen(house)
            with house.connect() as client:
                client.send("POST", path, asked, head)
                client.head()
                size = 0
                with contextlib.suppress(Cut):  # a relayed one that breaks off is cut
                    for piece in client.pieces():
                        size += len(piece)
                        if leaves and size >= len(partial):
                            break
            record = told.last()
            status, _, body = house.post(path, asked, head)
            gate.open()
    assert record["usage_estimated"] is True and record["gen_ai.usage.output_tokens"] == pytest.approx(3300, rel=0.1)
    assert status == 429 and b"tokens_per_day" in body


def multipart(**fields: str) -> bytes:
    parts = [f'--B\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    return ("".join(parts) + "--B--\r\n").encode()


MP3 = Answer(200, {"Content-Type": "audio/mpeg"}, b"ID3" * 1000, framing="chunked")
HEARD = {"text": "what was said", "usage": {"type": "duration", "seconds": 30}}


@pytest.mark.parametrize(
    ("path", "asked", "answer", "tokens"),
    [
        ("audio/speech", {"input": "word " * 100, "voice": "a"}, MP3, 700),
        ("audio/transcriptions", multipart(model="m", file="RIFF" * 15_000), Answer.json(HEARD), 50),
        ("audio/translations", multipart(model="m", file="RIFF" * 15_000), Answer(200, {}, b"what was said"), 45),
        ("images/generations", {"prompt": "a cat"}, Answer.json({"data": [{"url": "http://x/y.png"}]}), 1500),
        ("images/edits", multipart(model="m", prompt="a"), Answer.json({"data": [{"b64_json": "eA=="}]}), 1500),
        ("images/generations", {"prompt": "a", "n": 4}, Answer.json({"data": [{"url": "http://x/y.png"}] * 4}), 6000),
        ("images/edits", multipart(model="m", n="3"), Answer.json({"data": [{"b64_json": "eA=="}] * 3}), 4500),
        ("images/variations", multipart(n="2", model="m"), Answer.json({"data": [{"b64_json": "eA=="}] * 2}), 3000),
        ("embeddings", {"input": "word " * 500}, Answer.json({"data": [{"index": 0, "embedding": [0.1]}]}), 500),
        ("rerank", {"query": "w", "documents": ["word " * 500]}, Answer.json({"results": []}), 500),
    ],
)
@pytest.mark.parametrize("bound", [True, False])
def test_a_budget_has_what_is_no_words_and_whose_tokens_are_not_told(
    path: str, asked: Any, answer: Answer, tokens: int, *, bound: bool
) -> None:
    head = KEY | {"Content-Type": "multipart/form-data; boundary=B" if isinstance(asked, bytes) else "application/json"}
    body = asked if isinstance(asked, bytes) else {"model": "m"} | asked
    bounds = BUDGETS.format("tokens_per_day = 30" if bound else "")
    with Upstream(lambda r: answer) as up, House(house_text("* = a", bounds, a=up.url)) as house:
        told = Seen(house)
        assert house.post(f"/v1/{path}", body, head)[0] == 200
        record = told.last()
        status, _, said = house.post(f"/v1/{path}", body, head)
    if not bound:  # nobody has to know
        assert status == 200 and "usage_estimated" not in record
        return
    assert record["usage_estimated"] is True and status == 429 and b"tokens_per_day" in said
    all_of_it = record["gen_ai.usage.input_tokens"] + record["gen_ai.usage.output_tokens"]
    assert all_of_it == pytest.approx(tokens, rel=0.35)


def test_a_stream_of_pictures_that_is_left_before_the_first_costs_what_was_asked() -> None:
    gate = Gate()
    with Upstream(lambda r: Answer.sse([gate])) as up:
        with House(house_text("* = a", BUDGETS.format("tokens_per_day = 30"), a=up.url)) as house:
            told, asked = Seen(house), multipart(model="m", stream="true", prompt="a cat " * 100)
            head = KEY | {"Content-Type": "multipart/form-data; boundary=B"}
            with house.connect() as client:
                client.send("POST", "/v1/images/edits", asked, head)
                house.wait(lambda p: any(flow.streaming for flow in p.service.flows))
            record = told.last()
            status = house.post("/v1/images/edits", asked, head)[0]
            gate.open()
    assert record["usage_estimated"] is True and record["gen_ai.usage.input_tokens"] > 100 and status == 429


def test_a_stream_of_words_that_were_heard_costs_what_it_took_by_size() -> None:
    said = b'data: {"type":"transcript.text.delta","delta":"hello"}\n\n' * 20
    end = b'data: {"type":"transcript.text.done","text":"hello"}\n\n'
    with Upstream(lambda r: Answer.sse([said, end])) as up:
        with House(house_text("* = a", BUDGETS.format("tokens_per_day = 30"), a=up.url)) as house:
            told, asked = Seen(house), multipart(model="m", stream="true", prompt="x" * 20_000)
            head = KEY | {"Content-Type": "multipart/form-data; boundary=B"}
            assert house.post("/v1/audio/transcriptions", asked, head)[0] == 200
            record = told.last()
            assert house.post("/v1/audio/transcriptions", asked, head)[0] == 429
    assert record["usage_estimated"] is True


def test_embeddings_that_go_together_and_whose_tokens_are_not_told_cost_each_its_own() -> None:
    rows = [{"object": "embedding", "index": n, "embedding": [1.0]} for n in range(2)]
    bounds = BUDGETS.format("tokens_per_day = 30") + "[batches]\nembeddings_ms = 400\n"
    with Upstream(lambda r: Answer.json({"object": "list", "model": "m", "data": rows})) as up:
        with House(house_text("* = a", bounds, a=up.url)) as house, ThreadPoolExecutor(2) as pool:
            told, body = Seen(house), {"model": "m", "input": "a word " * 100}
            got = list(pool.map(lambda _: house.post("/v1/embeddings", body, KEY)[0], range(2)))
            assert got == [200, 200] and len(up.requests) == 1 and told.last(2)["usage_estimated"] is True
            assert house.post("/v1/embeddings", body, KEY)[0] == 429


BACKGROUND = {"model": "m", "input": "hi", "background": True}


@pytest.mark.parametrize("streams", [True, False])
def test_a_budget_cannot_count_what_goes_on_in_the_background(*, streams: bool) -> None:
    """Nothing is said of it but to who asks for it later, or names it as what the next one builds on."""
    reply = {"id": "resp_1", "object": "response", "status": "queued", "output": [], "usage": None}
    with Upstream(lambda r: Answer.json(reply)) as up:
        text = house_text("* = a", BUDGETS.format("tokens_per_day = 9000"), a=section(up.url, "", "responses"))
        other = "[client bob]\nkey = bobs-key-01234567890\ntokens_per_minute = 9000\n"
        with House(text + other) as house:
            status, _, said = house.post("/v1/responses", BACKGROUND | {"stream": streams}, KEY)
            assert status == 400 and json.loads(said)["error"]["param"] == "background" and b"budget" in said
            escaped = json.dumps(BACKGROUND).replace("background", "back\\u0067round").encode()
            assert house.post("/v1/responses", escaped, KEY)[0] == 400
            assert up.requests == []
            for body in ({"background": False}, {"background": None}, {"background": False, "input": '"background"'}):
                assert house.post("/v1/responses", BACKGROUND | body, KEY)[0] == 200
            bob = {"Authorization": "Bearer bobs-key-01234567890"}
            assert house.post("/v1/responses", BACKGROUND, bob)[0] == 200, "who has no budget may"


def test_who_never_went_has_taken_no_request_either() -> None:
    gate = Gate()
    bounds = "[client alice]\nkey = alice-key-0123456789\nrequests_per_minute = 3\n[admission]\nqueue = 0\n"
    with Upstream([held(gate), says("ok"), says("ok")]) as up:
        with House(house_text("* = a", bounds, a=section(up.url))) as house, house.connect() as first:
            first.send("POST", PATH, STREAM, KEY)
            up.wait(lambda u: len(u.requests) == 1)
            assert [house.post(PATH, ASK, KEY)[0] for _ in range(5)] == [503] * 5
            gate.open()
            first.reply()
            house.wait(lambda p: p.service.admission.busy == 0)
            assert [house.post(PATH, ASK, KEY)[0] for _ in range(3)] == [200, 200, 429]


def test_conditions_on_the_input_leave_media_out() -> None:
    with Upstream(lambda r: says("short")) as short, Upstream(lambda r: says("long")) as long:
        text = house_text("m if input > 500 = b\nm = a", a=short.url, b=long.url)
        with House(text) as house:
            assert b"short" in house.post(PATH, SEEN)[2] and b"long" in house.post(PATH, LARGE)[2]


def pictures_of(count: int) -> Answer:
    return Answer.json({"data": [{"url": "http://x/y.png"}] * count})


@pytest.mark.parametrize(
    ("body", "answer", "tokens"),
    [
        (rb'{"model": "m", "prompt": "a", "\u006e": 4}', pictures_of(4), 6000),
        (rb'{"model": "m", "prompt": "a", "n": 4, "x": [%b]}' % b",".join([b'{"n": 1}'] * 99), pictures_of(4), 6000),
        (rb'{"model": "m", "prompt": "a", "\u006e": -4}', pictures_of(1), 1500),
    ],
)
def test_a_budget_has_the_pictures_of_a_dishonest_client(body: bytes, answer: Answer, tokens: int) -> None:
    head = KEY | {"Content-Type": "application/json"}
    bounds = BUDGETS.format("tokens_per_day = 30")
    with Upstream(lambda r: answer) as up, House(house_text("* = a", bounds, a=up.url)) as house:
        told = Seen(house)
        assert house.post("/v1/images/generations", body, head)[0] == 200
        assert told.last()["gen_ai.usage.output_tokens"] == tokens
