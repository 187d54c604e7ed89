"""No field within a field is lost without a word: each that the SDKs' types know crosses, is reported, or needs none.

The walk (see tests/support/nested.py) sets every optional field by itself. What is within a thing that is dropped or
refused as a whole goes with it.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest

from tests.support import nested
from tests.support.crossed import crossed
from tests.translate import silent
from translate import dialects
from translate.target import Encoded, Protocol

PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses")


@cache
def lost(client: Protocol) -> dict[str, list[Protocol]]:
    """Fields that change nothing on the other side and are not reported -> the upstreams."""
    found: dict[str, list[Protocol]] = {}
    for name, said in nested.optional(client):
        for upstream in (*PROTOCOLS, "gemini"):
            known = dialects.of(client).words.ledger.rows(upstream)
            if upstream == client or known[said.name].fate in ("dropped", "refused"):
                continue
            if not _is_told(client, upstream, name, said) and said.fate(upstream) == "lost":
                found.setdefault(name, []).append(upstream)
    return found


def _is_told(client: Protocol, upstream: Protocol, name: str, said: nested.Said) -> bool:
    """With what it is in: "cache_control.ttl" goes with "cache_control", the fields of a tool with the tool."""
    full = crossed(client, upstream, said.after)
    if not isinstance(full, Encoded):
        return True
    told = {field.rpartition(".")[2] for field in full.dropped}
    return any(step in told for step in name.split(".")) or not told.isdisjoint(_types(said.after))


def _types(said: Any) -> set[str]:
    if isinstance(said, list):
        return {kind for each in said for kind in _types(each)}
    if not isinstance(said, dict):
        return set()
    kind = said.get("type")
    return {kind for each in said.values() for kind in _types(each)} | ({kind} if isinstance(kind, str) else set())


@pytest.mark.parametrize("client", PROTOCOLS)
def test_what_is_lost_without_a_word_needs_none(client: Protocol) -> None:
    unknown = [name for name in lost(client) if not any(fnmatchcase(name, pattern) for pattern in silent.REQUESTS)]
    assert unknown == [], "lost without a word: map it, report it (leftovers.py), or say in silent.py why not"


def test_every_silence_is_needed() -> None:
    names = [name for client in PROTOCOLS for name in lost(client)]
    assert [p for p in silent.REQUESTS if not any(fnmatchcase(name, p) for name in names)] == []
    assert all(silent.REQUESTS.values())


def test_the_walk_sees_what_it_should() -> None:
    seen = {client: {name for name, _ in nested.optional(client)} for client in PROTOCOLS}
    assert {"block:text.cache_control.ttl", "thinking.display", "block:tool_result.is_error"} <= seen["messages"]
    assert {"role:user.name", "block:image_url.image_url.detail", "tool:function.function.strict"} <= seen["chat"]
    assert {"item:function_call.async", "block:input_text.prompt_cache_breakpoint.ttl"} <= seen["responses"]
    assert sum(map(len, seen.values())) > 700
