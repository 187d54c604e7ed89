"""Lessons 1 to 11: what a stream may look like, whatever the upstream's looked like."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lessons.street import ASK, PATHS, Reply, Street, completion, function, message
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Upstream
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
    delta,
    ending,
    first_call,
    having,
    messages,
    opened,
    text,
    tool,
)

STREAM = ASK | {"stream": True}
CALLED = chunk(finish="tool_calls")


def claude(street: Street, answer: Any, body: Any = STREAM, **more: Any) -> Reply:
    """A Messages client on a Chat upstream."""
    return street.ask("messages", "chat", body, answer, **more)


def gpt(street: Street, answer: Any, body: Any = STREAM, **more: Any) -> Reply:
    """A Chat client on a Messages upstream."""
    return street.ask("chat", "messages", body, answer, **more)


def data_of(raw: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in raw.split(b"\n") if line.startswith(b"data: {")]


# ------------------------------------------------------------------------------------ 1 to 6: the blocks


def test_01_one_block_open_at_a_time(street: Street) -> None:
    """Kinds of content alternate at will, and share chunks: blocks follow one another all the same."""
    reply = claude(
        street,
        chat(
            ROLE,
            chunk({"reasoning_content": "a"}),
            chunk({"content": "b", "reasoning_content": "c"}),
            chunk({"reasoning_content": "d"}),
            chunk({"content": "e"} | first_call(0, "{}")),
            chunk({"content": "f"}),
            chunk(first_call(1, "{}", "call_2", "g")),
            CALLED,
        ),
    )
    said = reply.said()
    assert said["thinking"] == "acd" and said["text"] == "bef"
    assert [name for _, name, _ in said["calls"]] == ["look", "g"] and said["stop"] == "tool_use"


def test_01_deltas_before_their_start_are_not_lost(street: Street) -> None:
    """A Messages server that leaves starts and stops out, or overlaps blocks."""
    bare = messages(START, delta(0, type="text_delta", text="hi"), ending(), STOP)
    assert gpt(street, bare).said()["text"] == "hi"
    one, two = text(0, "one "), text(1, "two")
    overlapping = messages(START, one[0], two[0], two[1], one[1], one[2], two[2], ending(), STOP)
    assert gpt(street, overlapping).said()["text"] == "one two"


@pytest.mark.parametrize("indexes", [(1, 3), (0, 0), (7, 2), (None, None)])
def test_02_indexes_are_contiguous(street: Street, indexes: tuple[Any, Any]) -> None:
    """Block index and tool_calls index are two counters. The upstream's may begin anywhere, or be missing."""
    first, second = indexes
    reply = claude(
        street,
        chat(HI, chunk(first_call(first, '{"n":1}', "a")), chunk(first_call(second, '{"n":2}', "b")), CALLED),
    )
    assert reply.said()["calls"] == [("a", "look", {"n": 1}), ("b", "look", {"n": 2})]
    starts = [data["index"] for data in data_of(reply.raw) if data["type"] == "content_block_start"]
    assert starts == [0, 1, 2]


def test_02_tool_calls_count_apart_from_blocks(street: Street) -> None:
    reply = gpt(
        street, messages(START, *THINKING, *text(1), *tool(4), *tool(9, "{}", "toolu_2"), ending("tool_use"), STOP)
    )
    assert [id for id, _, _ in reply.said()["calls"]] == ["toolu_1", "toolu_2"]
    seen = [c["index"] for data in data_of(reply.raw) for c in data["choices"][0]["delta"].get("tool_calls", [])]
    assert sorted(set(seen)) == [0, 1]


@pytest.mark.parametrize("stream", [True, False])
def test_03_no_empty_text_block_on_the_way_out(street: Street, stream: bool) -> None:
    ask = ASK | {"stream": stream}
    streamed: Any = chat(ROLE, chunk({"content": ""}), chunk(first_call(0)), chunk({"content": ""}), CALLED)
    whole: Any = completion({"content": "", "tool_calls": [function("look")]}, "tool_calls")
    body = claude(street, streamed if stream else whole, ask).read()
    assert [block["type"] for block in body["content"]] == ["tool_use"]
    streamed = messages(START, opened(0, type="text", text=""), closed(0), *tool(1), ending("tool_use"), STOP)
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}}
    whole = message({"type": "text", "text": ""}, call, stop="tool_use")
    done = gpt(street, streamed if stream else whole, ask).read()["choices"][0]["message"]
    assert not done["content"] and len(done["tool_calls"]) == 1


def test_03_empty_text_is_dropped_on_the_way_in(street: Street) -> None:
    """Clients save what they once got, and send it for ever."""
    empty = {"type": "text", "text": ""}
    history = [
        {"role": "user", "content": [empty, {"type": "text", "text": "one"}]},
        {"role": "assistant", "content": [empty]},
        {"role": "user", "content": [empty]},
        {"role": "assistant", "content": [empty, {"type": "text", "text": "two"}]},
        {"role": "user", "content": "three"},
    ]
    for ask in (claude, gpt):
        answer: Any = completion({"content": "x"}) if ask is claude else message({"type": "text", "text": "x"})
        sent = ask(street, answer, ASK | {"messages": history}).sent["messages"]
        assert '""' not in json.dumps(sent) and [m["role"] for m in sent] == ["user", "assistant", "user"]
        said = json.dumps(sent)
        assert "one" in said and "two" in said and "three" in said
    spaces = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": " \n"}, *history[-1:]]
    sent = gpt(street, message({"type": "text", "text": "x"}), ASK | {"messages": spaces}).sent["messages"]
    assert all(block["text"].strip() for m in sent for block in m["content"])  # Anthropic refuses white space alone


def test_04_the_delta_fits_the_open_block(street: Street) -> None:
    thoughts = [chunk({"reasoning_content": "x"}), HI, chunk({"reasoning": "y"}), chunk({"content": "z"})]
    body = claude(street, chat(ROLE, *thoughts, END)).read()
    assert [b["type"] for b in body["content"]] == ["thinking", "text", "thinking", "text"]
    assert [b.get("thinking") or b.get("text") for b in body["content"]] == ["x", "hi", "y", "z"]


def test_05_interleaved_tool_calls_come_one_after_the_other(street: Street) -> None:
    calls = [
        chunk(first_call(0, "", "a", "f")),
        chunk(first_call(1, "", "b", "g")),
        chunk(call(0, '{"x":')),
        chunk(call(1, '{"y":')),
        chunk(call(1, "2}")),
        chunk(call(0, "1}")),
    ]
    said = claude(street, chat(ROLE, *calls, CALLED)).said()
    assert said["calls"] == [("a", "f", {"x": 1}), ("b", "g", {"y": 2})]
    both = {"tool_calls": [*first_call(0, '{"x":1}', "a", "f")["tool_calls"], *first_call(1, "{}", "b")["tool_calls"]]}
    assert claude(street, chat(ROLE, chunk(both), CALLED)).said()["calls"] == [("a", "f", {"x": 1}), ("b", "look", {})]
    one, two = tool(0, '{"x": 1}', "a"), tool(1, '{"y": 2}', "b")
    mixed = messages(START, one[0], two[0], one[1], two[1], two[2], one[2], ending("tool_use"), STOP)
    assert [given for _, _, given in gpt(street, mixed).said()["calls"]] == [{"x": 1}, {"y": 2}]


@pytest.mark.parametrize("arguments", ["", None, "{}", {}])
def test_06_tool_input_starts_empty_and_nothing_means_an_object(street: Street, arguments: Any) -> None:
    reply = claude(street, chat(ROLE, chunk(first_call(0, arguments)), CALLED))
    assert reply.said()["calls"] == [("call_1", "look", {})] and reply.said()["stop"] == "tool_use"
    start = next(data for data in data_of(reply.raw) if data["type"] == "content_block_start")
    assert start["content_block"]["input"] == {}
    whole = completion({"tool_calls": [function("look", arguments)]}, "tool_calls")
    assert claude(street, whole, ASK).said()["calls"] == [("call_1", "look", {})]


def test_06_input_comes_by_deltas_only(street: Street) -> None:
    reply = claude(street, chat(ROLE, chunk(first_call(0, '{"a": "b"}')), CALLED))
    kinds = [(d["type"], d.get("content_block", {}).get("input")) for d in data_of(reply.raw)[1:3]]
    assert kinds == [("content_block_start", {}), ("content_block_delta", None)]
    assert reply.said()["calls"][0][2] == {"a": "b"}
    empty = messages(START, opened(0, type="tool_use", id="t", name="f", input={}), closed(0), ending("tool_use"), STOP)
    assert gpt(street, empty).said()["calls"] == [("t", "f", {})]  # arguments that parse: "{}", not ""
    early = messages(
        START, opened(0, type="tool_use", id="t", name="f", input={"a": 1}), closed(0), ending("tool_use"), STOP
    )
    assert gpt(street, early).said()["calls"] == [("t", "f", {"a": 1})]


# ------------------------------------------------------------------------------------- 7 to 11: the end


CUT = '{"path": "/etc'


@pytest.mark.parametrize("stream", [True, False])
def test_07_truncated_arguments_are_never_a_tool_use(street: Street, stream: bool) -> None:
    streamed = chat(ROLE, chunk(first_call(0, CUT)), chunk(finish="length"))
    whole = completion({"tool_calls": [function("look", CUT)]}, "length")
    reply = claude(street, streamed if stream else whole, ASK | {"stream": stream})
    assert reply.json["stop_reason"] == "max_tokens" if not stream else b'"stop_reason":"max_tokens"' in reply.raw
    if stream:
        assert reply.problems() == []
    else:
        assert reply.read()["content"][0]["input"] == {"_raw": CUT}


@pytest.mark.parametrize("finish", ["tool_calls", "stop", None])
@pytest.mark.parametrize("stream", [True, False])
def test_07_nor_where_the_upstream_calls_them_whole(street: Street, finish: str | None, stream: bool) -> None:
    """Clients run a call as soon as it is closed: it stays open, and the reply is an error."""
    streamed = chat(ROLE, chunk(first_call(0, CUT)), *([chunk(finish=finish)] if finish else []))
    whole = completion({"tool_calls": [function("look", CUT)]}, finish)
    reply = claude(street, streamed if stream else whole, ASK | {"stream": stream})
    assert b'"type":"api_error"' in reply.raw and b"no JSON object" in reply.raw
    assert b"content_block_stop" not in reply.raw and reply.status == (200 if stream else 502)


def test_07_truncated_input_is_never_tool_calls(street: Street) -> None:
    reply = gpt(street, messages(START, *tool(0, CUT), ending("max_tokens"), STOP))
    assert reply.problems() == [] and b'"finish_reason":"length"' in reply.raw


@pytest.mark.parametrize("reason", ["tool_use", "end_turn", "stop_sequence"])
def test_07_nor_where_it_is_called_whole(street: Street, reason: str) -> None:
    reply = gpt(street, messages(START, *tool(0, CUT), ending(reason), STOP))
    assert b"no JSON object" in reply.raw and b"[DONE]" not in reply.raw and b'"finish_reason":"' not in reply.raw


@pytest.mark.parametrize("stream", [True, False])
def test_08_stop_reasons_tell_what_is_there(street: Street, stream: bool) -> None:
    ask = ASK | {"stream": stream}
    for finish in ("stop", None, "tool_calls", "end_turn", "function_call"):
        end = [chunk(finish=finish)] if finish else []
        streamed = chat(ROLE, HI, *end) if finish else chat(ROLE, HI)
        whole = completion({"content": "hi"}, finish)
        assert claude(street, streamed if stream else whole, ask).said()["stop"] == "end_turn", finish
        streamed = chat(ROLE, chunk(first_call(0)), *end)
        whole = completion({"tool_calls": [function("look")]}, finish)
        assert claude(street, streamed if stream else whole, ask).said()["stop"] == "tool_use", finish
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}}
    for reason in ("end_turn", "tool_use", None):
        if not stream:
            assert gpt(street, message({"type": "text", "text": "hi"}, stop=reason), ask).said()["stop"] == "stop"
            assert gpt(street, message(use, stop=reason), ask).said()["stop"] == "tool_calls"
            continue
        assert gpt(street, messages(START, *text(0), ending(reason), STOP)).said()["stop"] == "stop"
        assert gpt(street, messages(START, *tool(0), ending(reason), STOP)).said()["stop"] == "tool_calls"


@pytest.mark.parametrize("usage", [[], [having(USAGE, "usage", None)], [having(USAGE, "usage", {})]])
@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b"", b"data: [DONE]"])
def test_09_usage_never_comes(street: Street, usage: list[Any], end: bytes) -> None:
    body = claude(street, chat(ROLE, HI, END, *usage, end=end)).read()
    assert body["stop_reason"] == "end_turn" and body["usage"]["output_tokens"] >= 0
    bare = having(START, "message.usage", {})
    got = gpt(
        street,
        messages(bare, *text(0), {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, STOP),
        STREAM | {"stream_options": {"include_usage": True}},
    )
    assert got.read()["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("end", ["keep", "close", "reset"])
def test_09_an_end_without_a_finish_is_an_error(street: Street, end: Any) -> None:
    reply = claude(street, Answer.sse(chat(ROLE, HI, end=b""), end=end))
    assert reply.status == 200 and reply.problems() == []
    assert b"event: error" in reply.raw and b"message_stop" not in reply.raw
    reply = gpt(street, Answer.sse(messages(START, *text(0)), end=end))
    assert reply.status == 200 and reply.problems() == []
    assert b'"error"' in reply.raw and b"[DONE]" not in reply.raw and b'"finish_reason":"stop"' not in reply.raw


@pytest.mark.parametrize("end", ["close", "reset", "hang"])
@pytest.mark.parametrize("client", ["messages", "chat"])
def test_09_a_break_after_the_finish_is_an_end(street: Street, client: Any, end: Any) -> None:
    """All was said: how the connection then dies is nobody's business."""
    more = "idle = 0.3\n"
    if client == "messages":
        reply = claude(street, Answer.sse(chat(ROLE, HI, END, end=b""), end=end), more=more)
        assert reply.said()["stop"] == "end_turn"
    else:
        reply = gpt(street, Answer.sse(messages(START, *text(0), ending()), end=end), more=more)
        assert reply.said()["stop"] == "stop"


def test_10_usage_after_the_finish_is_waited_for(street: Street) -> None:
    usage = {"prompt_tokens": 90, "completion_tokens": 8, "total_tokens": 98}
    for end in (b"data: [DONE]\n\n", b""):
        got = claude(street, chat(ROLE, HI, END, having(USAGE, "usage", usage), end=end)).read()["usage"]
        assert (got["input_tokens"], got["output_tokens"]) == (90, 8)


def test_10_the_usage_chunk_is_the_end(street: Street) -> None:
    """A server that then keeps the stream open without [DONE] does not keep the client waiting."""
    gate = Gate()
    with (
        Upstream([Answer.sse([chat(ROLE, HI, END, USAGE, end=b""), gate])]) as up,
        House(one_upstream(up.url, "chat", server="ping_seconds = 2")) as house,
        house.connect() as client,
    ):
        client.send("POST", PATHS["messages"], STREAM)
        client.head()
        raw = b""
        for piece in client.pieces():
            raw += piece
            assert b"event: ping" not in raw, "the client is kept waiting"
        assert b"message_stop" in raw
        gate.open()


def test_10_growing_usage_is_not_summed(street: Street) -> None:
    def counted(n: int) -> Any:
        return {"usage": {"prompt_tokens": 10, "completion_tokens": n, "total_tokens": 10 + n}}

    chunks = [chunk({"content": "x"}, **counted(n)) for n in (1, 2, 3)]
    got = claude(street, chat(ROLE, *chunks, chunk(finish="stop", **counted(3)))).read()["usage"]
    assert (got["input_tokens"], got["output_tokens"]) == (10, 3)
    stream = messages(
        having(START, "message.usage", {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5}),
        *text(0),
        ending(output_tokens=2),
        ending(output_tokens=3, input_tokens=10, cache_read_input_tokens=5),
        STOP,
    )
    used = gpt(street, stream, STREAM | {"stream_options": {"include_usage": True}}).read()["usage"]
    assert (used["prompt_tokens"], used["completion_tokens"]) == (15, 3)
    assert used["prompt_tokens_details"]["cached_tokens"] == 5


def test_11_input_tokens_are_seeded_then_corrected(street: Street) -> None:
    """Claude Code decides by message_start when to compact."""
    body = STREAM | {"messages": [{"role": "user", "content": "four words of text " * 1000}]}
    reply = claude(street, chat(ROLE, HI, END, having(USAGE, "usage.prompt_tokens", 4321)), body)
    seeded = data_of(reply.raw)[0]["message"]["usage"]["input_tokens"]
    assert 3000 < seeded < 7000
    assert reply.read()["usage"]["input_tokens"] == 4321
    unknown = claude(street, chat(ROLE, HI, END), body)
    seeded = data_of(unknown.raw)[0]["message"]["usage"]["input_tokens"]  # by what the first reply has taught
    assert unknown.read()["usage"]["input_tokens"] == seeded > 1000  # never told: the estimate is better than 0
