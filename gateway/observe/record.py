"""What is told of a finished request: one plain dict, made once, for whoever watches (logs, metrics, dashboard).

The names are OpenTelemetry's for generative AI where it has one (they hold dots), else plain ones. Times are in
milliseconds, and say what timing.py says of them. What is not known is None, never 0. Nothing of what was written or
answered is in it, and of a key only the name of its client.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from gateway.flow.timing import now
from gateway.http import header_rules
from gateway.limits.retry_policy import Full
from translate.errors import ApiError

if TYPE_CHECKING:
    from gateway.flow.relay import Relay

_OPERATIONS = {"": "chat", "count": "count_tokens", "compact": "compact"}
_FIELD = re.compile(r"[a-z0-9_.]{1,64}")  # a field's name; what a client makes up beside it may be what its user wrote
SHORTEST_STREAM_S = 0.01  # of one that was over sooner, its tokens came in one piece: it has no pace of its own


def field_name(dropped: str) -> str:
    """A dropped field, as logs and pages may name it: a client that makes up a tool's type may put anything there."""
    return dropped if _FIELD.fullmatch(dropped) else "(not named)"


def record(relay: Relay, error: ApiError | None) -> dict[str, Any]:
    """error: what the client was told, or its upstream said."""
    clock, lead = relay.clock, relay.lead
    route = None if isinstance(error, Full) else relay.route  # else the upstream would seem to have failed
    used = relay.used
    answered = relay.status == 200
    streamed = relay.streamed and clock.first > 0
    span = clock.said - clock.first if streamed else 0.0
    pace = span if span >= SHORTEST_STREAM_S else clock.upstream
    said = {
        "time": time.time() + clock.done - now(),
        "request_id": relay.key,
        "client": relay.client,
        "url.path": relay.dialect.served(relay.task),
        "protocol": relay.protocol,
        "gen_ai.operation.name": _OPERATIONS[relay.task],
        "gen_ai.request.model": relay.asked_model,
        "upstream": route.peer.name if route else "",
        "upstream_protocol": route.protocol if route else "",
        "upstream_model": route.model if route else "",
        "upstream_request_id": _their_id(lead.up_headers) if lead is not None and lead.up_headers else "",
        "stream": relay.streamed,
        "status": relay.status,
        "attempts": relay.tries,
        "continuations": lead.more.made if lead is not None and lead.more is not None else 0,
        "tried": relay.tried,
        "passed_over": relay.passed_over,
        "ended": "left" if relay.left else "aborted" if relay.aborted else "finished",
        "connection": connection(relay),
        "receive_ms": _ms(clock.read - clock.began),
        "queue_ms": _ms(clock.queue),
        "ttfb_ms": _ms(lead.ttfb_ms / 1e3) if lead is not None and lead.ttfb_ms else None,
        "first_token_ms": _ms(clock.first - clock.began) if answered and clock.first else None,
        "upstream_ms": _ms(clock.upstream),
        "overhead_ms": _ms(clock.overhead),
        "stream_ms": _ms(span) if streamed else None,
        "total_ms": _ms(clock.done - clock.began),
        "bytes_in": relay.size,
        "bytes_out": relay.answer.written,
        "gen_ai.usage.input_tokens": used.prompt if used else None,
        "gen_ai.usage.output_tokens": used.output if used else None,
        "gen_ai.usage.cache_read.input_tokens": used.cache_read if used else None,
        "gen_ai.usage.cache_creation.input_tokens": used.cache_write if used else None,
        "gen_ai.usage.reasoning.output_tokens": used.reasoning if used else None,
        "tokens_per_second": int(used.output / pace * 10) / 10 if used and used.output and pace > 0 else None,
        "dropped": [field_name(name) for name in relay.dropped],
    }
    if lead is not None and lead.cache_marks:
        said |= _saved(relay, lead.cache_marks)
    if error is not None:
        said["error.type"] = error.kind
        said["error.message"] = relay.said
    return said


def _saved(relay: Relay, marks: int) -> dict[str, Any]:
    """What the cache marks that we have set did for the request: tokens that were read from the cache, and USD, less
    what the writing costs; None where nobody knows the price."""
    used, route = relay.used, relay.route
    price = relay.service.prices.of(route.peer.name, route.model) if route is not None else None
    usd = price.saved(used.input, used.cache_read, used.cache_write) if price is not None and used is not None else None
    return {
        "cache_marks": marks,
        "cache_saved_tokens": used.cache_read if used is not None else None,
        "cache_saved_usd": round(usd, 6) if usd is not None else None,
    }


def connection(relay: Relay) -> str:
    """Of the reply's try: "new" or "reused", "" where it had none."""
    lead = relay.lead
    if lead is None:
        return ""
    return lead.exchange.connection if lead.exchange is not None else lead.connection


def _their_id(of_reply: list[tuple[str, str]]) -> str:
    """The upstream's own word for the request, to ask its makers about it."""
    return (header_rules.find(of_reply, "request-id") or header_rules.find(of_reply, "x-request-id"))[:200]


def _ms(seconds: float) -> float:
    """To hundredths. round() takes four times as long, and a record has ten of them."""
    return int(seconds * 1e5 + 0.5) / 100
