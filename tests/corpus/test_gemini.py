"""Every recorded exchange in the pairs of Gemini: as its client, as its upstream, and both.

No recording of Gemini's own is among them, so what another protocol's server has said is first told to a Gemini client,
and that is then the upstream's reply for clients of all protocols; requests likewise. What comes out is valid by
Google's own types, says the same, and reports what it leaves behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from conformance import grammar
from tests.support import asking, corpus, crossing, losses, meaning, params, sdk_gemini
from tests.support.corpus import Exchange
from tests.support.meaning import Meaning
from tests.support.meaning_gemini import asking_of, of_gemini
from translate import dialects, pair
from translate.failures import errors
from translate.failures.errors import BadRequest
from translate.target import Asked, Protocol, Target

READ = losses.READ_REPLY | {"gemini": of_gemini}
OTHERS = tuple(losses.API)
SHOWS = {"includeThoughts": True}
# Of the meanings, what crosses Gemini: its usage has no number for what was never told.
SAME = ("text", "thinking", "calls", "failed", "stop")


def succeeded(exchange: Exchange) -> bool:
    return not exchange.failed and bool(exchange.sse or exchange.body) and "think_tags" not in exchange.features


def asked(client: Protocol) -> Asked:
    return Asked("m", "k1", 1_700_000_000, 11, include_usage=client == "chat", echo=SHOWS if client == "gemini" else {})


def told(client: Protocol, upstream: Protocol, raw: bytes, streamed: bool, seed: str = "") -> bytes:
    """What a client gets for an upstream's reply; an error in the client's words."""
    reply = pair.Crossing(client, upstream, asked(client))
    if streamed:
        out = b"".join([*map(reply.feed, corpus.cuts(raw, seed)), reply.end()])
        return out or dialects.of(client).errors.event(reply.fault or errors.BadReply("nothing"))
    try:
        return reply.whole(raw)
    except errors.ApiError as error:
        return dialects.of(client).errors.body(error)


def unlike(want: Meaning, got: Meaning) -> Iterator[str]:
    for name in SAME if not want.failed else ("failed",):
        one, other = getattr(want, name), getattr(got, name)
        if name == "stop" and (want.failed or {one, other} <= {"length", "end", "refusal", ""}):
            continue  # a pause, a filter without a word: Gemini has fewer ways to end
        if name == "text" and other == want.in_paragraphs():
            continue
        if name == "text" and want.stop == "refusal" and str(other).startswith(str(one)):
            continue  # Responses' clients are told that it is a refusal
        if one != other:
            yield f"{name}: want {str(one)[:150]!r} got {str(other)[:150]!r}"


def read(protocol: Protocol, raw: bytes, streamed: bool) -> Meaning:
    return READ[protocol](raw if streamed else json.loads(raw)).settled()


@pytest.mark.parametrize("upstream", OTHERS)
def test_replies_cross_to_gemini_and_from_there_to_all(upstream: Protocol) -> None:
    """To a Gemini client, and from there as Gemini's own to clients of all four."""
    found, tried = [], 0
    for exchange in corpus.exchanges(losses.API[upstream], succeeded):
        streamed = bool(exchange.sse)
        want = read(upstream, exchange.raw, streamed)
        if want.foreign or want.beside & {"speech"}:
            continue  # other readers look at what a provider's own tools say
        if want.stop in ("length", "refusal"):  # Google's calls are whole, always
            want.calls = [(name, given) for name, given in want.calls if isinstance(given, dict)]
        tried += 1
        ours = told("gemini", upstream, exchange.raw, streamed, exchange.id)
        problems = list(unlike(want, read("gemini", ours, streamed)))
        for event in sdk_gemini.events(ours) if streamed else [json.loads(ours)]:
            problems += sdk_gemini.problems(event) if "error" not in event else []
        problems += grammar.check_gemini(ours) if streamed else []
        ours_says = read("gemini", ours, streamed)
        for client in dialects.names():
            theirs = told(client, "gemini", ours, streamed, exchange.id)
            problems += [f"{client}: {what}" for what in unlike(ours_says, read(client, theirs, streamed))]
        found += [f"{exchange.id}: {problem}" for problem in problems]
    assert tried > 3
    assert found == []


@pytest.mark.parametrize("client", OTHERS)
def test_requests_cross_to_gemini_and_from_there_to_all(client: Protocol) -> None:
    """To a Gemini upstream, and from there as a Gemini client's own to upstreams of all four."""
    found, tried = [], 0
    for exchange in corpus.exchanges(losses.API[client], losses.asks):
        body = {"model": "m"} | exchange.request
        try:
            sent = pair.request(client, "gemini", body, Target("gemini-3-pro"))
        except BadRequest as error:
            assert error.message and error.status == 400
            continue
        tried += 1
        ours = json.loads(sent.json())
        want = losses.READ_REQUEST[client](body)
        problems = [f"types: {each}" for each in sdk_gemini.request_problems(ours)]
        names = sent.tool_names | {flat: name for flat, (_, name) in sent.namespaces.items()}
        problems += _missing(want, asking_of(ours), names)
        for upstream in dialects.names():
            problems += [f"{upstream}: {each}" for each in _onward(ours, upstream)]
        found += [f"{exchange.id}: {problem}" for problem in problems]
    assert tried > 3
    assert found == []


def _onward(body: dict[str, Any], upstream: Protocol) -> Iterator[str]:
    want = asking_of(body)
    model = losses.MODEL.get(upstream, "gemini-3-pro")
    try:
        sent = pair.request("gemini", upstream, {"model": "m", "stream": False} | body, Target(model))
    except BadRequest as error:
        if "upstream" not in error.message and "audio" not in error.message:
            yield f"refused: {error.message}"
        return
    ours = json.loads(sent.json())
    if upstream == "gemini":
        yield from asking.unlike(body, ours)
        return
    yield from (f"types: {each}" for each in params.CHECKS[upstream](ours))
    yield from _missing(want, losses.READ_REQUEST[upstream](ours), sent.tool_names)


def _missing(want: asking.Asking, got: asking.Asking, names: dict[str, str]) -> Iterator[str]:
    said = "\n".join(text for _, text in [*got.texts, *got.results])
    for role, text in want.texts:
        if text.strip() and text.strip() not in said:
            yield f"text of {role}: {text[:100]!r}"
    for _, text in want.results:
        if text.strip() and losses.NOTE_OF_IMAGES.strip() not in text and text.strip() not in said:
            yield f"result: {text[:100]!r}"
    theirs = [(names.get(name, name), meaning.arguments(given)) for name, given in got.calls]
    if theirs != [(name, meaning.arguments(given)) for name, given in want.calls]:
        yield f"calls: want {want.calls} got {theirs}"[:300]


def test_the_witness_is_no_yes_man() -> None:
    body = {"candidates": [{"content": {"parts": [{"text": 5, "speech": "x"}]}, "finishReason": "STOP"}]}
    assert any("speech" in each for each in sdk_gemini.problems(body))
    assert any("text" in each for each in sdk_gemini.problems(body))
    assert sdk_gemini.request_problems({"contents": [{"parts": [{"txt": "x"}]}], "n": 1}) != []
    assert crossing.asked("chat").include_usage
