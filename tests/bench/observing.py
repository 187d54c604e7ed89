"""What it costs to be observed: CPU time of the proxy for each request, with logs, with the usage store, and without.

    python -m tests.bench.observing [--requests 40] [--rounds 60] [--deltas 50]

A proxy for each variant runs in a process of its own, all at once, and they are asked in turns; what counts is the CPU
time that a process has used, from /proc, so that other load does little to it. Rounds are short and many, and the lower
quartile is told: what disturbs a round makes it longer, never shorter.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.house import Client
from tests.support.script import Answer, Request, Upstream
from tests.test_proxy import started

_CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[%b]}\n\n'
_DELTA = _CHUNK % b'{"index":0,"delta":{"content":"word "},"finish_reason":null}'
_ENDS = (_CHUNK % b'{"index":0,"delta":{},"finish_reason":"stop"}') + (
    b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":900,"completion_tokens":50,"total_tokens":950}}\n\n'
    b"data: [DONE]\n\n"
)
ASK = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x" * 4000}]}
OFF = "[logging]\nlevel = error\ndir = {folder}\n[usage]\nfile =\n[responses]\nowners =\n"
VARIANTS = {
    "nothing": OFF,
    "logs": "[logging]\ndir = {folder}\n[usage]\nfile =\n[responses]\nowners =\n",
    "usage store": "[logging]\nlevel = error\ndir = {folder}\n[responses]\nowners =\n",
    "both (as it comes)": "[logging]\ndir = {folder}\n",
}


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, with all its threads, in seconds. The scheduler's own count is finer than the
    ticks of /proc/PID/stat."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def answers(deltas: int) -> Answer:
    return Answer.sse([_DELTA * 5] * (deltas // 5) + [_ENDS])


@contextlib.contextmanager
def proxies(up: Upstream, folder: Path) -> Iterator[dict[str, tuple[int, int]]]:
    """(pid, port) of each variant."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name, text in VARIANTS.items():
            own = folder / name.partition(" ")[0]
            own.mkdir()
            file = own / "settings.ini"
            upstream = f"[server]\nport = 0\n[upstream up]\nprotocol = chat\nbase_url = {up.url}\n[models]\n* = up\n"
            file.write_text(upstream + text.format(folder=own) + "[prices]\nm = 3, 15\n")
            process, url, _ = stack.enter_context(started("--config", str(file)))
            found[name] = process.pid, urlsplit(url).port or 0
        yield found


def measured(requests: int, rounds: int, deltas: int) -> dict[str, list[float]]:
    """Microseconds of CPU for each request, by variant, of each round."""

    def answer(request: Request) -> Answer:
        return answers(deltas)

    taken: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as folder, Upstream(answer) as up, proxies(up, Path(folder)) as found:
        for number in range(rounds + 1):
            for name, (pid, port) in found.items():
                before = cpu_s(pid)
                with Client(port) as client:
                    for _ in range(requests):
                        client.send("POST", "/v1/chat/completions", ASK)
                        assert client.reply()[0] == 200
                if number:  # the first one warms up
                    taken[name].append((cpu_s(pid) - before) / requests * 1e6)
    return taken


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.bench.observing", description=__doc__.partition("\n")[0])
    options.add_argument("--requests", type=int, default=40)
    options.add_argument("--rounds", type=int, default=60)
    options.add_argument("--deltas", type=int, default=50, help="of each stream")
    asked = options.parse_args()
    taken = measured(asked.requests, asked.rounds, asked.deltas)
    quartile = {name: statistics.quantiles(each)[0] for name, each in taken.items()}
    print(f"CPU of the proxy for a stream of {asked.deltas} deltas that passes through, of {asked.rounds} rounds")
    for name, us in quartile.items():
        print(f"{name:20s} {us:8.0f} us  {(us / quartile['nothing'] - 1) * 100:+6.1f} %")


if __name__ == "__main__":
    main()
