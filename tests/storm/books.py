"""What the proxy has written down of a storm, held against what its clients and its upstreams know."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.storm.clients import Said
from tests.storm.upstream import Served, tokens_in

Record = dict[str, Any]
SHARED = ("bad", "batch", "rejoin", "rejoin first", "same")
"""Kinds of requests whose record may have another's tag, which they have joined, or none: they were refused unread."""
PASSES = ("embed", "ollama", "speech")  # whose tokens are others than those of a conversation
EXPECTED = ("by lot", "worker ended", "sums of usage", "who owns which", "batches wait", "its key 1 was refused")
"""Words of errors that the storm itself causes: the hook's, a killed worker's, a full disk's, an old key's."""


class Books:
    """wrong: what does not fit, by its kind, with the first case of each."""

    def __init__(self, logs: Path, said: list[Said], served: Iterable[Served]) -> None:
        self.wrong: dict[str, str] = {}
        self._logs, self._said = logs, said
        self.records: list[Record] = list(_lines(logs, "performance.json"))
        self._by_tag: dict[str, list[Record]] = defaultdict(list)
        for record in self.records:
            self._by_tag[(record.get("tags") or {}).get("tag", "")].append(record)
        self._served: dict[str, list[Served]] = defaultdict(list)
        for each in sorted(served, key=lambda one: one.nth):
            self._served[each.mark].append(each)

    def _tell(self, kind: str, what: object) -> None:
        self.wrong.setdefault(kind, str(what)[:1500])

    def check(self, metrics: str) -> None:
        """All of it. metrics: the page, "" if its counters do not cover all requests."""
        by_tag: dict[str, list[Said]] = defaultdict(list)
        for said in self._said:
            by_tag[said.tag].append(said)
        for tag, all_of_it in by_tag.items():
            self._one_record(all_of_it, self._by_tag[tag])
        self._asked_once()
        sums = self._sums()
        self._usage_store(sums)
        if metrics:
            self._metrics(sums, metrics)

    def _one_record(self, said: list[Said], found: list[Record]) -> None:
        kind = said[0].kind
        complete = [each for each in said if each.status]
        if kind in SHARED or (not found and all(each.status == 400 for each in complete)):
            return
        if kind == "websocket":
            known = len([each for each in said if each.verdict])
            if not known <= len(found) <= len(said):
                self._tell("records of websockets", (known, len(found), said))
            return
        if not len(complete) <= len(found) <= len(said):
            self._tell(f"records of {kind}", (len(found), said))
        elif complete and found:
            self._same(complete[0], found[0])

    def _same(self, said: Said, record: Record) -> None:
        if record["status"] != said.status:
            self._tell("status", (said, record))
        if said.request_id and record["request_id"] != said.request_id:
            self._tell("ids", (said, record))
        if said.verdict != "right" or said.kind in PASSES or record.get("proxy.cache") in ("hit", "coalesced"):
            return
        told = [each for each in self._served[said.mark] if each.began]
        tokens, differs = record["gen_ai.usage.input_tokens"], {each.fault for each in told} & {"no_usage", "pause"}
        if not told:
            self._tell("an answer of no upstream", (said, record))
        elif not record.get("usage_estimated") and not differs and tokens != tokens_in(said.mark):
            self._tell("tokens", (said, record, told))

    def _asked_once(self) -> None:
        """No upstream has begun to answer what another one, or itself, had begun to answer before. Hedges do that, and
        clients who ask again; a stream that begins with an error has not begun."""
        times = Counter(said.mark for said in self._said)
        tags = {said.mark: said.tag for said in self._said}
        for mark, served in self._served.items():
            began = [each for each in served if each.began and each.fault not in ("pause", "error_later")]
            hedged = any(record["gen_ai.request.model"] == "p" for record in self._by_tag[tags.get(mark, "?")])
            if len(began) > 1 and times[mark] == 1 and not hedged:
                self._tell("asked twice", began)

    def _sums(self) -> dict[str, list[float]]:
        """By client: requests, tokens in and out, USD; counts of tokens are requests in the metrics alone."""
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0, 0.0])
        for record in self.records:
            of = sums[record["client"]]
            of[0] += 1
            of[1] += record["gen_ai.usage.input_tokens"] or 0
            of[2] += record["gen_ai.usage.output_tokens"] or 0
            of[3] += record["proxy.cost_usd"] or 0
            of[4] += record["gen_ai.operation.name"] == "count_tokens"
        return sums

    def _usage_store(self, sums: dict[str, list[float]]) -> None:
        asked = "SELECT client, SUM(requests), SUM(input), SUM(output), SUM(usd) FROM spent GROUP BY client"
        stored = {row[0]: row[1:] for row in sqlite3.connect(self._logs / "usage.sqlite3").execute(asked)}
        for client, (requests, *rest, counts) in sums.items():
            wanted = [requests - counts, *rest]
            if not _alike(stored.get(client, (0, 0, 0, 0)), wanted):
                self._tell("usage store", (client, stored.get(client), wanted))
        if (shared := self._logs / "shared.sqlite3").exists():
            asked = "SELECT key, SUM(amount) FROM sums WHERE name LIKE '%:tokens' GROUP BY key"
            for key, tokens in sqlite3.connect(shared).execute(asked):
                of = sums[key.decode().rpartition(":")[2]]
                if not _alike([tokens], [of[1] + of[2]]):
                    self._tell("shared budgets", (key, tokens, of))

    def _metrics(self, sums: dict[str, list[float]], page: str) -> None:
        told: dict[tuple[str, str, str], float] = defaultdict(float)
        for name, labels, value in re.findall(r"(?m)^(proxy_\w+)\{(.*)\} (\S+)$", page):
            by = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            told[name, by.get("client", ""), by.get("type", "")] += float(value)
        for client, (requests, prompt, output, usd, _) in sums.items():
            found = [
                told["proxy_client_requests_total", client, ""], told["proxy_tokens_total", client, "input"],
                told["proxy_tokens_total", client, "output"], told["proxy_cost_usd_total", client, ""],
            ]  # fmt: skip
            if not _alike(found, [requests, prompt, output, usd]):
                self._tell("metrics", (client, found, [requests, prompt, output, usd]))

    def check_logs(self, terminal: str) -> None:
        """No error of the proxy itself. terminal: what it has printed."""
        for line in _lines(self._logs, "proxy.json"):
            said = str(line.get("event")) + " " + line["message"]
            if line["level"] not in ("error", "critical") or any(word in said for word in EXPECTED):
                continue
            self._tell(f"log: {said[:60]}", said)
        for word in ("never retrieved", "Warning:", "Exception in callback"):
            if word in terminal:
                self._tell(f"terminal: {word}", terminal[terminal.index(word) - 200 :])


def _lines(logs: Path, name: str) -> Iterable[Record]:
    for file in sorted(logs.glob(f"{name}*")):
        yield from map(json.loads, file.read_text().splitlines())


def _alike(found: Iterable[float], wanted: Iterable[float]) -> bool:
    return all(abs(one - other) < 1e-3 for one, other in zip(found, wanted, strict=True))
