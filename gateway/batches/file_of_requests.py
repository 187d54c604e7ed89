"""Reads a file of requests that an upstream runs as a batch, where several clients share the upstream's key.

The lines of such a file may have the model read what another client has at the upstream: files, responses,
conversations. A request alone is refused for that, and so is a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.batches.whole_request import WholeRequest
from gateway.pages.upstream_query import Asking
from gateway.routing.upstreams import LiveUpstream
from gateway.runtime import Service
from gateway.stored import references
from gateway.stored.previous_response import PreviousResponse
from operate.owner_store import Owned
from translate.failures.errors import ApiError, BadReply, BadRequest
from translate.json import wire
from translate.json.json_fields import object_of, text_of

PROTOCOL = "chat"  # of those who have such files


async def names(service: Service, asked: WholeRequest, upstream: LiveUpstream, owned: Owned, file_id: str) -> list[str]:
    """The ids of what its requests name at the upstream. Raises ApiError."""
    asking = Asking(service, upstream, None, upstream.key_number(owned.key), PROTOCOL)
    try:
        reply = await asking.ask("GET", f"files/{file_id}/content", "", asked.headers)
    except BadReply as why:
        raise ApiError("permission", f"several clients share upstream '{upstream.name}', so the batch's "
                       f"file has to be checked, and cannot be read: {why.message}") from None  # fmt: skip
    if reply.status >= 300:
        raise ApiError("upstream", f"upstream '{upstream.name}' answered {reply.status} for the batch's file {file_id}")
    if not (references.may_be_in(reply.body) or PreviousResponse.builds_on(reply.body)):
        return []
    return await service.beside(lambda: [*dict.fromkeys(_of(reply.body))])


def _of(content: bytes) -> Iterator[str]:
    for number, line in enumerate(content.splitlines(), 1):
        try:
            said: Any = wire.loads(line) if line.strip() else {}
        except ValueError:
            raise BadRequest(f"line {number} of the batch's file is not JSON", "input_file_id") from None
        body = object_of(said, "body") if isinstance(said, dict) else {}
        if body.get("conversation"):
            raise BadRequest(f"line {number} of the batch's file names a conversation, which several clients could "
                             "read; send the whole conversation as input", "input_file_id")  # fmt: skip
        yield from references.named(body)
        if id := text_of(body, "previous_response_id"):
            yield id
