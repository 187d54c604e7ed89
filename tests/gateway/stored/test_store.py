"""The memory of responses: chains, bounds, owners; by itself, with a clock of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stored.store import ENTRY_BYTES, MAX_OWNED, POINTER_BYTES, Entry, ResponseStore, items_of
from operate.owner_store import Owned


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def memory(entries: int = 100, size: int = 1 << 20, seconds: float = 60.0) -> tuple[ResponseStore, Clock]:
    clock = Clock()
    return ResponseStore(entries, size, seconds, clock), clock


def said(memory: ResponseStore, id: str, text: str, on: str = "", owner: str = "me", tell: bool = True) -> Entry:
    before = memory.find(owner, on) if on else None
    draft = memory.draft(owner, before, [{"in": text}])
    assert draft is not None
    memory.keep(draft, {"id": id, "status": "completed", "output": [{"out": text}]}, tell)
    return draft


def test_a_chain_of_responses_has_all_items_in_order():
    kept, _ = memory()
    said(kept, "r1", "a")
    said(kept, "r2", "b", on="r1")
    said(kept, "r3", "c", on="r2")
    entry = kept.find("me", "r3")
    assert entry.history() == [{"in": "a"}, {"out": "a"}, {"in": "b"}, {"out": "b"}, {"in": "c"}, {"out": "c"}]
    assert entry.input_items() == entry.history()[:-1]
    assert entry.response() == {"id": "r3", "status": "completed", "output": [{"out": "c"}]}


def test_nobody_finds_what_is_anothers():
    kept, _ = memory()
    said(kept, "r1", "a", owner="alice")
    assert kept.find("bob", "r1") is None
    assert not kept.delete("bob", "r1")
    assert kept.find("alice", "r1") is not None
    assert kept.delete("alice", "r1")
    assert kept.find("alice", "r1") is None and kept.bytes == 0


def test_a_response_outlives_the_one_that_it_was_built_on():
    kept, _ = memory()
    said(kept, "r1", "a")
    said(kept, "r2", "b", on="r1")
    kept.delete("me", "r1")
    assert kept.find("me", "r2").history() == [{"in": "a"}, {"out": "a"}, {"in": "b"}, {"out": "b"}]
    kept.delete("me", "r2")
    assert kept.bytes == 0


def test_what_a_chain_shares_is_counted_once():
    kept, _ = memory()
    said(kept, "r1", "a" * 10_000, tell=False)
    one = kept.bytes
    said(kept, "r2", "b", on="r1", tell=False)
    assert kept.bytes - one < ENTRY_BYTES + 3 * POINTER_BYTES + 100


@pytest.mark.parametrize(("entries", "left"), [(0, 0), (1, 1), (3, 3)])
def test_the_number_is_bounded_and_the_oldest_go(entries, left):
    kept, _ = memory(entries)
    for n in range(5):
        draft = kept.draft("me", None, [n])
        if draft is not None:
            kept.keep(draft, {"id": f"r{n}", "output": []}, True)
    assert [n for n in range(5) if kept.find("me", f"r{n}")] == list(range(5 - left, 5))


def test_the_bytes_are_bounded_and_what_is_too_large_is_not_kept():
    kept, _ = memory(size=10_000)
    for n in range(10):
        said(kept, f"r{n}", "x" * 3000, tell=False)
        assert kept.bytes <= 10_000
    assert kept.find("me", "r9") and not kept.find("me", "r0")
    assert kept.draft("me", None, ["x" * 20_000]) is None
    draft = kept.draft("me", None, ["x"])
    kept.keep(draft, {"id": "large", "output": ["x" * 20_000]}, True)
    assert kept.find("me", "large") is None and kept.bytes <= 10_000


def test_requests_on_their_way_are_bounded_too():
    kept, _ = memory(size=10_000)
    drafts = [kept.draft("me", None, ["x" * 3000]) for _ in range(5)]
    assert [draft is not None for draft in drafts] == [True, True, False, False, False]
    for draft in drafts[:2]:
        kept.drop(draft)
    assert kept.bytes == 0


def test_age_is_bounded():
    kept, clock = memory(seconds=60)
    said(kept, "r1", "a")
    clock.now = 59.0
    assert kept.find("me", "r1")
    clock.now = 60.0
    assert kept.find("me", "r1") is None and kept.bytes == 0


def test_the_last_response_of_an_id_counts():
    kept, _ = memory()
    said(kept, "same", "a")
    said(kept, "same", "b", on="same")
    assert kept.find("me", "same").history()[-1] == {"out": "b"} and len(kept) == 1


@pytest.mark.parametrize("response", [{}, {"id": ""}, {"id": 5, "output": []}, {"id": "r", "output": None}])
def test_what_is_no_response_is_not_kept(response):
    kept, _ = memory()
    kept.keep(kept.draft("me", None, ["a"]), response, True)
    assert len(kept) == 0 and kept.bytes == 0


def test_a_session_is_forgotten_whole():
    kept, _ = memory()
    said(kept, "r1", "a", owner="session")
    said(kept, "r2", "b", owner="session", on="r1")
    said(kept, "r3", "c", owner="me")
    kept.forget("session")
    assert not kept.find("session", "r2") and kept.find("me", "r3") and len(kept) == 1


def test_places_are_bounded():
    kept, _ = memory()
    for n in range(MAX_OWNED + 1):
        kept.went(f"r{n}", "me", "up")
    assert kept.noted("r0") is None and kept.noted(f"r{MAX_OWNED}") == Owned("me", "up", "")


def test_input_is_a_text_or_items():
    assert items_of("hi")[0]["content"] == [{"type": "input_text", "text": "hi"}]
    assert items_of([{"a": 1}]) == [{"a": 1}]
    assert items_of(None) is None and items_of({"a": 1}) is None


@given(st.lists(st.tuples(st.sampled_from(["say", "delete", "drop", "age", "forget"]), st.integers(0, 5)), max_size=40))
def test_whatever_happens_the_account_is_right(steps):
    kept, clock = memory(4, 6000, 10)
    for n, (what, id) in enumerate(steps):
        if what == "say":
            draft = kept.draft("me", kept.find("me", f"r{id}"), ["x" * 300 * id])
            if draft is not None:
                kept.keep(draft, {"id": f"r{n % 6}", "output": ["y" * 200]}, bool(id % 2))
        elif what == "delete":
            kept.delete("me", f"r{id}")
        elif what == "drop":
            draft = kept.draft("me", kept.find("me", f"r{id}"), ["z"])
            if draft is not None:
                kept.drop(draft)
        elif what == "age":
            clock.now += id
        else:
            kept.forget("me" if id == 5 else "nobody")
        entries = list(kept._entries.values())
        pieces = {piece for entry in entries for piece in (*entry.before, entry.output)}
        costs = sum(ENTRY_BYTES + POINTER_BYTES * len(entry.before) + len(entry.body) for entry in entries)
        assert kept.bytes == costs + sum(len(piece.data) for piece in pieces) <= 6000
        assert len(kept) <= 4
