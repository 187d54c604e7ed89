"""Anthropic's Message Batches: /v1/messages/batches. The requests are in the request that makes the batch."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from tornado.httputil import HTTPHeaders

from gateway.batches import whole_request as common
from gateway.batches.gathering import Answered
from gateway.batches.own_request import Call
from gateway.batches.whole_request import Others, WholeReply, WholeRequest
from operate import batch_store
from operate.batch_store import CANCELED, ERRORED, EXPIRED, SUCCEEDED, WAITING, Batch, Result, Work
from translate.failures.errors import ApiError, BadRequest
from translate.json import wire
from translate.messages.dialect import MESSAGES

ID = "msgbatch_"
PATH = "/v1/messages/batches"
MAX_REQUESTS = 100_000
LASTS_S = 24 * 3600.0
_PATH = re.compile(rf"{PATH}(?:/([A-Za-z0-9_-]{{1,200}})(/results|/cancel)?)?/?")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def read(path: str) -> tuple[str, str] | None:
    """Returns (id, part) of a path; None for other paths."""
    return common.id_and_part(_PATH, path)


def is_ours(id: str) -> bool:
    """Returns whether the proxy has given this id."""
    return common.is_ours(id, ID)


async def answer(asked: WholeRequest) -> WholeReply:
    """Raises ApiError."""
    found = read(asked.path)
    assert found is not None
    id, part = found
    does = _DOES.get((asked.method, part if id else "all"))
    if does is None:
        raise ApiError("invalid_request", f"{asked.method} {asked.path}: not served here", 405)
    return await does(asked, id)


async def _create(asked: WholeRequest, id: str) -> WholeReply:
    requests = await common.beside(requests_of, asked.body)
    rows = [(name, wire.dumps(params)) for name, params in requests]
    size = sum(len(row) for _, row in rows)
    about = {"headers": common.kept_headers(asked.headers, "anthropic-"), "query": asked.query, common.BYTES: size}
    batch = Batch(
        common.new_id(ID), MESSAGES.name, asked.owner, asked.client, asked.now, asked.now + LASTS_S, None, None,
        len(requests), wire.dumps(about).decode(),
    )  # fmt: skip
    async with asked.room("batches", size) as queue:
        await queue.add(batch, rows)
    asked.desk.looks_anew()
    return common.json(_shown(batch, {WAITING: batch.total}, asked.origin))


def requests_of(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Returns (custom_id, params) of each request. Raises BadRequest."""
    said = common.loads(body)
    rows = said.get("requests") if isinstance(said, dict) else None
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_REQUESTS:
        raise BadRequest(f"requests: a list of 1 to {MAX_REQUESTS} requests is needed", "requests")
    found: dict[str, dict[str, Any]] = {}
    for nth, row in enumerate(rows):
        name, params = (row.get("custom_id"), row.get("params")) if isinstance(row, dict) else (None, None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BadRequest(f"requests.{nth}.custom_id: 1 to 64 letters, digits, - and _ are needed", "requests")
        if name in found:
            raise BadRequest(f"requests.{nth}.custom_id: '{name}' is there twice", "requests")
        if not isinstance(params, dict) or not isinstance(params.get("model"), str):
            raise BadRequest(f"requests.{nth}.params: an object with a model is needed", "requests")
        if params.get("stream"):
            raise BadRequest(f"requests.{nth}.params.stream: a batch has no streams", "requests")
        found[name] = params
    return list(found.items())


async def _owned(asked: WholeRequest, id: str) -> tuple[Batch, dict[str, int]]:
    """Raises ApiError (404)."""
    batch = await asked.queue.get(id)
    if batch is None or batch.owner != asked.owner or batch.form != MESSAGES.name:
        raise ApiError("not_found", f"there is no message batch '{id}'")
    return batch, await asked.queue.counts(id)


async def _retrieve(asked: WholeRequest, id: str) -> WholeReply:
    return common.json(_shown(*await _owned(asked, id), asked.origin))


async def listed(asked: WholeRequest, others: Others) -> WholeReply:
    """others: is asked only for what is a list. Raises ApiError."""
    limit = asked.limit(20, 1000)
    rows = await common.in_order(asked, MESSAGES.name, others)
    rows, more = common.page(rows, limit, asked.parameter("after_id"), asked.parameter("before_id"))
    data = [
        _shown(row.batch, await asked.queue.counts(row.id), asked.origin) if row.batch is not None
        else with_our_address(row.shown, asked)
        for row in rows
    ]  # fmt: skip
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return common.json({"data": data, "has_more": more, **ends})


async def _cancel(asked: WholeRequest, id: str) -> WholeReply:
    await _owned(asked, id)
    await asked.queue.cancel(id, asked.now)
    asked.desk.looks_anew()
    return common.json(_shown(*await _owned(asked, id), asked.origin))


async def _delete(asked: WholeRequest, id: str) -> WholeReply:
    batch, _ = await _owned(asked, id)
    if batch.ended is None:
        raise BadRequest(f"batch '{id}' has not ended: cancel it first")
    await asked.queue.delete(id)
    return common.json({"id": id, "type": "message_batch_deleted"})


async def _results(asked: WholeRequest, id: str) -> WholeReply:
    batch, _ = await _owned(asked, id)
    if batch.ended is None:
        raise ApiError("not_found", f"batch '{id}' has no results yet: it has not ended")
    return WholeReply(kind="application/x-jsonl", pieces=_lines(asked, id))


async def _lines(asked: WholeRequest, id: str) -> AsyncIterator[bytes]:
    after = -1
    while rows := await asked.queue.results(id, after, batch_store.PIECE):
        yield b"".join(_line(row) for row in rows)
        after = rows[-1].nth


def _line(row: Result) -> bytes:
    result = row.result or b'{"type":"%b"}' % row.outcome.encode()
    return b'{"custom_id":"%b","result":%b}\n' % (wire.inside(row.name), result)


_DOES = {
    ("POST", "all"): _create, ("GET", ""): _retrieve, ("DELETE", ""): _delete,
    ("POST", "cancel"): _cancel, ("GET", "results"): _results,
}  # fmt: skip


def _shown(batch: Batch, counts: dict[str, int], origin: str) -> dict[str, Any]:
    ended = batch.ended is not None
    told = {name: counts.get(name, 0) if ended else 0 for name in (CANCELED, ERRORED, EXPIRED, SUCCEEDED)}
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "canceling" if batch.cancelled is not None else "in_progress",
        "request_counts": told | {"processing": 0 if ended else batch.total},
        "created_at": _time(batch.created),
        "expires_at": _time(batch.expires),
        "ended_at": _time(batch.ended),
        "cancel_initiated_at": _time(batch.cancelled),
        "archived_at": None,
        "results_url": f"{origin}{PATH}/{batch.id}/results" if ended else None,
    }


def with_our_address(shown: dict[str, Any], asked: WholeRequest) -> dict[str, Any]:
    """An upstream's batch, whose results are asked for here."""
    if isinstance(shown.get("results_url"), str):
        return shown | {"results_url": f"{asked.origin}{PATH}/{shown.get('id')}/results"}
    return shown


def _time(unix: float | None) -> str | None:
    return datetime.fromtimestamp(unix, UTC).isoformat().replace("+00:00", "Z") if unix is not None else None


# ------------------------------------------------------------------------------------------ for who runs them


def call(batch: Batch, work: Work) -> Call:
    about = wire.loads(batch.about)
    headers = HTTPHeaders(about["headers"])
    headers["Content-Type"] = "application/json"
    headers["Idempotency-Key"] = f"{batch.id}-{work.nth}"
    return Call(MESSAGES, MESSAGES.endpoints[0], about["query"], headers, work.request)


def result(work: Work, said: Answered) -> tuple[str, bytes]:
    if said.status == 200:
        return SUCCEEDED, b'{"type":"succeeded","message":%b}' % said.body
    error = said.body or MESSAGES.errors.body(ApiError("api", "the request came to nothing"), said.key)
    return ERRORED, b'{"type":"errored","error":%b}' % error
