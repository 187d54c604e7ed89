"""No field of a reply is lost without a word: each that the SDKs' types know crosses, is reported, or needs neither.

The walk (see tests/support/reply_fields.py) takes every field out of a reply that says all, and says it alone. What is
within a thing that is lost as a whole goes with it.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest

from tests.support import reply_fields, sdk_types
from tests.translate import silent
from translate import dialects, pair
from translate.failures import errors
from translate.target import Asked, Protocol

PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses", "gemini")


def crossed(client: Protocol, upstream: Protocol, body: dict[str, Any]) -> tuple[bytes, tuple[str, ...]]:
    """The client's reply, and what is reported of the upstream's."""
    asked = Asked("m", "k", echo={"includeThoughts": True})
    try:
        out = pair.Crossing(client, upstream, asked).whole(json.dumps(body).encode())
    except errors.ApiError as error:
        return str(error).encode(), ()
    return out, tuple(name.removeprefix("reply.") for name in asked.left)


@cache
def lost(upstream: Protocol) -> dict[str, list[Protocol]]:
    """Fields that change nothing for a client and are not reported -> the clients."""
    found: dict[str, list[Protocol]] = {}
    for field in reply_fields.fields(upstream):
        steps = set(field.name.replace(":", ".").split("."))
        for client in PROTOCOLS:
            if client == upstream or any(client in found.get(parent, ()) for parent in _around(field.name)):
                continue
            pairs = [(crossed(client, upstream, without), crossed(client, upstream, having))
                     for without, having in field.pairs]  # fmt: skip
            if all(without == having and steps.isdisjoint(having[1]) for without, having in pairs):
                found.setdefault(field.name, []).append(client)
    return found


def _around(name: str) -> list[str]:
    steps = name.split(".")
    return [".".join(steps[:n]) for n in range(1, len(steps))]


@pytest.mark.parametrize("upstream", PROTOCOLS)
def test_what_is_lost_without_a_word_needs_none(upstream: Protocol) -> None:
    unknown = [name for name in lost(upstream) if not any(fnmatchcase(name, pattern) for pattern in silent.REPLIES)]
    assert unknown == [], "lost without a word: map it, report it, or say in silent.py why not"


def asked() -> Asked:
    return Asked("m", "k", include_usage=True, echo={"includeThoughts": True})


def as_stream(upstream: Protocol, raw: bytes) -> bytes:
    if upstream == "gemini":
        return b"data: %b\n\n" % raw
    if (replayed := dialects.of(upstream).as_stream) is not None:
        return replayed(json.loads(raw))
    return pair.Crossing(upstream, upstream, asked()).whole_as_stream(raw)


def read(client: Protocol, raw: bytes, streamed: bool) -> Any:
    """A client's reply by its own decoder. A stream's annotations have a number."""
    body = json.loads(pair.Crossing(client, client, asked()).whole(raw, streamed=streamed))
    for choice in body.get("choices", []):
        for note in choice["message"].get("annotations", []):
            note.pop("index", None)
    return body


@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("upstream", PROTOCOLS)
def test_streamed_and_whole_say_the_same_and_leave_the_same(client: Protocol, upstream: Protocol) -> None:
    for name, body in reply_fields.wholes(upstream):
        raw = json.dumps(body).encode()
        at_once, in_pieces = asked(), asked()
        whole = pair.Crossing(client, upstream, at_once).whole(raw)
        crossing = pair.Crossing(client, upstream, in_pieces)
        stream = as_stream(upstream, raw)
        streamed = crossing.feed(stream) + crossing.end()
        assert crossing.fault is None, name
        assert read(client, streamed, True) == read(client, whole, False), name
        assert set(in_pieces.left) == set(at_once.left), name


def test_every_silence_is_needed() -> None:
    names = [name for upstream in PROTOCOLS for name in lost(upstream)]
    assert [p for p in silent.REPLIES if not any(fnmatchcase(name, p) for name in names)] == []
    assert all(silent.REPLIES.values())


def test_the_walk_sees_what_it_should() -> None:
    seen = {protocol: {field.name for field in reply_fields.fields(protocol)} for protocol in PROTOCOLS}
    assert {"block:text.citations", "block:tool_use.input", "usage.output_tokens"} <= seen["messages"]
    assert {"choice.message.audio.data", "choice.message.refusal", "service_tier"} <= seen["chat"]
    assert {"item:image_generation_call.result", "item:message.content.annotations"} <= seen["responses"]
    assert {"part:inlineData.data", "candidate.citationMetadata", "part:text"} <= seen["gemini"]
    assert sum(map(len, seen.values())) > 700


# ------------------------------------------------------------------------------------------ what crosses of them


def reply(upstream: Protocol, **more: Any) -> dict[str, Any]:
    if upstream == "chat":
        end = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi there"}}
        return {"choices": [end]} | more
    if upstream == "gemini":
        end = {"content": {"parts": [{"text": "hi thére"}]}, "finishReason": "STOP", "index": 0}
        return {"candidates": [end | more]}
    content = [{"type": "output_text", "text": "hi there", "annotations": []}]
    output = [{"type": "message", "role": "assistant", "content": content}]
    return {"object": "response", "status": "completed", "output": output} | more


def ways(client: Protocol, upstream: Protocol, body: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Whole, and as a stream."""
    raw = json.dumps(body).encode()
    whole = json.loads(pair.Crossing(client, upstream, Asked("m", "k")).whole(raw))
    return whole, pair.Crossing(client, upstream, Asked("m", "k")).whole_as_stream(raw)


@pytest.mark.parametrize(("client", "upstream"), [("chat", "responses"), ("responses", "chat")])
def test_the_tier_of_a_reply_crosses_between_openais_protocols(client: Protocol, upstream: Protocol) -> None:
    whole, streamed = ways(client, upstream, reply(upstream, service_tier="flex"))
    assert whole["service_tier"] == "flex" and b'"service_tier":"flex"' in streamed
    assert sdk_types.stream_problems(client, streamed) == []
    own, streamed = ways(client, upstream, reply(upstream, service_tier="on_demand"))
    assert own.get("service_tier", "default") == "default" and b"on_demand" not in streamed


@pytest.mark.parametrize(("client", "upstream"), [("messages", "chat"), ("chat", "responses"), ("gemini", "chat")])
def test_what_is_said_beside_a_reply_is_reported(client: Protocol, upstream: Protocol) -> None:
    body = reply(upstream, moderation={"input": {"flagged": True}})
    assert crossed(client, upstream, body)[1] == ("moderation",)
    assert crossed(client, upstream, reply(upstream, citations=[]))[1] == ()


def test_what_google_says_it_has_quoted_is_cited() -> None:
    source = {"startIndex": 3, "endIndex": 9, "uri": "https://x.test/a", "title": "A"}
    body = reply("gemini", citationMetadata={"citationSources": [source]})
    [note] = ways("chat", "gemini", body)[0]["choices"][0]["message"]["annotations"]
    assert note["url_citation"] == {"url": "https://x.test/a", "title": "A", "start_index": 3, "end_index": 8}


WHY = "This would do harm."


def test_why_a_model_declines_is_told() -> None:
    body = {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": WHY}}
    whole, streamed = ways("messages", "gemini", body)
    assert sdk_types.stream_problems("messages", streamed) == []
    home = json.loads(pair.Crossing("messages", "messages", Asked("m", "k")).whole(streamed, streamed=True))
    assert whole["stop_reason"] == home["stop_reason"] == "refusal"
    assert whole["stop_details"] == home["stop_details"]
    assert whole["stop_details"] == {"type": "refusal", "category": None, "explanation": WHY}
    whole, streamed = ways("chat", "gemini", body)
    assert sdk_types.stream_problems("chat", streamed) == []
    [choice] = whole["choices"]
    assert choice["finish_reason"] == "content_filter"
    assert choice["message"]["refusal"] == WHY and choice["message"]["content"] is None
    assert b'"refusal":"%b"' % WHY.encode() in streamed and b"content_filter" in streamed
