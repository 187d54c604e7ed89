"""Habits of servers that no specification has, each alone, to clients of every other protocol, in every way that a
reply may come (see tests/support/every_way.py): nothing is lost, nothing is doubled, and what failed is told so.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import corpus, every_way
from tests.support.meaning import Meaning
from tests.support.streams import (
    END,
    HI,
    ROLE,
    START,
    STOP,
    chat,
    chunk,
    closed,
    delta,
    ending,
    first_call,
    messages,
    opened,
    text,
    tool,
)
from translate.target import Protocol

Json = dict[str, Any]
CALL_END = chunk(finish="tool_calls")
ONE, TWO = '{"a": 1}', '{"a": 2}'


def calls(*entries: Json) -> Json:
    return chunk({"tool_calls": list(entries)})


def entry(**said: Any) -> Json:
    function = {key: said.pop(key) for key in ("name", "arguments") if key in said}
    return said | ({"function": function} if function else {})


def bare(*lines: str) -> bytes:
    """Chunks as they are written here."""
    return "".join(f"data: {line}\n\n" for line in lines).encode()


# ---------------------------------------------------------------------------------------------------- Chat

CHAT_CALLS: dict[str, tuple[list[Json], list[tuple[str, Any]]]] = {
    "an index that is a text, interleaved": (
        [
            calls(
                entry(index="0", id="x", name="look", arguments=""), entry(index="1", id="y", name="see", arguments="")
            ),
            calls(entry(index="0", arguments=ONE)),
            calls(entry(index="1", arguments=TWO)),
        ],
        [("look", {"a": 1}), ("see", {"a": 2})],
    ),
    "an index that is a float, interleaved": (
        [
            calls(entry(index=0.0, id="x", name="look", arguments=""), entry(index=1.0, id="y", name="see")),
            calls(entry(index=1.0, arguments=TWO), entry(index=0.0, arguments=ONE)),
        ],
        [("look", {"a": 1}), ("see", {"a": 2})],
    ),
    "a lone call in place of a list": (
        [chunk({"tool_calls": entry(index=0, id="x", name="look", arguments=ONE)})],
        [("look", {"a": 1})],
    ),
    "name and arguments in the call itself": (
        [calls({"index": 0, "id": "x", "name": "look", "arguments": ONE})],
        [("look", {"a": 1})],
    ),
    "a name in pieces": (
        [
            calls(entry(index=0, id="x", name="lo", arguments="")),
            calls(entry(index=0, name="ok")),
            calls(entry(index=0, arguments=ONE)),
        ],
        [("look", {"a": 1})],
    ),
    "a name that grows": (
        [
            calls(entry(index=0, id="x", name="lo")),
            calls(entry(index=0, name="look")),
            calls(entry(index=0, arguments=ONE)),
        ],
        [("look", {"a": 1})],
    ),
    "a name with each piece": (
        [
            chunk(first_call(0, "")),
            calls(entry(index=0, name="look", arguments='{"a"')),
            calls(entry(index=0, name="look", arguments=": 1}")),
        ],
        [("look", {"a": 1})],
    ),
    "the same call as a function, too": (
        [
            chunk(
                {
                    "tool_calls": [entry(index=0, id="x", name="look", arguments=ONE)],
                    "function_call": {"name": "look", "arguments": ONE},
                }
            )
        ],
        [("look", {"a": 1})],
    ),
    "a function alone": (
        [chunk({"function_call": {"name": "look", "arguments": ""}}), chunk({"function_call": {"arguments": ONE}})],
        [("look", {"a": 1})],
    ),
}


@pytest.mark.parametrize("name", CHAT_CALLS)
def test_calls_of_a_chat_server(name: str) -> None:
    chunks, want = CHAT_CALLS[name]
    raw = chat(ROLE, *chunks, CALL_END)
    agreed(every_way.told("chat", raw), calls=want, stop="tool")
    assert every_way.problems("chat", raw) == []


CHAT_TEXTS: dict[str, tuple[bytes, Json]] = {
    "content that is one part": (chat(ROLE, chunk({"content": {"type": "text", "text": "hi"}}), END), {"text": "hi"}),
    "an index of the choice that is a text": (
        bare(
            '{"choices":[{"index":"0","delta":{"content":"hi"}}]}', '{"choices":[{"index":"0","finish_reason":"stop"}]}'
        ),
        {"text": "hi"},
    ),
    "a lone choice": (bare('{"choices":{"delta":{"content":"hi"},"finish_reason":"stop"}}'), {"text": "hi"}),
    "the older completions": (
        bare('{"choices":[{"text":"hi","finish_reason":null}]}', '{"choices":[{"text":"","finish_reason":"stop"}]}'),
        {"text": "hi"},
    ),
    "reasoning_text": (chat(ROLE, chunk({"reasoning_text": "so"}), HI, END), {"text": "hi", "thinking": "so"}),
    "lone reasoning_details": (
        chat(ROLE, chunk({"reasoning_details": {"type": "reasoning.text", "text": "so"}}), HI, END),
        {"text": "hi", "thinking": "so"},
    ),
    "reasoning as a part of the content": (
        chat(
            ROLE,
            *(
                chunk({"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": each}]}]})
                for each in ("s", "o")
            ),
            chunk({"content": [{"type": "text", "text": "hi"}]}),
            END,
        ),
        {"text": "hi", "thinking": "so"},
    ),
    "blanks before a whole reply": (
        b"\n \r\n" * 300 + b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}',
        {"text": "hi"},
    ),
    "chunks without their field's name": (chat(ROLE, HI, END).replace(b"data: {", b"{"), {"text": "hi"}),
}


def test_blanks_before_a_whole_reply_that_was_asked_for_so() -> None:
    """Servers write them as long as they have nothing else to write."""
    raw, want = CHAT_TEXTS["blanks before a whole reply"]
    agreed(every_way.told("chat", raw, streamed=False), **want, stop="end")
    nothing = every_way.told("chat", b"\n" * 500, streamed=False)
    assert all("empty body" in each.error for each in nothing.values())


@pytest.mark.parametrize("choices", [[], [{"index": 0, "delta": {}, "finish_reason": None}]])
def test_groqs_reason_why_a_stream_stopped_early_is_an_error(choices: list[Json]) -> None:
    stopped = chunk() | {"choices": choices, "x_groq": {"id": "r", "error": "over capacity"}}
    for raw in (chat(ROLE, HI, stopped), chat(stopped)):
        assert all(each.failed and each.error == "over capacity" for each in every_way.told("chat", raw).values())


@pytest.mark.parametrize("key", ["stop_reason", "matched_stop"])
@pytest.mark.parametrize(("given", "met"), [("STOP HERE", "STOP HERE"), (151645, ""), (None, ""), ("stop", "")])
def test_the_stop_sequence_that_a_server_met(key: str, given: Any, met: str) -> None:
    end = chunk(finish="stop")
    end["choices"][0][key] = given
    assert every_way.told("chat", chat(ROLE, HI, end))["messages"].met == met


@pytest.mark.parametrize("name", CHAT_TEXTS)
def test_texts_of_a_chat_server(name: str) -> None:
    raw, want = CHAT_TEXTS[name]
    if name.startswith("chunks without"):
        raw = chat(ROLE, end=b"") + raw.split(b"\n\n", 1)[1]  # the first one has it, else it would be no stream
    agreed(every_way.told("chat", raw), **want, stop="end")
    assert every_way.problems("chat", raw) == []


SPENT: Json = {"prompt_tokens": 20, "completion_tokens": 9}


@pytest.mark.parametrize(("thought", "answer"), [(0, 9), (4, 5), (9, 0), (50, 9)])
def test_what_was_thought_is_counted_beside_the_answer_at_google(thought: int, answer: int) -> None:
    """xAI counts so, too: more is thought there than came out."""
    raw = chat(ROLE, HI, END | {"usage": SPENT | {"completion_tokens_details": {"reasoning_tokens": thought}}})
    told = [json.loads(line[6:]) for line in every_way.stream("gemini", "chat", [raw]).decode().splitlines() if line]
    used = told[-1]["usageMetadata"]
    assert (used["candidatesTokenCount"], used.get("thoughtsTokenCount", 0)) == (answer, thought)
    assert used["totalTokenCount"] == 20 + answer + thought


# ------------------------------------------------------------------------------------------------- Messages


@pytest.mark.parametrize(
    ("given", "want"),
    [("length", "length"), ("max_output_tokens", "length"), ("content_filter", "refusal"), ("sensitive", "refusal"),
     ("stop", "end"), ("tool_calls", "end"), ("", "end"), (None, "end"), (5, "end")],
)  # fmt: skip
def test_another_protocols_word_for_the_end_of_a_message(given: Any, want: str) -> None:
    said = every_way.told("messages", messages(START, *text(0, "hi"), ending(given), STOP))
    assert {each.stop for each in said.values()} == {want}
    assert not any(each.failed for each in said.values())


@pytest.mark.parametrize("given", ["error", "abort", "network_error", "insufficient_system_resource"])
def test_a_message_that_ends_by_a_breakdown_has_failed(given: str) -> None:
    whole = {**START["message"], "content": [{"type": "text", "text": "hi"}], "stop_reason": given}
    for raw, streamed in (
        (messages(START, *text(0, "hi"), ending(given), STOP), True),
        (json.dumps(whole).encode(), False),
    ):
        said = every_way.told("messages", raw, streamed)
        assert all(each.failed and given in each.error for each in said.values())


def test_a_whole_message_whose_content_is_a_text() -> None:
    raw = json.dumps({**START["message"], "content": "hi", "stop_reason": "end_turn"}).encode()
    agreed(every_way.told("messages", raw, streamed=False), text="hi", stop="end")
    assert every_way.problems("messages", raw, streamed=False) == []


def blocks(*said: Json, stop: str) -> bytes:
    return messages(START, *said, ending(stop), STOP)


MIXED: dict[str, tuple[list[Json], Json]] = {
    "thoughts within a text": (
        [
            opened(0, type="text", text=""),
            delta(0, type="thinking_delta", thinking="so"),
            delta(0, type="text_delta", text="hi"),
            closed(0),
        ],
        {"text": "hi", "thinking": "so"},
    ),
    "a text within thoughts": (
        [
            opened(0, type="thinking", thinking="", signature=""),
            delta(0, type="thinking_delta", thinking="so"),
            delta(0, type="text_delta", text="h"),
            delta(0, type="text_delta", text="i"),
            closed(0),
        ],
        {"text": "hi", "thinking": "so"},
    ),
    "a block that is null": (
        [opened(0) | {"content_block": None}, delta(0, type="text_delta", text="hi"), closed(0)],
        {"text": "hi"},
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_a_delta_of_another_kind_than_its_block_is_not_lost(name: str) -> None:
    said, want = MIXED[name]
    raw = blocks(*said, stop="end_turn")
    agreed(every_way.told("messages", raw), **want, stop="end")
    assert every_way.problems("messages", raw) == []


# ------------------------------------------------------------------------------------------------ Responses

ANSWER: Json = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hi", "annotations": []}],
}


def response(*output: Json, **more: Any) -> Json:
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed"}
    return head | {"output": list(output)} | more


def events(*said: Json) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in said)


def added(item: Json) -> Json:
    return {"type": "response.output_item.done", "output_index": 0, "item": item}


DELTA: Json = {
    "type": "response.output_text.delta",
    "output_index": 0,
    "content_index": 0,
    "item_id": "msg_1",
    "delta": "hi",
}
COMPLETED: Json = {"type": "response.completed", "response": response()}
THOUGHT: Json = {"type": "reasoning", "id": "rs_1", "summary": []}
RESPONSES_TEXTS: dict[str, tuple[bytes, Json]] = {
    "content that is a text": (events(added(ANSWER | {"content": "hi"}), COMPLETED), {"text": "hi"}),
    "content that is bare texts": (events(added(ANSWER | {"content": ["hi"]}), COMPLETED), {"text": "hi"}),
    "a delta that is an object": (events(DELTA | {"delta": {"text": "hi"}}, COMPLETED), {"text": "hi"}),
    "reasoning that is a text": (
        events(added(THOUGHT | {"content": "so"}), added(ANSWER) | {"output_index": 1}, COMPLETED),
        {"text": "hi", "thinking": "so"},
    ),
    "a summary of bare texts": (
        events(added(THOUGHT | {"summary": ["so"]}), added(ANSWER) | {"output_index": 1}, COMPLETED),
        {"text": "hi", "thinking": "so"},
    ),
    "the older names of reasoning": (
        events(
            {"type": "response.reasoning.delta", "output_index": 0, "item_id": "rs_1", "delta": "so"},
            {"type": "response.reasoning.done", "output_index": 0, "item_id": "rs_1", "text": "so"},
            DELTA | {"output_index": 1},
            COMPLETED,
        ),
        {"text": "hi", "thinking": "so"},
    ),
}


@pytest.mark.parametrize("name", RESPONSES_TEXTS)
def test_texts_of_a_responses_server(name: str) -> None:
    raw, want = RESPONSES_TEXTS[name]
    agreed(every_way.told("responses", raw), **want, stop="end")
    assert every_way.problems("responses", raw) == []


@pytest.mark.parametrize("said", [None, response(), response(status="failed"), response(status=None)])
@pytest.mark.parametrize("kind", ["failed", "cancelled"])
def test_a_response_that_failed_has_failed_whatever_it_says_itself(kind: str, said: Json | None) -> None:
    raw = events(DELTA, {"type": f"response.{kind}", "response": said})
    assert all(each.failed and each.error for each in every_way.told("responses", raw).values())


def test_a_response_that_is_incomplete_is_cut_whatever_it_says_itself() -> None:
    raw = events(DELTA, {"type": "response.incomplete", "response": response()})
    agreed(every_way.told("responses", raw), text="hi", stop="length")


# --------------------------------------------------------------------------------------------------- Gemini


def spoken(*parts: Json, finish: str = "", **more: Any) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": list(parts)}} | (
        {"finishReason": finish} if finish else {}
    )
    return {"candidates": [candidate]} | more


COUNTS: Json = {"promptTokenCount": 20, "candidatesTokenCount": 9, "totalTokenCount": 29}
FIRST, LAST = spoken({"text": "hello "}), spoken({"text": "there"}, finish="STOP", usageMetadata=COUNTS)
HELLO: Json = {"text": "hello there", "stop": "end", "prompt": 20, "output": 9}
LOOKS: Json = {"calls": [("look", {"a": 1})], "stop": "tool"}


def google(*said: Json) -> bytes:
    return bare(*map(json.dumps, said))


GEMINI: dict[str, tuple[bytes, Json]] = {
    "one array": (json.dumps([FIRST, LAST]).encode(), HELLO),
    "one array, indented": (json.dumps([FIRST, LAST], indent=1).encode(), HELLO),
    "[DONE]": (google(FIRST, LAST) + b"data: [DONE]\n\n", HELLO),
    "counters that the last event leaves out": (
        google(
            FIRST | {"usageMetadata": COUNTS},
            spoken({"text": "there"}, finish="STOP", usageMetadata={"promptTokenCount": 20}),
        ),
        HELLO,
    ),
    "names in snake case": (
        google(
            {
                "candidates": [
                    {
                        "content": {"parts": [{"function_call": {"name": "look", "args": {"a": 1}}}]},
                        "finish_reason": "STOP",
                    }
                ],
                "usage_metadata": {"prompt_token_count": 20},
            }
        ),
        LOOKS | {"prompt": 20},
    ),
    "a lone part": (
        google(
            {
                "candidates": [{"content": {"parts": {"text": "hello there"}}, "finishReason": "STOP"}],
                "usageMetadata": COUNTS,
            }
        ),
        HELLO,
    ),
    "two candidates without an index": (
        google(
            {
                "candidates": [*spoken({"text": "hello there"}, finish="STOP")["candidates"], *FIRST["candidates"]],
                "usageMetadata": COUNTS,
            }
        ),
        HELLO,
    ),
}


@pytest.mark.parametrize("name", GEMINI)
def test_a_gemini_server(name: str) -> None:
    raw, want = GEMINI[name]
    agreed(every_way.told("gemini", raw), **want)
    assert every_way.problems("gemini", raw) == []


def test_a_whole_reply_may_be_a_stream_as_one_array() -> None:
    """So it comes where the status line calls it JSON."""
    raw = json.dumps([FIRST, LAST]).encode()
    agreed(every_way.told("gemini", raw, streamed=False), **HELLO)
    assert every_way.problems("gemini", raw, streamed=False) == []


@pytest.mark.parametrize("upstream", ["messages", "chat", "responses", "gemini"])
def test_a_whole_reply_that_is_a_list_with_an_error(upstream: Protocol) -> None:
    raw = b'[{"error": {"code": 503, "message": "it broke", "status": "UNAVAILABLE"}}]'
    for each in every_way.told(upstream, raw, streamed=False).values():
        assert each.failed and "it broke" in each.error


@pytest.mark.parametrize("last", [b"", b"data: [DONE]\n\n"])
def test_an_array_or_a_stream_without_an_end_is_an_error(last: bytes) -> None:
    for raw in (google(FIRST) + last, json.dumps([FIRST]).encode()):
        assert all(each.failed and each.error for each in every_way.told("gemini", raw).values())


# ------------------------------------------------------------------------------- arguments, of any protocol

CALL_ITEM: Json = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": ""}


def in_pieces(upstream: Protocol, *pieces: Any) -> bytes:
    """A reply with one call, whose arguments come so."""
    if upstream == "chat":
        return chat(
            ROLE, chunk(first_call(0, "")), *(calls(entry(index=0, arguments=each)) for each in pieces), CALL_END
        )
    if upstream == "messages":
        deltas = [delta(0, type="input_json_delta", partial_json=each) for each in pieces]
        return blocks(tool(0)[0], *deltas, closed(0), stop="tool_use")
    said = {"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1"}
    begun = {"type": "response.output_item.added", "output_index": 0, "item": CALL_ITEM}
    return events(begun, *(said | {"delta": each} for each in pieces), COMPLETED)


@pytest.mark.parametrize("upstream", ["chat", "messages", "responses"])
@pytest.mark.parametrize(
    ("pieces", "want"),
    [
        (["{}", '{"a": 1}'], {"a": 1}),
        (["{}", '{"a"', ": 1}"], {"a": 1}),
        (["{ }", " ", '{"a": 1}'], {"a": 1}),
        (["{}"], {}),
        (["{}", "{}"], {}),
        (["{}", "\n"], {}),
        (['{"a": {}}'], {"a": {}}),
        (["{", "}"], {}),
    ],
)
def test_an_empty_object_before_the_arguments_is_none_of_them(
    upstream: Protocol, pieces: list[str], want: Json
) -> None:
    raw = in_pieces(upstream, *pieces)
    agreed(every_way.told(upstream, raw), calls=[("look", want)], stop="tool")
    assert every_way.problems(upstream, raw) == []


def test_calls_that_take_nothing_stay_apart() -> None:
    both = [first_call(0, "{}", "x"), first_call(1, "{}", "y", "see")]
    raw = chat(ROLE, *map(chunk, both), HI, CALL_END)
    agreed(every_way.told("chat", raw), calls=[("look", {}), ("see", {})], text="hi")
    unnamed = calls(entry(index=0, name="look", arguments="{}")), calls(entry(index=0, name="see", arguments="{}"))
    agreed(every_way.told("chat", chat(ROLE, *unnamed, CALL_END)), calls=[("look", {}), ("see", {})])


@pytest.mark.parametrize("upstream", ["chat", "messages", "responses"])
def test_a_call_that_breaks_off_after_an_empty_object_is_not_seen(upstream: Protocol) -> None:
    """Its arguments may have been to come."""
    raw = in_pieces(upstream, "{}")
    end = {"chat": b"data: {", "messages": b"event: content_block_stop", "responses": b"event: response.completed"}
    cut = raw.rindex(end[upstream])
    for each in every_way.told(upstream, raw[:cut]).values():
        assert each.failed and each.calls == []


def test_arguments_in_other_places() -> None:
    object_delta = in_pieces("messages", {"a": 1})
    agreed(every_way.told("messages", object_delta), calls=[("look", {"a": 1})], stop="tool")
    begun = {"type": "response.output_item.added", "output_index": 0, "item": CALL_ITEM | {"arguments": ONE}}
    agreed(every_way.told("responses", events(begun, COMPLETED)), calls=[("look", {"a": 1})], stop="tool")
    done = {"type": "response.function_call_arguments.done", "output_index": 0, "item_id": "fc_1", "arguments": ONE}
    with_done = in_pieces("responses", "{}").replace(events(COMPLETED), events(done, COMPLETED))
    agreed(every_way.told("responses", with_done), calls=[("look", {"a": 1})], stop="tool")


SAME_ID: dict[Protocol, bytes] = {
    "messages": blocks(*tool(0, ONE), *tool(1, TWO), stop="tool_use"),
    "responses": events(
        {
            "type": "response.completed",
            "response": response(
                *(CALL_ITEM | {"id": f"fc_{i}", "arguments": each} for i, each in enumerate((ONE, TWO)))
            ),
        }
    ),
    "gemini": google(
        spoken(*({"functionCall": {"id": "x", "name": "look", "args": {"a": i}}} for i in (1, 2)), finish="STOP")
    ),
}


@pytest.mark.parametrize("upstream", SAME_ID)
def test_two_calls_of_one_id_can_be_told_apart(upstream: Protocol) -> None:
    raw = SAME_ID[upstream]
    agreed(every_way.told(upstream, raw), calls=[("look", {"a": 1}), ("look", {"a": 2})], stop="tool")
    assert every_way.problems(upstream, raw) == []
    whole = every_way.whole("chat", upstream, raw, True)
    assert len({call["id"] for call in json.loads(whole)["choices"][0]["message"]["tool_calls"]}) == 2


# --------------------------------------------------------------------------------------------------- errors

BROKEN: dict[str, str] = {
    "an object": '{"error": {"message": "it broke", "code": 500}}',
    "a text": '{"error": "it broke"}',
    "beside null": '{"error": null, "message": "it broke"}',
    "true": '{"error": true, "message": "it broke"}',
    "detail": '{"detail": "it broke"}',
    "a code and msg": '{"code": 1302, "msg": "it broke", "success": false}',
    "a code and message": '{"code": "InvalidParameter", "message": "it broke", "request_id": "x"}',
    "base_resp": '{"base_resp": {"status_code": 1004, "status_msg": "it broke"}, "choices": null}',
    "a list": '{"errors": [{"message": "it broke"}]}',
    "a status": '{"status": "error", "message": "it broke"}',
}
BEGUN: dict[Protocol, bytes] = {
    "messages": messages(START, *text(0, "hi")[:2]),
    "chat": chat(ROLE, HI, end=b""),
    "responses": events(DELTA),
    "gemini": google(spoken({"text": "hi"})),
}
ENDS: dict[Protocol, bytes] = {
    "chat": b"data: [DONE]\n\n",
    "gemini": b"data: [DONE]\n\n",
    "responses": b"data: [DONE]\n\n",
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("upstream", BEGUN)
def test_what_breaks_within_a_stream_is_told(upstream: Protocol, name: str) -> None:
    """In an event, in one that is called an error, or as a line that is none, before the end or in place of it."""
    error = BROKEN[name]
    shown = json.dumps(json.loads(error), indent=2)
    for said in (f"data: {error}\n\n", f"event: error\ndata: {error}\n\n", f"{error}\n\n", error, shown):
        for end in {b"", ENDS.get(upstream, b"")}:
            raw = BEGUN[upstream] + said.encode() + (b"\n\n" + end if end else b"")
            for client in every_way.clients(upstream):
                for pieces in ([raw], corpus.cuts(raw, 7, 20)):
                    each = every_way.READ[client](every_way.stream(client, upstream, pieces))
                    assert each.failed and "it broke" in each.error, (said, each)


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("upstream", BEGUN)
def test_a_whole_reply_that_is_an_error_under_a_good_status(upstream: Protocol, name: str) -> None:
    for each in every_way.told(upstream, BROKEN[name].encode(), streamed=False).values():
        assert each.failed and "it broke" in each.error


def test_a_remark_is_no_error_where_the_reply_comes_to_its_end() -> None:
    note: Json = {"message": "you wait in a queue", "code": 7}
    agreed(every_way.told("chat", chat(note, ROLE, HI, END)), text="hi", stop="end")
    agreed(every_way.told("gemini", google(note, LAST)), text="there", stop="end")
    agreed(every_way.told("responses", bare(json.dumps(note)) + events(DELTA, COMPLETED)), text="hi", stop="end")
    agreed(
        every_way.told("messages", bare(json.dumps(note)) + messages(START, *text(0, "hi"), ending(), STOP)), text="hi"
    )


def agreed(said: dict[str, Meaning], **want: Any) -> None:
    """Every client is told the same, in every way."""
    assert said
    for client, each in said.items():
        assert {key: getattr(each, key) for key in want} == want, client
        assert not each.failed, client
