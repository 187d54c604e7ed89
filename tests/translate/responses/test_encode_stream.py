"""Neutral events as a Responses client's stream and whole body: legal, complete, and the same said twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance import grammar
from tests.support import sdk_responses
from tests.support.meaning_responses import of_responses
from translate import dialects
from translate.conversation import (
    Citation,
    Close,
    Delta,
    Event,
    Fault,
    Open,
    Part,
    Ping,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
    Usage,
)
from translate.failures.errors import ApiError, BadReply
from translate.json import wire
from translate.reasoning import sealed_reasoning
from translate.responses.encode_stream import Encoder
from translate.responses.reply import collect, explode
from translate.target import Asked

ASKED = Asked("asked", "k", 17, 11, tool_names={"sent": "known"})
END = Stop("end", Usage(5, 4, output=3, reasoning=1))


def told(part: Part, *texts: str, close: Close | None = None) -> list[Event]:
    deltas: list[Event] = [Delta([wire.inside(text) for text in texts])] if texts else []
    return [Open(part), *deltas, close or Close()]


def written(*events: Event) -> bytes:
    return Encoder(ASKED).emit(list(events))


def data(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in raw.split(b"\n") if line.startswith(b"data: ")]


CITED = Close(citations=[Citation("messages", {}, "http://x", "X"), Citation("messages", {"document_index": 0})])
NESTED = Close(citations=[Citation("chat", {}, "http://y", "", 1, 2), Citation("chat", 7)])
CIPHER = Thinking(encrypted="CIPHER")
NAMED = ToolCall("call_1", "sent")
CUSTOM = ToolCall("call_2", "apply", custom=True)
SPACED = ToolCall("", "close", namespace="agents")

REPLIES: dict[str, tuple[list[Event], list[str]]] = {
    "nothing": ([END], []),
    "text": ([*told(Text(""), "Hel", 'lo "ä"\n'), END], ["message"]),
    "two texts are parts of one message": (
        [*told(Text(""), "a"), *told(Text(""), "b"), *told(Refusal(), "no"), END],
        ["message"],
    ),
    "a phase is a message of its own": (
        [*told(Text("", {"responses": {"phase": "commentary"}}), "a"), *told(Text(""), "b"), END],
        ["message", "message"],
    ),
    "thinking": (
        [*told(Thinking(), "so", " it", close=Close("SIGNED")), *told(Text(""), "a"), END],
        ["reasoning", "message"],
    ),
    "thinking without a word": (
        [*told(CIPHER), *told(Thinking()), *told(Text(""), "a"), END],
        ["reasoning", "message"],
    ),
    "calls": (
        [*told(Text(""), "a"), *told(NAMED, '{"a":', "1}"), *told(SPACED), END],
        ["message", "function_call", "function_call"],
    ),
    "free text": ([*told(CUSTOM, "*** Begin", " \n\\"), END], ["custom_tool_call"]),
    "free text, none": ([*told(CUSTOM), END], ["custom_tool_call"]),
    "a cut call": ([*told(NAMED, '{"a'), Stop("length")], ["function_call"]),
    "a call that is no object": ([*told(NAMED, "x"), *told(Text(""), "a"), END], ["function_call", "message"]),
    "citations": ([*told(Text(""), "ab", close=CITED), *told(Text(""), "cd", close=NESTED), END], ["message"]),
    "an item of Responses' own": (
        [*told(Unknown("responses", {"type": "web_search_call", "id": "w"})), END],
        ["web_search_call"],
    ),
    "a block of another protocol's": (
        [*told(Unknown("messages", {"type": "server_tool_use"})), *told(Text(""), "a"), END],
        ["message"],
    ),
    "cut": ([*told(Text(""), "a"), Stop("length", Usage(1))], ["message"]),
    "refused without a word": ([*told(Text(""), "a"), Stop("refusal")], ["message"]),
    "filtered": (
        [*told(Text(""), "a"), Stop("refusal", ext={"responses": {"incomplete": "content_filter"}})],
        ["message"],
    ),
    "refused in words": ([*told(Refusal(), "no"), Stop("refusal")], ["message"]),
    "a part that was not closed": ([Open(Text("")), Delta([b"a"]), END], ["message"]),
}
STATUS = {"cut": "incomplete", "a cut call": "incomplete", "filtered": "incomplete"}


@pytest.mark.parametrize("name", REPLIES)
def test_every_reply_is_a_legal_stream(name: str) -> None:
    events, kinds = REPLIES[name]
    raw = written(Start(), *events)
    assert grammar.check_responses(raw) == []
    final = data(raw)[-1]["response"]
    assert [item["type"] for item in final["output"]] == kinds
    assert final["status"] == STATUS.get(name, "completed")
    assert final["id"] == "resp_k" and final["model"] == "asked" and final["created_at"] == 17
    assert collect([Start(), *events], ASKED) == final
    assert written(*events) == raw  # a missing Start is made up
    one_by_one = Encoder(ASKED)
    assert b"".join(one_by_one.emit([event]) for event in [Start(), *events]) == raw
    if "web_search_call" not in kinds:
        assert of_responses(sdk_responses.responses_stream(raw)) == of_responses(final)
        sdk_responses.responses_body(json.dumps(final).encode())


def items(*events: Event) -> list[dict[str, Any]]:
    return list(collect([Start(), *events], ASKED)["output"])


def test_items_are_written_whole() -> None:
    said = items(
        *told(Thinking(), "so"), *told(Text(""), "a"), *told(NAMED, "{}"), *told(SPACED), *told(CUSTOM, "go"), END
    )
    thought, message, named, spaced, custom = said
    assert thought == {
        "id": "rs_k_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}], "status": "completed",
        "encrypted_content": sealed_reasoning.EMPTY,
    }  # fmt: skip
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": "a"}
    assert message == {
        "id": "msg_k_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }
    assert named == {
        "id": "fc_k_2", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "known",
        "arguments": "{}",
    }  # fmt: skip
    assert (spaced["namespace"], spaced["name"], spaced["call_id"], spaced["arguments"]) == (
        "agents",
        "close",
        "call_k_3",
        "{}",
    )
    assert custom == {
        "id": "ctc_k_4", "type": "custom_tool_call", "status": "completed", "call_id": "call_2", "name": "apply",
        "input": "go",
    }  # fmt: skip


def test_a_cut_call_is_told_as_one() -> None:
    assert items(*told(NAMED, '{"a'), Stop("length"))[0]["status"] == "incomplete"
    assert items(*told(NAMED, "x"), END)[0]["status"] == "completed"


def test_proofs_travel_in_encrypted_content() -> None:
    [signed] = items(*told(Thinking(), "so", close=Close("SIG")), END)
    assert sealed_reasoning.thinking_in(signed["encrypted_content"], "", "so") == Thinking("so", "SIG")
    [hidden] = items(*told(CIPHER), END)
    assert sealed_reasoning.thinking_in(hidden["encrypted_content"], "", "") == CIPHER
    [own] = items(*told(Thinking(), "so", close=Close(sealed_reasoning.of_item("rs_1", "E"))), END)
    assert own["encrypted_content"] == "E"


def test_citations_are_told_with_their_place() -> None:
    [message] = items(*told(Text(""), "aä", close=CITED), *told(Text(""), "cd", close=NESTED), END)
    first, second = message["content"]
    assert first["annotations"] == [
        {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "X", "url": "http://x"}
    ]
    assert (second["annotations"][0]["start_index"], second["annotations"][0]["title"]) == (1, "http://y")


def test_usage_is_put_together() -> None:
    usage = collect([Start(usage=Usage(1)), END], ASKED)["usage"]
    assert usage == {
        "input_tokens": 9, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0}, "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 12,
    }  # fmt: skip
    assert collect([Start(), Stop("end")], ASKED)["usage"]["input_tokens"] == 11  # an estimate beats 0


def test_a_fault_is_response_failed_and_the_last_word() -> None:
    encoder = Encoder(ASKED)
    broken = ApiError("rate_limit", "slow")
    raw = encoder.emit(
        [Start(), *told(Text(""), "a"), *told(NAMED, "{}"), Open(Text("")), Delta([b"b"]), Fault(broken)]
    )
    assert grammar.check_responses(raw) == []
    last = data(raw)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": "rate_limit_exceeded", "message": "slow"}
    assert [item["type"] for item in last["response"]["output"]] == ["message", "function_call"]
    assert encoder.ended and encoder.emit([END, Delta([b"x"])]) == encoder.ping() == b""
    assert grammar.check_responses(written(Fault(ValueError("odd")))) == []
    with pytest.raises(ApiError, match="slow"):
        collect([Start(), Fault(broken)], ASKED)
    with pytest.raises(BadReply, match="no end"):
        collect([Start()], ASKED)


def test_the_error_event_stands_for_itself_where_no_encoder_is() -> None:
    raw = dialects.of("responses").errors.event(ApiError("overloaded", "busy"))
    told = {"code": "server_error", "message": "busy", "type": "overloaded_error"}
    assert data(raw)[0]["response"]["error"] == told
    assert grammar.check_responses(raw, lone_failure=True) == []


def test_signs_of_life() -> None:
    encoder = Encoder(ASKED)
    assert encoder.ping() == b": ping\n\n" and encoder.emit([Ping()]) == b"" and not encoder.started
    raw = encoder.emit([Start(), Ping()]) + encoder.ping() + encoder.emit([*told(Text(""), "a"), END])
    assert raw.count(b'event: keepalive\ndata: {"type":"keepalive"}\n\n') == 2
    assert grammar.check_responses(raw) == [] and encoder.ended
    assert "over" in repr(encoder)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "is not a response: it has no output; its fields are: none"),
        ({"choices": []}, "its fields are: choices"),
        ({"object": "response", "status": "queued"}, "is not finished, its status is 'queued'"),
        ([], "not a JSON object"),
    ],
)
def test_what_is_no_response(body: Any, why: str) -> None:
    with pytest.raises(BadReply, match=why):
        explode(body)


def test_an_error_with_a_good_status_is_a_fault() -> None:
    [fault] = explode({"error": {"message": "no"}})
    assert isinstance(fault, Fault) and str(fault.error) == "no"
