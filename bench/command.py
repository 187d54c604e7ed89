"""./run.sh bench [URL]: starts servers, says what the run may cost, measures, and writes the results."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from bench import drawing, far_certificate, plan, report, servers, targets, upstream
from bench.client import Client
from bench.load import GIVE_UP, Run, compare, percentile
from bench.plan import Own, Sizes, Step, Target
from bench.relay import Relay
from bench.report import Measured, Start
from bench.speech import NAMES, named
from operate import installation
from operate.settings.load import SettingsError
from operate.version import VERSION

EX_OK, NOT_MET, UNTRIED = 0, 1, 2
EX_USAGE, EX_UNAVAILABLE, EX_CANTCREAT = 64, 69, 73  # sysexits.h
FREE = Sizes(one=200, many=480, clients=16, fresh=60, warm=20)
PAID = Sizes(one=6, many=16, clients=4, fresh=4, warm=1)
LOGGING = {
    "off": ("logging.level=error", "logging.access=error"),
    "debug": ("logging.level=debug", "logging.request_bodies=all", "logging.response_bodies=all"),
    "production": (),  # the last, as its first answer is waited for
}


def main(argv: Sequence[str]) -> int:
    """0: all that is wanted holds. 1: not all. 2: nobody agreed to the costs. 64, 69, 73: the command line, no server,
    no file."""
    options = _options(argv)
    if options.as_upstream:
        upstream.run(lambda *ports: _say(f"http://127.0.0.1:{ports[0]} https://localhost:{ports[1]}"))
        return EX_OK
    try:
        return asyncio.run(_run(options))
    except KeyboardInterrupt:
        return UNTRIED
    except (targets.Unusable, SettingsError) as why:
        _say(str(why), sys.stderr)
        return EX_USAGE
    except servers.NotStarted as why:
        _say(f"a server of the bench did not start: {why}", sys.stderr)
        return EX_UNAVAILABLE


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"{installation.command()} bench",
        description="Measures the proxy beside going direct: on an upstream that the bench brings along, on one of "
        "your settings (--upstream), on one at an address, or on a proxy that runs at an address.",
    )
    parser.add_argument("url", metavar="URL", nargs="?", default="", help="an upstream's address, or a running proxy's")
    parser.add_argument("--upstream", default="", metavar="NAME", help="an upstream of the settings, instead of a URL")
    parser.add_argument(
        "--config", default=os.environ.get("PROXY_CONFIG", ""), metavar="FILE", help="the settings file that has it"
    )
    parser.add_argument("--key", default=os.environ.get("BENCH_KEY", ""), help="what the URL wants, or BENCH_KEY")
    parser.add_argument("--model", default="", help="the model to ask")
    speaks = f"what the URL speaks: {', '.join(NAMES)} (default: chat)"
    parser.add_argument("--protocol", default="", choices=NAMES, metavar="NAME", help=speaks)
    parser.add_argument(
        "--clients",
        type=_count,
        metavar="N",
        help=f"how many clients at once (default: {FREE.clients}; {PAID.clients} if it may cost)",
    )
    parser.add_argument(
        "--requests",
        type=_count,
        metavar="N",
        help=f"how many requests of each kind, one after the other (default: {FREE.one}; {PAID.one} if it may cost)",
    )
    parser.add_argument(
        "--json",
        default="bench.json",
        metavar="FILE",
        help="where the numbers go (default: bench.json in the folder of the logs)",
    )
    parser.add_argument(
        "--svg", default="bench.svg", metavar="FILE", help="where the picture goes (default: bench.svg there)"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before requests that may cost")
    parser.add_argument("--as-upstream", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= 100_000:
        raise argparse.ArgumentTypeError("it is 1 to 100000")
    return number


class Brought(NamedTuple):
    """What the bench starts for itself."""

    url: str
    own: Own
    production: servers.Child
    start: Start


async def _run(options: argparse.Namespace) -> int:
    asked = targets.Asked(options.url, options.upstream, options.config, options.key, options.model, options.protocol)
    targets.check(asked)
    with contextlib.ExitStack() as children:
        async with contextlib.AsyncExitStack() as relays:
            brought = await _brought(children, relays)
            async with targets.chosen(asked, brought.url, brought.production) as target:
                planned = plan.steps(target, brought.own, _sizes(options, target))
                if not _agreed(target, planned, options):
                    _say("Nothing was asked of it.")
                    return UNTRIED
                began = datetime.now(UTC)
                measured = [(step, await _measured(step, at, len(planned))) for at, step in enumerate(planned, 1)]
                start = _ended(brought)
    found = report.classic(measured, start)
    _say("\n".join(["", *report.tables(measured), "", *report.figures(found)]))
    facts = {
        "by": f"anthropic-proxy bench {VERSION}", "at": began.isoformat(timespec="seconds"), "target": target.name,
        "model": target.model,
    }  # fmt: skip
    written = {options.json: json.dumps(report.as_json(measured, found, facts), indent=1) + "\n"}
    written[options.svg] = picture(measured, target)
    code = EX_OK if all(figure.holds is not False for figure in found) else NOT_MET
    return _write(written) or code


async def _brought(children: contextlib.ExitStack, relays: contextlib.AsyncExitStack) -> Brought:
    """Starts the upstream, the proxies before it, and the relay."""
    _progress("starting an upstream and proxies ...")
    source = children.enter_context(servers.upstream())
    plain, secure = source.urls
    relay = await relays.enter_async_context(Relay("127.0.0.1", urlsplit(secure).port or 0, plan.ROUND_TRIP_S))
    far, certificate = f"https://localhost:{relay.port}", children.enter_context(_certificate())
    text = servers.in_front_of(plain)
    text += f"[upstream far]\nprotocol = chat\nbase_url = {far}\napi_key = x\nca_file = {certificate}\n"
    loggers = {name: children.enter_context(servers.proxy(text, options)) for name, options in LOGGING.items()}
    production = loggers["production"]
    http2 = children.enter_context(servers.proxy(text, ("pool.http2=true",)))
    own = Own(
        production.urls[0], {name: (child.urls[0], child.cpu) for name, child in loggers.items()},
        far, ssl.create_default_context(cafile=str(certificate)), http2.urls[0],
    )  # fmt: skip
    return Brought(plain, own, production, await _first_answer(production))


@contextlib.contextmanager
def _certificate() -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "far.pem"
        file.write_text(far_certificate.CERTIFICATE)
        yield file


async def _first_answer(proxy: servers.Child) -> Start:
    client = Client(proxy.urls[0], fresh=True)
    reply = await client.ask(named("chat").request("chat/bench", servers.KEY, stream=False))
    if not reply.is_good:
        raise servers.NotStarted(f"its proxy answers {reply.words()}")
    return Start(proxy.ready - proxy.began, time.perf_counter() - proxy.began, reply.total_s, (0, 0), None)


def _ended(brought: Brought) -> Start:
    """The start, with what is known at the end."""
    time.sleep(0.5)  # noqa: TID251 - the last records are written a moment later; nothing else runs
    kept = servers.connections(brought.production.logs)
    start = brought.start
    return Start(start.address_s, start.answer_s, start.first_request_s, kept, brought.production.memory())


def _sizes(options: argparse.Namespace, target: Target) -> Sizes:
    """Those of the kind of target, times what --requests asks for; what never costs gets no more than usual."""
    base = PAID if target.is_paid else FREE
    times = (options.requests or base.one) / base.one
    fewer = min(times, 1.0) if base is FREE else 1.0
    clients = options.clients or base.clients

    def of(number: int, share: float = times) -> int:
        return max(1, round(number * share))

    return Sizes(
        of(base.one), max(clients, of(base.many)), clients, of(base.fresh), of(base.warm, min(times, 1.0)),
        *(of(number, fewer) for number in (base.models, base.logging, base.far)),
    )  # fmt: skip


def _agreed(target: Target, planned: Sequence[Step], options: argparse.Namespace) -> bool:
    requests, tokens_in, tokens_out = plan.cost(planned)
    _progress("")
    if not requests:
        _say(f"Measures {target.name}: nothing leaves this machine, and nothing is paid for.")
        return True
    _say(
        f"Measures {target.name}, model '{target.model}': at most {requests} requests, about {tokens_in:,} tokens in "
        f"and {tokens_out:,} out. A way that fails {GIVE_UP} times in a row is given up."
    )
    if options.yes:
        return True
    if not sys.stdin.isatty():
        _say("Nobody is there to agree: --yes does.")
        return False
    with contextlib.suppress(EOFError):
        return input("Go on? [y/n] ").strip().lower() in ("y", "yes")
    return False


async def _measured(step: Step, at: int, of: int) -> list[Run]:
    _progress(f"{at} of {of}: {step.words}")
    runs = await compare(step.ways, step.requests, step.clients, step.warm)
    _progress("")
    return runs


def picture(measured: Measured, target: Target) -> str:
    """The median of each way as a bar, with a mark for p95."""
    groups = {}
    for step, runs in measured:
        rows = []
        for run in runs:
            p50, p95 = (percentile(run.totals(), share) for share in (0.5, 0.95))
            if p50 is not None and p95 is not None and step.kind != "far":
                rows.append(drawing.Bar(run.way.name, p50 * 1e3, p95 * 1e3))
        if rows:
            groups[step.words] = rows
    return drawing.bars(f"{target.name}: ms of a request, P50 with a mark at P95", groups, "ms")


def _write(files: dict[str, str]) -> int:
    for name, text in files.items():
        file = Path(name) if os.sep in name else installation.home() / "logs" / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        except OSError as why:
            _say(f"{file} cannot be written: {why.strerror}", sys.stderr)
            return EX_CANTCREAT
        _say(f"{file}")
    return EX_OK


def _progress(words: str) -> None:
    """On a terminal, one line that is written anew; elsewhere, a line for each step."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{words}")
        sys.stderr.flush()
    elif words:
        _say(words, sys.stderr)


def _say(text: str, to: Any = None) -> None:
    (to or sys.stdout).write(f"{text}\n")
    (to or sys.stdout).flush()
