"""The table of all sections that settings.ini may have, with their keys: the kind, default and explanation of each.

The reading of settings, the messages of --check-config, --print-config and the comments of the shipped file all follow
these rows. A test compares the shipped file, and the classes in sections.py and upstreams.py, with them. Defaults are
written as in a settings file and are read in the same way. CONTRIBUTING.md shows how to add a key. The imports below
say which file has the rows of which section; those of the small sections are here.
"""

from __future__ import annotations

from operate.settings import list_types, value_types
from operate.settings.rows import MANY, Key
from operate.settings.schema_cache import BATCHES, CACHE, COUNTING
from operate.settings.schema_logging import LOGGING, TELEMETRY
from operate.settings.schema_pool import POOL, TIMEOUTS
from operate.settings.schema_retry import ADMISSION, BREAKER, RETRY
from operate.settings.schema_server import LIMITS, SERVER
from operate.settings.schema_stores import RESPONSES, SHARED, USAGE
from operate.settings.schema_upstream import CLIENT, HOOK, UPSTREAM

TRANSLATE = {
    "strict": Key(
        value_types.switch(),
        "false",
        "Refuse a request when one of its fields cannot be translated, with a 400 that names the fields. When it "
        "is off, they are dropped and named in X-Proxy-Dropped. Claude Code sends cache_control, which only "
        "Messages upstreams take: with strict, all other upstreams refuse it.",
    ),
    "learn": Key(
        value_types.switch(),
        "true",
        "When an upstream answers 400 because of a field that it does not take, or of a limit that it names, send the "
        "request again without that field or within that limit, and do so for a day.",
    ),
    "deferred_tools": Key(
        value_types.whole(0, MANY),
        "20",
        "For deferred tools (defer_loading) when the upstream has no tool search: if a request has at least this "
        "many, the proxy searches them and shows the model what it finds; if it has fewer, the model is offered "
        "all of them at once.",
    ),
    "max_continuations": Key(
        value_types.whole(0, 100),
        "8",
        "How many further upstream requests one turn may take: after a tool search of the proxy, or when a "
        "provider pauses a turn (pause_turn) and the client speaks another protocol. 0 = none.",
    ),
}

ALIASES = {
    "map_json": Key(
        list_types.name_map(),
        "",
        "Exact names that clients ask for, each with the MODEL or UPSTREAM/MODEL that it means.",
    ),
    "big_model": Key(
        value_types.word("MODEL or UPSTREAM/MODEL"), "", "What every name that contains opus or sonnet means."
    ),
    "small_model": Key(value_types.word("MODEL or UPSTREAM/MODEL"), "", "What every name that contains haiku means."),
}

INCLUDE = {
    "files": Key(
        list_types.files(),
        "",
        "Further settings files, or patterns such as conf.d/*.ini, with commas between. A relative name starts at the "
        "folder of the file that has it; so do all relative paths. They are read after this file, in the order of "
        "their names, and watched likewise. Sections may go on in another file; a key stands in one file only.",
    ),
}

MODELS = "models"
"""The name of the section whose keys are patterns of model names."""

PRICES = "prices"
"""The name of the section that says what tokens cost; its keys are patterns of model names, too."""

SIZES = "sizes"
"""The name of the section that says how many tokens models take and write; its keys are such patterns, too."""

LINES = (MODELS, PRICES, SIZES)
"""The sections whose keys the user makes."""

PLAIN = {
    "server": SERVER,
    "limits": LIMITS,
    "timeouts": TIMEOUTS,
    "pool": POOL,
    "retry": RETRY,
    "breaker": BREAKER,
    "admission": ADMISSION,
    "responses": RESPONSES,
    "cache": CACHE,
    "counting": COUNTING,
    "batches": BATCHES,
    "usage": USAGE,
    "shared": SHARED,
    "translate": TRANSLATE,
    "logging": LOGGING,
    "aliases": ALIASES,
    "telemetry": TELEMETRY,
    "include": INCLUDE,
}
"""The sections that a file has at most once, by name."""

NAMED = {"upstream": UPSTREAM, "client": CLIENT, "hook": HOOK}
"""The kinds of sections of which a file may have many, such as [upstream NAME]."""
