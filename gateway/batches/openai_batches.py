"""OpenAI's batches: /v1/batches, whose requests are the lines of a file, and the files that are needed for them.

If an upstream has files, the proxy keeps none. Otherwise it keeps files that are uploaded for a batch, and serves the
results as a file, whose lines come from the batch itself and are not stored twice.
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator
from typing import Any

from tornado.httputil import HTTPFile, HTTPHeaders, parse_multipart_form_data

from gateway.batches import whole_request as common
from gateway.batches.gathering import Answered
from gateway.batches.own_request import Call
from gateway.batches.whole_request import Others, WholeReply, WholeRequest
from operate import batch_store
from operate.batch_store import CANCELED, ERRORED, EXPIRED, SUCCEEDED, WAITING, Batch, File, Result, Work
from translate import dialects
from translate.failures.errors import ApiError, BadRequest
from translate.json import wire
from translate.responses.dialect import RESPONSES

ID, FILE_ID = "batch_", "file-"
PATH, FILES = "/v1/batches", "/v1/files"
FORM = "openai"
MAX_REQUESTS = 50_000
LASTS_S = 24 * 3600.0
OUTPUT, ERRORS = "-output", "-errors"
ENDPOINTS = ("/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/moderations")
_PATH = re.compile(rf"(?:{PATH}|{FILES})(?:/([A-Za-z0-9_=-]{{1,1000}})(/cancel|/content)?)?/?")
_WHY = {EXPIRED: ("batch_expired", "This request could not be executed before the completion window expired."),
        CANCELED: ("batch_cancelled", "This request was not executed, since its batch was cancelled.")}  # fmt: skip


def read(path: str) -> tuple[str, str] | None:
    """Returns (id, part) of a path; None for other paths."""
    return common.id_and_part(_PATH, path)


def is_ours(id: str) -> bool:
    """Returns whether the proxy has given this id."""
    return common.is_ours(id, ID) or common.is_ours(id, FILE_ID) or common.is_ours(id, FILE_ID + ID)


async def answer(asked: WholeRequest) -> WholeReply:
    """Raises ApiError."""
    found = read(asked.path)
    assert found is not None
    id, part = found
    kind = FILES if asked.path.startswith(FILES) else PATH
    does = _DOES.get((kind, asked.method, part if id else "all"))
    if does is None:
        raise ApiError("invalid_request", f"{asked.method} {asked.path}: not served here", 405)
    return await does(asked, id)


# ---------------------------------------------------------------------------------------------------- batches


async def _create(asked: WholeRequest, id: str) -> WholeReply:
    said = await common.beside(common.loads, asked.body)
    if not isinstance(said, dict):
        raise BadRequest("the body is no object")
    endpoint, file_id = said.get("endpoint"), said.get("input_file_id")
    if endpoint not in ENDPOINTS:
        raise BadRequest(f"endpoint: one of {', '.join(ENDPOINTS)} is needed", "endpoint")
    if said.get("completion_window") != "24h":
        raise BadRequest("completion_window: it is 24h", "completion_window")
    file = await _owned_file(asked, wire.whole_characters(str(file_id)))
    content = await asked.queue.content(file.id)
    requests: list[tuple[str, bytes]] = await common.beside(functools.partial(requests_of, endpoint=endpoint), content)
    size = sum(len(request) for _, request in requests)
    about = {"endpoint": endpoint, "input_file_id": file.id, "metadata": said.get("metadata"),
             "headers": common.kept_headers(asked.headers, "openai-"), common.BYTES: size}  # fmt: skip
    batch = Batch(
        common.new_id(ID), FORM, asked.owner, asked.client, asked.now, asked.now + LASTS_S, None, None,
        len(requests), wire.dumps(about).decode(),
    )  # fmt: skip
    async with asked.room("batches", size) as queue:
        await queue.add(batch, requests)
    asked.desk.looks_anew()
    return common.json(_shown(batch, {WAITING: batch.total}))


def requests_of(content: bytes, endpoint: str) -> list[tuple[str, bytes]]:
    """Returns (custom_id, the line's body) of each line. Raises BadRequest."""
    found: dict[str, bytes] = {}
    for nth, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = wire.loads(line)
        except ValueError:
            raise BadRequest(f"line {nth} of the file is no JSON", "input_file_id") from None
        name, body = (row.get("custom_id"), row.get("body")) if isinstance(row, dict) else (None, None)
        name = wire.whole_characters(name) if isinstance(name, str) else ""
        if not name or name in found:
            raise BadRequest(f"line {nth}: a custom_id is needed that no other line has", "input_file_id")
        if row.get("method", "POST") != "POST" or row.get("url") != endpoint:
            raise BadRequest(f"line {nth}: method POST and url {endpoint} are needed", "input_file_id")
        if not isinstance(body, dict) or not isinstance(body.get("model"), str) or body.get("stream"):
            raise BadRequest(f"line {nth}: a body is needed that has a model and no stream", "input_file_id")
        found[name] = wire.dumps(body)
    if not 1 <= len(found) <= MAX_REQUESTS:
        raise BadRequest(f"the file has {len(found)} requests; 1 to {MAX_REQUESTS} are needed", "input_file_id")
    return list(found.items())


async def _owned(asked: WholeRequest, id: str) -> tuple[Batch, dict[str, int]]:
    """Raises ApiError (404)."""
    batch = await asked.queue.get(id)
    if batch is None or batch.owner != asked.owner or batch.form != FORM:
        raise ApiError("not_found", f"there is no batch '{id}'")
    return batch, await asked.queue.counts(id)


async def _retrieve(asked: WholeRequest, id: str) -> WholeReply:
    return common.json(_shown(*await _owned(asked, id)))


async def listed(asked: WholeRequest, others: Others) -> WholeReply:
    """others: is asked only for what is a list. Raises ApiError."""
    limit = asked.limit(20, 100)
    rows, more = common.page(await common.in_order(asked, FORM, others), limit, asked.parameter("after"))
    data = [_shown(row.batch, await asked.queue.counts(row.id)) if row.batch is not None else row.shown for row in rows]
    return common.json(_listed(data, more))


async def _cancel(asked: WholeRequest, id: str) -> WholeReply:
    batch, _ = await _owned(asked, id)
    if batch.ended is not None:
        raise BadRequest(f"batch '{id}' has ended: it cannot be cancelled")
    await asked.queue.cancel(id, asked.now)
    asked.desk.looks_anew()
    return common.json(_shown(*await _owned(asked, id)))


def _listed(data: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more}


def _shown(batch: Batch, counts: dict[str, int]) -> dict[str, Any]:
    about = wire.loads(batch.about)
    done, failed = counts.get(SUCCEEDED, 0), sum(counts.get(outcome, 0) for outcome in (ERRORED, EXPIRED, CANCELED))
    ended, cancelled = batch.ended, batch.cancelled
    expired = bool(counts.get(EXPIRED))
    if ended is None:
        status = "cancelling" if cancelled is not None else "in_progress"
    else:
        status = "cancelled" if counts.get(CANCELED) else "expired" if expired else "completed"
    created = int(batch.created)
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": about["endpoint"],
        "errors": None,
        "input_file_id": about["input_file_id"],
        "completion_window": "24h",
        "status": status,
        "output_file_id": FILE_ID + batch.id + OUTPUT if ended is not None and done else None,
        "error_file_id": FILE_ID + batch.id + ERRORS if ended is not None and failed else None,
        "created_at": created,
        "in_progress_at": created,
        "expires_at": int(batch.expires),
        "finalizing_at": int(ended) if ended is not None else None,
        "completed_at": int(ended) if ended is not None and status == "completed" else None,
        "failed_at": None,
        "expired_at": int(ended) if ended is not None and status == "expired" else None,
        "cancelling_at": int(cancelled) if cancelled is not None else None,
        "cancelled_at": int(ended) if ended is not None and status == "cancelled" else None,
        "request_counts": {"total": batch.total, "completed": done, "failed": failed},
        "metadata": about["metadata"],
    }


# ------------------------------------------------------------------------------------------------------ files


async def _upload(asked: WholeRequest, id: str) -> WholeReply:
    fields: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    kind = asked.headers.get("Content-Type", "")
    boundary = re.search(r'boundary="?([^";]{1,70})', kind)
    if not kind.startswith("multipart/form-data") or boundary is None:
        raise ApiError("invalid_request", "a file is uploaded as multipart/form-data", 415)
    try:
        parse_multipart_form_data(boundary[1].encode(), asked.body, fields, files)
    except Exception as error:  # Tornado's parser raises several kinds for what is no form
        raise BadRequest(f"the form cannot be read: {error}") from None
    if len(files.get("file", ())) != 1:
        raise BadRequest("file: a file is needed", "file")
    purpose = fields.get("purpose", [b""])[0].decode("utf-8", "replace")
    if purpose != "batch":
        message = (
            "/v1/files is passed on to an upstream that has files ([upstream NAME] files), and none that is on has; "
            "the proxy itself keeps only those of purpose batch"
        )
        raise ApiError("not_found", message, param="purpose")
    given = files["file"][0]
    file = File(common.new_id(FILE_ID), asked.owner, asked.now,
                str(given["filename"])[:200], purpose, len(given["body"]))  # fmt: skip
    async with asked.room("files", file.size) as queue:
        await queue.add_file(file, given["body"])
    return common.json(_file(file))


async def _owned_file(asked: WholeRequest, id: str) -> File:
    """One that was uploaded. Raises ApiError (404)."""
    file = await asked.queue.one_file(id)
    if file is None or file.owner != asked.owner:
        raise ApiError("not_found", f"there is no file '{id[:200]}'", param="file_id")
    return file


async def _any_file(asked: WholeRequest, id: str) -> tuple[File, Batch | None]:
    """The batch: of one that holds results."""
    for part in (OUTPUT, ERRORS):
        if id.startswith(FILE_ID + ID) and id.endswith(part):
            batch, _ = await _owned(asked, id.removeprefix(FILE_ID).removesuffix(part))
            size = 0
            async for piece in _lines(asked, batch.id, part):
                size += len(piece)
            name = f"{batch.id}{part.replace('-', '_')}.jsonl"
            return File(id, batch.owner, batch.ended or asked.now, name, "batch_output", size), batch
    return await _owned_file(asked, id), None


async def _file_about(asked: WholeRequest, id: str) -> WholeReply:
    return common.json(_file((await _any_file(asked, id))[0]))


async def _content(asked: WholeRequest, id: str) -> WholeReply:
    _, batch = await _any_file(asked, id)
    if batch is None:
        return WholeReply(await asked.queue.content(id), kind="application/octet-stream")
    part = OUTPUT if id.endswith(OUTPUT) else ERRORS
    return WholeReply(kind="application/octet-stream", pieces=_lines(asked, batch.id, part))


async def _lines(asked: WholeRequest, batch: str, part: str) -> AsyncIterator[bytes]:
    after = -1
    while rows := await asked.queue.results(batch, after, batch_store.PIECE):
        lines = [_line(row) for row in rows if (row.outcome == SUCCEEDED) == (part == OUTPUT)]
        if lines:
            yield b"".join(lines)
        after = rows[-1].nth


def _line(row: Result) -> bytes:
    name = wire.inside(row.name)
    if row.result:
        return b'{"id":"batch_req_%d","custom_id":"%b","response":%b,"error":null}\n' % (row.nth, name, row.result)
    code, message = _WHY.get(row.outcome, ("server_error", "The request came to nothing."))
    error = wire.dumps({"code": code, "message": message})
    return b'{"id":"batch_req_%d","custom_id":"%b","response":null,"error":%b}\n' % (row.nth, name, error)


async def _delete_file(asked: WholeRequest, id: str) -> WholeReply:
    file = await _owned_file(asked, id)
    await asked.queue.delete_file(file.id)
    return common.json({"id": file.id, "object": "file", "deleted": True})


async def _list_files(asked: WholeRequest, id: str) -> WholeReply:
    rows = await asked.queue.files(asked.owner)
    if purpose := asked.parameter("purpose"):
        rows = [row for row in rows if row.purpose == purpose]
    if asked.parameter("order") == "asc":
        rows = rows[::-1]
    rows, more = common.page(rows, asked.limit(10_000, 10_000), asked.parameter("after"))
    return common.json(_listed([_file(row) for row in rows], more))


def _file(file: File) -> dict[str, Any]:
    return {"id": file.id, "object": "file", "bytes": file.size, "created_at": int(file.created),
            "filename": file.name, "purpose": file.purpose, "status": "processed"}  # fmt: skip


_DOES = {
    (PATH, "POST", "all"): _create, (PATH, "GET", ""): _retrieve,
    (PATH, "POST", "cancel"): _cancel, (FILES, "POST", "all"): _upload, (FILES, "GET", "all"): _list_files,
    (FILES, "GET", ""): _file_about, (FILES, "DELETE", ""): _delete_file, (FILES, "GET", "content"): _content,
}  # fmt: skip


# ------------------------------------------------------------------------------------------ for who runs them


def call(batch: Batch, work: Work) -> Call:
    about = wire.loads(batch.about)
    served = dialects.at(about["endpoint"])
    assert served is not None
    headers = HTTPHeaders(about["headers"])
    headers["Content-Type"] = "application/json"
    headers["Idempotency-Key"] = f"{batch.id}-{work.nth}"
    return Call(served.dialect, served.endpoint, "", headers, work.request)


def result(work: Work, said: Answered) -> tuple[str, bytes]:
    error = said.body or RESPONSES.errors.body(ApiError("api", "the request came to nothing"), said.key)
    body = said.body if said.status == 200 else error
    response = b'{"status_code":%d,"request_id":"%b","body":%b}' % (said.status or 500, said.key.encode(), body)
    return SUCCEEDED if said.status == 200 else ERRORED, response
