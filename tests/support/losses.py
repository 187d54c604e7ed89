"""What a crossing loses, in words: reasons that are counted, printed and kept, one set for each exchange.

`of_request` and `of_reply` cross one recorded exchange and name what did not arrive: what the translator itself says it
dropped or refused, and what the readers of requests and replies miss on the other side. No reason: nothing was lost.
A reason names the thing and holds no value of the exchange, so that it is the same in every run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.support import asking, corpus, meaning
from tests.support.asking_responses import CUSTOM, of_responses
from tests.support.corpus import Exchange
from tests.support.meaning import Meaning
from tests.support.meaning_responses import of_responses as meaning_of_responses
from translate import dialects, pair
from translate.failures import errors
from translate.failures.errors import BadRequest
from translate.target import Asked, Policy, Protocol, Target

PROTOCOL: dict[str, Protocol] = {corpus.MESSAGES: "messages", corpus.CHAT: "chat", corpus.RESPONSES: "responses"}
API: dict[str, str] = {protocol: api for api, protocol in PROTOCOL.items()}
CROSSINGS: list[tuple[Protocol, Protocol]] = [
    (client, upstream) for client in PROTOCOL.values() for upstream in PROTOCOL.values() if client != upstream
]
MODEL: dict[Protocol, str] = {"messages": "claude-opus-5", "chat": "gpt-5.5", "responses": "gpt-5.5"}
NOTE_OF_IMAGES = "[image: see the next user message]\n"  # in the result that it came in
LEAST_MAX_TOKENS = 16  # Responses takes no less
READ_REQUEST: dict[Protocol, Callable[[dict[str, Any]], asking.Asking]] = {
    "messages": asking.of_messages,
    "chat": asking.of_chat,
    "responses": of_responses,
}
READ_REPLY: dict[Protocol, Callable[[Any], Meaning]] = {
    "messages": meaning.of_messages,
    "chat": meaning.of_chat,
    "responses": meaning_of_responses,
}


# --------------------------------------------------------------------------------------------------- requests


def asks(exchange: Exchange) -> bool:
    """Does it hold a request that its own provider took?"""
    return isinstance(exchange.request, dict) and not exchange.failed


def of_request(upstream: Protocol, exchange: Exchange) -> set[str]:
    client = PROTOCOL[exchange.api]
    body = {"model": "m"} | exchange.request  # Azure's clients name it in the path alone
    try:
        encoded = pair.request(client, upstream, body, Target(MODEL[upstream]))
    except BadRequest as error:
        return {f"refused: {_shape(error.message)}"}
    want, got = READ_REQUEST[client](body), READ_REQUEST[upstream](json.loads(encoded.json()))
    for name in encoded.custom:
        got.tools[name] = CUSTOM
    if not want.tools:  # a history with calls needs their tools declared
        got.tools = {}
    got.results = [(id, text.replace(NOTE_OF_IMAGES, "")) for id, text in got.results]
    names = encoded.tool_names | {sent: name for sent, (_, name) in encoded.namespaces.items()}
    if upstream == "responses" and want.max_tokens is not None:
        want.max_tokens = max(want.max_tokens, LEAST_MAX_TOKENS)
    missing = asking.missing(want, got, encoded.dropped, names)
    return set(encoded.dropped) | {f"untold: {problem.partition(':')[0]}" for problem in missing}


def _shape(message: str) -> str:
    """A refusal's words without the names and ids of the exchange."""
    return re.sub(r"\d+", "N", re.sub(r"'[^']{13,}'|\"[^\"]*\"", "...", message))[:80]


# ---------------------------------------------------------------------------------------------------- replies


def replies(exchange: Exchange) -> bool:
    return not exchange.failed and bool(exchange.sse or exchange.body)


def of_reply(client: Protocol, exchange: Exchange) -> set[str]:
    """Whole, or as a stream: in one piece and cut at random, which must come to the same."""
    upstream = PROTOCOL[exchange.api]
    want = _read(upstream, exchange, exchange.sse or exchange.body)
    if not exchange.sse:
        whole = _crossed(client, exchange, lambda crossing: crossing.whole(exchange.raw))
        said = _read(client, exchange, json.loads(whole))
        return lost(meaning.in_words(client, want, said), said)
    got = [_read(client, exchange, _streamed(client, exchange, pieces)) for pieces in _ways(exchange)]
    found = lost(meaning.in_words(client, want, got[0]), got[0])
    return found if all(other == got[0] for other in got) else found | {"untold: depends on where it is cut"}


def _ways(exchange: Exchange) -> list[list[bytes]]:
    return [[exchange.sse], corpus.cuts(exchange.sse, exchange.id, 9), corpus.cuts(exchange.sse, 1, 60)]


def _policy(exchange: Exchange) -> Policy:
    return Policy(reasoning="think_tags") if "think_tags" in exchange.features else Policy()


def _asked(client: Protocol, exchange: Exchange) -> Asked:
    return Asked("asked-model", "k1", 1_700_000_000, 11, include_usage=client == "chat", policy=_policy(exchange))


def _crossed(client: Protocol, exchange: Exchange, do: Callable[[pair.Crossing], bytes]) -> bytes:
    crossing = pair.Crossing(client, PROTOCOL[exchange.api], _asked(client, exchange))
    try:
        return do(crossing)
    except errors.ApiError as error:
        return dialects.of(client).errors.body(error)


def _streamed(client: Protocol, exchange: Exchange, pieces: list[bytes]) -> bytes:
    def feed(crossing: pair.Crossing) -> bytes:
        out = b"".join([*map(crossing.feed, pieces), crossing.end()])
        return dialects.of(client).errors.event(crossing.fault) if crossing.fault and not out else out

    return _crossed(client, exchange, feed)


def _read(protocol: Protocol, exchange: Exchange, reply: Any) -> Meaning:
    tagged = "think_tags" in exchange.features
    if protocol == "chat":
        said = meaning.of_chat(reply, tagged)
    else:
        said = READ_REPLY[protocol](reply)
    if tagged:  # the blank lines around a tagged thought belong to neither it nor the answer
        said.text, said.thinking = said.text.strip(), said.thinking.strip()
    return said


def lost(want: Meaning, got: Meaning) -> set[str]:
    """What a reply said that its crossed form does not."""
    if want.failed:
        return set() if got.failed and got.error else {"untold: the error"}
    found = {f"untold: {problem.partition(':')[0]}" for problem in meaning.differences(want, got)}
    found |= {f"item {kind}" for kind in want.foreign - got.foreign}
    found |= {f"beside: {what}" for what in want.beside - got.beside}
    if want.signed + want.opaque > got.signed + got.opaque:
        found.add("proof of thinking")
    if set(want.cited) - set(got.cited):
        found.add("citations")
    if want.places > got.places:
        found.add("citations of documents")
    if len(want.searched) > len(got.searched):
        found.add("web_search calls")
    if want.met and want.met != got.met:
        found.add("stop_sequence")
    if want.thought and want.thought != got.thought:
        found.add("untold: usage of thinking")
    if want.written and want.written != got.written:
        found.add("usage of cache writes")
    return found
