"""Recorded requests and replies with changed insides: real bodies reach code that made-up ones do not.

As in test_hostile: whatever becomes of them, only the two errors of translators come out. Some thirty of the smaller
exchanges of each protocol take part.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import exchange_files, read_exchange
from tests.support.strategies import few, mangled
from tests.translate.properties.test_hostile import PROTOCOLS, cross, cut_up, stream, whole
from translate.target import Protocol

APIS: dict[str, Protocol] = {
    "anthropic.messages": "messages", "openai.chat": "chat", "openai.responses": "responses",
}  # fmt: skip
MOST_BYTES = 20_000
EACH = 30


@cache
def recorded() -> dict[tuple[Protocol, str], list[Any]]:
    """(protocol, "request" | "body" | "sse") -> what was recorded."""
    found: dict[tuple[Protocol, str], list[Any]] = {}
    for file in exchange_files():
        if file.stat().st_size > MOST_BYTES:
            continue
        exchange = read_exchange(file)
        if (protocol := APIS.get(exchange["api"])) is not None:
            response = exchange["response"]
            told = {"request": exchange["request"]["body"], "body": response.get("body"), "sse": response.get("sse")}
            for kind, value in told.items():
                if value and len(kept := found.setdefault((protocol, kind), [])) < EACH:
                    kept.append(value)
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
@few
@given(data=st.data())
def test_mangled_requests_cross_or_are_refused(protocol: Protocol, data: st.DataObject) -> None:
    body = data.draw(mangled(st.sampled_from(recorded()[protocol, "request"])))
    if isinstance(body, dict):
        cross(protocol, body)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@few
@given(data=st.data())
def test_mangled_replies_cross_or_are_refused(protocol: Protocol, data: st.DataObject) -> None:
    whole(protocol, json.dumps(data.draw(mangled(st.sampled_from(recorded()[protocol, "body"])))).encode())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@few
@given(data=st.data())
def test_mangled_streams_end_legally(protocol: Protocol, data: st.DataObject) -> None:
    """One event is mangled, another one lost, and the whole cut into pieces of one length."""
    raw = data.draw(st.sampled_from(recorded()[protocol, "sse"]))
    events = raw.encode("utf-8", "surrogatepass").split(b"\n\n")
    at = data.draw(st.integers(0, len(events) - 1))
    before, mark, inside = events[at].partition(b"data: ")
    if inside.startswith(b"{"):
        try:
            events[at] = before + mark + json.dumps(data.draw(mangled(st.just(json.loads(inside))))).encode()
        except ValueError:
            events[at] = before
    del events[data.draw(st.integers(0, len(events) - 1))]
    stream(protocol, cut_up(b"\n\n".join(events), data.draw(st.integers(1, 2000))))
