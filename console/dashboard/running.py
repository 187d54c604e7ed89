"""The requests on their way, in all workers, and how an operator ends one of them."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlencode

from console.dashboard.board import Board
from gateway.flow.info import Cancelled, Standing
from gateway.runtime import Service
from operate.logs.fields import fields

log = logging.getLogger("gateway")

MOST = 200  # how many are shown, the oldest first
CANCEL = "/dashboard/raw/cancel"
Said = dict[str, Any]


def raw(board: Board) -> Said:
    """The running requests of this worker."""
    service = board.service
    standing = sorted((flow.standing() for flow in service.flows), key=lambda each: -each.age_s)
    worker = service.worker_rpc.number
    return {"open": len(standing), "running": [_row(each) | {"worker": worker} for each in standing[:MOST]]}


def _row(of: Standing) -> Said:
    row: Said = of._asdict()
    return row | {"age_s": round(of.age_s, 2), "id": row.pop("key")}


def merged(said: list[Said]) -> Said:
    rows = sorted((row for each in said for row in each["running"]), key=lambda row: -row["age_s"])
    return {"open": sum(each["open"] for each in said), "workers": len(said), "running": rows[:MOST]}


async def cancel(service: Service, key: str, by: str) -> bool:
    """Whether a worker had this request. by: the name of the operator's client."""
    said = await service.worker_rpc.ask(f"{CANCEL}?{urlencode({'id': key, 'by': by})}")
    return any(each["cancelled"] for each in said)


def cancel_own(service: Service, key: str, by: str) -> Said:
    flow = next((flow for flow in service.flows if flow.request.key == key), None)
    if flow is None:
        return {"cancelled": False}
    log.warning("request %s is cancelled by %s", key, by or "an operator on this machine",
                extra=fields(event="cancel", request_id=key, by=by))  # fmt: skip
    flow.stop(Cancelled())
    return {"cancelled": True}
