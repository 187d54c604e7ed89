"""The same replies with other servers' habits: mutated streams cross like the ones they were made of.

Bases are written by hand here (they hold every kind of part) and, where they are there, the recorded ones.
Each mutation of tests/support/mutate runs alone on every base, then several at once in random order, framing
and cuts. And any text crosses as it is, whatever it looks like to a decoder that copies bytes. (Streams that
break are in test_broken.py.)
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from conformance import grammar
from tests.support import corpus, crossing, every_way, meaning, mutate
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
    ending,
    first_call,
    messages,
    text,
    tool,
)  # fmt: skip
from translate.target import Protocol

COUNTED: dict[str, Any] = {
    "usage": {
        "prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 12}, "completion_tokens_details": {"reasoning_tokens": 2},
    }
}  # fmt: skip
FINISHED = chunk(finish="tool_calls")
ODD_TEXT = 'Héllo \U0001f600 "quoted" \\ and\nnew lines'
CHAT_BASES: dict[str, bytes] = {
    "text": chat(ROLE, chunk({"content": ODD_TEXT}), HI, END, USAGE | COUNTED),
    "no usage": chat(ROLE, HI, HI, END),
    "long text": chat(ROLE, *[chunk({"content": f" word{i}"}) for i in range(40)], END, USAGE | COUNTED),
    "length": chat(ROLE, HI, chunk(finish="length"), USAGE | COUNTED),
    "filtered": chat(ROLE, HI, chunk(finish="content_filter"), USAGE | COUNTED),
    "thinking": chat(
        ROLE, chunk({"reasoning_content": "let me "}), chunk({"reasoning_content": "see"}), HI, END,
        USAGE | COUNTED,
    ),
    "one call": chat(
        ROLE, chunk(first_call(0, "")), chunk(call(0, '{"city": ')), chunk(call(0, '"Rome"}')), FINISHED,
        USAGE | COUNTED,
    ),
    "thinking, text, two calls": chat(
        ROLE, chunk({"reasoning_content": "hm"}), HI, chunk(first_call(0, "", "call_a")),
        chunk(call(0, '{"a": "x\\ny"}')), chunk(first_call(1, "", "call_b", "other")),
        chunk(call(1, '{"b": [1, 2]')),
        chunk(call(1, "}")), FINISHED, USAGE | COUNTED,
    ),
    "call without arguments": chat(ROLE, chunk(first_call(0, "")), FINISHED),
    "odd ids": chat(
        ROLE, *(chunk(first_call(i, "{}", f"functions.look:{i}")) for i in (0, 1)), FINISHED
    ),
    "stop with a call": chat(ROLE, chunk(first_call(0)), END, USAGE | COUNTED),
    "nothing": chat(ROLE, END, USAGE | COUNTED),
}  # fmt: skip
TOLD = {"input_tokens": 8, "cache_read_input_tokens": 12, "cache_creation_input_tokens": 0}
BEGUN = {**START, "message": START["message"] | {"usage": TOLD | {"output_tokens": 1}}}
MESSAGES_BASES: dict[str, bytes] = {
    "text": messages(BEGUN, *text(0, 'Héllo \U0001f600 "quoted" \\ and\nnew lines'), ending(), STOP),
    "two texts": messages(BEGUN, *text(0), *text(1, " again"), ending(**TOLD), STOP),
    "max tokens": messages(BEGUN, *text(0), ending("max_tokens"), STOP),
    "refusal": messages(BEGUN, ending("refusal"), STOP),
    "thinking, text, tools": messages(
        BEGUN, *THINKING, *text(1), *tool(2), *tool(3, "", "toolu_2", "other"), ending("tool_use"), STOP
    ),
    "cut input": messages(BEGUN, *tool(0, '{"a": "b'), ending("max_tokens"), STOP),
    "nothing": messages(BEGUN, ending(), STOP),
}
RECORDED_MAX = 12_000
HABITS = [*(("chat", name) for name in mutate.CHAT), *(("messages", name) for name in mutate.MESSAGES)]


def plain(exchange: corpus.Exchange) -> bool:
    """Small enough, and without a habit of its own that the mutations put in again."""
    return 0 < len(exchange.sse) <= RECORDED_MAX and not exchange.features & {"n>1", "habit"}


def recorded(api: str) -> dict[str, bytes]:
    """Small recorded streams, at most two of a provider."""
    seen: dict[str, int] = {}
    out = {}
    for exchange in corpus.exchanges(api, plain):
        seen[exchange.provider] = seen.get(exchange.provider, 0) + 1
        if seen[exchange.provider] <= (2 if api == corpus.CHAT else 12):
            out[exchange.id] = exchange.sse
    return out


CHAT_ALL = CHAT_BASES | recorded(corpus.CHAT)
MESSAGES_ALL = MESSAGES_BASES | recorded(corpus.MESSAGES)


def problems(client: Protocol, upstream: Protocol, base: bytes, raw: bytes, seed: int) -> list[str]:
    """What is wrong with the crossing of `raw`, which should mean what `base` does."""
    want = crossing.read(upstream, base, streamed=True)
    pieces = [raw] if seed % 3 == 0 else corpus.cuts(raw, seed, 2 + seed % 40)
    return crossing.judge(client, crossing.stream(client, upstream, pieces), True, want, by_sdk=False)


def same(upstream: Protocol, base: bytes, raw: bytes) -> bool:
    """The witness first: a mutation that changes the meaning proves nothing."""
    want, got = crossing.read(upstream, base, streamed=True), crossing.read(upstream, raw, streamed=True)
    return meaning.differences(want, got) == []


@pytest.mark.parametrize("name", mutate.CHAT)
def test_a_chat_servers_habit(name: str) -> None:
    for base in CHAT_ALL.values():
        raw = mutate.render(mutate.CHAT[name](mutate.parse(base), random.Random(name)))
        assert same("chat", base, raw)
        assert problems("messages", "chat", base, raw, 0) == [], base.decode()


@pytest.mark.parametrize("name", mutate.MESSAGES)
def test_a_messages_servers_habit(name: str) -> None:
    for base in MESSAGES_ALL.values():
        raw = mutate.render(mutate.MESSAGES[name](mutate.parse(base), random.Random(name)))
        assert same("messages", base, raw)
        assert problems("chat", "messages", base, raw, 0) == [], base.decode()


@pytest.mark.parametrize("client", ["responses", "gemini"])
@pytest.mark.parametrize(("upstream", "name"), HABITS)
def test_a_habit_before_the_clients_of_other_protocols(client: Protocol, upstream: Protocol, name: str) -> None:
    """They are told what they are told of the same reply without the habit."""
    table, bases = (mutate.CHAT, CHAT_BASES) if upstream == "chat" else (mutate.MESSAGES, MESSAGES_BASES)
    read = every_way.READ[client]
    for base in bases.values():
        raw = mutate.render(table[name](mutate.parse(base), random.Random(name)))
        want, got = (read(every_way.stream(client, upstream, [each])) for each in (base, raw))
        assert meaning.differences(want, got) == [], base.decode()


@pytest.mark.parametrize("framing", mutate.FRAMINGS)
def test_a_framing(framing: str) -> None:
    for base in CHAT_ALL.values():
        for seed in (0, 1, 38):
            assert problems("messages", "chat", base, mutate.render(mutate.parse(base), framing), seed) == []
    for base in MESSAGES_ALL.values():
        for seed in (0, 1, 38):
            assert problems("chat", "messages", base, mutate.render(mutate.parse(base), framing), seed) == []


def several(table: dict[str, mutate.Mutation]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(sorted(table)), min_size=1, max_size=4, unique=True)


@settings(max_examples=250)
@given(
    st.sampled_from(sorted(CHAT_ALL)),
    several(mutate.CHAT),
    st.sampled_from(mutate.FRAMINGS),
    st.integers(0, 10_000),
)
def test_several_habits_of_a_chat_server(base: str, names: list[str], framing: str, seed: int) -> None:
    rng = random.Random(seed)
    events = mutate.parse(CHAT_ALL[base])
    for name in names:
        events = mutate.CHAT[name](events, rng)
    raw = mutate.render(events, framing)
    assume(same("chat", CHAT_ALL[base], raw))
    assert problems("messages", "chat", CHAT_ALL[base], raw, seed) == []


@settings(max_examples=250)
@given(
    st.sampled_from(sorted(MESSAGES_ALL)),
    several(mutate.MESSAGES),
    st.sampled_from(mutate.FRAMINGS),
    st.integers(0, 10_000),
)
def test_several_habits_of_a_messages_server(base: str, names: list[str], framing: str, seed: int) -> None:
    rng = random.Random(seed)
    events = mutate.parse(MESSAGES_ALL[base])
    for name in names:
        events = mutate.MESSAGES[name](events, rng)
    raw = mutate.render(events, framing)
    assume(same("messages", MESSAGES_ALL[base], raw))
    assert problems("chat", "messages", MESSAGES_ALL[base], raw, seed) == []


# ------------------------------------------------------------------------------------------ any text

# What might mislead a decoder that looks at bytes: quotes, backslashes, framing, the protocols' own words.
TRAPS = [
    '"', "\\", "\\\\", '\\"', "\n", "\r\n\r\n", "\n\ndata: [DONE]\n\n", '"},"finish_reason":"stop"}]}',
    '"}}', "\x00", "\x7f",
    "\u2028", "\ufeff", "é", "\U0001f600", "<think>", "</think>", "{", "[DONE]", " ", "null",
    '"text":"', "x" * 300,
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(TRAPS), st.text(max_size=8)), min_size=1, max_size=30)
WRITERS = [
    lambda data: json.dumps(data),
    lambda data: json.dumps(data, ensure_ascii=False),
    lambda data: json.dumps(data, separators=(",", ":")),
    lambda data: json.dumps(data, sort_keys=True) + "   ",
]


@settings(max_examples=150)
@given(
    TEXTS,
    st.sampled_from(WRITERS),
    st.integers(0, 100),
    st.sampled_from(["content", "reasoning_content", "arguments"]),
)
def test_any_text_crosses_from_chat(texts: list[str], write: Any, seed: int, where: str) -> None:
    if where == "arguments":
        texts = _sliced(json.dumps({"a": "".join(texts)}), seed)
        chunks = [chunk(first_call(0, "")), *(chunk(call(0, piece)) for piece in texts), FINISHED]
    else:
        chunks = [*(chunk({where: piece}) for piece in texts), END]
    raw = "".join(f"data: {write(c)}\n\n" for c in [ROLE, *chunks]).encode() + b"data: [DONE]\n\n"
    want = meaning.of_chat(raw)
    for pieces in ([raw], corpus.cuts(raw, seed, 30)):
        assert crossing.judge("messages", crossing.stream("messages", "chat", pieces), True, want, by_sdk=False) == []


@settings(max_examples=150)
@given(
    TEXTS,
    st.sampled_from(WRITERS),
    st.integers(0, 100),
    st.sampled_from(["text", "thinking", "partial_json"]),
)
def test_any_text_crosses_from_messages(texts: list[str], write: Any, seed: int, where: str) -> None:
    kind = {"text": "text_delta", "thinking": "thinking_delta", "partial_json": "input_json_delta"}[where]
    if where == "partial_json":
        texts = _sliced(json.dumps({"a": "".join(texts)}), seed)
    first = {"text": text(0)[0], "thinking": THINKING[0], "partial_json": tool(0)[0]}[where]
    deltas = [{"type": "content_block_delta", "index": 0, "delta": {"type": kind, where: piece}} for piece in texts]
    last = ending("tool_use" if where == "partial_json" else "end_turn")
    events = [BEGUN, first, *deltas, {"type": "content_block_stop", "index": 0}, last, STOP]
    raw = "".join(f"event: {e['type']}\ndata: {write(e)}\n\n" for e in events).encode()
    want = meaning.of_messages(raw)
    for pieces in ([raw], corpus.cuts(raw, seed, 30)):
        assert crossing.judge("chat", crossing.stream("chat", "messages", pieces), True, want, by_sdk=False) == []


def _sliced(whole: str, seed: int) -> list[str]:
    size = 1 + seed % 7
    return [whole[at : at + size] for at in range(0, len(whole), size)]


LOOKALIKES: dict[str, dict[str, Any]] = {
    "thinking beside": {"content": "a", "reasoning_content": "b"},
    "a name beside": {"content": "a", "name": "b"},
    "a refusal beside": {"content": "a", "refusal": "b"},
    "a call beside": {"content": "a"} | first_call(0),
    "a call in the middle": {"content": "a", **first_call(0), "name": "b"},
}


@pytest.mark.parametrize("delta", LOOKALIKES.values(), ids=LOOKALIKES.keys())
@pytest.mark.parametrize("write", WRITERS[:3])
def test_a_chunk_that_begins_and_ends_like_the_others(delta: dict[str, Any], write: Any) -> None:
    """A decoder that copies what lies between the bytes it has learned must see that there is more in it."""
    calls = "tool_calls" in delta
    chunks = [ROLE, HI, HI, chunk(delta), HI, HI, FINISHED if calls else END]
    raw = "".join(f"data: {write(c)}\n\n" for c in chunks).encode() + b"data: [DONE]\n\n"
    want = meaning.of_chat(raw)
    for pieces in ([raw], corpus.cuts(raw, 3)):
        assert crossing.judge("messages", crossing.stream("messages", "chat", pieces), True, want, by_sdk=False) == []


@pytest.mark.parametrize("write", WRITERS[:3])
def test_an_event_that_begins_and_ends_like_the_others(write: Any) -> None:
    begun, one, closed = text(0)
    odd = [
        {**one, "delta": {"type": "text_delta", "text": "a", "future": "b"}},
        {**one, "delta": {"type": "text_delta", "text": "c", "text_too": {"text": "d"}}},
    ]
    events = [BEGUN, begun, one, one, *odd, one, *odd, closed, ending(), STOP]
    raw = "".join(f"event: {e['type']}\ndata: {write(e)}\n\n" for e in events).encode()
    want = meaning.of_messages(raw)
    assert want.text == "hellohelloachelloac"
    for pieces in ([raw], corpus.cuts(raw, 3)):
        assert crossing.judge("chat", crossing.stream("chat", "messages", pieces), True, want, by_sdk=False) == []


@pytest.mark.parametrize("wrong", [b"\xff", b"\xc3", b"\n", b"\x00", b'"', b"\\", b"\\x", b"\\u12", b"\xed\xa0\x80"])
@pytest.mark.parametrize(("client", "upstream"), [("chat", "messages"), ("messages", "chat")])
def test_broken_bytes_never_reach_the_client(client: Protocol, upstream: Protocol, wrong: bytes) -> None:
    """In the middle of a run of like events: repaired or told as an error, but legal."""
    if upstream == "chat":
        good = [ROLE, HI, chunk({"content": "~"}), HI, chunk({"content": "~~"}), HI, END]
        raw = chat(*good)
    else:
        begun, one, closed = text(0)
        odd = [{**one, "delta": {"type": "text_delta", "text": said}} for said in ("~", "~~")]
        raw = messages(BEGUN, begun, one, odd[0], one, odd[1], one, closed, ending(), STOP)
    out = crossing.stream(client, upstream, [raw.replace(b"~", wrong)])
    assert (grammar.check_messages if client == "messages" else grammar.check_chat)(out) == []


@pytest.mark.parametrize(("client", "upstream"), [("chat", "messages"), ("messages", "chat")])
def test_half_an_emoji_in_each_delta(client: Protocol, upstream: Protocol) -> None:
    """Providers that cut by UTF-16 units send lone surrogates, which together are a character; one alone is none."""
    if upstream == "chat":
        raw = chat(
            ROLE,
            chunk({"content": "a\ud83d"}),
            chunk({"content": "\ude00b"}),
            chunk({"content": "\ude00"}),
            END,
        )
    else:
        halves = [{**text(0)[1], "delta": {"type": "text_delta", "text": t}} for t in ("a\ud83d", "\ude00b", "\ude00")]
        raw = messages(BEGUN, text(0)[0], *halves, text(0)[2], ending(), STOP)
    want = crossing.read(upstream, raw, streamed=True)
    want.text = "a\U0001f600b\ufffd"
    for pieces in ([raw], corpus.bytewise(raw)):
        assert crossing.judge(client, crossing.stream(client, upstream, pieces), True, want) == []
    crossing.whole(client, upstream, raw, streamed=True).decode("utf-8")
