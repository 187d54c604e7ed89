"""A request that goes to its upstream as it came, less the thinking that this upstream cannot take for its own. A
summary of the conversation that this proxy had written (see compaction.py) is told in words.

A session may change its upstream. What another provider signed, the client has under a seal of ours (see
sealed_reasoning.py), and it goes on saying it; its new upstream, which speaks the client's own protocol, would answer
400 to a signature that it never gave. So thinking under a seal is left out, and only there is a body parsed and written
anew: whoever calls has asked seal.may_be_in first, and without a seal in the places where proofs stand the body stays
what it was.
"""

from __future__ import annotations

from translate import wire
from translate.dialect import Dialect


def request(dialect: Dialect, raw: bytes) -> tuple[bytes, list[str]]:
    """Returns the body to send, and the names of the fields that are left out of it. A body that cannot be read stays
    as it is: the upstream says why."""
    try:
        body = wire.loads(raw)
    except ValueError:
        return raw, []
    if not isinstance(body, dict):
        return raw, []
    told = dialect.summaries_in_words(body)
    dropped = dialect.without_foreign(body)
    return (wire.dumps(body), dropped) if dropped or told else (raw, [])
