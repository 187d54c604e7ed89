"""Takes a recorded or made-up reply across, and judges what came out.

`stream` and `whole` run translate.pair as the gateway does. `judge` asks the three independent witnesses,
the grammar checker, the official SDK and the reader of meanings, whether the client got a legal reply that
says the same; it returns what is wrong, in words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import anthropic
import openai

from conformance import grammar
from tests.support import meaning, sdk
from tests.support.meaning import Meaning
from translate import dialects, pair
from translate.failures import errors
from translate.target import Asked, Policy, Protocol

TAGS = Policy(reasoning="think_tags")


def asked(client: Protocol, policy: Policy | None = None) -> Asked:
    return Asked("asked-model", "k1", 1_700_000_000, 11, include_usage=client == "chat", policy=policy or Policy())


def stream(client: Protocol, upstream: Protocol, pieces: Iterable[bytes], policy: Policy | None = None) -> bytes:
    """What a client gets for the upstream's stream. A fault before the first byte, which the gateway answers
    with a status, is given as the client's error event."""
    crossing = pair.Crossing(client, upstream, asked(client, policy))
    out = b"".join([*map(crossing.feed, pieces), crossing.end()])
    if not out and crossing.fault is not None:
        out = dialects.of(client).errors.event(crossing.fault)
    assert crossing.ended or not crossing.started, f"{crossing!r} has not ended"
    return out


def whole(
    client: Protocol, upstream: Protocol, raw: bytes, policy: Policy | None = None, streamed: bool = False
) -> bytes:
    """What a client gets for the upstream's whole body; an ApiError as the client's error body."""
    try:
        return pair.Crossing(client, upstream, asked(client, policy)).whole(raw, streamed)
    except errors.ApiError as error:
        return dialects.of(client).errors.body(error)


def whole_as_stream(client: Protocol, upstream: Protocol, raw: bytes, policy: Policy | None = None) -> bytes:
    """What a client that asked for a stream gets for the upstream's whole body."""
    try:
        return pair.Crossing(client, upstream, asked(client, policy)).whole_as_stream(raw)
    except errors.ApiError as error:
        return dialects.of(client).errors.event(error)


def read(protocol: Protocol, reply: bytes, streamed: bool, think_tags: bool = False) -> Meaning:
    """What a reply in `protocol` says."""
    body = reply if streamed else json.loads(reply)
    return meaning.of_messages(body) if protocol == "messages" else meaning.of_chat(body, think_tags)


def judge(client: Protocol, out: bytes, streamed: bool, want: Meaning, by_sdk: bool = True) -> list[str]:
    """What is wrong with `out`, which should say `want`."""
    found = []
    if streamed:
        usage = want.prompt is not None or None if client == "chat" and not want.failed else None
        found += grammar.check_messages(out) if client == "messages" else grammar.check_chat(out, usage=usage)
    got = read(client, out, streamed)
    want = meaning.in_words(client, want, got)
    if want.failed and not streamed:  # an error body has no room for what was said before
        found += [] if got.failed and got.error else ["failed: want an error"]
    else:
        found += meaning.differences(want, got)
    if by_sdk:
        found += [f"sdk: {problem}" for problem in _sdk(client, out, streamed, want)]
    return found


def _sdk(client: Protocol, out: bytes, streamed: bool, want: Meaning) -> list[str]:
    """The SDK must read the reply, and read the same in it, or raise the error that it is."""
    status = 502 if want.failed and not streamed else 200
    try:
        if client == "messages":
            seen = meaning.of_messages(sdk.messages_stream(out) if streamed else sdk.messages_body(out, status))
        else:
            seen = meaning.of_chat(sdk.chat_stream(out) if streamed else sdk.chat_body(out, status))
    except (anthropic.APIError, openai.APIError) as error:
        return [] if want.failed and str(error) else [f"raised {error!r}"]
    except ValueError as error:
        return [f"refused: {error}"]
    if want.failed:
        return ["read an error as a reply"]
    # Cut arguments: the SDKs complete them as well as they can.
    cut = any(isinstance(given, str) for _, given in want.calls)
    return [d for d in meaning.differences(want, seen) if not (cut and d.startswith("calls"))]
