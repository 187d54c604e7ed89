"""Upstreams that an operator has drained: they get no new requests, and what is on its way there goes on.

All workers learn of it, also those that start later. It lasts until it is taken back, or until the proxy as a whole is
restarted: nothing of it is written down. An upstream that is to stay away has `enabled = false` in the settings.
"""

from __future__ import annotations

import logging
import time
from typing import Any, NamedTuple
from urllib.parse import urlencode

from gateway.process.worker_rpc import WorkerRpc
from operate.logs.fields import fields

log = logging.getLogger("gateway")

PATH = "/drains"


class Drained(NamedTuple):
    """by: the name of the operator's client, "" where no key is needed. since: seconds since 1970."""

    by: str
    since: float


class Drains(dict[str, Drained]):
    """The drained upstreams, by name. A dictionary, as every request asks whether it is empty."""

    def __init__(self, worker_rpc: WorkerRpc) -> None:
        super().__init__()
        self._worker_rpc = worker_rpc
        worker_rpc.answers[PATH] = self._adopt

    def __repr__(self) -> str:
        return f"<Drains {', '.join(self) or 'none'}>"

    def shown(self, upstream: str) -> dict[str, Any] | None:
        drained = self.get(upstream)
        return drained._asdict() if drained is not None else None

    async def change(self, upstream: str, by: str, *, drained: bool) -> int:
        """Drains an upstream in all workers, or ends that. Returns how many workers have done so."""
        query = {"upstream": upstream, "by": by, "since": f"{time.time():.3f}" if drained else ""}
        workers = len(await self._worker_rpc.ask(f"{PATH}?{urlencode(query)}"))
        what = "drained, and gets no new requests" if drained else "undrained, and gets requests again"
        log.warning("upstream '%s' is %s (by %s)", upstream, what, by or "an operator on this machine",
                    extra=fields(event="drain" if drained else "undrain", upstream=upstream, by=by))  # fmt: skip
        return workers

    async def learn(self) -> None:
        """Takes over what the other workers know, in one that starts."""
        for said in await self._worker_rpc.ask_others(PATH):
            for upstream, (by, since) in said["drained"].items():
                self.setdefault(upstream, Drained(by, since))

    def _adopt(self, query: dict[str, str]) -> dict[str, Any]:
        if upstream := query.get("upstream", ""):
            if since := query.get("since", ""):
                self[upstream] = Drained(query.get("by", ""), float(since))
            else:
                self.pop(upstream, None)
        return {"drained": dict(self)}
