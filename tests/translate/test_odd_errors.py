"""Odd ways to tell an error within a reply, of servers of any protocol (see odd.py)."""

from __future__ import annotations

import json

import pytest

from tests.support import corpus, every_way
from tests.support.streams import END, HI, ROLE, START, STOP, chat, ending, messages, text
from tests.translate.odd import COMPLETED, DELTA, LAST, Json, agreed, bare, events, google, spoken
from translate.failures import errors
from translate.target import Protocol

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


def test_a_code_beside_a_success_is_no_error() -> None:
    said = {"code": 1000, "msg": "ok"}
    assert errors.of_object(said) is not None
    assert errors.of_object(said | {"success": True}) is None
