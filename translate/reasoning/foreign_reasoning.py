"""A request in the upstream's own protocol, without the thinking that this upstream cannot accept. A summary that this
proxy has written (see compaction.py) is told in words.

A session may change its upstream. The client has what another provider signed under a seal of the proxy (see
sealed_reasoning.py), and keeps sending it. Its new upstream, which speaks the client's own protocol, would answer 400
to a signature that it never gave. So thinking under a seal is left out. Only for this is a body parsed and written
anew: the caller has asked seal.may_be_in first, and a body without a seal in the places where proofs stand stays
unchanged.
"""

from __future__ import annotations

from translate.dialect import Dialect
from translate.json import wire


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
