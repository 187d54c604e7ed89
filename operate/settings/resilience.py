"""Rows of the schema for when upstreams fail or drown: what is tried again, who is left alone, how much at once."""

from __future__ import annotations

from operate.settings import list_types, value_types
from operate.settings.rows import DAY, MANY, Key

RETRY = {
    "max_attempts": Key(
        value_types.whole(1, 20),
        "3",
        "Tries of a request, the first included; further targets of [models] come on top. Only what cannot have been "
        "worked on is tried again: no connection, or a status that says so (408, 409, 421, 425, 429, 502, 503, 504, "
        "529).",
    ),
    "backoff": Key(
        value_types.seconds(0, 60),
        "0.5",
        "The wait before the same target is asked again: by chance, up to this; up to twice that the next time.",
    ),
    "max_backoff": Key(value_types.seconds(0, 600), "8", "The longest such wait."),
    "max_retry_after": Key(
        value_types.seconds(0, 3600),
        "10",
        "A Retry-After up to this is waited for; a longer one goes to the client at once.",
    ),
    "also": Key(
        list_types.statuses(400, 599, (200,)),
        "",
        "Further statuses that are tried again, though the upstream may have done the work: it may cost twice. 504: "
        "also time-outs, 502: also a connection that is lost before a reply, 200: a reply that makes no sense.",
    ),
    "budget_percent": Key(
        value_types.whole(0, 100),
        "20",
        "Retries that an upstream may get, in percent of its requests: more would make its outage worse.",
    ),
    "budget_per_second": Key(
        value_types.number(0, 10_000), "3", "Retries a second that it may get in any case, where its requests are few."
    ),
    "deadline": Key(
        value_types.seconds(0.1, DAY),
        "120",
        "No new try begins so long after the request came; a client's own x-stainless-timeout shortens it.",
    ),
    "on_overflow": Key(
        value_types.switch(),
        "true",
        "A 400 that says the context is too long: ask the next target, which may hold more.",
    ),
    "on_refusal": Key(
        value_types.switch(), "false", "The model declines before it has written anything: ask the next target."
    ),
    "hedge": Key(
        list_types.names(what="names or globs of models"),
        "",
        "Models, as clients call them, that get a second try when the first byte is later than in 95 of 100 requests; "
        "the first to answer wins, both may cost.",
    ),
    "rejoin_seconds": Key(
        value_types.seconds(0, 3600),
        "0",
        "How long a request goes on after its client's connection broke, so that the same client, sending it again, "
        "gets its answer and nobody pays twice; 0 = it is cancelled.",
    ),
    "rejoin_mb": Key(value_types.whole(1, 65536), "16", "MB of answers kept for that, all together."),
}

BREAKER = {
    "enabled": Key(
        value_types.switch(),
        "true",
        "Stop asking a model of an upstream that keeps failing, but for a probe; never the last target left.",
    ),
    "failure_percent": Key(
        value_types.whole(1, 100), "50", "Share of failures in the window from which on it is not asked, in percent."
    ),
    "window": Key(value_types.seconds(0.1, 3600), "30", "How far back failures count."),
    "min_requests": Key(value_types.whole(1, MANY), "10", "Requests in the window, before the share counts."),
    "consecutive": Key(
        value_types.whole(1, MANY), "5", "Failures in a row from which on it is not asked, however few the requests."
    ),
    "cooldown": Key(
        value_types.seconds(0.1, 3600),
        "5",
        "Time until a single request may probe it; each probe that fails doubles it.",
    ),
    "max_cooldown": Key(value_types.seconds(0.1, DAY), "120", "The longest such time."),
}

ADMISSION = {
    "max_concurrent": Key(
        value_types.whole(0, MANY), "0", "Requests at upstreams at once, in all; 0 = [pool] max_connections."
    ),
    "queue": Key(
        value_types.whole(0, MANY),
        "200",
        "Further requests that may wait; what comes beyond is told so at once (529, 503).",
    ),
    "queue_seconds": Key(
        value_types.seconds(0, 3600),
        "10",
        "How long one may wait, at all its targets together, before it is told so too.",
    ),
}

RATES = {
    "requests_per_minute": Key(value_types.whole(0, 10_000_000), "0", "Requests a minute, at most; 0 = no bound."),
    "tokens_per_minute": Key(value_types.whole(0, 10**9), "0", "Tokens a minute, in and out, at most; 0 = no bound."),
}
"""Bounds that an upstream and a client may both have."""
