"""Same protocol in and out: the same bytes, both ways, and the headers that belong with them.

That every recorded exchange passes so is tested in tests/corpus/test_verbatim.py.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from gateway.passing.passthrough import Passthrough
from tests.support.faulty import PATHS, Good, Protocol
from tests.support.house import ONCE, Cut, House, one_upstream
from tests.support.script import Answer, Gate, Upstream
from translate.failures import errors

CHAT_DONE = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
MESSAGES_BEGUN = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"up-model","content":[]}}\n\n'
)
MESSAGES_WORD = b'event: content_block_start\ndata: {"type":"content_block_start","content_block":{}}\n\n'
MESSAGES_END = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
OK = Answer.json({"id": "x", "model": "up-model", "choices": [{}]})


def test_headers_upstream() -> None:
    """anthropic-* as they came, unknown ones too; credentials replaced; nothing of one hop or of a browser."""
    with (
        Upstream([OK]) as up,
        House(
            one_upstream(up.url + "/v1", "messages", "api_key = sk-upstream-1234567\nheaders = X-Extra: yes")
        ) as house,
    ):
        house.post(
            "/v1/messages?beta=true",
            {"model": "m"},
            {
                "anthropic-version": "2026-10-21",
                "anthropic-beta": "a-1,unheard-of-2030",
                "anthropic-new-thing": "x",
                "x-api-key": "the-clients-own",
                "Authorization": "Bearer the-clients-own",
                "Cookie": "c=1",
                "Connection": "keep-alive, X-Hop",
                "X-Hop": "1",
                "TE": "trailers",
                "Accept-Encoding": "gzip, br",
                "X-Claude-Code-Session-Id": "s1",
                "User-Agent": "claude-cli/2",
            },
        )
        (asked,) = up.requests
    assert asked.path == "/v1/messages?beta=true"
    sent = asked.headers
    assert sent["anthropic-version"] == "2026-10-21"
    assert sent["anthropic-beta"] == "a-1,unheard-of-2030"
    assert sent["anthropic-new-thing"] == "x"
    assert sent["x-claude-code-session-id"] == "s1"
    assert sent["user-agent"] == "claude-cli/2"
    assert sent["x-api-key"] == "sk-upstream-1234567"
    assert sent["x-extra"] == "yes"
    assert sent["accept-encoding"] == "identity"
    assert not {"authorization", "cookie", "x-hop", "te", "connection"} & sent.keys()
    assert sent["host"] == up.url.removeprefix("http://")


def test_a_version_is_said_for_clients_that_have_none() -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "messages", "api_key = sk-1")) as house:
        house.post("/v1/messages", {"model": "m"})
        assert up.requests[0].headers["anthropic-version"] == "2023-06-01"
        assert up.requests[0].headers["content-type"] == "application/json"


def test_headers_back() -> None:
    back = {
        "request-id": "req_1", "anthropic-ratelimit-unified-status": "allowed", "x-ratelimit-remaining-tokens": "5",
        "retry-after": "3", "retry-after-ms": "2500", "x-should-retry": "true", "Set-Cookie": "a=b",
        "Connection": "close", "Keep-Alive": "x", "Cache-Control": "private",
    }  # fmt: skip
    with Upstream([Answer.json({"id": 1}, headers=back)]) as up, House(one_upstream(up.url, "messages")) as house:
        status, headers, _ = house.post("/v1/messages", {"model": "m"})
    assert status == 200
    for name in ("request-id", "anthropic-ratelimit-unified-status", "x-ratelimit-remaining-tokens", "retry-after",
                 "retry-after-ms", "x-should-retry"):  # fmt: skip
        assert headers[name] == back[name]
    assert not {"set-cookie", "keep-alive"} & headers.keys()
    assert headers.get("connection") is None
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 500, 503, 529])
def test_error_bodies_are_verbatim(status: int) -> None:
    body = b'{ "type":"error", "odd" : 1 }\n'
    answer = Answer(status, {"Content-Type": "application/problem+json", "retry-after": "7"}, body)
    with Upstream([answer]) as up, House(one_upstream(up.url, "messages") + ONCE) as house:
        got = house.post("/v1/messages", {"model": "m", "stream": True})
        assert got[0] == status and got[2] == body
        assert got[1]["content-type"] == "application/json" and got[1]["retry-after"] == "7"
        assert len(up.requests) == 1


def test_an_alias_changes_only_the_name_both_ways() -> None:
    sent = b'{"x" : {"model":"m"}, "model"  : "nick", "messages":[ ]}'
    with (
        Upstream([Answer(200, {}, b'{ "id":"1","model": "up-2026", "choices":[{}]}')]) as up,
        House(f"[upstream up]\nprotocol=chat\nbase_url={up.url}\n[models]\nnick = up/real/name") as house,
    ):
        _, _, got = house.post("/v1/chat/completions", sent)
        assert up.requests[0].body == sent.replace(b"nick", b"real/name")
        assert got == b'{ "id":"1","model": "nick", "choices":[{}]}'


@pytest.mark.parametrize("pieces", [1, 7, 300])
def test_an_alias_in_a_stream(pieces: int) -> None:
    stream = MESSAGES_BEGUN + b'event: x\ndata: {"text":"a \\"model\\":\\"b\\""}\n\n' + MESSAGES_END
    size = -(-len(stream) // pieces)
    parts: list[Any] = [stream[i : i + size] for i in range(0, len(stream), size)]
    with (
        Upstream([Answer.sse(parts)]) as up,
        House(f"[upstream up]\nprotocol=messages\nbase_url={up.url}\n[models]\nnick = up/up-model") as house,
    ):
        _, _, got = house.post("/v1/messages", {"model": "nick", "stream": True})
    assert got == stream.replace(b'"up-model"', b'"nick"')


def test_the_first_bytes_do_not_wait_for_the_rest() -> None:
    gate = Gate()
    with (
        Upstream([Answer.sse([MESSAGES_BEGUN + MESSAGES_WORD, gate, MESSAGES_END])]) as up,
        House(one_upstream(up.url, "messages")) as house,
        house.connect() as client,
    ):
        client.send("POST", "/v1/messages", {"model": "m", "stream": True})
        assert client.head()[0] == 200
        pieces = client.pieces()
        assert next(pieces) == MESSAGES_BEGUN + MESSAGES_WORD
        gate.open()
        assert b"".join(pieces) == MESSAGES_END


@pytest.mark.parametrize("framing", ["chunked", "eof"])
@pytest.mark.parametrize(
    ("path", "begun", "error"),
    [
        ("/v1/messages", MESSAGES_BEGUN, b"event: error\ndata: "),
        ("/v1/messages", MESSAGES_BEGUN + b'event: x\ndata: {"a":1}\n', b"\nevent: error\ndata: "),
        ("/v1/messages", MESSAGES_BEGUN + b'event: x\ndata: {"a":1}', b"\n\nevent: error\ndata: "),
        ("/v1/chat/completions", b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b'data: {"error"'),
        ("/v1/responses", b'data: {"type":"response.created"}\n\n', b"event: response.failed\ndata: "),
    ],
)
def test_a_stream_that_just_stops_does_not_look_complete(path: str, begun: bytes, error: bytes, framing: Any) -> None:
    protocols = "messages, chat, responses"
    ends = {"chunked": "keep", "eof": "close"}
    with (
        Upstream([Answer.sse([begun], framing=framing, end=ends[framing])]) as up,  # type: ignore[arg-type]
        House(one_upstream(up.url, protocols)) as house,
    ):
        status, _, got = house.post(path, {"model": "m", "stream": True})
    assert status == 200 and got.startswith(begun + error), got
    assert b"before its end" in got and got.endswith(b"}\n\n")


@pytest.mark.parametrize("cut", ["close", "reset"])
def test_a_cut_stream_ends_with_an_error_event(cut: Any) -> None:
    with (
        Upstream([Answer.sse([MESSAGES_BEGUN], end=cut)]) as up,
        House(one_upstream(up.url, "messages")) as house,
    ):
        _, _, got = house.post("/v1/messages", {"model": "m", "stream": True})
    rest = got.removeprefix(MESSAGES_BEGUN)
    assert rest.startswith(b'event: error\ndata: {"type":"error","error":{"type":"api_error"')
    assert b"upstream 'up'" in rest


def test_a_stream_without_done_but_with_a_finish_is_complete() -> None:
    stream = CHAT_DONE.partition(b"data: [DONE]")[0]
    with Upstream([Answer.sse([stream])]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post("/v1/chat/completions", {"model": "m", "stream": True})[2] == stream


def test_an_event_of_null_before_the_first_one_passes() -> None:
    pieces = [b"data: null\n\n", b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":'
              b'{"content":"hi"},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]  # fmt: skip
    with Upstream([Answer.sse(pieces)]) as up, House(one_upstream(up.url, "chat")) as house:
        status, _, body = house.post("/v1/chat/completions", {"model": "m", "stream": True})
    assert (status, body) == (200, b"".join(pieces))
    with Upstream([Answer.sse(pieces[:1])]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post("/v1/chat/completions", {"model": "m", "stream": True})[0] == 502


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n', 529),
        (b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"slow"}}', 429),
        (b': hello\n\nevent: ping\ndata: {}\n\ndata: {"error":{"message":"no","code":400}}\n\n', 400),
    ],
)
def test_an_error_as_first_event_becomes_a_real_status(event: bytes, status: int) -> None:
    with Upstream([Answer.sse([event])]) as up, House(one_upstream(up.url, "messages")) as house:
        got = house.post("/v1/messages", {"model": "m", "stream": True})
    assert got[0] == status and json.loads(got[2])["type"] == "error"
    assert got[1]["content-type"] == "application/json"


COMPLAINTS = [
    '{"code": 1302, "msg": "it broke", "success": false}',
    '{"base_resp": {"status_code": 1004, "status_msg": "it broke"}}',
    '{"errors": [{"message": "it broke"}]}',
    '{"detail": "it broke"}',
]


ALONE = '{"code": "InvalidParameter", "message": "it broke", "request_id": "x"}'


@pytest.mark.parametrize("said", [*COMPLAINTS, ALONE])
@pytest.mark.parametrize("protocol", PATHS)
def test_an_error_in_words_of_a_servers_own_is_no_reply(protocol: Protocol, said: str) -> None:
    """Under a good status: clients would find nothing in it."""
    with pytest.raises(errors.ApiError, match="it broke"):
        Passthrough(protocol).whole(said.encode())


@pytest.mark.parametrize("said", COMPLAINTS)
@pytest.mark.parametrize("protocol", PATHS)
def test_nor_is_it_where_a_stream_begins_with_it(protocol: Protocol, said: str) -> None:
    reply = Passthrough(protocol)
    assert reply.feed(b"data: %b\n\n" % said.encode()) == b"" and not reply.started
    assert reply.fault is not None and reply.fault.message == "it broke"


@pytest.mark.parametrize("choices", ["null", "[]"])
def test_nor_where_it_looks_like_a_chunk_without_choices(choices: str) -> None:
    """As MiniMax says it; Azure's first chunk has no choices either, and is the opening of a reply."""
    reply = Passthrough("chat")
    told = b'"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}'
    assert reply.feed(b'data: {"id": "", "choices": %b, %b}\n\n' % (choices.encode(), told)) == b""
    assert reply.fault is not None and (reply.fault.kind, reply.opened) == ("billing", False)


@pytest.mark.parametrize("said", [b'{"input_tokens": 5}', b'{"id": "x", "message": "hi"}', b'{"message": 5}'])
def test_what_complains_of_nothing_passes(said: bytes) -> None:
    assert Passthrough("messages").whole(said) == said
    begun = Passthrough("chat")
    assert begun.feed(b"data: %b\n\n" % said) == b"data: %b\n\n" % said and begun.fault is None


@pytest.mark.parametrize(
    ("answer", "says", "asked"),
    [
        (Answer(200, {"Content-Type": "text/html"}, b"<html><title>Login</title></html>"), "HTML", 1),
        (Answer(200, {}, b""), "empty", 3),
        (Answer(200, {"Content-Type": "application/json"}, b'{"id":"x","cont'), "cut-off", 1),
        (Answer(204, {}, b""), "answered 204", 3),
        (Answer(301, {"Location": "https://elsewhere.example/v1"}, b""), "base_url", 1),
        (Answer.json({"id": "x"}, short=50, end="close"), "connection was lost", 1),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_no_reply_is_a_502_in_the_clients_words(answer: Answer, says: str, asked: int, stream: bool) -> None:
    with Upstream([answer]) as up, House(one_upstream(up.url, "messages") + "[retry]\nbackoff = 0\n") as house:
        status, _, body = house.post("/v1/messages", {"model": "m", "stream": stream})
        assert len(up.requests) == asked
    assert status == 502, body
    error = json.loads(body)
    assert error["type"] == "error" and error["error"]["type"] == "api_error"
    assert says in error["error"]["message"]


@pytest.mark.parametrize("protocol", ["messages", "chat", "responses"])
def test_a_reply_of_the_other_form_is_put_into_the_one_that_was_asked_for(protocol: Protocol) -> None:
    """Libraries read neither for the other, and what they make of it is an empty reply. Its id stays."""
    good = Good(protocol, "hello")
    answers = [Answer.sse(good.events), Answer.json(good.whole)]
    with Upstream(answers) as up, House(one_upstream(up.url, protocol)) as house:
        whole = house.post(PATHS[protocol], {"model": "m"})
        stream = house.post(PATHS[protocol], {"model": "m", "stream": True})
    assert whole[1]["content-type"] == "application/json" and json.loads(whole[2])["id"] == good.whole["id"]
    assert stream[1]["content-type"].startswith("text/event-stream") and good.whole["id"].encode() in stream[2]
    assert b"hello" in whole[2] and b"hello" in stream[2]


def test_http10_gets_a_plain_body() -> None:
    import socket

    with Upstream([Answer.sse([CHAT_DONE])]) as up, House(one_upstream(up.url, "chat")) as house:
        with socket.create_connection(("127.0.0.1", house.port), timeout=10) as client:
            body = b'{"model":"m","stream":true}'
            client.sendall(b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            got = b""
            while data := client.recv(65536):
                got += data
    head, _, rest = got.partition(b"\r\n\r\n")
    assert b"chunked" not in head and rest == CHAT_DONE


def test_keep_alive_serves_many_on_one_connection() -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        for _ in range(5):
            client.send("POST", "/v1/chat/completions", {"model": "m"})
            assert client.reply()[0] == 200
        assert up.connections == 1


def test_a_cut_client_body_is_not_sent_on() -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as client:
            client.socket.sendall(
                b'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"mod'
            )
        house.wait(lambda p: not p.service.flows)
        assert up.requests == []


def test_cut_is_what_the_raw_client_says() -> None:
    """The tests above rest on it."""
    with Upstream([Answer.sse([b"x"], end="close")]) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as client, pytest.raises(Cut):
            client.socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
            client.head()
            list(client.pieces())


@pytest.mark.parametrize("echo", ["another", 'odd\\1"\\g<1>'])
def test_the_first_model_of_each_line_is_the_clients_however_it_is_spelt(echo: str) -> None:
    inside = json.dumps(echo)[1:-1].encode()
    lines = [
        b'data: {"model":"m","x":{"model":"m"}}', b'data: {"model":"m"}', b'data: {"model" : "m"}', b"",
        b'data: {"models":["m"],"model":"m"}', b'data: {"text":"\\"model\\":\\"m\\"","model":"m"}',
        b'data: {"model":null}', b'data: {"model":"m"}', b'data: {"model":"n"}', b'data: {"model":"m"}',
    ]  # fmt: skip
    wanted = [
        re.sub(rb'("model"\s*:\s*")[mn](")', lambda found: found[1] + inside + found[2], line, count=1)
        for line in lines
    ]
    for end in (b"\n", b"\r\n"):
        assert Passthrough("chat", echo, None)._renamed(end.join(lines)) == end.join(wanted)


CHAT_WORD = b'data: {"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
CHAT_STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
CHAT_PAGES = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2},"search_results":["%b"]}\n\n'
GEMINI_WORD = b'data: {"candidates":[{"content":{"parts":[{"text":"word "}]}}]}\n\n'
GEMINI_STOP = b'data: {"candidates":[{"content":{"parts":[{"text":"."}]},"finishReason":"STOP"}]}\n\n'
GEMINI_PAGES = b'data: {"candidates":[{"groundingMetadata":{"x":"%b"}}]}\n\n'


@pytest.mark.parametrize(
    ("protocol", "word", "stop", "after"),
    [
        ("chat", CHAT_WORD, CHAT_STOP, [CHAT_PAGES % (b"x" * 9_000)]),
        ("chat", CHAT_WORD, CHAT_STOP, [b": PROCESSING\n\n"] * 700),
        ("gemini", GEMINI_WORD, GEMINI_STOP, [GEMINI_PAGES % (b"x" * 9_000)]),
    ],
)
def test_an_end_is_known_whatever_follows_it(protocol: Any, word: bytes, stop: bytes, after: list[bytes]) -> None:
    """Search results may be long, and signs of life many; what is remembered stays bounded, and in few pieces."""
    reply = Passthrough(protocol)
    for chunk in [word] * 2_000:
        assert reply.feed(chunk) == chunk
        assert sum(map(len, reply._tail)) < 25_000 and len(reply._tail) < 100
    for chunk in [stop, *after]:
        assert reply.feed(chunk) == chunk
    assert reply.end() == b"" and reply.fault is None
