"""./run.sh usage: who spent what, by day or hour, client, model, upstream, session or agent; it reads the usage store.

In a fleet it asks the shared store for the sums of all hosts; sessions and agents are known to their host alone. It
needs no running proxy. Requests with an unknown price are counted as such, never as 0 USD.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import importlib.util
import json
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

from console import fleet_usage
from console.fleet_usage import FleetSums
from gateway.shared.redis_store import RedisStore
from gateway.shared.store import Away
from operate import sqlite_file
from operate.logs.journal import folder_of
from operate.plain import plain
from operate.settings import load
from operate.settings.load import Settings, SettingsError
from operate.usage_store import COLUMNS, DAYS_BY_HOUR, Sum, UsageStore

EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 64, 69, 78
DAY_S = 86_400
PATIENCE_S = 5.0
LOCAL = {"session", "agent"}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_FORMULA = re.compile(r"\s*[=+@-].*[(|!]", re.DOTALL)
_AGO = re.compile(r"(\d{1,4})d")


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    try:
        chosen = load.load(options.config, options.set)
    except SettingsError as problems:
        sys.stderr.write(f"{problems}\n")
        return EX_CONFIG
    if not chosen.usage.file:
        sys.stderr.write("there are no sums of usage: [usage] file is empty in the settings\n")
        return EX_UNAVAILABLE
    store = UsageStore(folder_of(chosen.logging) / chosen.usage.file)
    by = [name.strip() for name in options.by.split(",") if name.strip()]
    try:
        since, until = day(options.since), day(options.until)
        sums = None if options.host else _of_fleet(chosen, since, until, by)
        rows = (sums or store).read(since, until, by)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return EX_USAGE
    except sqlite_file.errors() as error:
        sys.stderr.write(f"{store.file}: {error}\n")
        return EX_UNAVAILABLE
    said = [dict(zip(by, group, strict=True)) | _numbers(value) for group, value in rows]
    if options.json:
        sys.stdout.write(json.dumps(said, indent=1) + "\n")
    elif options.csv:
        writer = csv.DictWriter(sys.stdout, [*by, *Sum._fields], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {name: _cell(str(row[name])) for name in by} for row in said)
    else:
        sys.stdout.write(table(by, said) + "\n")
    return 0


def _of_fleet(chosen: Settings, since: str, until: str, by: Sequence[str]) -> FleetSums | None:
    """The sums of all hosts; None where there is no fleet, or it is not known what they have spent. Says whose the sums
    are."""
    if not chosen.shared.url:
        return None
    why = f"{', '.join(sorted(LOCAL & set(by)))}: known to its host alone" if LOCAL & set(by) else ""
    if not why and importlib.util.find_spec("redis") is None:
        why = "the package redis is not installed"
    if not why:
        by_hour = "hour" in by
        first = max(since, day(f"{DAYS_BY_HOUR if by_hour else chosen.usage.keep_days}d"))
        try:
            sums = asyncio.run(_asked(chosen, first, until, by_hour=by_hour))
            sys.stderr.write(f"All hosts: {', '.join(sums.hosts) or 'none has told anything'}\n")
            return sums
        except Away as away:
            why = f"the shared store is away: {away}"
    sys.stderr.write(f"This host alone ({why})\n")
    return None


async def _asked(chosen: Settings, since: str, until: str, *, by_hour: bool) -> FleetSums:
    store = RedisStore(chosen.shared.url, chosen.shared.prefix, patience_s=PATIENCE_S)
    store.start()
    try:
        await store.wait(PATIENCE_S)
        return await fleet_usage.read(store, since, until, by_hour=by_hour)
    finally:
        store.close()
        await asyncio.sleep(0)  # the connections end in the next turn of the loop


def day(said: str, now: float | None = None) -> str:
    """The day that "2026-11-27", "today" or "7d" (seven days ago) means, as YYYY-MM-DD in UTC. Raises ValueError."""
    now = time.time() if now is None else now
    if said == "today":
        return time.strftime("%Y-%m-%d", time.gmtime(now))
    if ago := _AGO.fullmatch(said):
        return time.strftime("%Y-%m-%d", time.gmtime(now - int(ago[1]) * DAY_S))
    if _DAY.fullmatch(said):
        with contextlib.suppress(ValueError):  # such as 2026-02-30
            time.strptime(said, "%Y-%m-%d")
            return said
    raise ValueError(f"{said!r} is not a day; write 2026-11-27, today, or 7d for seven days ago")


def table(by: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """The table as text: columns for the groups, then for the sums."""
    if not rows:
        return "There was no usage in that time."
    heads = [*by, "requests", "failed", "input", "cached", "written", "output", "USD"]
    lines = [[*(plain(str(row[name])) or "-" for name in by), *_cells(row)] for row in rows]
    widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
    laid = []
    for line in [heads, *lines]:
        cells = zip(line, widths, range(len(heads)), strict=True)
        laid.append("  ".join(cell.ljust(width) if i < len(by) else cell.rjust(width) for cell, width, i in cells))
    unpriced = sum(row["unpriced"] for row in rows)
    note = (
        [f"* The price of {unpriced} requests is unknown, and the USD do not include them; see [prices]."]
        if unpriced
        else []
    )
    return "\n".join([line.rstrip() for line in laid] + note)


def _cells(row: dict[str, Any]) -> list[str]:
    counts = [f"{row[name]:,}" for name in ("requests", "failed", "input", "cache_read", "cache_write", "output")]
    return [*counts, f"{row['usd']:.4f}{'*' if row['unpriced'] else ' '}"]


def _cell(name: str) -> str:
    """A name for a spreadsheet. Spreadsheets run text that looks like a formula with a call, and clients choose these
    names. The plain name of a model may begin alike (@cf/meta/llama) and stays as it is."""
    return f"'{name}" if _FORMULA.match(name) else name


def _numbers(value: Sum) -> dict[str, Any]:
    return value._asdict() | {"usd": round(value.usd, 6)}


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run.sh usage", description="Who spent what. Days are those of UTC.")
    parser.add_argument("--since", default="30d", metavar="DAY", help="2026-11-27, today, or 7d (default 30d)")
    parser.add_argument("--until", default="today", metavar="DAY", help="the last day (default today)")
    parser.add_argument(
        "--by",
        default="client,model",
        metavar="COLUMNS",
        help=f"group by these (default client,model); columns: {', '.join(COLUMNS)}, and host in a fleet; "
        f"hours are kept for {DAYS_BY_HOUR} days",
    )
    parser.add_argument("--host", action="store_true", help="of this host alone, where there is a fleet ([shared] url)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON list of objects")
    form.add_argument("--csv", action="store_true", help="print CSV with a header line")
    parser.add_argument("--config", metavar="FILE", help="the settings of the proxy")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="use this value instead of the file's"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
