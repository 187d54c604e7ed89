"""./run.sh stats: shows the numbers of the dashboard in a terminal, live.

It reads the same JSON as the page, from the proxy of the settings (or --url), with the key of the first [client] that
is an admin. It prints plain lines and a few ANSI codes, so that it works in any terminal; in a pipe it prints once.
Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Iterable, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection  # noqa: TID251 - there is no loop to block
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from operate import tls
from operate.plain import plain
from operate.settings import load
from operate.settings.load import Settings, SettingsError
from operate.settings.sections import UNIX

EX_CONFIG, EX_UNAVAILABLE = 78, 69
PATIENCE_S = 5.0
REQUESTS, MODELS = 8, 6  # how many lines each has

HOME, CLEAR_LINE, CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
CLEAR, HIDE, SHOW = "\x1b[2J", "\x1b[?25l", "\x1b[?25h"
BOLD, DIM, RED, OFF = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"

Said = dict[str, Any]


class Unreachable(Exception):
    """Says that the proxy does not answer, or answers something else; args: a message why."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    try:
        chosen = load.load(options.config, options.set) if not (options.url and options.key) else None
    except SettingsError as problems:
        _print(str(problems), sys.stderr)
        return EX_CONFIG
    url = options.url or (tls.own_url(chosen.server) if chosen else "")
    key = options.key or _key_of(chosen)
    trusted = tls.trusting(chosen.server) if chosen and not options.url else None
    live = sys.stdout.isatty() and not options.once and os.environ.get("TERM") != "dumb"
    try:
        _run(Remote(url, key, trusted), options.every if live else 0.0)
    except Unreachable as why:
        _print(f"{url}: {why}", sys.stderr)
        return EX_UNAVAILABLE
    except (KeyboardInterrupt, BrokenPipeError):
        return 0
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./run.sh stats", description="Shows what the proxy does, live. Ctrl-C ends it."
    )
    parser.add_argument("--once", action="store_true", help="print once and end, as it does in a pipe")
    parser.add_argument(
        "--every", type=_seconds, default=2.0, metavar="S", help="seconds between two updates (default 2)"
    )
    parser.add_argument("--config", metavar="FILE", help="settings file of the proxy (default: settings.ini)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="as when the proxy is started"
    )
    parser.add_argument("--url", help="address of the proxy, or unix:/PATH, instead of the settings'")
    parser.add_argument(
        "--key", default=os.environ.get("PROXY_KEY", ""), help="the key of an admin (default: $PROXY_KEY)"
    )
    return parser.parse_args(argv)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.2 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not seconds from 0.2 to 3600")
    return seconds


def _key_of(chosen: Settings | None) -> str:
    clients = chosen.clients if chosen is not None else ()
    return next((key for client in clients if client.admin for key in client.plain_keys), "")


class Remote(NamedTuple):
    """A proxy, with the key and the trusted certificates to use. trusted: None = those of the system."""

    url: str
    key: str
    trusted: ssl.SSLContext | None

    def connection(self) -> HTTPConnection:
        """A connection to it. Raises Unreachable if the URL is not valid."""
        if self.url.startswith(UNIX):
            return _UnixConnection(self.url.removeprefix(UNIX))
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError as why:  # such as a port above 65535
            raise Unreachable(f"this is no address: {why}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise Unreachable("this is not an http:// or https:// address, nor unix:/PATH; name one with --url")
        if parts.scheme == "https":
            return HTTPSConnection(host, port, timeout=PATIENCE_S, context=self.trusted)
        return HTTPConnection(host, port, timeout=PATIENCE_S)


class _UnixConnection(HTTPConnection):
    """By a Unix socket, which may be all that the proxy listens on."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self._path)


def _run(asked: Remote, every: float) -> None:
    """Prints the screen, every so many seconds; 0 = once. Raises Unreachable if the proxy does not answer at first."""
    if not every:
        _print("\n".join(screen(asked.url, _look(asked), 120)))
        return
    said = _look(asked)
    red = "" if os.environ.get("NO_COLOR") else RED  # https://no-color.org
    sys.stdout.write(HIDE + CLEAR)
    try:
        while True:
            size = shutil.get_terminal_size()
            lines = screen(asked.url, said, size.columns, BOLD, DIM, red, OFF)[: size.lines - 1]
            sys.stdout.write(HOME + "".join(f"{line}{OFF}{CLEAR_LINE}\n" for line in lines) + CLEAR_REST)
            sys.stdout.flush()
            time.sleep(every)  # noqa: TID251 - the same
            try:
                said = _look(asked)
            except Unreachable as why:
                said = said | {"trouble": str(why)}
    finally:
        sys.stdout.write(SHOW)
        sys.stdout.flush()


def _look(asked: Remote) -> Said:
    paths = {"now": "now", "wrong": "trouble", "upstreams": "upstreams", "usage": "usage"}
    paths["requests"] = f"requests?limit={REQUESTS}"
    with contextlib.closing(asked.connection()) as connection:
        try:
            said = {name: _get(connection, path, asked.key) for name, path in paths.items()}
        except (OSError, HTTPException) as why:
            raise Unreachable(f"the proxy does not answer ({why}); check that it runs there") from None
    if any(name not in said[name] for name in ("upstreams", "requests")):
        raise Unreachable("its answer is not that of a proxy's dashboard; this is another server")
    return said


def _get(connection: HTTPConnection, path: str, key: str) -> Said:
    connection.request("GET", f"/dashboard/data/{path}", headers={"x-api-key": key} if key else {})
    reply = connection.getresponse()
    body = reply.read()
    try:
        said: Said = json.loads(body)
    except ValueError:
        raise Unreachable(f"it answered {reply.status} and not JSON; this is another server") from None
    if reply.status in (401, 403):
        hint = "; give it with --key KEY or $PROXY_KEY" if not key else ""
        raise Unreachable(f"it needs an admin's key ({said['error']['message']}){hint}")
    if reply.status != 200:
        raise Unreachable(f"it answered {reply.status}; this is another server, or an older proxy")
    return said


# -------------------------------------------------------------------------------------------- the screen


def screen(url: str, said: Said, width: int, bold: str = "", dim: str = "", red: str = "", off: str = "") -> list[str]:
    """The lines of the screen, cut to the width. bold, dim, red, off: codes of the terminal."""
    now = said["now"]
    workers = f"{dim}  {now['workers']} of {now['workers_meant']} workers{off}" if now["workers_meant"] > 1 else ""
    lines = [f"{bold}anthropic-proxy{off} {url}  {now['stage']}  {_clock(now['time'])}{workers}"]
    if "trouble" in said:
        lines.append(f"{red}{said['trouble']}; the numbers below are old{off}")
    lines += [f"{red}{plain(each['text'])}{off}" for each in said["wrong"]["troubles"]]
    lines += ["", *_now(now, red, off)]
    for names, table, words in (_upstreams(said), _models(said), _requests(said)):
        lines += ["", *_table(names, table, words, bold, off)]
    return [_cut(line, width) for line in lines]


Table = tuple[Sequence[str], Sequence[Sequence[str]], int]
"""Names of columns, rows, and how many columns from the left have words; the others have numbers."""


def _upstreams(said: Said) -> Table:
    rows = [
        (
            up["name"],
            up.get("breaker", "off"),
            _n(up["tries"]),
            _share(up["error_share"]),
            _ms(up["first_ms"]["p50"]),
            _ms(up["first_ms"]["p95"]),
            "" if up["off"] else f"{_n(up['busy'])}/{_n(up['limit'])}",
        )
        for up in said["upstreams"]["upstreams"]
    ]
    return ("upstream, 5 min", "breaker", "tries", "failed", "first p50", "p95", "busy"), rows, 2


def _models(said: Said) -> Table:
    rows = [
        (each["name"], *(_n(each[count]) for count in ("requests", "errors", "input", "cached", "output")),
         _usd(each["cost"]))
        for each in said["usage"]["models"][:MODELS]
    ]  # fmt: skip
    return ("model, since start", "requests", "errors", "in", "cached", "out", "cost"), rows, 1


def _requests(said: Said) -> Table:
    rows = [
        (
            _clock(row["time"]),
            f"{row['status']} {row['error'] or ''}".strip(),
            row["model"],
            row["upstream"],
            row["client"] or "-",
            _ms(row["first_ms"]),
            _ms(row["total_ms"]),
            _n(row["output"]),
        )
        for row in said["requests"]["requests"]
    ]
    return ("latest", "status", "model", "upstream", "client", "first", "total", "out"), rows, 5


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _percentiles(times: dict[str, float | None]) -> str:
    return "  ".join(f"{name} {_ms(times[name])}" for name in ("p50", "p95", "p99"))


def _now(now: Said, red: str, off: str) -> list[str]:
    pool = now["pool"]
    errors = _share(now["error_share"])
    if (now["error_share"] or 0) > 0.05:
        errors = f"{red}{errors}{off}"
    lost = f"   {red}log lines lost {_n(now['log_lines_lost'])}{off}" if now["log_lines_lost"] else ""
    return [
        f"last {now['window_s']} s    requests {now['requests_per_s']:g}/s   streams {_n(now['streams'])}   "
        f"open {_n(now['open'])}   waiting {_n(now['waiting'])}   errors {errors}   retries {_n(now['retries'])}",
        f"streams  first token {_percentiles(now['first_ms'])}     all of it {_percentiles(now['stream_ms'])}",
        f"whole replies  {_percentiles(now['whole_ms'])}",
        f"tokens  {_n(now['output_per_s'])}/s out  {_n(now['input_per_s'])}/s in   "
        f"prompt cache {_share(now['prompt_cache_share'])}   pool {_n(pool['in_flight'])}/{_n(pool['limit'])}, "
        f"{_share(pool['reused_share'])} reused{lost}",
    ]


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], words: int, bold: str, off: str) -> list[str]:
    rows = [[plain(cell)[:40] for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (c.ljust(w) if n < words else c.rjust(w) for n, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return "  ".join(padded).rstrip()

    return [f"{bold}{line(names)}{off}", *map(line, rows)]


def _cut(line: str, width: int) -> str:
    """A line cut to the width of the terminal, without its codes."""
    out, seen, at = [], 0, 0
    while at < len(line) and seen < width:
        if line[at] == "\x1b":
            end = line.index("m", at) + 1
            out.append(line[at:end])
            at = end
            continue
        out.append(line[at])
        seen += 1
        at += 1
    return "".join(out)


def _n(number: float | None) -> str:
    if number is None:
        return "-"
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= 10 * size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.1f}".removesuffix(".0")


def _ms(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:.0f} ms" if number < 1000 else f"{number / 1000:.1f} s"


def _share(number: float | None) -> str:
    return "-" if number is None else f"{number * 100:.1f} %"


def _usd(number: float | None) -> str:
    return "unknown" if number is None else f"${number:.2f}" if number >= 1 else f"${number:.4f}"


def _print(text: str, to: Any = None) -> None:
    (to or sys.stdout).write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
