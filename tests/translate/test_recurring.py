"""What was read and written before comes out as if it were made anew: of every request, to every upstream."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import corpus
from tests.support import strategies_requests as bodies
from tests.support.strategies import few
from translate import pair, recurring
from translate.failures import errors
from translate.json import wire
from translate.recurring import Memory, Recurring, Written
from translate.target import Policy, Protocol, Target

UPSTREAMS: tuple[Protocol, ...] = ("messages", "chat", "responses", "gemini")
BODIES = {
    "messages": bodies.messages_bodies(),
    "chat": bodies.chat_bodies(),
    "responses": bodies.responses_bodies(),
}
HISTORY = {"messages": "messages", "chat": "messages", "responses": "input"}
TARGETS = (
    Target("m"),
    Target("gemini-3-pro", Policy(reasoning_history="true", reasoning="reasoning", tool_schema="gemini")),
    Target("kimi-k2"),
    Target("n", Policy(images=False, developer_role=True, reasoning_history="tool_calls", rebuild=True)),
)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    """A new one, for bodies of any size."""
    monkeypatch.setattr(recurring, "LEAST_BODY", 0)
    monkeypatch.setattr(recurring, "LEAST_AVERAGE", 0)
    monkeypatch.setattr(recurring, "LEAST", 0)
    made = Memory(1 << 24)
    monkeypatch.setattr(recurring, "MEMORY", made)
    yield made


def said(client: Protocol, upstream: Protocol, body: Any, target: Target) -> Any:
    """All that a crossing tells, with the order of its members."""
    try:
        sent = pair.request(client, upstream, body, target)
    except errors.BadRequest as why:
        return str(why)
    return sent.json(), sent.dropped, sent.tool_names, sent.custom, sent.namespaces, sent.reshaped, sent.forms


def same(client: Protocol, body: Any) -> None:
    """As the conversation grows, message by message, and once more at its end."""
    raw = wire.dumps(body)
    history = body.get(HISTORY[client])
    steps = [raw, raw]
    if isinstance(history, list):
        steps = [wire.dumps({**body, HISTORY[client]: history[: n + 1]}) for n in range(len(history))][-4:] + steps
    for step in steps:
        plain, kept = wire.loads(step), recurring.loads(step)
        assert kept == plain
        for upstream in UPSTREAMS:
            for target in TARGETS:
                assert said(client, upstream, kept, target) == said(client, upstream, plain, target)
        assert kept == plain, "somebody wrote to what others will read"


@pytest.mark.parametrize("client", BODIES)
@few
@given(data=st.data())
def test_a_request_is_the_same_from_memory(client: Protocol, data: st.DataObject) -> None:
    body = data.draw(BODIES[client])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurring, "LEAST_BODY", 0)
        patch.setattr(recurring, "LEAST_AVERAGE", 0)
        patch.setattr(recurring, "LEAST", 0)
        patch.setattr(recurring, "MEMORY", Memory(1 << 24))
        same(client, body)


@pytest.mark.parametrize(("client", "api"), [
    ("messages", corpus.MESSAGES), ("chat", corpus.CHAT), ("responses", corpus.RESPONSES),
])  # fmt: skip
def test_recorded_requests_are_the_same_from_memory(client: Protocol, api: str, memory: Memory) -> None:
    """One after the other, all in one memory."""
    for exchange in corpus.exchanges(api):
        if isinstance(exchange.request, dict) and isinstance(exchange.request.get(HISTORY[client]), list):
            same(client, exchange.request)
    assert "parts" in repr(memory)


def test_what_comes_twice_in_one_request_is_two_things(memory: Memory) -> None:
    """Two calls of one id, each with its result: the second pair gets another id."""
    pair_of = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "done"}]},
    ]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "go"}, *pair_of, *pair_of]}
    same("messages", body)
    kept = recurring.loads(wire.dumps(body))
    assert kept["messages"][1] is kept["messages"][3]
    sent = pair.request("messages", "chat", kept, Target("m")).body["messages"]
    assert isinstance(sent, list) and [m["tool_call_id"] for m in sent if m["role"] == "tool"] == ["t", "t_2"]


def test_calls_without_ids_have_those_of_their_present_places(memory: Memory) -> None:
    bare = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "so", "tool_calls": [bare]},
             {"role": "tool", "content": "1"}]  # fmt: skip
    for history in (asked, asked, [asked[0], *asked], [*asked, *asked]):
        raw = wire.dumps({"model": "m", "messages": history})
        for upstream in UPSTREAMS[2:]:
            remembered = said("chat", upstream, recurring.loads(raw), Target("m"))
            assert remembered == said("chat", upstream, wire.loads(raw), Target("m"))


def test_only_what_is_new_is_read_and_written(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    history: list[Any] = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n} " * 20} for n in range(41)]
    body = {"model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "s" * 99}], "messages": history}
    pair.request("messages", "chat", recurring.loads(wire.dumps(body)), Target("m"))
    read: list[Any] = []
    loads = wire.loads
    monkeypatch.setattr(wire, "loads", lambda raw: read.append(raw) or loads(raw))
    history += [{"role": "assistant", "content": "yes"}, {"role": "user", "content": "and now?"}]
    data = recurring.loads(wire.dumps(body))
    assert len(read) == 2 and all(type(part) is Recurring for part in data["messages"])
    sent = pair.request("messages", "chat", data, Target("m"))
    assert isinstance(sent.body["messages"], list) and type(sent.body["messages"][5]) is Written


def test_a_model_or_a_policy_of_its_own_is_written_anew(memory: Memory) -> None:
    thought = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "hi"}]
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": thought}]
    data = recurring.loads(wire.dumps({"model": "m", "max_tokens": 9, "messages": messages}))
    for _ in range(2):
        kept = pair.request("messages", "chat", data, Target("m", Policy(reasoning_history="true")))
        dropped = pair.request("messages", "chat", data, Target("m"))
        assert b"reasoning_content" in kept.json() and not kept.dropped
        assert b"reasoning_content" not in dropped.json() and dropped.dropped


def test_the_memory_is_bounded_and_forgets() -> None:
    memory = Memory()
    memory.resize(recurring.TIMES * 2 * 1000)
    for number in range(100):
        memory.part(b'{"number":%d,"text":"%b"}' % (number, b"x" * 100))
        assert sum(map(len, memory._new)) <= 1000 and sum(map(len, memory._old)) <= 1000
    last = memory.part(b'{"number":99,"text":"%b"}' % (b"x" * 100))
    memory.age()
    assert memory.part(b'{"number":99,"text":"%b"}' % (b"x" * 100)) is last, "what is used stays"
    memory.age()
    memory.age()
    assert memory.part(b'{"number":99,"text":"%b"}' % (b"x" * 100)) is not last
    memory.resize(0)
    assert not memory._new and not memory._old


def test_what_is_forgotten_is_gone(memory: Memory) -> None:
    """Without the collector, which seldom runs: what was made of a part may hold the part itself."""
    gc.collect()
    others = [one for one in gc.get_objects() if type(one) in (Recurring, Written)]  # of what other tests left running
    gc.disable()
    try:
        for body in (
            {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "new", "x": "y" * 50}]}],
             "tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            {"model": "m", "input": [
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c" * 80},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "done"}, {"type": "newer", "content": "x"},
            ]},
            {"model": "m", "messages": [
                {"role": "assistant", "tool_calls": [
                    {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in ("a", "b")
                ]},
                {"role": "tool", "tool_call_id": "a", "content": "1"},
                {"role": "tool", "tool_call_id": "b", "content": "2"},
            ]},
        ):  # fmt: skip
            client = "responses" if "input" in body else "messages" if "max_tokens" in body else "chat"
            for upstream in UPSTREAMS:
                for _ in range(2):
                    said(client, upstream, recurring.loads(wire.dumps(body)), Target("m"))
        assert sum(type(one) is Recurring for one in gc.get_objects()) > len(others)
        memory.age()
        memory.age()
        assert sum(type(one) in (Recurring, Written) for one in gc.get_objects()) <= len(others)
    finally:
        gc.enable()


@pytest.mark.parametrize("raw", [
    b'{"messages":[1,"two",null,[3],{"a":1}],"tools":[]}', b'{"messages":"text"}', b'{"messages":{"a":[1]}}', b"[1]",
    b'{"messages":[{"a":"\\ud83d"}],"n":12345678901234567890123}', b'{"stop":["a",1.0,1],"x":1.0}', b'"text"', b"7",
    b'{"messages":[{"a":1}],"messages":[{"a":2}]}', b'{"messages":[{"a":"raw \n line"}]}', b'{"input":[NaN]}',
])  # fmt: skip
def test_any_json_is_read_as_elsewhere(raw: bytes, memory: Memory) -> None:
    for _ in range(2):
        assert repr(recurring.loads(raw)) == repr(wire.loads(raw))


@pytest.mark.parametrize("raw", [b'{"messages":[{"a":1}', b'{"messages":[{"a":1},]}', b'{"messages":[{"a" 1}]}', b""])
def test_what_is_no_json_is_refused_in_the_same_words(raw: bytes, memory: Memory) -> None:
    with pytest.raises(ValueError) as plain:
        wire.loads(raw)
    with pytest.raises(ValueError) as kept:
        recurring.loads(raw)
    assert str(kept.value) == str(plain.value)


def test_a_new_part_that_is_no_plain_json_is_written_beside_old_ones(memory: Memory) -> None:
    messages = [{"role": "user", "content": "old " * 30}, {"role": "assistant", "content": "half \ud83d"}]
    body = {"model": "m", "max_tokens": 9, "messages": messages}
    raw = wire.dumps(body).replace(b"\xef\xbf\xbd", b"\\ud83d")
    for _ in range(2):
        data = recurring.loads(raw)
        sent = pair.request("messages", "chat", data, Target("m")).json()
        assert sent == pair.request("messages", "chat", copy.deepcopy(wire.loads(raw)), Target("m")).json()
