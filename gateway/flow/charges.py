"""What a request is charged against the quotas of its client and of the upstreams that it is sent to.

When it goes, an estimate of its input; when it is over, what it really took. A reply tells that; of one that broke off,
or whose client left, the part that was not told is estimated. What failed has taken nothing, and is given back: a
request that was sent is still one of the requests a minute, since somebody had to answer it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.limits.rate_limit import Quota
from translate import tokens
from translate.conversation import Usage
from translate.errors import ApiError

if TYPE_CHECKING:
    from gateway.flow.relay import Relay

SAMPLE_BYTES = 16 * 1024  # of a reply that is estimated


def charge(quota: Quota, relay: Relay) -> None:
    """The request counts against its client's quota. Raises ApiError (429)."""
    size = relay.size_in_tokens()
    if wait := quota.take(size, time.monotonic()):
        message = (
            f"client '{relay.client}' has used up its requests_per_minute or tokens_per_minute ([client "
            f"{relay.client}]); the next request may come in {wait:.0f} s"
        )
        raise ApiError("rate_limit", message, 429, retry_after=wait)
    relay.charged = size


def settle(quota: Quota | None, relay: Relay) -> None:
    """The request is over. quota: its client's, if that has one; it may be another than the one that was charged,
    which settings have replaced since."""
    lead, taken = relay.lead, spent(relay)
    if quota is not None and relay.charged:
        if relay.tries:
            quota.correct(taken - relay.charged)
        else:
            quota.give_back(relay.charged)
    if lead is not None and lead.charged and lead.route.peer.quota is not None:
        lead.route.peer.quota.correct(taken - lead.charged)
        lead.charged = 0


def spent(relay: Relay) -> int:
    """Tokens, in and out."""
    reply, used, lead = relay.reply, relay.used or Usage(), relay.lead
    if lead is not None and lead.more is not None and lead.more.made and relay.status != 200:
        return used.prompt + used.output  # it failed in the middle of its turn
    if relay.status != 200 or relay.task == "count" or reply is None:
        return 0
    output = used.output
    if relay.streamed and not (reply.complete and relay.used):
        output = max(output, tokens.of_reply(reply.sample, relay.answer.written))
    return (used.prompt or relay.size_in_tokens()) + output
