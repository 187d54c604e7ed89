"""The questions of the night, each with one line of jq that answers it. docs/operations.md has the same lines."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple


class Question(NamedTuple):
    words: str
    program: str
    file: str
    slurps: bool = True

    @property
    def line(self) -> str:
        return f"jq -c{'s' * self.slurps} '{self.program}' logs/{self.file}"

    def answer(self, folder: Path) -> list[Any]:
        """What jq prints for it, as values."""
        options = "-cs" if self.slurps else "-c"
        done = subprocess.run(
            ["jq", options, self.program, str(folder / self.file)], capture_output=True, text=True, check=True
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


SPENT = Question(
    "Who spent what?",
    "group_by(.client)[] | {client: .[0].client, requests: length, "
    'usd: (map(."proxy.cost_usd" // 0) | add), tokens: (map(."gen_ai.usage.input_tokens" // 0) | add)}',
    "performance.json",
)
SLOW = Question(
    "Why was this slow?",
    "select(.total_ms > 1000) | {request_id, client, upstream, total_ms, queue_ms, upstream_ms, overhead_ms, attempts}",
    "performance.json",
    slurps=False,
)
FAILED = Question(
    "Which upstream failed, and what was tried?",
    "[.[].tried[]] | group_by([.upstream, .key, .status])[] | "
    "{upstream: .[0].upstream, key: .[0].key, status: .[0].status, error: .[0].error, times: length, "
    "said: .[0].message}",
    "performance.json",
)
KEYS = Question(
    "Which key is no good?",
    'select(.level == "error" and .rest_s) | {time, upstream, key, status, rest_s, message}',
    "proxy.json",
    slurps=False,
)
FROM = Question(
    "From where did the 401s come?",
    'map(select(.status == 401)) | group_by([."client.address", ."user_agent.original", .upstream])[] | '
    '{from: .[0]."client.address", agent: .[0]."user_agent.original", upstream: .[0].upstream, times: length}',
    "errors.json",
)
QUESTIONS = (SPENT, SLOW, FAILED, KEYS, FROM)
