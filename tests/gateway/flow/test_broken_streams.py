"""Streams that pass through and break midway: what the client has got can be read to its last event, the error."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from gateway.passing.passthrough import MAX_LINE_BYTES, TAIL_BYTES, Passthrough
from tests.support.house import House
from tests.support.script import Answer, Upstream
from translate.failures.errors import ApiError
from translate.reasoning import sealed_reasoning
from translate.responses.fault import HEAD_BYTES
from translate.streams import sse

CUT = ApiError("upstream", "connection lost")
RESPONSE = {
    "id": "resp_up", "object": "response", "created_at": 7, "status": "in_progress", "model": "up-model", "output": [],
    "error": None, "instructions": "be brief", "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
}  # fmt: skip
ITEM = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
PART = {"type": "output_text", "annotations": [], "text": ""}
PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def stream(*events: dict[str, Any], named: bool = True) -> bytes:
    lines = (
        (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
        for event in events
    )
    return "".join(lines).encode()


BEGUN = stream(
    {"type": "response.created", "sequence_number": 0, "response": RESPONSE},
    {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": ITEM},
    {"type": "response.content_part.added", "sequence_number": 2, "part": PART, **PLACE},
    {"type": "response.output_text.delta", "sequence_number": 3, "delta": 'Hé "sequence_number": 99', **PLACE},
)
MESSAGES = stream(
    {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "up-model",
     "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hé"}},
)  # fmt: skip
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up-model"}
CHAT = b"".join(
    b"data: %b\n\n"
    % json.dumps(CHUNK | {"choices": [{"index": 0, "delta": {"content": t}, "finish_reason": None}]}).encode()
    for t in ("Hé", "llo")
)
STREAMS: dict[str, bytes] = {"responses": BEGUN, "messages": MESSAGES, "chat": CHAT}


def events(raw: bytes) -> list[dict[str, Any]]:
    """Every event, as a reader of the standard sees them: those that no blank line ends are none."""
    splitter = sse.Splitter()
    data = [sse.fields(event)[1] for event in splitter.feed(raw)]
    return [json.loads(each) for each in data if each]


def broken(protocol: Any, raw: bytes, size: int, echo: str = "", by: str = "fail") -> bytes:
    """What a client gets that nobody else answers: of a stream that stops right after its opening, too."""
    reply = Passthrough(protocol, echo)
    out = b"".join(reply.feed(raw[i : i + size]) for i in range(0, len(raw), size))
    if by != "fail":
        out += reply.end()
    return out + reply.fail(reply.fault or CUT) if by == "fail" or reply.opened else out


def is_error(event: dict[str, Any]) -> bool:
    return event.get("type") in ("error", "response.failed") or "error" in event


# --------------------------------------------------------------------------------------- wherever it is cut

STOP = {"type": "content_block_stop", "index": 3}
UNSIGNED = {
    "type": "content_block_delta",
    "index": 3,
    "delta": {"type": "signature_delta", "signature": sealed_reasoning.EMPTY},
}


def _start(block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 3, "content_block": block}


def _delta(delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 3, "delta": delta}


@pytest.mark.parametrize(
    ("latest", "stop"),
    [
        ([_start({"type": "text", "text": ""})], []),
        ([_delta({"type": "text_delta", "text": '"type":"content_block_stop"'})], [STOP]),
        ([_delta({"type": "text_delta", "text": "a"}), {"type": "ping"}], [STOP]),
        ([_delta({"type": "citations_delta", "citation": {}})], [STOP]),
        ([_delta({"type": "thinking_delta", "thinking": "a"})], [UNSIGNED, STOP]),
        ([_delta({"type": "signature_delta", "signature": "s"})], [STOP]),
        ([_start({"type": "redacted_thinking", "data": "s"})], []),
        ([_start({"type": "tool_use", "id": "t", "name": "n", "input": {}})], []),
        ([_delta({"type": "input_json_delta", "partial_json": "{"})], []),
        ([_delta({"type": "text_delta", "text": "a"}), STOP], []),
        ([_delta({"type": "text_delta", "text": "a"}) | {"index": "x"}], []),
    ],
)
@pytest.mark.parametrize("rest", [b"", b"event: content_block_stop\n", b'data: {"type": "content_blo'])
def test_words_are_stopped_and_calls_are_not(latest: list[Any], stop: list[Any], rest: bytes) -> None:
    sent = MESSAGES[: MESSAGES.index(b"event: content_block_start")] + stream({"type": "ping"}, *latest)
    got = events(broken("messages", sent + rest, 40))
    assert got[-1]["type"] == "error"
    assert got[:-1] == events(sent) + stop


@pytest.mark.parametrize("by", ["fail", "end"])
@pytest.mark.parametrize("echo", ["", "nick"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("protocol", list(STREAMS))
def test_every_event_is_whole_and_the_last_is_the_error(protocol: str, line_end: bytes, echo: str, by: str) -> None:
    whole = STREAMS[protocol].replace(b"\n", line_end)
    said = events(STREAMS[protocol].replace(b"up-model", echo.encode() or b"up-model"))
    first = whole.index(line_end * 2) + 2 * len(line_end)
    for cut in range(first, len(whole)):
        got = events(broken(protocol, whole[:cut], 50, echo, by))
        assert is_error(got[-1]), whole[:cut][-60:]
        if protocol == "messages" and len(got) > 3:  # its words are stopped
            assert got.pop(-2) == {"type": "content_block_stop", "index": 0}
        assert got[:-1] == said[: len(got) - 1] and len(got) > 1


@pytest.mark.parametrize("protocol", list(STREAMS))
def test_a_stream_that_does_not_break_is_the_same_to_the_byte(protocol: Any) -> None:
    last = {
        "responses": stream({"type": "response.completed", "sequence_number": 4, "response": RESPONSE}),
        "messages": stream({"type": "message_stop"}),
        "chat": b"data: [DONE]\n\n",
    }[protocol]
    whole = STREAMS[protocol] + last
    for left_out in (0, 1, 2):  # many servers leave the last blank line out, or even the end of the last line
        raw = whole[: len(whole) - left_out]
        for size in (1, 7, 100, len(raw)):
            assert broken(protocol, raw, size, by="end") == raw
            assert broken(protocol, raw, size) == raw


@pytest.mark.parametrize("instructions", ["be brief", "x" * 5 * TAIL_BYTES])
def test_half_a_terminal_event_is_no_end(instructions: str) -> None:
    response = RESPONSE | {"instructions": instructions}
    terminal = stream({"type": "response.completed", "sequence_number": 4, "response": response})
    assert broken("responses", BEGUN + terminal, 640) == BEGUN + terminal
    got = events(broken("responses", BEGUN + terminal[:-20], 640))
    assert [event["type"] for event in got[-2:]] == ["response.output_text.delta", "response.failed"]


@pytest.mark.parametrize("by", ["end", "cut"])
def test_half_a_line_behind_the_last_word_is_left_out(by: str) -> None:
    """Such as that of the usage. Readers that go by lines fail at it, though they have all of the answer."""
    last = CHUNK | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    whole = CHAT + b"data: %b\n\n" % json.dumps(last).encode()
    assert broken("chat", whole + b'data: {"id":"c","usage":{"prompt_tok', 640, by=by) == whole
    for rest in (b"data: [DONE]", b": bye", b'data: {"id":"c","choices":[]}'):
        assert broken("chat", whole + rest, 640, by=by) == whole + rest


def test_a_line_beyond_measure_is_not_hoarded() -> None:
    reply = Passthrough("responses")
    reply.feed(BEGUN)
    piece = b"data: " + b"x" * (MAX_LINE_BYTES // 4)
    sizes = [len(reply.feed(piece)) for _ in range(8)]
    assert sizes == [0, 0, 0, 4 * len(piece)] * 2
    assert reply.fail(CUT).startswith(b"\n\nevent: response.failed")


def test_signs_of_life_stand_between_events() -> None:
    reply = Passthrough("responses")
    reply.feed(BEGUN)
    assert b"keepalive" in reply.ping()
    reply.feed(b'data: {"ha')
    assert b"keepalive" in reply.ping()  # half a line has not gone out
    reply.feed(b'lf": 1}\n')
    assert reply.ping() == b""
    reply.feed(b"\n")
    assert b"keepalive" in reply.ping()


# ------------------------------------------------------------------------- whose failure it is, in Responses


@pytest.mark.parametrize("echo", ["", "nick"])
def test_the_failed_response_is_the_one_that_began(echo: str) -> None:
    last = events(broken("responses", BEGUN, 64, echo))[-1]
    assert last["type"] == "response.failed" and last["sequence_number"] == 4
    response = last["response"]
    assert (response["id"], response["created_at"]) == ("resp_up", 7)
    assert response["model"] == (echo or "up-model") and response["instructions"] == "be brief"
    assert response["status"] == "failed" and response["error"]["message"] == "connection lost"


def test_a_beginning_too_long_to_remember_still_says_who_it_is() -> None:
    long = {"type": "response.created", "sequence_number": 0, "response": RESPONSE | {"instructions": "x" * HEAD_BYTES}}
    last = events(broken("responses", stream(long), 4000))[-1]
    assert (last["response"]["id"], last["response"]["model"]) == ("resp_up", "up-model")


def test_numbers_that_are_long_ago_or_were_never_said() -> None:
    huge = {"type": "response.output_item.done", "sequence_number": 4, "item": ITEM | {"text": "x" * 3 * TAIL_BYTES}}
    assert events(broken("responses", BEGUN + stream(huge), 64))[-1]["sequence_number"] > 0
    bare = stream({"type": "response.created", "response": {"id": "resp_x"}})
    assert events(broken("responses", bare, 64))[-1]["sequence_number"] == 0


# ----------------------------------------------------------------------------- as the official SDKs read it


@pytest.mark.parametrize("half", [b"", b'event: x\ndata: {"type":"response.output_text.delta","del'])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_openais_stream_helper_shows_the_message(half: bytes, end: Any) -> None:
    answer = Answer.sse([BEGUN + half], end=end)
    ini = "[upstream up]\nprotocol = responses\nbase_url = {}\n[models]\nnick = up/up-model\n"
    with Upstream([answer]) as up, House(ini.format(up.url)) as house:
        with openai.OpenAI(base_url=f"{house.url}/v1", api_key="k", max_retries=0) as client:
            with client.responses.stream(model="nick", input="hi") as stream:
                got = list(stream)
    assert got[-2].type == "response.output_text.delta"
    failed: Any = got[-1]
    assert failed.type == "response.failed" and "upstream 'up'" in failed.response.error.message
    assert (failed.response.id, failed.response.model, failed.sequence_number) == ("resp_up", "nick", 4)


@pytest.mark.parametrize("half", [b"", b'event: content_block_delta\ndata: {"type":"content_bl'])
def test_anthropics_stream_helper_raises_the_message(half: bytes) -> None:
    ini = "[upstream up]\nprotocol = messages\nbase_url = {}\n[models]\n* = up\n"
    with Upstream([Answer.sse([MESSAGES + half], end="reset")]) as up, House(ini.format(up.url)) as house:
        with anthropic.Anthropic(base_url=house.url, api_key="k", max_retries=0) as client:
            ask: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
            raises = pytest.raises(anthropic.APIStatusError, match="upstream 'up'")
            with raises, client.messages.stream(**ask) as reply:
                reply.until_done()
