"""Where the time of a request goes, by room: `python -m tests.bench.profile [CLIENT [UPSTREAM]] [--whole]`.

cProfile on the proxy's loop, in CPU time, while a client asks the same again and again. It makes calls of Python dearer
than they are and those of C not, so that the shares are rough; the order is right.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import re
import time
from collections import Counter
from typing import Any

from tests.bench.walk import PATHS, ROOT, Bench
from tests.support.house import House, one_upstream
from tests.support.script import Upstream

REQUESTS = 300
WARM = 30
IDLE = ("poll", "select")  # the loop waits


def measured(client: str, upstream: str, *, streams: bool, events: int, requests: int = REQUESTS) -> pstats.Stats:
    bench, profile = Bench(client, upstream, streams=streams), cProfile.Profile(time.thread_time)
    reply = bench.reply(events, b"")
    with Upstream([reply]) as up, House(one_upstream(up.url, upstream)) as house, house.connect() as asking:

        def ask(times: int) -> None:
            for _ in range(times):
                asking.send("POST", bench.path, bench.body)
                assert asking.reply()[0] == 200

        ask(WARM)
        house.on_loop(profile.enable)
        ask(requests)
        house.on_loop(profile.disable)
    return pstats.Stats(profile)


def by_room(stats: Any) -> Counter[str]:
    """Seconds of own time."""
    found: Counter[str] = Counter()
    for (file, _, name), (_, _, own, _, _) in stats.stats.items():
        if not any(word in name for word in IDLE):
            found[room(file, name)] += own
    return found


def room(file: str, name: str) -> str:
    if file == "~":  # C
        for word, of in (("pycurl", "libcurl"), ("ujson", "ujson"), ("_socket", "sockets"), ("epoll", "sockets")):
            if word in name:
                return of
        return "Python's own types"
    if file.startswith(f"{ROOT}/") and "/.venv/" not in file:
        first, second = file[len(str(ROOT)) + 1 :].split("/")[:2]
        return f"{first}/{second}" if first == "gateway" and not second.endswith(".py") else first
    package = re.search(r"/(tornado|asyncio|logging|json|re)/", file)
    return package[1] if package else "the rest"


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.bench.profile", description=__doc__.partition("\n")[0])
    options.add_argument("client", nargs="?", default="messages", choices=PATHS)
    options.add_argument("upstream", nargs="?", default="chat", choices=PATHS)
    options.add_argument("--whole", action="store_true", help="a reply in one piece")
    options.add_argument("--events", type=int, default=20, help="of a stream")
    options.add_argument("--lines", type=int, default=12)
    asked = options.parse_args()
    found = by_room(measured(asked.client, asked.upstream, streams=not asked.whole, events=asked.events))
    kind = "whole" if asked.whole else f"streamed, {asked.events} events"
    print(f"| {asked.client} to {asked.upstream}, {kind} | share |\n| --- | --- |")
    for name, seconds in found.most_common(asked.lines):
        print(f"| {name} | {100 * seconds / found.total():.0f} % |")


if __name__ == "__main__":
    main()
