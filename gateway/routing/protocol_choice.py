"""Chooses the protocol for an upstream that speaks several: the one that carries most of the request.

The client's own protocol is the best, since its bytes pass through. Otherwise, if the request has tools or the model
reasons, the table of the dialect decides: Responses before Chat, which has no field for reasoning and, from GPT-5.4 on,
refuses tools together with an effort; Messages before Chat, which loses the signatures of thinking. A request of plain
text goes in the first protocol of the settings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from translate import dialects
from translate.target import Protocol

# Inside a text, their quotes would be escaped. If one is found in another place, only the order changes.
_WORDS = (b'"tools"', b'"functions"', b'"thinking"', b'"reasoning"', b'"reasoning_effort"', b'"effort"')
_REASONS = re.compile(r"(^|[/.])(gpt-([5-9]|\d\d)|o[1-9](-|$)|codex)", re.I)


def asks_more(body: bytes) -> bool:
    """Whether a body has tools, or asks for thinking."""
    return any(word in body for word in _WORDS)


def reasons(model: str) -> bool:
    """Whether a model reasons without being asked, by its name."""
    return _REASONS.search(model) is not None


def carrying(client: Protocol) -> list[Protocol]:
    """All protocols, the one that carries most of this client's requests first."""
    return list(dict.fromkeys((client, *dialects.of(client).carries, *dialects.names())))


def choose(client: Protocol, spoken: Sequence[str], more: bool) -> Protocol | None:
    """The protocol for a request; None if the upstream speaks none. more: the request has tools, or the model
    reasons."""
    can = [each for each in carrying(client) if each in spoken]
    if not can or client in can or more:
        return client if client in can else can[0] if can else None
    return min(can, key=list(spoken).index)


def why(client: Protocol, spoken: Sequence[str], protocol: Protocol) -> str:
    """Why this protocol was chosen, for a person to read."""
    if len(spoken) == 1:
        return "the only protocol of this upstream"
    if protocol == client:
        return "the client's own protocol"
    if protocol == choose(client, spoken, more=True):
        return "it carries most of a request with tools, or for a model that reasons"
    return "the upstream's first protocol, for plain text"
