"""The rows of [cache], replies that are kept and requests that share one, of [counting], and of [batches]."""

from __future__ import annotations

from operate.settings import list_types, value_types
from operate.settings.rows import DAY, Key

CACHE = {
    "models": Key(
        list_types.names(what="model names or patterns"),
        "",
        "The models, as clients name them, of which replies are kept and given again to the same request, such as "
        "gpt-4o*. Only requests that have one right answer count: those with temperature 0, embeddings, moderations "
        "and rerank, and those with the header X-Proxy-Cache: allow. Empty = none.",
    ),
    "always": Key(
        list_types.names(what="model names or patterns"),
        "",
        "The same for models whose requests all count, at any temperature: the second of two equal requests gets "
        "the reply to the first, word by word.",
    ),
    "coalesce": Key(
        list_types.names(what="model names or patterns"),
        "",
        "The models of which requests that are equal and on their way at the same time become one upstream request. "
        "Only requests with one right answer count, as in models, or all of them if always names the model. A request "
        "that comes late gets what the stream has brought, and then the rest. Empty = none.",
    ),
    "seconds": Key(value_types.seconds(1, 365 * DAY), "3600", "How long a reply is kept."),
    "mb": Key(
        value_types.whole(1, 65536),
        "64",
        "The memory for kept replies, in MB. The one that was used longest ago goes first.",
    ),
    "entry_kb": Key(
        value_types.whole(1, 65536),
        "1024",
        "The largest reply that is kept, in KB; and how far a slow client may fall behind others that share its "
        "stream before the upstream has to wait.",
    ),
    "private": Key(
        value_types.switch(),
        "true",
        "A client gets only replies to its own requests. false: all clients share what they may use; whoever knows a "
        "request word by word can then find out that somebody has asked it.",
    ),
    "tool_calls": Key(
        value_types.switch(),
        "false",
        "Keep replies in which the model calls tools, too. A tool that has run changes what the next call finds.",
    ),
}

COUNTING = {
    "exact": Key(
        value_types.switch(),
        "false",
        "Count the tokens of requests exactly, if their messages are only text, for OpenAI's models whose upstream "
        "cannot be asked: GPT-4o, GPT-4.1, GPT-5 and the o series. Replies confirm the count, and teach the tokens of "
        "tools and schemas. Requests with images or tool calls are estimated. The clients see it in "
        "X-Proxy-Token-Count. It takes 70 MB of memory for each worker, and needs the package of "
        "extras/tokenizers.txt, which the start installs.",
    ),
}

BATCHES = {
    "file": Key(
        value_types.word("a file without blanks in its name"),
        "batches.sqlite3",
        "The SQLite file with the batches that the proxy runs itself: their requests, results and files. All workers "
        "share it; a relative one lies in the log folder. It holds what users and models wrote. Empty: the proxy runs "
        "no batches.",
    ),
    "queue": Key(
        value_types.choice("shared", "host"),
        "shared",
        "Where batches and their files are in a fleet. shared: in the server of [shared] url, and all hosts see and "
        "run them; what users and models wrote is there in plain text then, and gone when it is restarted, unless it "
        "writes to disk (appendonly yes). host: in the file of the host that was asked, as without a url.",
    ),
    "concurrent": Key(
        value_types.whole(1, 1000),
        "4",
        "How many requests of batches are on their way at once, in all workers together that share a queue. None is "
        "begun while other requests wait for a slot.",
    ),
    "keep_days": Key(value_types.whole(1, 3650), "29", "How many days ended batches and files are kept."),
    "client_files": Key(
        value_types.whole(0, 1_000_000), "500", "The most uploaded files that are kept for one client; 0 = no limit."
    ),
    "client_batches": Key(
        value_types.whole(0, 1_000_000), "200", "The most batches that are kept for one client; 0 = no limit."
    ),
    "client_mb": Key(
        value_types.whole(0, 1_000_000),
        "2048",
        "The most megabytes of files, and of requests of batches, that are kept for one client; 0 = no limit.",
    ),
    "embeddings_ms": Key(
        value_types.whole(0, 10_000),
        "0",
        "How many milliseconds a small request for embeddings waits for others of its client and model, so that they "
        "become one upstream request. Each gets its own part of the reply and of its usage. 0 = it does not wait.",
    ),
    "embeddings_inputs": Key(
        value_types.whole(2, 2048), "256", "The most inputs that go together; when there are so many, they go at once."
    ),
}
