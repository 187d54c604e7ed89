"""Lessons 1 to 12 where Responses is on one side: items and their deltas, ends, usage, framing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lessons.street import (
    ASKS,
    Json,
    Reply,
    Street,
    called,
    completion,
    function,
    message,
    response,
    responses,
    said,
)
from tests.support.script import Answer
from tests.support.streams import (
    END,
    HI,
    ROLE,
    START,
    STOP,
    THINKING,
    USAGE,
    call,
    chat,
    chunk,
    closed,
    ending,
    first_call,
    having,
    messages,
    opened,
    text,
    tool,
)

STREAM = [True, False]
CALLED = chunk(finish="tool_calls")
OTHERS: list[Any] = ["messages", "chat"]
FINISHED = {"messages": ("end_turn", "tool_use", "max_tokens"), "chat": ("stop", "tool_calls", "length")}


def codex(street: Street, upstream: Any, answer: Any, stream: bool = True, **more: Any) -> Reply:
    """A Responses client on another upstream."""
    return street.ask("responses", upstream, ASKS["responses"] | {"stream": stream}, answer, **more)


def on_responses(street: Street, client: Any, answer: Any, stream: bool = True, **more: Any) -> Reply:
    """Another client on a Responses upstream."""
    return street.ask(client, "responses", ASKS[client] | {"stream": stream}, answer, **more)


def data_of(raw: bytes) -> list[Json]:
    return [json.loads(line[6:]) for line in raw.split(b"\n") if line.startswith(b"data: {")]


def framed(*events: Json) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def events(raw: bytes, *without: str) -> list[Json]:
    """A stream's events less those of these kinds."""
    return [data for data in data_of(raw) if data["type"] not in without]


# ------------------------------------------------------------------- 1 to 6: a client that speaks Responses


def test_01_02_04_items_follow_one_another(street: Street) -> None:
    """The grammar checker counts: indexes, sequence numbers, what is open; the SDK adds it up."""
    reply = codex(
        street,
        "chat",
        chat(
            ROLE,
            chunk({"reasoning_content": "a"}),
            chunk({"content": "b", "reasoning_content": "c"}),
            chunk({"content": "e"} | first_call(0, "{}")),
            chunk({"content": "f"}),
            chunk(first_call(5, "{}", "call_2", "g")),
            CALLED,
        ),
    )
    said_ = reply.said()
    assert said_["thinking"] == "ac" and said_["text"] == "bef" and said_["stop"] == "completed"
    assert [name for _, name, _ in said_["calls"]] == ["look", "g"]
    added = [d["output_index"] for d in data_of(reply.raw) if d["type"] == "response.output_item.added"]
    assert added == list(range(len(added)))
    blocks = [*THINKING, *text(1), *tool(4), *tool(9, "{}", "b")]
    reply = codex(street, "messages", messages(START, *blocks, ending("tool_use"), STOP))
    assert [id for id, _, _ in reply.said()["calls"]] == ["toolu_1", "b"] and reply.said()["thinking"] == "so"


@pytest.mark.parametrize("stream", STREAM)
def test_03_no_empty_message(street: Street, stream: bool) -> None:
    streamed: Any = chat(ROLE, chunk({"content": ""}), chunk(first_call(0)), chunk({"content": ""}), CALLED)
    whole: Any = completion({"content": "", "tool_calls": [function("look")]}, "tool_calls")
    items = codex(street, "chat", streamed if stream else whole, stream).read()["output"]
    assert [item["type"] for item in items] == ["function_call"]
    streamed = messages(START, opened(0, type="text", text=""), closed(0), *tool(1), ending("tool_use"), STOP)
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}}
    whole = message({"type": "text", "text": ""}, use, stop="tool_use")
    items = codex(street, "messages", streamed if stream else whole, stream).read()["output"]
    assert [item["type"] for item in items] == ["function_call"]


def test_05_interleaved_calls(street: Street) -> None:
    calls = [
        chunk(first_call(0, "", "a", "f")),
        chunk(first_call(1, "", "b", "g")),
        chunk(call(0, '{"x":')),
        chunk(call(1, '{"y":')),
        chunk(call(1, "2}")),
        chunk(call(0, "1}")),
    ]
    reply = codex(street, "chat", chat(ROLE, *calls, CALLED))
    assert reply.said()["calls"] == [("a", "f", {"x": 1}), ("b", "g", {"y": 2})]


@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("stream", STREAM)
def test_06_arguments_that_say_nothing_are_an_object(street: Street, upstream: Any, stream: bool) -> None:
    if upstream == "chat":
        streamed: Any = chat(ROLE, chunk(first_call(0, "")), CALLED)
        whole: Any = completion({"tool_calls": [function("look", "")]}, "tool_calls")
    else:
        streamed = messages(START, *tool(0, "", "call_1"), ending("tool_use"), STOP)
        use = {"type": "tool_use", "id": "call_1", "name": "look", "input": {}}
        whole = message(use, stop="tool_use")
    assert codex(street, upstream, streamed if stream else whole, stream).said()["calls"] == [("call_1", "look", {})]


# ------------------------------------------------------------------------------------- 7 to 11: its ends


CUT = '{"path": "/etc'


@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
@pytest.mark.parametrize("stream", STREAM)
def test_07_cut_arguments_that_are_called_whole_are_an_error(street: Street, finish: str, stream: bool) -> None:
    streamed = chat(ROLE, chunk(first_call(0, CUT)), chunk(finish=finish))
    whole = completion({"tool_calls": [function("look", CUT)]}, finish)
    reply = codex(street, "chat", streamed if stream else whole, stream)
    error = data_of(reply.raw)[-1]["response"]["error"] if stream else reply.json["error"]
    assert "no JSON object" in error["message"] and b'"completed"' not in reply.raw and b".done" not in reply.raw


@pytest.mark.parametrize("stream", STREAM)
def test_07_cut_arguments_are_incomplete(street: Street, stream: bool) -> None:
    streamed = chat(ROLE, chunk(first_call(0, CUT)), chunk(finish="length"))
    whole = completion({"tool_calls": [function("look", CUT)]}, "length")
    reply = codex(street, "chat", streamed if stream else whole, stream)
    last = data_of(reply.raw)[-1]["response"] if stream else reply.json
    assert last["status"] == "incomplete" and last["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [i["status"] for i in last["output"] if i["type"] == "function_call"] in ([], ["incomplete"])


@pytest.mark.parametrize("stream", STREAM)
def test_08_a_finish_that_lies(street: Street, stream: bool) -> None:
    for finish in ("stop", "tool_calls", "end_turn", "function_call"):
        streamed = chat(ROLE, HI, chunk(finish=finish))
        whole = completion({"content": "hi"}, finish)
        assert codex(street, "chat", streamed if stream else whole, stream).said()["stop"] == "completed"
        streamed = chat(ROLE, chunk(first_call(0)), chunk(finish=finish))
        whole = completion({"tool_calls": [function("look")]}, finish)
        said_ = codex(street, "chat", streamed if stream else whole, stream).said()
        assert (said_["stop"], len(said_["calls"])) == ("completed", 1)


@pytest.mark.parametrize("end", ["keep", "close", "reset"])
def test_09_an_end_without_a_finish_fails(street: Street, end: Any) -> None:
    for upstream, begun in (("chat", chat(ROLE, HI, end=b"")), ("messages", messages(START, *text(0)))):
        reply = codex(street, upstream, Answer.sse(begun, end=end))
        assert reply.status == 200 and reply.problems() == []
        last = data_of(reply.raw)[-1]
        assert last["type"] == "response.failed" and last["response"]["error"]["message"]
        assert b"response.completed" not in reply.raw


def test_09_10_usage_late_growing_or_never(street: Street) -> None:
    used = {"prompt_tokens": 90, "completion_tokens": 8, "total_tokens": 98}
    for end in (b"data: [DONE]\n\n", b""):
        got = codex(street, "chat", chat(ROLE, HI, END, having(USAGE, "usage", used), end=end)).read()["usage"]
        assert (got["input_tokens"], got["output_tokens"], got["total_tokens"]) == (90, 8, 98)
        assert codex(street, "chat", chat(ROLE, HI, END, end=end)).read()["usage"]["input_tokens"] > 0
    stream = messages(
        having(START, "message.usage", {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5}),
        *text(0),
        ending(output_tokens=2),
        ending(output_tokens=3, input_tokens=10, cache_read_input_tokens=5),
        STOP,
    )
    got = codex(street, "messages", stream).read()["usage"]
    assert (got["input_tokens"], got["output_tokens"]) == (15, 3)
    assert got["input_tokens_details"]["cached_tokens"] == 5


# ----------------------------------------------------------------- 1 to 12: an upstream that speaks Responses

WORDS = 'naïve 東京 🚀 "q" \\ \n end'
THOUGHT: Json = {
    "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "so"}], "encrypted_content": "gA",
}  # fmt: skip


@pytest.mark.parametrize("client", OTHERS)
@pytest.mark.parametrize("stream", STREAM)
def test_01_to_08_everything_at_once(street: Street, client: Any, stream: bool) -> None:
    items = THOUGHT, said("hi"), called("look", '{"a": 1}', "a"), called("g", "", "b")
    said_ = on_responses(street, client, responses(*items) if stream else response(*items), stream).said()
    assert (said_["thinking"], said_["text"], said_["stop"]) == ("so", "hi", FINISHED[client][1])
    assert said_["calls"] == [("a", "look", {"a": 1}), ("b", "g", {})]


@pytest.mark.parametrize("client", OTHERS)
@pytest.mark.parametrize(
    "missing",
    [
        ("response.output_item.added", "response.content_part.added"),
        ("response.output_item.done", "response.content_part.done", "response.output_text.done"),
        ("response.output_text.delta", "response.function_call_arguments.delta"),
        ("response.created", "response.in_progress"),
        ("response.function_call_arguments.delta", "response.function_call_arguments.done"),
    ],
)
def test_01_events_that_a_server_leaves_out(street: Street, client: Any, missing: tuple[str, ...]) -> None:
    raw = responses(said("hi"), called("look", '{"a": 1}', "a"))
    reply = on_responses(street, client, framed(*events(raw, *missing)))
    said_ = reply.said()
    assert (said_["text"], said_["stop"]) == ("hi", FINISHED[client][1])
    (made,) = said_["calls"]
    assert made[1:] == ("look", {"a": 1})
    assert made[0] == "a" or "added" in missing[0]  # then the id comes too late: one is made


@pytest.mark.parametrize("client", OTHERS)
def test_02_indexes_are_missing_or_lie(street: Street, client: Any) -> None:
    """llama.cpp has no content_index, others no output_index; item_id still tells the items apart."""
    raw = responses(said("hi"), called("look", '{"a": 1}', "a"), called("g", '{"b": 2}', "b"))
    for gone in (("content_index",), ("output_index", "content_index"), ("sequence_number",)):
        changed = [{key: value for key, value in event.items() if key not in gone} for event in events(raw)]
        assert on_responses(street, client, framed(*changed)).said()["calls"] == [
            ("a", "look", {"a": 1}),
            ("b", "g", {"b": 2}),
        ]
    empty = [e | {"response": e["response"] | {"output": []}} if "response" in e else e for e in events(raw)]
    assert on_responses(street, client, framed(*empty)).said()["text"] == "hi"


@pytest.mark.parametrize("client", OTHERS)
@pytest.mark.parametrize("stream", STREAM)
def test_03_an_empty_message_is_none(street: Street, client: Any, stream: bool) -> None:
    items = said(""), called("look", "{}", "a")
    body = on_responses(street, client, responses(*items) if stream else response(*items), stream).read()
    if client == "messages":
        assert [block["type"] for block in body["content"]] == ["tool_use"]
    else:
        assert not body["choices"][0]["message"]["content"]


@pytest.mark.parametrize("client", OTHERS)
@pytest.mark.parametrize("stream", STREAM)
def test_07_incomplete_is_never_a_tool_use(street: Street, client: Any, stream: bool) -> None:
    item = called("look", '{"path": "/etc', "a") | {"status": "incomplete"}
    more: Json = {"incomplete_details": {"reason": "max_output_tokens"}}
    answer: Any = responses(item, end="incomplete", **more) if stream else response(item, status="incomplete", **more)
    lies: Any = responses(item) if stream else response(item)  # "completed", and cut all the same
    field = "stop_reason" if client == "messages" else "finish_reason"
    raw = on_responses(street, client, answer, stream).raw
    assert f'"{field}":"{FINISHED[client][2]}"'.encode() in raw
    assert f'"{field}":"{FINISHED[client][1]}"'.encode() not in raw
    raw = on_responses(street, client, lies, stream).raw
    assert b"no JSON object" in raw and f'"{field}":"'.encode() not in raw and b"content_block_stop" not in raw


@pytest.mark.parametrize("client", OTHERS)
@pytest.mark.parametrize("end", ["keep", "close", "reset"])
def test_09_a_stream_without_its_end(street: Street, client: Any, end: Any) -> None:
    reply = on_responses(street, client, Answer.sse(responses(said("hi"), end=""), end=end))
    assert reply.status == 200 and reply.problems() == [] and b'"error"' in reply.raw
    assert b"message_stop" not in reply.raw and b"[DONE]" not in reply.raw
    failed = responses(said("hi"), end="failed", error={"code": "server_error", "message": "broke"})
    reply = on_responses(street, client, failed)
    assert reply.problems() == [] and b"broke" in reply.raw and b"message_stop" not in reply.raw


@pytest.mark.parametrize("client", OTHERS)
@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": 9, "output_tokens": 5}])
def test_09_10_usage_of_a_response(street: Street, client: Any, usage: Any) -> None:
    more = {"stream_options": {"include_usage": True}} if client == "chat" else {}
    body = ASKS[client] | {"stream": True} | more
    got = street.ask(client, "responses", body, responses(said("hi"), usage=usage)).read()["usage"]
    prompt = got["input_tokens" if client == "messages" else "prompt_tokens"]
    assert prompt == 9 if usage else prompt > 0


def test_11_a_messages_client_is_told_at_once(street: Street) -> None:
    body = ASKS["messages"] | {"stream": True, "messages": [{"role": "user", "content": "four words of text " * 1000}]}
    answer = responses(said("hi"), usage={"input_tokens": 4321, "output_tokens": 5})
    reply = street.ask("messages", "responses", body, answer)
    assert 3000 < data_of(reply.raw)[0]["message"]["usage"]["input_tokens"] < 7000
    assert reply.read()["usage"]["input_tokens"] == 4321


@pytest.mark.parametrize("client", OTHERS)
@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize(
    "form",
    [
        lambda raw: raw,
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: raw.replace(b"\n", b"\r"),
        lambda raw: raw.replace(b"data: ", b"data:").replace(b"event: ", b": a comment\nevent:"),
        lambda raw: raw.removesuffix(b"\n\n"),
        lambda raw: raw.replace(b', "', b',\ndata: "'),
        lambda raw: b"".join(line + b"\n" for line in raw.split(b"\n") if not line.startswith(b"event:")),
    ],
    ids=["lf", "crlf", "cr", "comments", "no blank line", "data lines", "no event lines"],
)
def test_12_framing_and_cuts(street: Street, client: Any, size: int, form: Any) -> None:
    plain = responses(said(WORDS))
    raw = form(plain.replace(json.dumps(WORDS).encode(), json.dumps(WORDS, ensure_ascii=False).encode()))
    pieces: list[Any] = [raw[i : i + size] for i in range(0, len(raw), size)] if size else [raw]
    said_ = on_responses(street, client, Answer.sse(pieces)).said()
    assert (said_["text"], said_["stop"]) == (WORDS, FINISHED[client][0])
