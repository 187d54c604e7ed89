"""./run.sh conformance URL: which of the protocols does the server speak, and how well?

First it says what that may cost, and the user has to agree. Then each kind of request (examine.py) is made in each
protocol, one after the other, and the table is printed (report.py).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance import open_responses, programs, report
from conformance.case import Case
from conformance.examine import Result, cost, examine, protocols
from conformance.speech import ALL, Speech
from conformance.wire import BadAddress, Line
from operate import installation
from operate.version import VERSION

CLEAN, FAULTS, UNTRIED = 0, 1, 2
EX_USAGE, EX_UNAVAILABLE, EX_CANTCREAT = 64, 69, 73  # sysexits.h


def main(argv: Sequence[str]) -> int:
    """0: no fault. 1: faults. 2: nobody agreed to the costs, or nothing was served. 64, 69, 73: the command line, no
    server, no file."""
    options = _options(argv)
    try:
        speeches = protocols(options.protocol, ALL)
        line = Line(options.url, options.timeout)
    except (ValueError, BadAddress) as why:
        _print(str(why), sys.stderr)
        return EX_USAGE
    say = _masking(options.key)
    try:
        return _run(line, speeches, options, say)
    except KeyboardInterrupt:
        return UNTRIED


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"{installation.command()} conformance",
        description="Asks a server in each protocol that it may claim, and says what holds and what does not.",
    )
    parser.add_argument("url", metavar="URL", help="the server's address, as http://127.0.0.1:8082")
    parser.add_argument("--key", default=os.environ.get("PROXY_KEY", ""), help="what it wants as a key, or PROXY_KEY")
    parser.add_argument("--model", default="", help="the model to ask (default: the first that it lists)")
    parser.add_argument("--protocol", default="", metavar="NAMES", help=f"of {', '.join(s.name for s in ALL)}")
    parser.add_argument("--clients", action="store_true", help="start Claude Code and Codex too, where they are there")
    parser.add_argument("--json", metavar="FILE", help="write all that was found")
    parser.add_argument("--badge", metavar="FILE", help="write an SVG badge")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="S", help="silence that ends a reply (120)")
    parser.add_argument("--yes", action="store_true", help="do not ask before requests that may cost")
    return parser.parse_args(argv)


def _run(line: Line, speeches: tuple[Speech, ...], options: argparse.Namespace, say: Callable[[str], None]) -> int:
    model, trouble = (options.model, "") if options.model else _first_model(line, options.key, speeches[0])
    if not model:
        say(f"{line.url}: {trouble}")
        return EX_UNAVAILABLE
    types = _types(speeches)
    requests, tokens_in, tokens_out = cost(len(speeches))
    say(f"{line.url}, model '{model}', {', '.join(speech.name for speech in speeches)}")
    say("Judged by " + ", ".join(f"{name} {version}" for name, version in types.items() if version) + ".")
    for name in (name for name, version in types.items() if not version):
        say(f"Not judged by {name}, which is not installed: pip install {name}")
    say(f"At most {requests} requests, about {tokens_in:,} tokens in, and {tokens_out:,} out, far fewer as a rule.")
    for name, is_there in _programs(speeches):
        if options.clients and is_there:
            say(f"{name}: at most {programs.REQUESTS} requests more, of about {programs.TOKENS_IN:,} tokens in.")
        elif is_there:
            say(f"{name} is not started: --clients does.")
    if not (options.yes or _agreed()):
        say("Nothing was asked of it.")
        return UNTRIED
    results: list[Result] = []
    began = datetime.now(UTC)
    for speech in speeches:
        for result in examine(Case(line, speech, model, options.key, starts_clients=options.clients)):
            results.append(result)
            if sys.stderr.isatty():
                sys.stderr.write(f"\r\x1b[K{speech.name}: {result.kind}")
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    say("\n" + "\n".join(report.table(results)) + f" ({line.sent} requests)")
    facts = {
        "by": f"anthropic-proxy conformance {VERSION}", "at": began.isoformat(timespec="seconds"), "url": line.url,
        "model": model, "requests": line.sent, "types": types,
    }  # fmt: skip
    for name, text in _files(results, facts, options).items():
        try:
            Path(name).write_text(text)
        except OSError as why:
            say(f"{name} cannot be written: {why.strerror}")
            return EX_CANTCREAT
    found = report.counts(results)
    return FAULTS if found["fault"] else CLEAN if found["ok"] else UNTRIED


def _first_model(line: Line, key: str, speech: Speech) -> tuple[str, str]:
    """(the model, why there is none)."""
    reply = line.get(f"{speech.root}/models", speech.headers(key))
    if not reply.status:
        return "", f"cannot be reached: {reply.trouble}"
    names = speech.model_names(reply.json())
    return (names[0], "") if names else ("", f"it lists no models (status {reply.status}): --model NAME tells which")


def _types(speeches: tuple[Speech, ...]) -> dict[str, str]:
    """Package -> its version, "" where it is missing."""
    found = {"stream grammars": "(built in)"}
    for speech in speeches:
        found[speech.types.package] = speech.types.installed().partition(" ")[2]
        if speech.stored_path:
            found[open_responses.PACKAGE] = open_responses.installed()
    return found


def _programs(speeches: tuple[Speech, ...]) -> list[tuple[str, bool]]:
    """The clients that speak these protocols, and whether each is installed."""
    found = [programs.speaking(speech.name) for speech in speeches]
    return [(program.name, program.place() is not None) for program in found if program]


def _agreed() -> bool:
    if not sys.stdin.isatty():
        _print("Nobody is there to agree: --yes does.")
        return False
    with contextlib.suppress(EOFError):
        return input("Go on? [y/n] ").strip().lower() in ("y", "yes")
    return False


def _files(results: list[Result], facts: dict[str, Any], options: argparse.Namespace) -> dict[str, str]:
    """Name -> text of what is asked for."""
    made = {}
    if options.json:
        text = json.dumps(report.as_json(results, facts), indent=1, ensure_ascii=False)
        made[options.json] = _masked(text, options.key) + "\n"
    if options.badge:
        made[options.badge] = report.badge(results)
    return made


def _masked(text: str, key: str) -> str:
    return text.replace(key, "***") if key else text


def _masking(key: str) -> Callable[[str], None]:
    """All that is printed goes through it: a server may repeat the key, and send what a terminal would obey."""

    def say(text: str) -> None:
        _print("".join(c if c.isprintable() or c == "\n" else "?" for c in _masked(text, key)))

    return say


def _print(text: str, to: Any = None) -> None:
    (to or sys.stdout).write(f"{text}\n")
