"""In which of its protocols an upstream is asked, where it speaks several: the one that carries most of the request.

The client's own comes first, since its bytes pass through. Else it is the table that decides where tools are given or
the model reasons: Responses before Chat, which has no place for reasoning and refuses tools beside an effort from
GPT-5.4 on; Messages before Chat, which loses what the thinking was signed with. What is plain text goes as the settings
have their order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from translate import dialects
from translate.target import Protocol

# Within a text the words would be escaped. One that stands elsewhere in the body costs nothing but the order.
_WORDS = (b'"tools"', b'"functions"', b'"thinking"', b'"reasoning"', b'"reasoning_effort"', b'"effort"')
_REASONS = re.compile(r"(^|[/.])(gpt-([5-9]|\d\d)|o[1-9](-|$)|codex)", re.I)


def asks_more(body: bytes) -> bool:
    """Tells whether tools are given, or thinking is asked for."""
    return any(word in body for word in _WORDS)


def reasons(model: str) -> bool:
    """Tells by a model's name whether it reasons without being asked."""
    return _REASONS.search(model) is not None


def carrying(client: Protocol) -> list[Protocol]:
    """The protocols of upstreams, the one that carries most of such a client's requests first."""
    return list(dict.fromkeys((client, *dialects.of(client).carries, *dialects.names())))


def choose(client: Protocol, spoken: Sequence[str], more: bool) -> Protocol | None:
    """None where nothing is spoken. more: the request has tools, or the model reasons."""
    can = [each for each in carrying(client) if each in spoken]
    if not can or client in can or more:
        return client if client in can else can[0] if can else None
    return min(can, key=list(spoken).index)


def why(client: Protocol, spoken: Sequence[str], protocol: Protocol) -> str:
    """Says for a person to read why it is this protocol."""
    if len(spoken) == 1:
        return "the only protocol of this upstream"
    if protocol == client:
        return "the client's own protocol"
    if protocol == choose(client, spoken, more=True):
        return "carries most, where tools are given or the model reasons"
    return "the upstream's first, for what is plain"
