"""Habits of Chat servers that no specification has (see odd.py)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import every_way
from tests.support.streams import END, HI, ROLE, chat, chunk, first_call
from tests.translate.odd import CALL_END, ONE, SPENT, TWO, Json, agreed, bare, calls, entry
from translate import pair
from translate.target import Protocol

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
    "the value that a JSON schema asks for (Cloudflare)": (
        chat(ROLE, chunk({"content": {"kind": "a", "n": [1]}}), END),
        {"text": '{"kind":"a","n":[1]}'},
    ),
    "such a value with a type of its own": (
        chat(ROLE, chunk({"content": {"type": "fruit"}}), END),
        {"text": '{"type":"fruit"}'},
    ),
    "such a value that is a list": (chat(ROLE, chunk({"content": [{"n": 1}]}), END), {"text": '[{"n":1}]'}),
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


ASIDE: dict[str, tuple[Json, Json]] = {  # what stands in the message, and beside the choices
    "executed_tools": ({"executed_tools": [{"type": "search", "index": 0, "arguments": "{}", "output": "x"}]}, {}),
    "related_questions": ({}, {"related_questions": ["why?"]}),
    "images": ({}, {"images": [{"image_url": "http://x/a.png"}]}),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", ASIDE)
@pytest.mark.parametrize("client", ["messages", "responses", "gemini"])
def test_what_a_server_says_beside_its_answer_is_reported(client: Protocol, name: str, streamed: bool) -> None:
    """Groq of the tools that it ran, Perplexity of what else there is."""
    message, beside = ASIDE[name]
    whole = {"choices": [{"index": 0, "message": {"content": "hi"} | message, "finish_reason": "stop"}]} | beside
    crosses = pair.Crossing(client, "chat", every_way.asked(client))
    if streamed:
        out = crosses.feed(chat(ROLE, HI, chunk(message) | beside, END)) + crosses.end()
    else:
        out = crosses.whole(json.dumps(whole).encode())
    assert every_way.READ[client](out if streamed else json.loads(out)).text == "hi"
    assert crosses.asked.left == [f"reply.{name}"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", ["executed_tools", "related_questions"])
def test_a_reply_that_is_written_anew_has_it(name: str, streamed: bool) -> None:
    message, beside = ASIDE[name]
    crosses = pair.Crossing("chat", "chat", every_way.asked("chat"))
    if streamed:
        raw = crosses.feed(chat(ROLE, HI, chunk(message) | beside, END)) + crosses.end()
        chunks = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: {")]
        said = [each | each["choices"][0]["delta"] for each in chunks if each["choices"]]
        assert [each[name] for each in said if name in each] == [(message | beside)[name]]
    else:
        whole = {"choices": [{"index": 0, "message": {"content": "hi"} | message, "finish_reason": "stop"}]} | beside
        body = json.loads(crosses.whole(json.dumps(whole).encode()))
        assert (body | body["choices"][0]["message"])[name] == (message | beside)[name]
    assert crosses.asked.left == []


@pytest.mark.parametrize("finish", ["stop", None])
def test_a_whole_reply_with_the_value_of_a_json_schema(finish: str | None) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": {"n": 1}}, "finish_reason": finish}
    raw = json.dumps({"object": "chat.completion", "choices": [choice]}).encode()
    agreed(every_way.told("chat", raw, streamed=False), text='{"n":1}', stop="end")
    assert every_way.problems("chat", raw, streamed=False) == []


SAID: Json = {"role": "assistant", "content": "I look."}
CALLED = [
    {"role": "assistant", "content": None, "tool_calls": [entry(id=id, type="function", name=name, arguments=given)]}
    for id, name, given in (("x", "look", ONE), ("y", "see", TWO))
]


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("messages", [[SAID, *CALLED], [*CALLED, SAID], [CALLED[0], SAID, CALLED[1]]])
def test_a_reply_in_several_choices(messages: list[Json], numbered: bool) -> None:
    """As GitHub Copilot has Claude's: the text in one choice, each call in another, and all of them end with a call."""
    choices = [
        {"index": i if numbered else 0, "message": message, "finish_reason": "tool_calls"}
        for i, message in enumerate(messages)
    ]
    raw = json.dumps({"id": "c", "object": "chat.completion", "choices": choices, "usage": SPENT}).encode()
    calls = [("look", {"a": 1}), ("see", {"a": 2})]
    agreed(every_way.told("chat", raw, streamed=False), text="I look.", calls=calls, stop="tool")
    assert every_way.problems("chat", raw, streamed=False) == []


def test_further_answers_are_no_part_of_the_first() -> None:
    choices = [{"index": i, "message": CALLED[i], "finish_reason": "tool_calls"} for i in (0, 1)]
    raw = json.dumps({"id": "c", "object": "chat.completion", "choices": choices}).encode()
    agreed(every_way.told("chat", raw, streamed=False), text="", calls=[("look", {"a": 1})], stop="tool")


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


@pytest.mark.parametrize(("thought", "answer"), [(0, 9), (4, 5), (9, 0), (50, 9)])
def test_what_was_thought_is_counted_beside_the_answer_at_google(thought: int, answer: int) -> None:
    """xAI counts so, too: more is thought there than came out."""
    raw = chat(ROLE, HI, END | {"usage": SPENT | {"completion_tokens_details": {"reasoning_tokens": thought}}})
    told = [json.loads(line[6:]) for line in every_way.stream("gemini", "chat", [raw]).decode().splitlines() if line]
    used = told[-1]["usageMetadata"]
    assert (used["candidatesTokenCount"], used.get("thoughtsTokenCount", 0)) == (answer, thought)
    assert used["totalTokenCount"] == 20 + answer + thought
