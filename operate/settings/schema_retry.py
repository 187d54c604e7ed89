"""The rows of [retry], [breaker] and [admission], and the rate limits that upstreams and clients share."""

from __future__ import annotations

from operate.settings import list_types, value_types
from operate.settings.rows import DAY, MANY, Key

RETRY = {
    "max_attempts": Key(
        value_types.whole(1, 20),
        "3",
        "The most attempts that a request may take, the first included; but each of its targets in [models] may "
        "always be asked once. A request is sent again only if the upstream cannot have worked on it: there was "
        "no connection, or the upstream says so: by its status (408, 409, 421, 425, 429, 502, 503, 504, 529, "
        "Cloudflare's 520 to 527 and 530), by x-should-retry: true, or by an error that is called an overload or "
        "a rate limit.",
    ),
    "backoff": Key(
        value_types.seconds(0, 60),
        "0.5",
        "The wait before the same target is asked again is a random time up to this. The bound doubles with each "
        "further attempt, up to max_backoff.",
    ),
    "max_backoff": Key(value_types.seconds(0, 600), "8", "The largest bound of that wait."),
    "max_retry_after": Key(
        value_types.seconds(0, 3600),
        "10",
        "The longest Retry-After of an upstream that the proxy waits for. With a longer one, the error goes to "
        "the client at once.",
    ),
    "also": Key(
        list_types.statuses(400, 599, (200,)),
        "",
        "Further statuses after which a request is sent again, although the upstream may have done the work, so "
        "that it may be paid for twice. 504: time-outs too; 502: lost connections too; 200: replies that make no "
        "sense.",
    ),
    "budget_percent": Key(
        value_types.whole(0, 100),
        "20",
        "How many retries an upstream may get, in percent of its requests. More would make its outage worse.",
    ),
    "budget_per_second": Key(
        value_types.number(0, 10_000),
        "3",
        "How many retries a second an upstream may always get, even when it has few requests.",
    ),
    "deadline": Key(
        value_types.seconds(0.1, DAY),
        "120",
        "No attempt begins later than this after the request has arrived. A client's own x-stainless-timeout "
        "shortens it.",
    ),
    "on_overflow": Key(
        value_types.switch(),
        "true",
        "When an upstream answers 400 because the context is too long, ask the next target, which may take more.",
    ),
    "on_refusal": Key(
        value_types.switch(), "false", "When the model declines before it has written anything, ask the next target."
    ),
    "hedge": Key(
        list_types.names(what="names or globs of models"),
        "",
        "The models, by the names that clients use, whose requests may get a second attempt: when the first byte "
        "comes later than in 95 of 100 requests, a hedge is sent. The first to answer wins; both may cost money.",
    ),
    "rejoin_seconds": Key(
        value_types.seconds(0, 3600),
        "0",
        "When a client's connection breaks, its request goes on for this long. If the same client sends it again, "
        "it gets the same answer, and nobody pays twice. 0 = the request is cancelled.",
    ),
    "rejoin_mb": Key(
        value_types.whole(1, 65536), "16", "The memory for the answers of such requests, all together, in MB."
    ),
}

BREAKER = {
    "enabled": Key(
        value_types.switch(),
        "true",
        "Stop asking a model of an upstream that keeps failing, except for single probes. The last target left is "
        "always asked.",
    ),
    "failure_percent": Key(
        value_types.whole(1, 100),
        "50",
        "The breaker opens when this share of the requests in the window has failed, in percent.",
    ),
    "window": Key(value_types.seconds(0.1, 3600), "30", "The time over which failures are counted."),
    "min_requests": Key(
        value_types.whole(1, MANY), "10", "The share counts only when the window holds this many requests."
    ),
    "consecutive": Key(
        value_types.whole(1, MANY),
        "5",
        "The breaker also opens after this many failures in a row, however few requests there are.",
    ),
    "cooldown": Key(
        value_types.seconds(0.1, 3600),
        "5",
        "How long an open breaker waits before it lets a probe through. Each probe that fails doubles the wait.",
    ),
    "max_cooldown": Key(value_types.seconds(0.1, DAY), "120", "The longest such wait."),
}

ADMISSION = {
    "max_concurrent": Key(
        value_types.whole(0, MANY),
        "0",
        "The most requests at all upstreams together at once; 0 = [pool] max_connections.",
    ),
    "queue": Key(
        value_types.whole(0, MANY),
        "200",
        "How many further requests may wait in the queue. Beyond that, a request is refused at once (529 or 503).",
    ),
    "queue_seconds": Key(
        value_types.seconds(0, 3600),
        "10",
        "How long a request may wait in the queue, for all its targets together, before it is refused.",
    ),
}

RATES = {
    "requests_per_minute": Key(value_types.whole(0, 10_000_000), "0", "The most requests a minute; 0 = no limit."),
    "tokens_per_minute": Key(
        value_types.whole(0, 10**9), "0", "The most tokens a minute, input and output together; 0 = no limit."
    ),
}
"""The limits that an [upstream NAME] and a [client NAME] may both have."""
