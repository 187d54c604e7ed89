"""The batches that upstreams have, for a list that has those of the proxy beside them.

All pages of each upstream are read, with each of its keys, since only the whole can be put in order. An upstream that
cannot be read fails the list: one with gaps would look complete.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from gateway.batches import passed
from gateway.batches.whole_request import Row, WholeRequest
from gateway.flow.client_request import ClientRequest
from gateway.routing.upstreams import LiveUpstream
from gateway.runtime import Service
from gateway.stored.store import ANYONE
from translate.failures import errors
from translate.failures.errors import BadReply
from translate.json.json_fields import is_number, objects_of
from translate.messages.dialect import MESSAGES

MOST_PAGES = 20  # of one key; the latest batches are on the first
NOT_THERE = (404, 405, 501)  # an upstream that runs batches may have no list of them


async def rows(service: Service, request: ClientRequest, asked: WholeRequest) -> list[Row] | None:
    """Returns the client's batches at upstreams, in no order; None where no upstream runs any. Raises ApiError."""
    rules, now = service.rules.get(request.client), time.monotonic()
    asking = []
    for upstream in service.router.upstreams.values():
        if not passed.has_batches(upstream, request.dialect.name) or (rules and not rules.allow(upstream.name)):
            continue
        works = [key for key in range(len(upstream.key_names)) if upstream.key_works(key, now)]
        asking += [_of_key(service, request, asked, upstream, key) for key in works or [0]]
    if not asking:
        return None
    found = {row.id: row for rows in await asyncio.gather(*asking) for row in rows}
    if not service.response_store.shared:
        return list(found.values())
    owned = await passed.all_noted(service, list(found))
    return [found[id] for id, noted in owned.items() if noted.owner in (asked.owner, ANYONE)]


async def _of_key(
    service: Service, request: ClientRequest, asked: WholeRequest, upstream: LiveUpstream, key: int
) -> list[Row]:
    """Raises ApiError."""
    most, after = (1000, "after_id") if request.dialect is MESSAGES else (100, "after")
    found: list[Row] = []
    query = {"limit": str(most)}
    for _ in range(MOST_PAGES):
        said = await passed.ask(service, request, asked, upstream, key, urlencode(query))
        if said.status in NOT_THERE:
            return found
        if said.status >= 300:
            raise errors.parse(said.status, said.body)
        page = passed.object_of(said.body)
        shown = [row for row in objects_of(page, "data") if isinstance(row.get("id"), str)]
        if not isinstance(page.get("data"), list):
            raise BadReply(f"upstream '{upstream.name}': its list of batches cannot be read")
        found += [Row(row["id"], _created(row), shown=row) for row in shown]
        if page.get("has_more") is not True or not shown:
            break
        query[after] = shown[-1]["id"]
    return found


def _created(row: dict[str, Any]) -> float:
    """When a batch was made, in either API's form; 0.0 where that cannot be read."""
    at = row.get("created_at")
    try:
        return float(at) if is_number(at) else datetime.fromisoformat(str(at)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
