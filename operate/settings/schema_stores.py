"""The rows of what outlives a request: [responses], [usage], and [shared], which the proxies of a fleet have."""

from __future__ import annotations

from operate.settings import url_types, value_types
from operate.settings.rows import DAY, MANY, Key

RESPONSES = {
    "store_entries": Key(
        value_types.whole(0, MANY),
        "1000",
        "The most responses that are kept. 0 = none: then each request must hold its whole history.",
    ),
    "store_mb": Key(
        value_types.whole(1, 65536),
        "64",
        "The memory that all kept responses may use, in MB. A response that alone is larger than this is not kept.",
    ),
    "store_seconds": Key(value_types.seconds(1, 30 * DAY), "3600", "How long a response is kept."),
    "owners": Key(
        value_types.word("a file without blanks in its name"),
        "owners.sqlite3",
        "The SQLite file that remembers which client got which response of an upstream that keeps its responses. No "
        "other client can read it, delete it or build on it, also after a restart. All workers share the file; a "
        "relative one lies in the log folder. Empty: after a restart, if there are several clients, none of them can.",
    ),
    "owners_days": Key(
        value_types.whole(1, 3650),
        "30",
        "How many days that is remembered. Upstreams keep responses for about a month.",
    ),
}

USAGE = {
    "file": Key(
        value_types.word("a file without blanks in its name"),
        "usage.sqlite3",
        "The SQLite file with the sums; all workers share it. A relative path starts at the log folder. Empty = no "
        "sums are kept. With [shared] url the hosts of a fleet send each other their sums.",
    ),
    "keep_days": Key(value_types.whole(1, 3650), "400", "For how many days sums are kept. Older ones are deleted."),
}

SHARED = {
    "url": Key(
        url_types.shared_url(),
        "",
        "The Redis or Valkey server that holds what all proxies of a fleet know together: redis://, rediss:// (TLS), "
        "unix://, redis+sentinel://HOST,HOST/SERVICE or redis+cluster://HOST,HOST. Empty: the workers of this machine "
        "share a file, and a single worker needs none.",
    ),
    "prefix": Key(
        value_types.word("a word without braces", empty=False),
        "anthropic-proxy",
        "How all keys on that server begin. Proxies with the same prefix share their state.",
    ),
    "file": Key(
        value_types.word("a file without blanks in its name"),
        "shared.sqlite3",
        "The SQLite file that several workers share where there is no url. A relative path starts at the log folder. "
        "Empty = each worker has its own limits, breakers and learned quirks.",
    ),
    "patience": Key(
        value_types.seconds(0.005, 5),
        "0.05",
        "The longest that a request waits for the store. After that it goes on with what its worker knows.",
    ),
    "budgets": Key(
        value_types.choice("open", "closed"),
        "open",
        "What happens to the requests of a client with a budget while the store cannot be reached. open: they go on, "
        "by what this worker knows; closed: they are refused with a 503, and wait for a store that answers late. All "
        "other limits go on with what each worker knows.",
    ),
}
