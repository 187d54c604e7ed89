"""The JSON of each panel of the dashboard.

`raw` is the data of one process, in a form that can be added; every worker answers it to the others. A panel asks all
workers and joins their answers (merging.py), so that the page is about the whole proxy, whichever worker serves it.
Nothing is computed before somebody looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from console.dashboard import merging, running, spent
from console.dashboard.board import Board
from console.dashboard.spent import SpentQuery
from console.dashboard.watch import BUCKET_S, HOUR_S, UPSTREAM_S, Entry
from gateway.pages import status
from gateway.process import banner
from translate.failures.errors import ApiError

Query = dict[str, str]
Said = dict[str, Any]


LIST, MAX_LIST = 100, 500
PIECE_S = 300.0  # how much of the hour is joined in one turn of the loop
_PATH = "/dashboard/raw/"


# ------------------------------------------------------------------------------------ what one process knows


def register(board: Board) -> None:
    """Registers the answers to other workers' questions."""
    service = board.service
    service.worker_rpc.answers[running.CANCEL] = lambda query: running.cancel_own(service, query["id"], query["by"])
    for name, raw in _RAW.items():
        board.service.worker_rpc.answers[_PATH + name] = _bound(raw, board)


def _bound(raw: Callable[[Board, Query], Said], board: Board) -> Callable[[Query], Said]:
    return lambda query: raw(board, query)


def _raw_buckets(board: Board, query: Query) -> Said:
    watch = board.watch
    start, end = _number(query, "start", 0.0), _number(query, "end", watch.clock() + BUCKET_S)
    return {"began": watch.began, "buckets": watch.hour.between(start, end)}


def _raw_standing(board: Board, query: Query) -> Said:
    watch = board.watch
    now = watch.clock()
    standing = status.upstreams(board.service)
    for name, upstream in standing["upstreams"].items():
        window = watch.upstreams.get(name)
        upstream["buckets"] = window.since(now, UPSTREAM_S) if window is not None else []
    return standing | {
        "streams": sum(flow.streaming for flow in board.service.flows),
        "open": len(board.service.flows),
        "clients": _connections(board),
        "pool_limit": board.service.settings.pool.max_connections,
        "log_lines_lost": board.service.journal.lost,
    }


def _connections(board: Board) -> dict[str, int]:
    """Of clients, by state; with the most that there may be."""
    connections = board.service.connections
    return {**connections.states(), "most": connections.max_connections} if connections is not None else {}


def _raw_requests(board: Board, query: Query) -> Said:
    """The requests since `since`, the latest first."""
    since, limit = _number(query, "since", 0.0), int(min(MAX_LIST, _number(query, "limit", LIST)))
    rows: list[Said] = []
    for entry in reversed(board.watch.recent):
        if entry.at <= since or len(rows) >= limit:
            break
        rows.append(_row(entry))
    return {"requests": rows}


def _raw_request(board: Board, query: Query) -> Said:
    """The details of a request; {} if another process had it, or it is not kept any more."""
    key = "req_" + query.get("id", "").removeprefix("req_")
    entry = next((entry for entry in reversed(board.watch.recent) if entry.key == key), None)
    if entry is None:
        return {}
    record = entry.record
    bodies = board.watch.captured.get(key)
    shown = bodies and {
        "protocol": bodies.protocol,
        "original": bodies.original.decode("utf-8", "replace"),
        "upstream_protocol": record["upstream_protocol"],
        "sent": bodies.sent.decode("utf-8", "replace"),
    }
    return {
        "time": entry.at,
        "record": record,
        "cost": entry.cost,
        "session": entry.session,
        "change": entry.change,
        "phases": phases(record),
        "bodies": shown,
        "logs_bodies": board.service.journal.request_bodies is not None,
    }


def _raw_usage(board: Board, query: Query) -> Said:
    watch = board.watch
    return {"began": watch.began, "models": watch.models.all(), "clients": watch.clients.all()}


def _raw_batches(board: Board, query: Query) -> Said:
    """Of the one process that runs them; the others have none."""
    return {"batches": board.service.batches.progress}


def _raw_cache(board: Board, query: Query) -> Said:
    cache = board.service.cache
    return {
        "sessions": board.watch.cache.shown(),
        "parses": board.service.settings.logging.cache_watch,
        "replies": cache.sums() if cache is not None else {},
    }


_RAW: dict[str, Callable[[Board, Query], Said]] = {
    "buckets": _raw_buckets,
    "standing": _raw_standing,
    "trouble": lambda board, query: board.troubles.raw(),
    "running": lambda board, query: running.raw(board),
    "requests": _raw_requests,
    "request": _raw_request,
    "usage": _raw_usage,
    "cache": _raw_cache,
    "batches": _raw_batches,
}


def _row(entry: Entry) -> Said:
    """The row of a request in a list."""
    record = entry.record
    return {
        "time": entry.at,
        "id": record["request_id"],
        "client": record["client"],
        "protocol": record["protocol"],
        "operation": record["gen_ai.operation.name"],
        "model": record["gen_ai.request.model"],
        "upstream": record["upstream"],
        "upstream_model": record["upstream_model"],
        "status": record["status"],
        "error": record.get("error.type"),
        "attempts": record["attempts"],
        "ended": record["ended"],
        "first_ms": record["first_token_ms"],
        "total_ms": record["total_ms"],
        "input": record["gen_ai.usage.input_tokens"],
        "cached": record["gen_ai.usage.cache_read.input_tokens"],
        "output": record["gen_ai.usage.output_tokens"],
        "cost": entry.cost,
        "session": entry.session,
        "broke": entry.change["where"] if entry.change else None,
        "kept": record.get("proxy.cache"),
        "saved": record.get("proxy.cache.saved_usd"),
    }


def phases(record: Said) -> list[Said]:
    """The parts of a request's time, as bars one after the other. In fact some parts alternate (a wait, an attempt, a
    wait); each bar is the sum of its kind."""
    total, first = record["total_ms"], record["first_token_ms"]
    own = [("receive", record["receive_ms"]), ("queue", record["queue_ms"]), ("proxy", record["overhead_ms"])]
    before = sum(ms for _, ms in own)
    stream = record["stream_ms"] or 0.0
    waited = (first - before) if first is not None else record["upstream_ms"]
    own += [("upstream", max(0.0, min(waited, total - before))), ("stream", stream)]
    rest = total - sum(ms for _, ms in own)
    bars, at = [], 0.0
    for name, ms in [*own, ("client", max(0.0, rest))]:
        if ms > 0:
            bars.append({"name": name, "at": round(at, 2), "ms": round(ms, 2)})
            at += ms
    return bars


# ------------------------------------------------------------------------------------------- what is shown


async def now(board: Board, query: Query) -> Said:
    at = board.watch.clock()
    buckets = await board.service.worker_rpc.ask(f"{_PATH}buckets?start={at - merging.NOW_S:.3f}")
    standing = await board.service.worker_rpc.ask(f"{_PATH}standing")
    said = merging.now(at, buckets, standing)
    meant = board.service.worker_rpc.count
    return said | {"stage": board.service.in_flight.stage, "workers": len(standing), "workers_meant": meant}


async def trouble(board: Board, query: Query) -> Said:
    said = await board.service.worker_rpc.ask(f"{_PATH}trouble")
    return {"time": board.watch.clock(), "troubles": board.troubles.merged(said)}


async def running_ones(board: Board, query: Query) -> Said:
    return running.merged(await board.service.worker_rpc.ask(f"{_PATH}running"))


async def series(board: Board, query: Query) -> Said:
    """The points of the last hour. It works in pieces, because a whole hour at once would delay every stream."""
    at = board.watch.clock()
    start = min(at, max(at - HOUR_S, _number(query, "since", 0.0)))
    points: list[Said] = []
    while start <= at:
        end = start + PIECE_S
        said = await board.service.worker_rpc.ask(f"{_PATH}buckets?start={start:.3f}&end={end:.3f}")
        points += merging.series(BUCKET_S, said)
        start = end
        await asyncio.sleep(0)
    return {"every_s": BUCKET_S, "time": at, "points": points}


async def upstreams(board: Board, query: Query) -> Said:
    said = merging.upstreams(await board.service.worker_rpc.ask(f"{_PATH}standing"))
    for upstream in said:
        live = board.service.router.upstreams.get(upstream["name"])
        upstream["base_url"] = live.base_url if live is not None else None
    return {"window_s": UPSTREAM_S, "upstreams": said}


async def requests(board: Board, query: Query) -> Said:
    since, limit = _number(query, "since", 0.0), _number(query, "limit", LIST)
    said = await board.service.worker_rpc.ask(f"{_PATH}requests?since={since:.6f}&limit={limit:g}")
    rows = sorted((row for each in said for row in each["requests"]), key=lambda row: -row["time"])
    return {"time": board.watch.clock(), "requests": rows[: int(min(MAX_LIST, limit))]}


async def request(board: Board, query: Query) -> Said:
    key = "".join(c for c in query.get("id", "")[:100] if c.isalnum() or c == "_")
    for said in await board.service.worker_rpc.ask(f"{_PATH}request?id={key}"):
        if said:
            return said
    raise ApiError("not_found", f"request {key} is not among the latest {MAX_LIST}")


async def usage(board: Board, query: Query) -> Said:
    prices = board.service.prices
    return merging.usage(await board.service.worker_rpc.ask(f"{_PATH}usage")) | {
        "prices": {"source": prices.source, "date": prices.date}
    }


async def spending(board: Board, query: Query) -> Said:
    return await spent.shown(board.books.store, SpentQuery.of(query, board.watch.clock()), board.books.fleet)


async def cache(board: Board, query: Query) -> Said:
    return merging.cache(await board.service.worker_rpc.ask(f"{_PATH}cache"))


async def batches(board: Board, query: Query) -> Said:
    said = await board.service.worker_rpc.ask(f"{_PATH}batches")
    return {"on": board.service.batches.queue is not None, "batches": [row for each in said for row in each["batches"]]}


async def settings(board: Board, query: Query) -> Said:
    chosen = board.service.settings
    values = [
        {"section": value.section, "key": value.key, "value": value.text, "origin": value.origin}
        for value in chosen.values
    ]
    off = {name: upstream.off_because for name, upstream in chosen.upstreams.items() if not upstream.enabled}
    return {"file": chosen.file, "values": values, "off": off, "reloaded": board.service.reloaded or None}


async def connect(board: Board, query: Query) -> Said:
    """The lines to paste. query["public_url"]: the address with which clients reach the proxy."""
    url = query["public_url"]
    return {"url": url, "lines": banner.pasted(board.service.settings, board.service.router, url)}


SHOWN: dict[str, Callable[[Board, Query], Awaitable[Said]]] = {
    "now": now,
    "trouble": trouble,
    "running": running_ones,
    "series": series,
    "upstreams": upstreams,
    "requests": requests,
    "request": request,
    "usage": usage,
    "spent": spending,
    "cache": cache,
    "batches": batches,
    "settings": settings,
    "connect": connect,
}


def _number(query: Query, name: str, default: float) -> float:
    """A number of the query; the default if it is not one."""
    try:
        number = float(query.get(name, default))
    except ValueError:
        return default
    return number if 0 <= number < 1e12 else default
