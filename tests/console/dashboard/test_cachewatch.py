"""The prompt-cache watchdog: which part of a prompt broke its prefix, and when there is nothing to tell."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from console.dashboard import prefix
from console.dashboard.cachewatch import MAX_CHANGES, MAX_SESSIONS, MAX_THREADS, MAX_WAITING, CacheWatch
from translate import recurring

MARK = {"cache_control": {"type": "ephemeral"}}


class Talk:
    """One session's requests, each asked and over at once. now: the clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.watch = CacheWatch(lambda: self.now)
        self.count = 0

    def ask(
        self, data: dict[str, Any] | None, session: str = "s", model: str = "m", cached: int = 90, answered: bool = True
    ) -> Any:
        """What had changed, None where nothing had."""
        self.count += 1
        self.now += 1
        self.watch.asked(str(self.count), session, "me", model, copy.deepcopy(data))
        used = self.watch.used(str(self.count), answered, 100, cached)
        assert used is not None
        return used[1]


def request(turns: int = 3, **other: Any) -> dict[str, Any]:
    messages = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"turn {n}"} for n in range(turns)]
    tools = [{"name": name, "input_schema": {}} for name in ("read", "write")]
    return {"model": "m", "system": "you are", "tools": tools, "messages": messages, "max_tokens": 5} | other


def test_a_prompt_that_only_grows_breaks_nothing() -> None:
    talk = Talk()
    assert [talk.ask(request(turns)) for turns in (1, 3, 5, 4)] == [None] * 4
    [session] = talk.watch.shown()
    assert session["requests"] == 4 and session["prompt"] == 400 and session["cached"] == 360
    assert session["changes"] == [] and session["last_hit"] == 0.9


@pytest.mark.parametrize(
    ("other", "where", "what"),
    [
        ({"system": "you were"}, "system[0]", "changed"),
        ({"system": [{"type": "text", "text": "you are"}, {"type": "text", "text": "x"}]}, "system[1]", "added"),
        ({"tools": [{"name": "read", "input_schema": {}}]}, "tools[1]", "removed"),
        ({"tools": [{"name": "read", "input_schema": {}}, {"name": "new", "input_schema": {}}]}, "tools[1]", "changed"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking", "changed"),
        ({"tool_choice": {"type": "any"}}, "tool_choice", "changed"),
    ],
)
def test_the_part_that_changed_is_named(other: dict[str, Any], where: str, what: str) -> None:
    talk = Talk()
    talk.ask(request(3))
    change = talk.ask(request(5, **other), cached=0)
    assert (change["where"], change["what"]) == (where, what)
    [session] = talk.watch.shown()
    assert session["changes"] == [change] and change["cached"] == 0 and change["prompt"] == 100
    assert talk.ask(request(7, **other)) is None  # it is told once


def test_an_earlier_message_that_changed_is_named_with_its_role() -> None:
    talk = Talk()
    talk.ask(request(5))
    changed = request(7)
    changed["messages"][1]["content"] = "another"
    change = talk.ask(changed)
    assert (change["where"], change["what"], change["role"], change["of"]) == ("messages[1]", "changed", "assistant", 7)


def test_a_tool_is_told_by_its_name_in_either_shape() -> None:
    for tool in ({"name": "new", "input_schema": {}}, {"type": "function", "function": {"name": "new"}}):
        talk = Talk()
        talk.ask(request(3))
        assert talk.ask(request(3, tools=[tool]))["tool"] == "new"


def test_another_model_has_another_cache() -> None:
    talk = Talk()
    talk.ask(request(3))
    assert talk.ask(request(5), model="other")["where"] == "model"


def test_what_says_only_where_to_cache_changes_nothing() -> None:
    """Claude Code moves its marks with every turn, writes a marked text as a list, and bills by a changing line."""
    talk = Talk()
    bill = {"type": "text", "text": "x-anthropic-billing-header: cch=1"}
    first = request(3, system=[bill, {"type": "text", "text": "you are"} | MARK])
    first["messages"][2] = {"role": "user", "content": [{"type": "text", "text": "turn 2"} | MARK]}
    talk.ask(first)
    bill = {"type": "text", "text": "x-anthropic-billing-header: cch=2"}
    later = request(5, system=[bill, {"type": "text", "text": "you are"}], max_tokens=9, metadata={"user_id": "u"})
    later["tools"][1] |= MARK
    assert talk.ask(later) is None


def test_marks_inside_of_a_tools_result_change_nothing() -> None:
    def result(**mark: Any) -> dict[str, Any]:
        inner = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"} | mark]}
        data = request(3)
        data["messages"].append({"role": "user", "content": [inner]})
        return data

    talk = Talk()
    talk.ask(result(**MARK))
    assert talk.ask(result()) is None


def test_responses_and_chat_are_read_too() -> None:
    talk = Talk()
    items = [{"type": "message", "role": "user", "content": "a"}, {"type": "function_call", "name": "f"}]
    talk.ask({"model": "m", "instructions": "be", "input": items})
    assert talk.ask({"model": "m", "instructions": "be", "input": [*items, items[0]]}) is None
    change = talk.ask({"model": "m", "instructions": "been", "input": items})
    assert change["where"] == "instructions[0]"
    change = talk.ask({"model": "m", "instructions": "been", "input": [items[0], {"type": "reasoning"}]})
    assert (change["where"], change["role"]) == ("input[1]", "reasoning")


def test_conversations_of_one_session_are_not_held_against_each_other() -> None:
    talk = Talk()
    sub = {"model": "m", "system": "a subagent", "messages": [{"role": "user", "content": "look"}]}
    talk.ask(request(3))
    assert talk.ask(sub) is None
    assert talk.ask(request(5)) is None
    assert talk.ask(sub | {"messages": [*sub["messages"], {"role": "assistant", "content": "y"}]}) is None


def test_a_cache_that_went_cold_is_told_as_such() -> None:
    talk = Talk()
    talk.ask(request(3))
    talk.now += 600
    change = talk.ask(request(5), cached=0)
    assert change["where"] == "nothing" and change["idle_s"] >= 600


def test_what_was_not_answered_is_in_no_cache() -> None:
    talk = Talk()
    odd = request(5)
    odd["messages"][4]["content"] = "too long"
    assert talk.ask(request(3)) is None
    assert talk.ask(odd, answered=False) is None and talk.ask(request(5, system="x"), answered=False) is None
    assert talk.ask(request(7)) is None
    assert talk.ask(request(1), session="new", answered=False) is None
    assert talk.ask(request(1, system="x"), session="new") is None
    new, old = talk.watch.shown()
    assert new["changes"] == old["changes"] == [] and (old["requests"], old["prompt"]) == (2, 200)


def test_without_a_parsed_body_only_the_share_is_known() -> None:
    talk = Talk()
    assert talk.ask(None, cached=50) is None
    assert talk.ask(None, cached=0) is None
    [session] = talk.watch.shown()
    assert session["prompt"] == 200 and session["cached"] == 50 and session["changes"] == []
    assert session["looked"] == 0


def test_no_text_is_kept() -> None:
    talk = Talk()
    secret = "what nobody else should read"
    talk.ask(request(3, system=secret), session="user_someone@example.com")
    talk.ask(request(3, system=secret + " ever"), session="user_someone@example.com")
    kept = repr([talk.watch.shown(), [s.threads[0].parts for s in talk.watch._sessions.values()]])
    assert secret not in kept and "someone" not in kept and "system[0]" in kept


def test_everything_is_bounded() -> None:
    talk = Talk()
    for n in range(MAX_SESSIONS + 20):
        talk.ask(request(1), session=f"s{n}")
    assert len(talk.watch.shown()) == MAX_SESSIONS
    for n in range(50):
        talk.ask(request(3, system=str(n)), session="busy")
        talk.ask({"model": "m", "messages": [{"role": "user", "content": str(n)}]}, session="busy")
    busy = talk.watch.shown()[0]
    assert len(busy["changes"]) == MAX_CHANGES
    assert all(len(session.threads) <= MAX_THREADS for session in talk.watch._sessions.values())
    for n in range(MAX_WAITING + 10):
        talk.watch.asked(f"never over {n}", "s", "me", "m", None)
    assert len(talk.watch._waiting) == MAX_WAITING


@pytest.mark.parametrize(
    "data",
    [{}, {"messages": None}, {"messages": "x"}, {"tools": {"a": 1}, "messages": [1, None, "x", [2]]},
     {"tools": [None], "system": 5, "messages": [{"content": {"a": 1}}]}, {"input": "text", "text": 1.5}],
)  # fmt: skip
def test_nonsense_breaks_nothing(data: dict[str, Any]) -> None:
    talk = Talk()
    for one in (data, request(2), data, data | {"system": "y", "tools": [{"function": 3}]}, data):
        talk.ask(one)


def test_what_recurs_has_the_hash_of_its_value() -> None:
    """Long conversations that are translated are made of parts that are remembered, and are no plain objects."""
    said = request(9, system=[{"type": "text", "text": "you are", **MARK}])
    raw = json.dumps(said).encode()
    memory = recurring.MEMORY.most
    recurring.MEMORY.resize(1 << 20)
    try:
        read = recurring.loads(raw)
        assert {type(part) for name in ("messages", "tools", "system") for part in read[name]} == {recurring.Recurring}
        talk = Talk()
        assert prefix.of(read, "m") == prefix.of(said, "m")
        assert [talk.ask(data) for data in (said, read, recurring.loads(raw), said)] == [None] * 4
        assert talk.ask(recurring.loads(raw.replace(b"turn 2", b"turn X")))["where"] == "messages[2]"
    finally:
        recurring.MEMORY.most = memory
