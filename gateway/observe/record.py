"""The record of a finished request: one plain dict, made once for all observers (logs, metrics, dashboard).

The names are those of OpenTelemetry for generative AI if it has one (they have dots), else the proxy's own. Times are
in milliseconds; flow/timing.py defines them. Unknown values are None, never 0. The record has no text of requests or
replies, and no key, only the name of the client.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from typing import Any

from gateway.flow.info import Cancelled, Finished, Outrun
from gateway.flow.timing import now
from gateway.http import header_rules
from gateway.observe.prices import Price
from operate.plain import of_header
from translate import dialects
from translate.target import Protocol

PriceOf = Callable[[str, str], Price | None]

_OPERATIONS = {"": "chat", "count": "count_tokens", "completions": "text_completion"}
_FIELD = re.compile(r"[A-Za-z0-9_.]{1,64}")  # the name of a field; anything else may be a user's text
SHORTEST_STREAM_S = 0.01  # the tokens of a shorter stream came in one piece, so its speed is not known


def field_name(dropped: str) -> str:
    """The name of a dropped field for logs and pages. A client may put any text into the name of a tool's type."""
    return dropped if _FIELD.fullmatch(dropped) else "(not named)"


def record(over: Finished, price_of: PriceOf, mask: Callable[[str], str] = str) -> dict[str, Any]:
    """Makes the record. price_of: the price of an upstream's model. mask: takes secrets out of a text."""
    clock = over.clock
    answered = over.status == 200
    streamed = over.streamed and clock.first > 0
    span = clock.said - clock.first if streamed else 0.0
    ended = "left" if over.left else "aborted" if over.aborted else "finished"
    said: dict[str, Any] = {
        "time": time.time() + clock.done - now(),
        "request_id": over.key,
        "client": over.client,
        "client.address": over.address,
        "user_agent.original": over.user_agent if over.user_agent.isascii() else of_header(over.user_agent),
        "url.path": _served(over.protocol, over.task),
        "protocol": over.protocol,
        "gen_ai.operation.name": _OPERATIONS.get(over.task, over.task),
        "gen_ai.request.model": over.asked_model,
        "upstream": over.upstream,
        "upstream_protocol": over.upstream_protocol,
        "upstream_model": over.upstream_model,
        "upstream_request_id": header_rules.their_id(over.upstream_headers),
        "stream": over.streamed,
        "status": over.status,
        "attempts": over.attempts,
        "continuations": over.continuations,
        "tried": [each._asdict() for each in over.tried] if over.tried else [],
        "passed_over": list(over.passed_over),
        "ended": "cancelled" if isinstance(over.error, Cancelled) else ended,
        "connection": over.connection,
        "receive_ms": _ms(clock.read - clock.began),
        "queue_ms": _ms(clock.queue),
        "ttfb_ms": _ms(over.ttfb_ms / 1e3) if over.ttfb_ms else None,
        "first_token_ms": _ms(clock.first - clock.began) if answered and clock.first else None,
        "upstream_ms": _ms(clock.upstream),
        "overhead_ms": _ms(clock.overhead),
        "stream_ms": _ms(span) if streamed else None,
        "total_ms": _ms(clock.done - clock.began),
        "bytes_in": over.bytes_in,
        "bytes_out": over.bytes_out,
        "dropped": [field_name(name) for name in over.dropped] if over.dropped else [],
        "session": over.session,
        "agent": over.agent,
        "parent_agent": over.parent_agent,
    }
    said |= _spent(over, price_of, span if span >= SHORTEST_STREAM_S else clock.upstream)
    said |= _beside(over, price_of)
    return _masked(said, over, mask)


def _spent(over: Finished, price_of: PriceOf, wrote_s: float) -> dict[str, Any]:
    """The tokens, and the cost in USD, which is None if the price is unknown. wrote_s: for how long the model wrote."""
    usd = 0.0 if over.cache in ("hit", "coalesced") else None
    if (used := over.used) is None:
        return _NO_TOKENS | {"proxy.cost_usd": usd}
    factors: dict[str, float] = {}
    if usd is None and (price := price_of(over.upstream, over.upstream_model)) is not None:
        usd = round(price.of(used), 6)
        factors = price.factors_of(used)
    said: dict[str, Any] = {
        "gen_ai.usage.input_tokens": used.prompt,
        "gen_ai.usage.output_tokens": used.output,
        "gen_ai.usage.cache_read.input_tokens": used.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": used.cache_write,
        "gen_ai.usage.reasoning.output_tokens": used.reasoning,
        "tokens_per_second": int(used.output / wrote_s * 10) / 10 if used.output and wrote_s > 0 else None,
        "proxy.cost_usd": usd,
    }
    if factors:
        said["proxy.cost_factors"] = factors
    return said


_NO_TOKENS = dict.fromkeys((
    "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.reasoning.output_tokens", "tokens_per_second",
))  # fmt: skip


def _beside(over: Finished, price_of: PriceOf) -> dict[str, Any]:
    """What only some records have."""
    said: dict[str, Any] = {}
    if over.is_reckoned:
        said["usage_estimated"] = True
    if over.outrun:
        said["outrun"] = [_outrun(each, price_of) for each in over.outrun]
    if over.trace is not None:
        said["trace_id"] = f"{over.trace.id:032x}"
    if over.cache_marks:
        said |= _saved(over, price_of)
    if over.cache:
        said["proxy.cache"] = over.cache
        if over.saved is not None:
            said["proxy.cache.saved_tokens"] = over.saved.prompt + over.saved.output
            said["proxy.cache.saved_usd"] = round(over.saved_usd, 6) if over.saved_usd is not None else None
    if over.error is not None:
        said["error.type"] = over.error.kind
        said["error.message"] = over.said
    return said


@functools.lru_cache(maxsize=64)
def _served(protocol: Protocol, task: str) -> str:
    return dialects.of(protocol).served(task)


def _masked(said: dict[str, Any], over: Finished, mask: Callable[[str], str]) -> dict[str, Any]:
    """Masks what may hold a key by a user's mistake: the name of a model or a session, for instance. No observer may
    see such a key: neither logs nor sums on disk, spans and metrics are masked once more."""
    for name in _WRITTEN:
        if value := said.get(name):
            said[name] = mask(value)
    if over.passed_over:  # they name models
        said["passed_over"] = [mask(each) for each in over.passed_over]
    if over.dropped:
        said["dropped"] = [mask(name) for name in said["dropped"]]
    if over.tags:
        said["tags"] = {mask(name): mask(value) for name, value in over.tags.items()}
    for each in said["tried"]:
        each["model"], each["message"] = mask(each["model"]), mask(each["message"])
    for each in said.get("outrun", ()):
        each["model"] = mask(each["model"])
    if over.trace is not None:
        for span in over.trace.attempts:
            span.model, span.error = mask(span.model), mask(span.error)
    return said


_WRITTEN = (
    "client.address", "gen_ai.request.model", "upstream_model", "upstream_request_id", "user_agent.original",
    "session", "agent", "parent_agent", "error.message",
)  # fmt: skip
"""The fields whose text somebody else has written. All others have words of the proxy, names of the settings, and
numbers, which a test holds."""


def _outrun(lost: Outrun, price_of: PriceOf) -> dict[str, Any]:
    used, price = lost.used, price_of(lost.upstream, lost.model) if lost.used is not None else None
    usd = price.of(used) if used and price is not None else None
    named = lost._asdict()
    del named["used"]
    return named | {
        "gen_ai.usage.input_tokens": used.prompt if used else None,
        "gen_ai.usage.output_tokens": used.output if used else None,
        "gen_ai.usage.cache_read.input_tokens": used.cache_read if used else None,
        "gen_ai.usage.cache_creation.input_tokens": used.cache_write if used else None,
        "proxy.cost_usd": round(usd, 6) if usd is not None else None,
    }


def _saved(over: Finished, price_of: PriceOf) -> dict[str, Any]:
    """The savings by the proxy's cache marks: tokens that were read from the cache, and USD, less the cost of the
    tokens that were written to it. None if it is unknown."""
    used = over.used
    price = price_of(over.upstream, over.upstream_model)
    usd = price.saved(used) if price is not None and used is not None else None
    return {
        "cache_marks": over.cache_marks,
        "cache_saved_tokens": used.cache_read if used is not None else None,
        "cache_saved_usd": round(usd, 6) if usd is not None else None,
    }


def _ms(seconds: float) -> float:
    """Milliseconds with two decimals. round() takes four times as long, and a record has ten of these."""
    return int(seconds * 1e5 + 0.5) / 100
