"""./run.sh doctor [UPSTREAM]: is it there, what does it do, and which settings fit it?

First what costs nothing: the way to it, TLS, its list of models. Then, once it has been said how many requests and
about how many tokens that takes, and somebody has agreed, the probes (probes.py) in each protocol of its section.
It is at home in the gateway because it needs all three houses below: it asks by upstream/, translates by translate/,
and knows the settings by operate/; these three may not know each other.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import secrets
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from console.doctor import advice, models, probes, reach
from console.doctor.findings import WIDTH, Finding
from console.doctor.line import Line
from console.doctor.patient import Patient
from demo.server import Demo
from gateway.http.loop_guard import Hops, ips
from gateway.process.banner import remarks
from gateway.routing.router import Router
from gateway.routing.upstreams import Peer
from operate.logs.redaction import Redaction
from operate.settings import load
from operate.settings.load import Settings, SettingsError, Upstream
from translate import dialects
from upstream.client import UpstreamClient
from upstream.pool import Pool

USABLE, UNUSABLE, UNTRIED = 0, 1, 2
EX_USAGE, EX_CONFIG = 64, 78  # sysexits.h

Agree = Callable[[str], bool]


def main(argv: list[str]) -> int:
    """0: all that were asked for are usable. 1: one is not. 2: there was nobody to agree to the costs. 64, 78: the
    command line, the settings."""
    parser = argparse.ArgumentParser(
        prog="./run.sh doctor",
        description="Tries what an upstream can do, says it in words, and prints the settings.ini lines that fit.",
    )
    parser.add_argument("upstream", nargs="?", metavar="UPSTREAM", help="its name (default: each that is on)")
    parser.add_argument("--model", default="", help="the model to ask (default: one of the settings', or a small one)")
    parser.add_argument("--yes", action="store_true", help="do not ask before requests that may cost")
    parser.add_argument("--config", metavar="FILE", help="settings file (default: settings.ini beside proxy.py)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="over the file's value")
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
        return asyncio.run(_examine_all(chosen, names, options.model, _yes if options.yes else _asked))
    return UNTRIED


def _trouble(chosen: Settings, names: list[str]) -> str:
    if not names:
        return "no upstream is on; name one of: " + ", ".join(chosen.upstreams)
    unknown = [name for name in names if name not in chosen.upstreams]
    if unknown:
        return f"there is no upstream '{unknown[0]}'; there are {', '.join(chosen.upstreams)}"
    off = [name for name in names if not chosen.upstreams[name].enabled]
    return f"upstream '{off[0]}' is off: {chosen.upstreams[off[0]].off_because}" if off else ""


def _yes(question: str) -> bool:
    return True


def _asked(question: str) -> bool:
    """Nothing else runs meanwhile, so that the loop may wait."""
    if not sys.stdin.isatty():
        print("Nobody is there to agree: --yes does.")
        return False
    try:
        return input(f"{question} [y/n] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


async def _examine_all(chosen: Settings, names: list[str], model: str, agree: Agree) -> int:
    demo, ready = _with_demo(chosen, names)
    router = Router(chosen, ready)
    known = Redaction([*chosen.secrets(), *(up.api_key for up in ready.values())])
    client = UpstreamClient(force_instance=True, pool=Pool(proxy=chosen.pool.proxy, http2=chosen.pool.http2))
    worst = USABLE
    for remark in remarks(chosen, router):
        print(known.text(remark))
    print(flush=True)
    try:
        for name in names:
            visit = Visit(chosen, router.peers[name], client, known)
            worst = max(worst, await visit.examine(model, agree), key=(USABLE, UNTRIED, UNUSABLE).index)
    finally:
        client.close()
        if demo is not None:
            await demo.stop()
    return worst


def _with_demo(chosen: Settings, names: list[str]) -> tuple[Demo | None, dict[str, Upstream]]:
    """The built-in upstream runs where one of them is it."""
    demos = [chosen.upstreams[name] for name in names if chosen.upstreams[name].is_demo]
    if not demos:
        return None, {}
    token = secrets.token_urlsafe(24)
    demo = Demo(token)
    url = demo.start()
    return demo, {up.name: dataclasses.replace(up, base_url=url, api_key=token, keys=()) for up in demos}


class Visit:
    """One upstream, examined and told."""

    def __init__(self, chosen: Settings, peer: Peer, client: UpstreamClient, known: Redaction) -> None:
        self._settings = chosen
        self._given = chosen.upstreams[peer.name]
        self._peer = peer
        self._line = Line(client, peer)
        self._known = known
        self._found: dict[str, list[Finding]] = {}
        self._patients: dict[str, Patient] = {}

    def __repr__(self) -> str:
        return f"<Visit at {self._peer.name}, {len(self._found)} protocols>"

    def say(self, line: str = "") -> None:
        """All that is printed goes through here: an upstream may repeat a key."""
        print(self._known.text(line), flush=True)

    async def examine(self, model: str, agree: Agree) -> int:
        given = self._given
        self.say(f"Upstream '{given.name}': {given.base_url} ({', '.join(given.protocol)})\n")
        server = self._settings.server
        if Hops("", [(ip, server.port) for ip in ips(server.host)]).lead_here(self._peer.base_url):
            self.say("Not usable: that is where this proxy itself listens; its base_url must be another server's.\n")
            return UNUSABLE
        findings, names, kind = await self._approach()
        if any(finding.blocks for finding in findings):
            self.say("\nNot usable: it cannot be reached.\n")
            return UNUSABLE
        model = model or ("demo" if given.is_demo else models.chosen(self._settings, given.name, names))
        if not model:
            self.say("\nWhich model is to be asked? --model NAME tells.\n")
            return UNTRIED
        self.say("\n" + self._cost(model))
        if not given.is_demo and not agree("Go on?"):
            self.say("Nothing was asked of it.\n")
            return UNTRIED
        for protocol in given.protocol:
            await self._probe(protocol, model)
        return self._conclude(kind)

    async def _approach(self) -> tuple[list[Finding], list[str], str]:
        """Tries what costs nothing."""
        pool, way = self._settings.pool, self._peer.way
        if pool.proxy if way.proxy is None else way.proxy:
            words = "by way of a proxy: name, connection and TLS are its matter"
            findings = [Finding("connection", "so-so", words)]
        else:
            up = self._peer.settings
            findings = await reach.reach(up.base_url, up.timeouts.connect, way, pool.ca_file)
        for finding in findings:
            self.say(finding.line())
        if any(finding.blocks for finding in findings):
            return findings, [], ""
        finding, names, server = await models.listed(self._line)
        more = await models.unclaimed(self._line)
        for each in (finding, *more):
            self.say(each.line())
        return [*findings, finding, *more], names, server

    def _cost(self, model: str) -> str:
        requests = len(probes.PROBES) * len(self._given.protocol)
        tokens_in, tokens_out = requests * probes.TOKENS_IN, requests * probes.MAX_TOKENS
        words = (
            f"Model '{model}' gets {requests} small requests ({len(probes.PROBES)} a protocol, a few more where it "
            f"refuses some): about {tokens_in:,} tokens in, at most {tokens_out:,} out, and far fewer unless it thinks"
        )
        price = next((p for pattern, p in self._settings.prices.items() if fnmatchcase(model, pattern)), None)
        if price is None:
            return words + "."
        return f"{words}. By [prices] that is at most ${(tokens_in * price[0] + tokens_out * price[1]) / 1e6:.3f}."

    async def _probe(self, protocol: Any, model: str) -> None:
        self.say(f"\nIn {protocol}:")
        patient = self._patients[protocol] = Patient(self._line, protocol, model)
        found = self._found[protocol] = []
        for probe in probes.PROBES:
            finding = await probe.run(patient)
            found.append(finding)
            self.say(finding.line())
            if finding.blocks:
                self.say(f"  {'':<6}{'':<{WIDTH}}the rest was not tried")
                return
        if dialects.of(protocol).counting is not None:
            found.append(await probes.count_tokens(patient))
            self.say(found[-1].line())

    def _conclude(self, server: str) -> int:
        usable = [protocol for protocol, found in self._found.items() if not _fails(found)]
        if not usable:
            self.say("\nNot usable: no protocol that the settings claim has answered.\n")
            return UNUSABLE
        learned = {protocol: self._patients[protocol].learned for protocol in usable}
        advised = advice.merged({protocol: self._found[protocol] for protocol in usable}, learned)
        self.say("\nThe lines of settings.ini that fit (what they do not name stays as it is):\n")
        section = f"upstream {self._given.name}"
        written = {v.key for v in self._settings.values if v.section == section and v.origin != "default"}
        for line in advice.lines(self._given, written, usable, advised, server):
            self.say(f"  {line}")
        self.say(f"\nUsable, by {', '.join(usable)}.\n")
        return USABLE


def _fails(found: list[Finding]) -> bool:
    """Without an answer, whole or streamed, the rest is of no use."""
    return all(finding.mark == "no" for finding in found if finding.what in ("answer", "stream"))
