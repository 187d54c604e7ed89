"""Translated requests through the whole proxy: real sockets, the official SDKs as clients, both directions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from conformance.grammar import check_chat, check_messages
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream

ASK = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
CHAT_USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 4,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 6},
}


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": choices} | more
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + json.dumps({"type": kind} | more).encode() + b"\n\n"


CHAT_STREAM = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "hm "}),
    chunk({"content": "Hel"}),
    chunk({"content": 'lo "you"\n'}),
    chunk(
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]}
    ),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]}),
    chunk({}, "tool_calls"),
    chunk(None, usage=CHAT_USAGE),
    b"data: [DONE]\n\n",
]
CHAT_WHOLE = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "up",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
    "usage": CHAT_USAGE,
}
MESSAGES_STREAM = [
    event(
        "message_start",
        message={
            "id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": [], "stop_reason": None,
            "stop_sequence": None, "usage": {"input_tokens": 4, "cache_read_input_tokens": 6, "output_tokens": 1},
        },
    ),
    event("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
    event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm "}),
    event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "sig"}),
    event("content_block_stop", index=0),
    event("content_block_start", index=1, content_block={"type": "text", "text": ""}),
    event("ping"),
    event("content_block_delta", index=1, delta={"type": "text_delta", "text": "Hel"}),
    event("content_block_delta", index=1, delta={"type": "text_delta", "text": 'lo "you"\n'}),
    event("content_block_stop", index=1),
    event(
        "content_block_start",
        index=2,
        content_block={"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    ),
    event("content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": '{"a": 1}'}),
    event("content_block_stop", index=2),
    event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 4}),
    event("message_stop"),
]  # fmt: skip
MESSAGES_WHOLE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "up", "stop_reason": "end_turn",
    "stop_sequence": None, "content": [{"type": "text", "text": "Hello"}],
    "usage": {"input_tokens": 4, "cache_read_input_tokens": 6, "output_tokens": 4},
}  # fmt: skip


@pytest.fixture
def claude() -> Iterator[Any]:
    """claude(house) -> an Anthropic client of it."""
    made: list[anthropic.Anthropic] = []

    def make(house: House) -> anthropic.Anthropic:
        made.append(anthropic.Anthropic(base_url=house.url, api_key="sk-test", max_retries=0))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def gpt() -> Iterator[Any]:
    made: list[openai.OpenAI] = []

    def make(house: House) -> openai.OpenAI:
        made.append(openai.OpenAI(base_url=house.url + "/v1", api_key="sk-test", max_retries=0))
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_messages_client_streams_from_chat(claude: Any) -> None:
    with Upstream([Answer.sse(CHAT_STREAM)]) as up, House(one_upstream(up.url, "chat", "api_key = sk-up")) as house:
        with claude(house).messages.stream(**ASK) as stream:
            types = [e.type for e in stream]
            message = stream.get_final_message()
        raw = house.post("/v1/messages", ASK | {"stream": True})[2]
        asked = up.requests[0]
    assert asked.path == "/v1/chat/completions" and asked.headers["authorization"] == "Bearer sk-up"
    assert not [name for name in asked.headers if name.startswith(("anthropic", "x-api-key"))]
    assert asked.json["stream"] is True and asked.json["stream_options"] == {"include_usage": True}
    assert [b.type for b in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[0].thinking == "hm " and message.content[1].text == 'Hello "you"\n'
    assert message.content[2].input == {"a": 1} and message.stop_reason == "tool_use" and message.model == "m"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens) == (4, 6, 4)
    assert "message_stop" in types and check_messages(raw) == []


def test_chat_client_streams_from_messages(gpt: Any) -> None:
    with (
        Upstream([Answer.sse(MESSAGES_STREAM)]) as up,
        House(one_upstream(up.url, "messages", "api_key = sk-up")) as house,
    ):
        with gpt(house).chat.completions.stream(**ASK, stream_options={"include_usage": True}) as stream:
            for _ in stream:
                continue
            done = stream.get_final_completion()
        raw = house.post("/v1/chat/completions", ASK | {"stream": True})[2]
        asked = up.requests[0]
    assert asked.path == "/v1/messages" and asked.headers["x-api-key"] == "sk-up"
    assert asked.headers["anthropic-version"] == "2023-06-01" and "authorization" not in asked.headers
    message = done.choices[0].message
    assert message.content == 'Hello "you"\n' and done.model == "m"
    assert message.tool_calls[0].function.name == "f" and json.loads(message.tool_calls[0].function.arguments) == {
        "a": 1
    }
    assert done.choices[0].finish_reason == "tool_calls"
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (10, 4)
    assert done.usage.prompt_tokens_details.cached_tokens == 6
    assert check_chat(raw) == [] and b'"usage":{' not in raw and b"sig" in raw


def test_whole_replies_both_ways(claude: Any, gpt: Any) -> None:
    with Upstream([Answer.json(CHAT_WHOLE)]) as up, House(one_upstream(up.url, "chat")) as house:
        message = claude(house).messages.create(**ASK)
        assert message.content[0].text == "Hello" and message.stop_reason == "end_turn"
        assert message.usage.input_tokens == 4 and "stream" not in up.requests[0].json
    with Upstream([Answer.json(MESSAGES_WHOLE)]) as up, House(one_upstream(up.url, "messages")) as house:
        done = gpt(house).chat.completions.create(**ASK)
        assert done.choices[0].message.content == "Hello" and done.usage.prompt_tokens == 10


def test_a_whole_reply_to_a_stream_and_a_stream_to_a_whole(claude: Any) -> None:
    """Servers that ignore `stream`, either way."""
    with (
        Upstream([Answer.json(CHAT_WHOLE), Answer.sse(CHAT_STREAM)]) as up,
        House(one_upstream(up.url, "chat")) as house,
    ):
        with claude(house).messages.stream(**ASK) as stream:
            assert stream.get_final_message().content[0].text == "Hello"
        message = claude(house).messages.create(**ASK)
        assert message.content[1].text == 'Hello "you"\n'


def test_dropped_fields_are_told() -> None:
    asked = ASK | {"top_k": 5, "container": "c", "metadata": {"user_id": "u"}}
    with Upstream([Answer.json(CHAT_WHOLE)]) as up, House(one_upstream(up.url, "chat")) as house:
        _, headers, _ = house.post("/v1/messages", asked)
    dropped = headers["x-proxy-dropped"].split(", ")
    assert {"top_k", "container"} <= set(dropped) and up.requests[0].json["user"] == "u"
    assert headers["x-proxy-upstream"] == "up" and headers["request-id"].startswith("req_")


@pytest.mark.parametrize("streamed", [False, True])
def test_what_of_a_reply_cannot_be_shown_is_told(streamed: bool) -> None:
    """In the text, and by name: in the header of a whole reply, and always in what operators count."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi", "images": [image]}, "finish_reason": "stop"}
    asked = ASK | {"stream": streamed, "top_k": 5}
    delta = {"choices": [{"index": 0, "delta": choice["message"], "finish_reason": "stop"}]}
    sse = [b"data: %b\n\n" % json.dumps(delta).encode(), b"data: [DONE]\n\n"]
    answer = Answer.sse(sse) if streamed else Answer.json(CHAT_WHOLE | {"choices": [choice]})
    with Upstream([answer]) as up, House(one_upstream(up.url, "chat")) as house:
        _, headers, body = house.post("/v1/messages", asked)
        house.wait(lambda p: {"reply.image_url", "top_k"} <= p.service.observers.dropped.keys())
    told = headers["x-proxy-dropped"]
    assert told == "top_k, reply.image_url" or (streamed and told == "top_k")
    assert b"[image: image/png, not shown" in body


def test_rate_limit_headers_cross_too() -> None:
    back = {"retry-after": "1", "x-ratelimit-remaining-requests": "0", "request-id": "r1", "x-should-retry": "true"}
    error = {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}
    with Upstream([Answer.json(error, 429, headers=back)]) as up, House(one_upstream(up.url, "chat")) as house:
        status, headers, body = house.post("/v1/messages", ASK)
    assert status == 429 and back.items() <= headers.items()
    assert json.loads(body)["error"] == {"type": "rate_limit_error", "message": "slow down"}


@pytest.mark.parametrize(
    ("status", "body", "raised", "says"),
    [
        (400, {"error": {"message": "bad temperature", "type": "invalid_request_error", "param": "temperature"}},
         anthropic.BadRequestError, "bad temperature"),
        (400, {"error": {"message": "This model's maximum context length is 8192 tokens. However, your messages "
                         "resulted in 9000 tokens.", "code": "context_length_exceeded"}},
         anthropic.BadRequestError, "prompt is too long: 9000 tokens > 8192 maximum"),
        (401, {"detail": "no"}, anthropic.AuthenticationError, "no"),
        (404, {"error": "model not found"}, anthropic.NotFoundError, "model not found"),
        (500, {"message": "boom", "object": "error"}, anthropic.InternalServerError, "boom"),
        (503, {"error": {"message": "loading", "code": 503}}, anthropic.InternalServerError, "loading"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_errors_in_the_clients_dialect(
    claude: Any, status: int, body: Any, raised: type[Exception], says: str, stream: bool
) -> None:
    with Upstream([Answer.json(body, status)]) as up, House(one_upstream(up.url, "chat")) as house:
        with pytest.raises(raised, match=says):
            claude(house).messages.create(**ASK, stream=stream)


def test_529_is_503_for_openai_clients(gpt: Any) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with Upstream([Answer.json(error, 529)]) as up, House(one_upstream(up.url, "messages")) as house:
        with pytest.raises(openai.InternalServerError, match="Overloaded") as caught:
            gpt(house).chat.completions.create(**ASK)
    assert caught.value.status_code == 503


@pytest.mark.parametrize("first", [[], [chunk({"role": "assistant", "content": ""})], [b": comment\n\n"]])
def test_an_error_before_any_content_is_a_real_status(first: list[bytes]) -> None:
    error = b'data: {"error":{"message":"overloaded","code":529}}\n\n'
    with Upstream([Answer.sse([*first, error])]) as up, House(one_upstream(up.url, "chat")) as house:
        status, headers, body = house.post("/v1/messages", ASK | {"stream": True})
    assert status == 529 and headers["content-type"] == "application/json"
    assert json.loads(body)["error"]["message"] == "overloaded"


@pytest.mark.parametrize(
    ("tail", "end"),
    [
        ([], "keep"),
        ([], "close"),
        ([], "reset"),
        ([b'data: {"error":{"message":"gone","code":500}}\n\n'], "keep"),
        ([b"data: {broken\n\n"], "keep"),
    ],
)
def test_whatever_happens_mid_stream_the_client_gets_a_legal_error(tail: list[bytes], end: Any) -> None:
    sent = [*CHAT_STREAM[:3], *tail]
    with Upstream([Answer.sse(sent, end=end)]) as up, House(one_upstream(up.url, "chat")) as house:
        status, _, body = house.post("/v1/messages", ASK | {"stream": True})
    assert status == 200 and check_messages(body) == []
    assert body.count(b"event: error") == 1 and b"message_stop" not in body
    sent = [*MESSAGES_STREAM[:8], *(event("error", error={"type": "api_error", "message": "gone"}) for _ in tail[:1])]
    with Upstream([Answer.sse(sent, end=end)]) as up, House(one_upstream(up.url, "messages")) as house:
        status, _, body = house.post("/v1/chat/completions", ASK | {"stream": True})
    assert status == 200 and check_chat(body) == []
    assert body.count(b'data: {"error"') == 1 and b"[DONE]" not in body


def test_a_stream_is_over_for_the_client_when_it_is_over_not_when_the_upstream_closes() -> None:
    with (
        Upstream([Answer.sse(CHAT_STREAM, end="hang")]) as up,
        House(one_upstream(up.url, "chat")) as house,
        house.connect() as client,
    ):
        client.send("POST", "/v1/messages", ASK | {"stream": True})
        assert b"message_stop" in client.reply()[2]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/messages", ASK | {"messages": []}, "messages: at least one message is required"),
        ("/v1/messages", ASK | {"max_tokens": 0}, "max_tokens"),
        ("/v1/messages", ASK | {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0"),
        ("/v1/messages", b'{"model":"m",', "not valid JSON"),
    ],
)
def test_bad_requests_never_reach_the_upstream(path: str, body: Any, says: str) -> None:
    with Upstream([Answer.json(CHAT_WHOLE)]) as up, House(one_upstream(up.url, "chat")) as house:
        status, _, got = house.post(path, body)
        assert up.requests == []
    assert status == 400 and says in json.loads(got)["error"]["message"]


def test_what_a_fault_inside_the_proxy_looks_like(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gets a 500 with a request id, not a hang; the trace is in the log."""
    from translate import pair

    def broken(*_: object) -> Any:
        raise RuntimeError("a secret detail")

    with Upstream([Answer.json(CHAT_WHOLE)]) as up, House(one_upstream(up.url, "chat")) as house:
        monkeypatch.setattr(pair, "request", broken)
        status, _, got = house.post("/v1/messages", ASK)
        assert status == 500 and b"internal error of the proxy" in got and b"secret" not in got
        house.wait(lambda p: not p.service.flows)
