"""Every recorded reply crosses to the other protocol, and says the same there.

Whole bodies and streams, the streams fed whole, cut at random places and byte by byte; also a stream
collected for a client that wants a whole body, and the reverse. The grammar checker, the official SDK and a
reader of meanings that knows no translator are the witnesses. What cannot cross stands in tables with its reason; an
entry that does cross by now fails its test. Errors parse, and are legal in the other dialect.
"""

from __future__ import annotations

import json
import re

import anthropic
import openai
import pytest

from conformance import grammar
from tests.support import corpus, crossing, sdk
from tests.support.corpus import Exchange
from tests.support.meaning import Meaning
from translate import dialects
from translate.failures import errors
from translate.target import Protocol

PROTOCOL: dict[str, Protocol] = {corpus.MESSAGES: "messages", corpus.CHAT: "chat"}
OTHER: dict[Protocol, Protocol] = {"messages": "chat", "chat": "messages"}
BYTEWISE_MAX = 8_000

# Blocks of a Messages reply that Chat has no word for: (pattern of the type, why).
NO_WORD_IN_CHAT = [
    (
        r"server_tool_use|mcp_tool_use",
        "a tool that the provider ran itself: a Chat client would try to run it",
    ),
    (r".*_tool_result", "the result of such a tool; what the model made of it is in its text"),
    (r"compaction|fallback|container_upload", "the provider's own bookkeeping"),
]
# Parts of a Chat reply that Messages has no word for.
NO_WORD_IN_MESSAGES = [
    (r"audio", "Messages has no audio in replies"),
    (r"reference|image_url", "Messages has no such blocks in replies"),
]
# Exchanges of which something else cannot cross: id -> (the field of the meaning that differs, why).
CANNOT: dict[str, tuple[str, str]] = {}


def succeeded(exchange: Exchange) -> bool:
    return not exchange.failed and bool(exchange.sse or exchange.body)


def tagged(exchange: Exchange) -> bool:
    return "think_tags" in exchange.features


def known(exchange: Exchange, want: Meaning) -> None:
    """What of this reply has no place in the other protocol stands in the tables."""
    tables = NO_WORD_IN_CHAT if exchange.api == corpus.MESSAGES else NO_WORD_IN_MESSAGES
    for kind in sorted(want.foreign):
        assert any(re.fullmatch(pattern, kind) for pattern, _ in tables), f"{kind}: not in the tables"


def settle(exchange: Exchange, problems: list[str]) -> list[str]:
    """`problems` without those that the table CANNOT explains; complains of an entry that explains none."""
    if exchange.id not in CANNOT:
        return problems
    name = CANNOT[exchange.id][0]
    explained = [p for p in problems if p.startswith((f"{name}:", f"sdk: {name}:"))]
    return [p for p in problems if p not in explained] or ([] if explained else [f"stale entry: {name} crosses"])


# ------------------------------------------------------------------------------------------------ streams


@pytest.mark.parametrize("exchange", corpus.params(corpus.MESSAGES, corpus.CHAT, keep=lambda e: bool(e.sse)))
def test_a_stream_crosses(exchange: Exchange) -> None:
    upstream = PROTOCOL[exchange.api]
    client = OTHER[upstream]
    want = crossing.read(upstream, exchange.sse, streamed=True)
    known(exchange, want)
    out = crossing.stream(client, upstream, [exchange.sse])
    assert settle(exchange, crossing.judge(client, out, True, want)) == []
    for seed in range(3):
        pieces = corpus.cuts(exchange.sse, seed, 3 + 10 * seed)
        cut = crossing.stream(client, upstream, pieces)
        assert settle(exchange, crossing.judge(client, cut, True, want, by_sdk=False)) == []
    if len(exchange.sse) <= BYTEWISE_MAX:
        cut = crossing.stream(client, upstream, corpus.bytewise(exchange.sse))
        assert settle(exchange, crossing.judge(client, cut, True, want, by_sdk=False)) == []


@pytest.mark.parametrize("exchange", corpus.params(corpus.MESSAGES, corpus.CHAT, keep=lambda e: bool(e.sse)))
def test_a_stream_is_collected(exchange: Exchange) -> None:
    """For a client that asked for a whole body."""
    upstream = PROTOCOL[exchange.api]
    client = OTHER[upstream]
    want = crossing.read(upstream, exchange.sse, streamed=True)
    out = crossing.whole(client, upstream, exchange.sse, streamed=True)
    assert settle(exchange, crossing.judge(client, out, False, want)) == []


@pytest.mark.parametrize("exchange", corpus.params(corpus.MESSAGES, corpus.CHAT, keep=lambda e: bool(e.sse)))
def test_a_stream_comes_home(exchange: Exchange) -> None:
    """Into the neutral form and out of it in its own protocol: what only that protocol knows is there too."""
    protocol = PROTOCOL[exchange.api]
    want = crossing.read(protocol, exchange.sse, streamed=True)
    out = crossing.stream(protocol, protocol, corpus.cuts(exchange.sse, "home"))
    got = crossing.read(protocol, out, streamed=True)
    assert crossing.meaning.differences(want, got) == []
    if not want.failed and protocol == "messages":
        assert (got.foreign, got.opaque, got.signed) == (want.foreign, want.opaque, want.signed)


@pytest.mark.parametrize("exchange", corpus.params(corpus.CHAT, keep=lambda e: succeeded(e) and tagged(e)))
def test_think_tags_become_thinking(exchange: Exchange) -> None:
    streamed = bool(exchange.sse)
    want = crossing.read("chat", exchange.raw, streamed, think_tags=True)
    assert want.thinking
    if streamed:
        outs = [
            crossing.stream("messages", "chat", pieces, crossing.TAGS)
            for pieces in ([exchange.sse], corpus.cuts(exchange.sse, 1), corpus.bytewise(exchange.sse))
        ]
    else:
        outs = [crossing.whole("messages", "chat", exchange.raw, crossing.TAGS)]
    for out in outs:
        got = crossing.read("messages", out, streamed)
        assert (got.text.strip(), got.thinking.strip()) == (want.text.strip(), want.thinking.strip())
        assert got.calls == want.calls
        assert not streamed or grammar.check_messages(out) == []


# ------------------------------------------------------------------------------------------ whole bodies


@pytest.mark.parametrize(
    "exchange", corpus.params(corpus.MESSAGES, corpus.CHAT, keep=lambda e: succeeded(e) and not e.sse)
)
def test_a_body_crosses(exchange: Exchange) -> None:
    upstream = PROTOCOL[exchange.api]
    client = OTHER[upstream]
    want = crossing.read(upstream, exchange.raw, streamed=False)
    known(exchange, want)
    out = crossing.whole(client, upstream, exchange.raw)
    assert settle(exchange, crossing.judge(client, out, False, want)) == []
    streamed = crossing.whole_as_stream(client, upstream, exchange.raw)
    assert settle(exchange, crossing.judge(client, streamed, True, want)) == []
    home = crossing.read(upstream, crossing.whole(upstream, upstream, exchange.raw), streamed=False)
    assert crossing.meaning.differences(want, home) == []


@pytest.mark.parametrize("exchange", corpus.params(corpus.MESSAGES, keep=succeeded))
def test_thinking_keeps_its_seal(exchange: Exchange) -> None:
    """Signatures and encrypted reasoning reach a Chat client (in reasoning_details), all of them."""
    streamed = bool(exchange.sse)
    want = crossing.read("messages", exchange.raw, streamed)
    send = crossing.whole if not streamed else lambda c, u, raw: crossing.stream(c, u, [raw])
    got = crossing.read("chat", send("chat", "messages", exchange.raw), streamed)
    assert (got.signed, got.opaque) == (want.signed, want.opaque)


@pytest.mark.parametrize("exchange", corpus.params(corpus.MESSAGES, corpus.CHAT, keep=succeeded))
def test_ids_and_model_are_the_clients_own(exchange: Exchange) -> None:
    upstream = PROTOCOL[exchange.api]
    client = OTHER[upstream]
    if exchange.sse:
        out = crossing.whole(client, upstream, exchange.raw, streamed=True)
    else:
        out = crossing.whole(client, upstream, exchange.raw)
    body = json.loads(out)
    if "error" in body:
        return
    assert body["model"] == "asked-model"
    assert body["id"] == ("msg_k1" if client == "messages" else "chatcmpl-k1")
    if client == "messages":
        ids = [block["id"] for block in body["content"] if block["type"] == "tool_use"]
    else:
        ids = [call["id"] for call in body["choices"][0]["message"].get("tool_calls") or []]
    assert len(set(ids)) == len(ids) and all(re.fullmatch("[a-zA-Z0-9_-]+", id) for id in ids)


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("exchange", corpus.params(corpus.MESSAGES, corpus.CHAT, keep=lambda e: e.failed))
def test_an_error_crosses(exchange: Exchange) -> None:
    error = errors.parse(exchange.status, exchange.raw, exchange.content_type)
    assert error.status == exchange.status
    assert error.message.strip() and error.kind in errors.KINDS
    assert said(exchange) in error.message
    for client in ("messages", "chat"):
        body, event = dialects.of(client).errors.body(error), dialects.of(client).errors.event(error)
        status = dialects.of(client).errors.status(error)
        with pytest.raises((anthropic.APIStatusError, openai.APIStatusError)) as raised:
            (sdk.messages_body if client == "messages" else sdk.chat_body)(body, status)
        assert raised.value.status_code == status
        assert said(exchange) in str(raised.value.body)
        check = grammar.check_messages if client == "messages" else grammar.check_chat
        assert check(event) == []


def said(exchange: Exchange) -> str:
    """The words of the upstream that must reach the client: the longest text in the error body that is called
    a message (or is the error, or the detail, itself)."""
    found: list[str] = []

    def look(value: object, key: str) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                look(inner, name)
        elif isinstance(value, str) and key in ("message", "error", "detail") and value not in ("error",):
            found.append(value)

    look(exchange.body, "")
    return max(found, key=len, default="")


def test_the_table_names_exchanges_that_exist_or_none() -> None:
    """Where the shared recordings are in use, an id that is not among them is a leftover."""
    known = {e.id for api in PROTOCOL for e in corpus.exchanges(api)}
    if "chat-openai-s-3d68c37d82" in known:
        assert set(CANNOT) <= known
