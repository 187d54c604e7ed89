"""One upstream reply to the clients of all other protocols, in every way that it may come: at once, byte by byte, cut
anywhere, as a whole reply of a stream, as a stream of a whole reply.

`told` gives what it means to each client, where all ways say the same; `problems` names what an SDK, or the grammar of
a protocol, has against any of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from conformance import grammar
from tests.support import corpus, crossing, meaning, meaning_gemini, meaning_responses, sdk, sdk_gemini, sdk_responses
from tests.support.meaning import Meaning
from translate import dialects, pair
from translate.failures import errors
from translate.target import Asked, Protocol

READ: dict[Protocol, Callable[[Any], Meaning]] = {
    "messages": meaning.of_messages,
    "chat": meaning.of_chat,
    "responses": meaning_responses.of_responses,
    "gemini": meaning_gemini.of_gemini,
}
_GRAMMAR: dict[Protocol, Callable[[bytes], list[str]]] = {
    "messages": grammar.check_messages,
    "chat": grammar.check_chat,
    "responses": grammar.check_responses,
    "gemini": grammar.check_gemini,
}
_SDK: dict[tuple[Protocol, bool], Callable[[bytes], object]] = {
    ("messages", True): sdk.messages_stream,
    ("messages", False): sdk.messages_body,
    ("chat", True): sdk.chat_stream,
    ("chat", False): sdk.chat_body,
    ("responses", True): sdk_responses.responses_stream,
    ("responses", False): sdk_responses.responses_body,
}


def clients(upstream: Protocol) -> list[Protocol]:
    return [name for name in dialects.names() if name != upstream]


def ways(client: Protocol, upstream: Protocol, raw: bytes, streamed: bool) -> Iterator[tuple[str, bytes, bool]]:
    """(the way's name, what the client gets, whether it is a stream)"""
    if not streamed:
        yield "whole", whole(client, upstream, raw, False), False
        yield "whole as a stream", stream(client, upstream, raw), True
        return
    yield "at once", stream(client, upstream, [raw]), True
    yield "byte by byte", stream(client, upstream, [raw[i : i + 1] for i in range(len(raw))]), True
    yield "cut anywhere", stream(client, upstream, corpus.cuts(raw, 7, 20)), True
    yield "whole of a stream", whole(client, upstream, raw, True), False


def asked(client: Protocol) -> Asked:
    return replace(crossing.asked(client), echo={"includeThoughts": True} if client == "gemini" else {})


def stream(client: Protocol, upstream: Protocol, reply: bytes | list[bytes]) -> bytes:
    """reply: in pieces, or a whole one."""
    crosses = pair.Crossing(client, upstream, asked(client))
    try:
        if isinstance(reply, bytes):
            return crosses.whole_as_stream(reply)
        out = b"".join([*map(crosses.feed, reply), crosses.end()])
    except errors.ApiError as error:
        return dialects.of(client).errors.event(error)
    return out or dialects.of(client).errors.event(crosses.fault or errors.BadReply("nothing came"))


def whole(client: Protocol, upstream: Protocol, reply: bytes, streamed: bool) -> bytes:
    try:
        return pair.Crossing(client, upstream, asked(client)).whole(reply, streamed)
    except errors.ApiError as error:
        return dialects.of(client).errors.body(error)


def told(upstream: Protocol, raw: bytes, streamed: bool = True) -> dict[str, Meaning]:
    """What each client is told, under its name; a way that says something else is under "NAME WAY"."""
    out: dict[str, Meaning] = {}
    for client in clients(upstream):
        for way, reply, is_stream in ways(client, upstream, raw, streamed):
            said = READ[client](reply if is_stream else json.loads(reply))
            if said.failed and not is_stream and client in out:  # an error body has no room for what was said before
                said.text, said.thinking, said.calls = out[client].text, out[client].thinking, out[client].calls
            if client not in out:
                out[client] = said
            elif meaning.differences(out[client], said):
                out[f"{client} {way}"] = said
    return out


def problems(upstream: Protocol, raw: bytes, streamed: bool = True) -> list[str]:
    found = []
    for client in clients(upstream):
        for way, reply, is_stream in ways(client, upstream, raw, streamed):
            found += [f"{client}, {way}: {each}" for each in against(client, reply, is_stream)]
    return found


def against(client: Protocol, reply: bytes, streamed: bool) -> list[str]:
    """What the grammar and the SDK have against a reply."""
    found = _GRAMMAR[client](reply) if streamed else []
    if not READ[client](reply if streamed else json.loads(reply)).failed:
        found += _of_sdk(client, reply, streamed)
    return found


def _of_sdk(client: Protocol, reply: bytes, streamed: bool) -> list[str]:
    if client == "gemini":
        return [each for event in (sdk_gemini.events(reply) if streamed else [json.loads(reply)])
                for each in sdk_gemini.problems(event)]  # fmt: skip
    try:
        _SDK[client, streamed](reply)
    except (ValueError, RuntimeError) as why:
        return [f"{type(why).__name__}: {why}"]
    return []
