"""What the clouds' envelopes cost: CPU time of the proxy for each request, beside Messages as they are.

    python -m tests.bench.clouds [--requests 40] [--rounds 30] [--deltas 50]

As in tests.bench.observing, a proxy for each variant runs in a process of its own, and they are asked in turns. Each
gets the same streams of the same events; what differs is the envelope of the upstream, or of the client, and whether
requests are signed.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.bench.observing import cpu_s
from tests.gateway.clouds import frames
from tests.support.house import Client
from tests.support.script import Answer, Item, Request, Upstream
from tests.test_proxy import started
from translate.json import wire

MESSAGES = "protocol = messages\napi_key = key-0123456789\n"
INVOKE = "preset = bedrock-invoke\nregion = us-east-1\n"
PATH, STREAM = "/v1/messages", "/model/m/invoke-with-response-stream"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI"}


class Variant(NamedTuple):
    """settings: of the upstream. path: where its client asks."""

    settings: str
    path: str = PATH


VARIANTS = {
    "Messages": Variant(MESSAGES),
    "Messages, signed": Variant("protocol = messages\nregion = us-east-1\naws_service = bedrock\napi_key = aws:env\n"),
    "Vertex upstream": Variant("preset = vertex\nproject = p\nregion = us\napi_key = key-0123456789\n"),
    "Bedrock upstream": Variant(f"{INVOKE}api_key = key-0123456789\n"),
    "Bedrock upstream, signed": Variant(f"{INVOKE}api_key = aws:env\n"),
    "Bedrock client": Variant(MESSAGES, STREAM),
}


def events(deltas: int) -> list[dict[str, Any]]:
    start, begin, delta, _, *rest = frames.events()
    return [start, begin, *[delta] * deltas, *rest]


def answer(deltas: int) -> Any:
    """A scripted upstream's: several events come at once, as they do on a network."""
    said = events(deltas)
    plain = [frames.said(event) for event in said]
    framed = [frames.chunk(event) for event in said]

    def answered(request: Request) -> Answer:
        pieces = framed if request.path.startswith("/model/") else plain
        together: list[Item] = [b"".join(pieces[at : at + 5]) for at in range(0, len(pieces), 5)]
        return frames.stream(together) if pieces is framed else Answer.sse(together)

    return answered


@contextlib.contextmanager
def proxies(up: Upstream, folder: Path) -> Iterator[dict[str, tuple[int, int]]]:
    """(pid, port) of each variant."""
    with contextlib.ExitStack() as stack:
        found = {}
        for number, (name, variant) in enumerate(VARIANTS.items()):
            own = folder / str(number)
            own.mkdir()
            file = own / "settings.ini"
            file.write_text(
                f"[server]\nport = 0\n[upstream up]\n{variant.settings}base_url = {up.url}\n[models]\n* = up\n"
                f"[logging]\nlevel = error\ndir = {own}\n[usage]\nfile =\n[responses]\nowners =\n"
            )
            process, url, _ = stack.enter_context(started("--config", str(file), environ=KEYS))
            found[name] = process.pid, urlsplit(url).port or 0
        yield found


def measured(requests: int, rounds: int, deltas: int, size: int) -> dict[str, list[float]]:
    """Microseconds of CPU for each request, by variant, of each round. size: characters of the prompt."""
    taken: dict[str, list[float]] = {name: [] for name in VARIANTS}
    body = {"max_tokens": 500, "messages": [{"role": "user", "content": "word " * (size // 5)}]}
    with tempfile.TemporaryDirectory() as folder:
        with Upstream(answer(deltas)) as up, proxies(up, Path(folder)) as found:
            for number in range(rounds + 1):
                for name, (pid, port) in found.items():
                    path = VARIANTS[name].path
                    asked = body if path == STREAM else body | {"model": "m", "stream": True}
                    before = cpu_s(pid)
                    with Client(port) as client:
                        for _ in range(requests):
                            client.send("POST", path, wire.dumps(asked))  # without blanks, as Claude Code writes
                            status, _, raw = client.reply()
                            assert status == 200 and b"message_stop" in raw or path == STREAM, raw
                    if number:  # the first one warms up
                        taken[name].append((cpu_s(pid) - before) / requests * 1e6)
    return taken


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.bench.clouds", description=__doc__.partition("\n")[0])
    options.add_argument("--requests", type=int, default=40)
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("--deltas", type=int, default=50, help="of each stream")
    options.add_argument("--size", type=int, default=4000, help="characters of each prompt")
    asked = options.parse_args()
    taken = measured(asked.requests, asked.rounds, asked.deltas, asked.size)
    quartile = {name: statistics.quantiles(each)[0] for name, each in taken.items()}
    print(f"CPU of the proxy for a stream of {asked.deltas} deltas, a prompt of {asked.size} characters")
    for name, us in quartile.items():
        print(f"{name:26s} {us:8.0f} us  {us / quartile['Messages']:5.2f} x")


if __name__ == "__main__":
    main()
