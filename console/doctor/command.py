"""./run.sh doctor [UPSTREAM]: tries what an upstream can do, and prints the settings that fit it.

First it tries what costs nothing: the connection, TLS, the list of models. Then it says how many requests and tokens
the probes (probes.py) take, and after its user has agreed, it runs them in each protocol of the upstream's section.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from msgspec import structs

from console.doctor import advice, models, probes, reach
from console.doctor.findings import WIDTH, Finding
from console.doctor.line import Line
from console.doctor.patient import Patient
from console.doctor.report import Report
from demo.server import Demo
from gateway.credentials import asking
from gateway.http.loop_guard import Hops, ips
from gateway.process.banner import remarks
from gateway.routing.router import Router
from gateway.routing.upstreams import LiveUpstream
from operate.logs.redaction import Redaction
from operate.settings import load
from operate.settings.load import Settings, SettingsError, Upstream
from translate import dialects
from upstream.client import UpstreamClient
from upstream.pool import Pool

USABLE, UNUSABLE, UNTRIED = 0, 1, 2
_VERDICTS = {USABLE: "usable", UNUSABLE: "unusable", UNTRIED: "untried"}
EX_USAGE, EX_CONFIG = 64, 78  # sysexits.h

Agree = Callable[[str], bool]


def main(argv: list[str]) -> int:
    """Runs the command. The exit code is 0 if all upstreams are usable, 1 if one is not, 2 if nobody agreed to the
    cost, 64 for an error in the command line, and 78 for an error in the settings."""
    parser = argparse.ArgumentParser(
        prog="./run.sh doctor",
        description="Tries what an upstream can do, and prints the lines of settings.ini that fit it.",
    )
    parser.add_argument("upstream", nargs="?", metavar="UPSTREAM", help="its name (default: all that are on)")
    parser.add_argument("--model", default="", help="the model to ask (default: one of the settings, or a small one)")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, and do not ask (without --yes, no model is asked)"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before requests that may cost money")
    parser.add_argument("--config", metavar="FILE", help="settings file (default: settings.ini beside proxy.py)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="use this value instead of the file's"
    )
    options = parser.parse_args(argv)
    try:
        chosen = load.load(options.config, options.set)
    except SettingsError as problems:
        print(problems, file=sys.stderr)
        return EX_CONFIG
    names = [options.upstream] if options.upstream else [up.name for up in chosen.upstreams.values() if up.enabled]
    if trouble := _trouble(chosen, names):
        print(trouble, file=sys.stderr)
        return EX_USAGE
    with contextlib.suppress(KeyboardInterrupt):
        agree = _yes if options.yes else _nobody if options.json else _asked
        return asyncio.run(_examine_all(chosen, names, options.model, agree, as_json=options.json))
    return UNTRIED


def _trouble(chosen: Settings, names: list[str]) -> str:
    if not names:
        return "no upstream is on; switch one of these on: " + ", ".join(chosen.upstreams)
    unknown = [name for name in names if name not in chosen.upstreams]
    if unknown:
        return f"there is no upstream '{unknown[0]}'; the upstreams are {', '.join(chosen.upstreams)}"
    off = [name for name in names if not chosen.upstreams[name].enabled]
    return f"upstream '{off[0]}' is off: {chosen.upstreams[off[0]].off_because}" if off else ""


def _yes(question: str) -> bool:
    return True


def _nobody(question: str) -> bool:
    return False


def _asked(question: str) -> bool:
    """Asks the user. Nothing else runs meanwhile, so the loop may wait."""
    if not sys.stdin.isatty():
        print("There is no terminal to ask for your agreement; use --yes.")
        return False
    try:
        return input(f"{question} [y/n] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


async def _examine_all(chosen: Settings, names: list[str], model: str, agree: Agree, *, as_json: bool) -> int:
    demo, ready = _with_demo(chosen, names)
    router = Router(chosen, ready)
    known = Redaction([*chosen.secrets(), *(up.api_key for up in ready.values())])
    client = UpstreamClient(force_instance=True, pool=Pool(proxy=chosen.pool.proxy, http2=chosen.pool.http2))
    worst = USABLE
    report = Report(known, remarks(chosen, router), as_json=as_json)
    try:
        for name in names:
            router.upstreams[name].ask = asking.asker(client)
            router.upstreams[name].on_key = known.minted
            visit = Visit(chosen, router.upstreams[name], client, report)
            verdict = await visit.examine(model, agree)
            report.concludes(_VERDICTS[verdict])
            worst = max(worst, verdict, key=(USABLE, UNTRIED, UNUSABLE).index)
    finally:
        client.close()
        if demo is not None:
            await demo.stop()
    report.end()
    return worst


def _with_demo(chosen: Settings, names: list[str]) -> tuple[Demo | None, dict[str, Upstream]]:
    """Starts the built-in upstream if one of the upstreams is it."""
    demos = [chosen.upstreams[name] for name in names if chosen.upstreams[name].is_demo]
    if not demos:
        return None, {}
    token = secrets.token_urlsafe(24)
    demo = Demo(token)
    url = demo.start()
    return demo, {up.name: structs.replace(up, base_url=url, api_key=token, keys=()) for up in demos}


class Visit:
    """The examination of one upstream."""

    def __init__(self, chosen: Settings, upstream: LiveUpstream, client: UpstreamClient, report: Report) -> None:
        self._settings = chosen
        self._given = chosen.upstreams[upstream.name]
        self._upstream = upstream
        self._line = Line(client, upstream)
        self._report = report
        self._key = 0  # the number of the first key that works
        self._spoken = upstream.spoken  # the protocols in which it has the model
        self._found: dict[str, list[Finding]] = {}
        self._patients: dict[str, Patient] = {}

    def __repr__(self) -> str:
        return f"<Visit at {self._upstream.name}, {len(self._found)} protocols>"

    async def examine(self, model: str, agree: Agree) -> int:
        given = self._given
        self._report.begins(given.name, given.base_url, given.protocol)
        self.say(f"Upstream '{given.name}': {given.base_url} ({', '.join(given.protocol)})\n")
        server = self._settings.server
        here = [(ip, server.port) for host in server.tcp_hosts for ip in ips(host)]
        if Hops("", here).lead_here(self._upstream.base_url):
            self.say("Not usable: this proxy itself listens at that address; correct its base_url.\n")
            return UNUSABLE
        findings, names, kind = await self._approach()
        if any(finding.blocks for finding in findings):
            self.say("\nNot usable: it cannot be reached.\n")
            return UNUSABLE
        model = model or ("demo" if given.is_demo else models.chosen(self._settings, given.name, names))
        if not model:
            self.say("\nIt is not known which model to ask; name one with --model NAME.\n")
            return UNTRIED
        self._spoken = self._upstream.spoken_for(model)
        self.say("\n" + self._cost(model))
        if not given.is_demo and not agree("Go on?"):
            self.say("No model was asked.\n")
            return UNTRIED
        keys = await self._try_keys(model)
        for protocol in self._spoken:
            await self._probe(protocol, model)
        return self._conclude(kind, keys)

    async def _approach(self) -> tuple[list[Finding], list[str], str]:
        """Tries everything that costs nothing."""
        pool, way = self._settings.pool, self._upstream.way
        if pool.proxy if way.proxy is None else way.proxy:
            words = "it is reached through a proxy, which does name look-up, connection and TLS"
            findings = [Finding("connection", "so-so", words)]
        else:
            up = self._upstream.settings
            findings = await reach.reach(up.base_url, up.timeouts.connect, way, pool.ca_file)
        for finding in findings:
            self._tell(finding)
        if any(finding.blocks for finding in findings):
            return findings, [], ""
        finding, names, server = await models.listed(self._line)
        more = await models.unclaimed(self._line)
        for each in (finding, *more):
            self._tell(each)
        return [*findings, finding, *more], names, server

    def _cost(self, model: str) -> str:
        requests = len(probes.PROBES) * len(self._spoken) + self._keys_to_try
        tokens_in, tokens_out = requests * probes.TOKENS_IN, requests * probes.MAX_TOKENS
        words = (
            f"Model '{model}' will get {requests} small requests ({len(probes.PROBES)} for each protocol, and a few "
            "more "
            f"if it refuses some): about {tokens_in:,} tokens in, at most {tokens_out:,} out, and far fewer if it "
            "does not think"
        )
        price = next((p for pattern, p in self._settings.prices.items() if fnmatchcase(model, pattern)), None)
        if price is None:
            return words + "."
        return f"{words}. By [prices], this costs at most ${(tokens_in * price[0] + tokens_out * price[1]) / 1e6:.3f}."

    async def _probe(self, protocol: Any, model: str) -> None:
        self.say(f"\nIn {protocol}:")
        patient = self._patients[protocol] = Patient(self._line, protocol, model, self._key)
        found = self._found[protocol] = []
        for probe in probes.PROBES:
            finding = await probe.run(patient)
            found.append(finding)
            self._tell(finding, protocol)
            if finding.blocks:
                self.say(f"  {'':<6}{'':<{WIDTH}}the other probes were not tried")
                return
        if dialects.of(protocol).counting is not None:
            found.append(await probes.count_tokens(patient))
            self._tell(found[-1], protocol)

    @property
    def _keys_to_try(self) -> int:
        """How many keys are tried one by one; 0 if there is one key, as every probe tries it."""
        keys = len(self._upstream.mints)
        return keys if keys > 1 else 0

    async def _try_keys(self, model: str) -> list[Finding]:
        """Tries each of several keys with a request. The first one that works is used for all probes."""
        protocol: Any = self._spoken[0]
        found = [await probes.key(Patient(self._line, protocol, model, key)) for key in range(self._keys_to_try)]
        if found:
            self.say("\nKeys:")
        for finding in found:
            self._tell(finding)
        self._key = next((number for number, finding in enumerate(found) if finding.mark == "ok"), 0)
        return found

    def _conclude(self, server: str, keys: list[Finding]) -> int:
        usable = [protocol for protocol, found in self._found.items() if _streams(found)]
        if not usable:
            self.say(f"\nNot usable: {self._why_not()}.\n")
            return UNUSABLE
        learned = {protocol: self._patients[protocol].learned for protocol in usable}
        advised = advice.merged({protocol: self._found[protocol] for protocol in usable}, learned)
        self.say("\nThe lines of settings.ini that fit (keys that they do not have stay as they are):\n")
        section = f"upstream {self._given.name}"
        written = {v.key for v in self._settings.values if v.section == section and v.origin != "default"}
        speaks = [each for each in self._given.protocol if each in usable or each not in self._spoken]
        for line in advice.lines(self._given, written, speaks, advised, server):
            self.say(f"  {line}")
            self._report.advises(line)
        refused = [finding.what for finding in keys if finding.mark == "no"]
        but = f", but {', '.join(refused)} of {len(keys)} is refused" if refused else ""
        self.say(f"\nUsable, by {', '.join(usable)}{but}.\n")
        return USABLE

    def _why_not(self) -> str:
        answers = [name for name, found in self._found.items() if any(_is_good(each, "answer") for each in found)]
        if answers:
            return (
                f"it answers ({', '.join(answers)}), but its streams do not work, and Claude Code, Codex and most "
                "other "
                "clients only stream"
            )
        return "it answered in none of the protocols of its section"

    # ------------------------------------------------------------------------------------- output

    def say(self, line: str = "") -> None:
        self._report.say(line)

    def _tell(self, finding: Finding, protocol: str = "") -> None:
        self.say(finding.line())
        self._report.found(finding, protocol)


def _streams(found: list[Finding]) -> bool:
    """Whether its streams work. Without them it is of no use, as the usual clients only stream."""
    return any(_is_good(finding, "stream") for finding in found)


def _is_good(finding: Finding, what: str) -> bool:
    return finding.what == what and finding.mark != "no"
