"""Every recorded exchange of Responses: back to what it was, and across to both others and from them.

Requests come back as they were, but for spellings that mean the same. Replies say the same on the other side, by
the grammar checkers, the official SDKs and the readers of meanings; streams whole, cut at random and byte by byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from conformance import grammar
from tests.conftest import traffic_dir
from tests.support import corpus, lacking, meaning, sdk, sdk_responses, sdk_types
from tests.support.corpus import Exchange
from tests.support.meaning import Meaning
from tests.support.meaning_responses import of_responses
from translate import pair
from translate.failures import errors
from translate.failures.errors import BadRequest
from translate.responses.decode_request import decode
from translate.responses.encode_request import encode
from translate.target import Asked, Policy, Protocol, Target

RESPONSES = "openai.responses"
PROTOCOL: dict[str, Protocol] = {corpus.MESSAGES: "messages", corpus.CHAT: "chat", RESPONSES: "responses"}
OTHERS: tuple[Protocol, ...] = ("messages", "chat")
BYTEWISE_MAX = 6_000

# What rests on state that an upstream keeps, or is another provider's: refused, by these words.
REFUSED = ("cannot be used here", "of another provider", "belongs to another provider")
# Recordings edited by hand, whose deltas and done events say different things.
CONTRADICTORY = {"resp-openai-s-aae9e59b49"}
# Custom tools, which these clients did not declare: the checkers know functions alone.
FREE_TEXT = {"resp-openai-n-581381e866", "resp-openai-s-ee57adfa82"}

# Of real clients' requests: what neither of the other protocols has a word for.
LEFT_BEHIND = {
    "client_metadata",
    "text.verbosity",
    "prompt_cache_key",
    "image_url.detail",
    "tools.web_search",
    "tools.tool_search",
}

READ: dict[Protocol, Callable[[Any], Meaning]] = {
    "messages": meaning.of_messages,
    "chat": meaning.of_chat,
    "responses": of_responses,
}
CHECK: dict[Protocol, Callable[[bytes], list[str]]] = {
    "messages": grammar.check_messages,
    "chat": grammar.check_chat,
    "responses": grammar.check_responses,
}
SDK_STREAM: dict[Protocol, Callable[[bytes], Any]] = {
    "messages": sdk.messages_stream,
    "chat": sdk.chat_stream,
    "responses": sdk_responses.responses_stream,
}
SDK_BODY: dict[Protocol, Callable[[bytes], Any]] = {
    "messages": sdk.messages_body,
    "chat": sdk.chat_body,
    "responses": sdk_responses.responses_body,
}


# --------------------------------------------------------------------------------------------------- requests


def plain(value: Any) -> Any:
    """Without nulls, and with every message and content spelt in one way."""
    if isinstance(value, dict):
        out = {key: plain(item) for key, item in value.items() if item is not None}
        if "role" in out and "content" in out:
            out.setdefault("type", "message")
            if isinstance(out["content"], str):
                kind = "output_text" if out["role"] == "assistant" else "input_text"
                out["content"] = [{"type": kind, "text": out["content"]}] if out["content"] else []
            parts = [part for part in out["content"] if part.get("text") != ""]  # says nothing, and is left out
            out["content"] = [{k: v for k, v in part.items() if v != []} for part in parts]
        if isinstance(out.get("output"), list) and all(part.keys() == {"type", "text"} for part in out["output"]):
            out["output"] = "\n".join(part["text"] for part in out["output"])
        if out.get("type") == "namespace":
            out.setdefault("description", "")
        return out
    return [plain(item) for item in value] if isinstance(value, list) else value


def settled(body: dict[str, Any]) -> dict[str, Any]:
    """A request's body, spelt in one way."""
    out = {key: item for key, item in plain(body).items() if item not in ("", {}, False) or key == "store"}
    if isinstance(out.get("input"), str):
        out["input"] = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": out["input"]}]}]
    out["input"] = [item for item in out["input"] if item.get("content") != []]
    choice = out.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        names = {tool.get("name") for tool in choice["tools"]}
        out["tools"] = [tool for tool in out["tools"] if tool.get("name") in names]
        out["tool_choice"] = choice["mode"]
    if (out.get("text") or {}).get("format") == {"type": "text"}:
        del out["text"]
    return out


def identical(body: dict[str, Any]) -> None:
    try:
        encoded = encode(decode(body), Target(body.get("model", "")))
    except BadRequest as error:
        assert any(word in error.message for word in REFUSED), error
        return
    assert settled(encoded.body) == settled(body)
    assert encoded.dropped == []


@pytest.mark.parametrize("exchange", corpus.params(RESPONSES, keep=lambda e: isinstance(e.request, dict)))
def test_a_request_comes_back_as_it_was(exchange: Exchange) -> None:
    identical(exchange.request)


@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("exchange", corpus.params(RESPONSES, keep=lambda e: isinstance(e.request, dict)))
def test_a_request_crosses(exchange: Exchange, upstream: Protocol) -> None:
    before = json.dumps(exchange.request)
    try:
        encoded = pair.request("responses", upstream, exchange.request, Target("m"))
    except BadRequest as error:
        assert any(word in error.message for word in REFUSED), error
        return
    assert json.dumps(exchange.request) == before
    assert encoded.body["messages"] and json.loads(encoded.json())


@pytest.mark.parametrize(
    "exchange", corpus.params(corpus.MESSAGES, corpus.CHAT, keep=lambda e: isinstance(e.request, dict))
)
def test_a_request_of_another_protocol_crosses(exchange: Exchange) -> None:
    try:
        encoded = pair.request(PROTOCOL[exchange.api], "responses", exchange.request, Target("m"))
    except BadRequest as error:
        assert error.message
        return
    assert settled(encode(decode(dict(encoded.body)), Target("m")).body) == settled(encoded.body)


def real_requests() -> list[Any]:
    place = traffic_dir()
    found = [] if place is None else sorted((place.parent / "clients" / "requests").glob("*.json"))
    bodies = [(path.stem, json.loads(path.read_bytes())) for path in found]
    asked = [(name, said["body"]) for name, said in bodies if "/responses" in said.get("path", "") and said.get("body")]
    params = [pytest.param(body, id=name) for name, body in asked if isinstance(body, dict) and not _compacts(body)]
    return params or [pytest.param(None, marks=pytest.mark.skip(reason=lacking.CLIENTS))]


def _compacts(body: dict[str, Any]) -> bool:
    return any(item.get("type") == "compaction_trigger" for item in body.get("input", []))


@pytest.mark.parametrize("body", real_requests())
def test_a_real_clients_request(body: dict[str, Any]) -> None:
    identical(body)
    for upstream in OTHERS:
        encoded = pair.request("responses", upstream, body, Target("m"))
        assert set(encoded.dropped) <= LEFT_BEHIND


# ---------------------------------------------------------------------------------------------------- replies


def replied(exchange: Exchange) -> bool:
    return not exchange.failed and bool(exchange.sse or exchange.body)


def asked(exchange: Exchange) -> Asked:
    policy = Policy(reasoning="think_tags") if "think_tags" in exchange.features else Policy()
    return Asked("asked-model", "k1", 1_700_000_000, 11, include_usage=True, policy=policy)


def wanted(exchange: Exchange) -> Meaning:
    reply = exchange.sse or exchange.body
    if PROTOCOL[exchange.api] == "chat":
        return meaning.of_chat(reply, "think_tags" in exchange.features)
    return READ[PROTOCOL[exchange.api]](reply)


def stripped(said: Meaning) -> Meaning:
    """The blank lines around a tagged thought belong to neither it nor the answer."""
    said.text, said.thinking = said.text.strip(), said.thinking.strip()
    return said


def in_deltas(stream: bytes) -> str:
    events = (json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {"))
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def judge(client: Protocol, exchange: Exchange, out: bytes, streamed: bool) -> None:
    got = READ[client](out if streamed else json.loads(out))
    want = wanted(exchange)
    if "think_tags" in exchange.features:
        want, got = stripped(want), stripped(got)
    if want.failed and client == "responses":  # what had not ended is no item
        want.calls, want.thinking = want.calls[: len(got.calls)], want.thinking[: len(got.thinking)]
        got.text = got.text or in_deltas(out)
    if client == "responses" and want.stop == "refusal" and got.text.startswith(want.text):
        want.text = got.text  # a refusal has words there
    assert exchange.id in CONTRADICTORY or meaning.differences(want, got) == []
    if streamed:
        assert CHECK[client](out) == []
    if streamed or not want.failed:
        problems = sdk_types.stream_problems if streamed else sdk_types.body_problems
        assert problems(client, out) == []
    if not want.failed:
        (SDK_STREAM if streamed else SDK_BODY)[client](out)


def crossed(client: Protocol, exchange: Exchange, pieces: Iterable[bytes]) -> bytes:
    crossing = pair.Crossing(client, PROTOCOL[exchange.api], asked(exchange))
    out = b"".join([*map(crossing.feed, pieces), crossing.end()])
    assert crossing.ended or crossing.fault is not None
    return out


CROSSINGS = [
    pytest.param(client, *found.values, id=f"{client}-{found.id}", marks=found.marks)
    for apis, clients in (((RESPONSES,), OTHERS), ((corpus.MESSAGES, corpus.CHAT), ("responses",)))
    for client in clients
    for found in corpus.params(*apis, keep=lambda e: replied(e) and e.id not in FREE_TEXT)
]


@pytest.mark.parametrize(("client", "exchange"), CROSSINGS)
def test_a_reply_says_the_same(client: Protocol, exchange: Exchange) -> None:
    upstream = PROTOCOL[exchange.api]
    if exchange.sse:
        out = crossed(client, exchange, [exchange.sse])
        if not out:
            assert wanted(exchange).failed
            return
        judge(client, exchange, out, True)
        said = READ[client](out)
        assert READ[client](crossed(client, exchange, corpus.cuts(exchange.sse, exchange.id))) == said
        if len(exchange.sse) <= BYTEWISE_MAX:
            assert READ[client](crossed(client, exchange, corpus.bytewise(exchange.sse))) == said
        if not wanted(exchange).failed:
            judge(client, exchange, pair.Crossing(client, upstream, asked(exchange)).whole(exchange.sse, True), False)
        return
    try:
        judge(client, exchange, pair.Crossing(client, upstream, asked(exchange)).whole(exchange.raw), False)
    except errors.ApiError as error:
        assert wanted(exchange).failed and error.message
        return
    judge(client, exchange, pair.Crossing(client, upstream, asked(exchange)).whole_as_stream(exchange.raw), True)
