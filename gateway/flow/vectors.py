"""Embeddings in base64, as OpenAI's own libraries ask for them unasked, also where a server has only lists.

Many servers do not know `encoding_format: base64`. Some ignore it, and send lists: libraries that read nothing else
fail at them, or read zeros. Some answer 400, and are asked without it from then on (teaching.py). What comes as lists
is packed here as OpenAI packs it: 32-bit floats, the lowest byte first.
"""

from __future__ import annotations

import array
import binascii
import re
import sys
from typing import Any

from gateway.flow.client_request import ClientRequest
from gateway.passing.passthrough import Passthrough
from gateway.refusals.learned_quirks import Quirk
from translate.failures.errors import ApiError
from translate.json import top_level, wire

TASK, FIELD = "embeddings", "encoding_format"
AS_LISTS = Quirk(FIELD)  # every server sends lists if the request does not ask for another form
_WANTED = re.compile(rb'"encoding_format"\s*:\s*"base64"')
_FIRST = re.compile(rb'"embedding"\s*:\s*(.)', re.S)


def wanted(request: ClientRequest) -> bool:
    """Whether the client is to get base64."""
    return request.task == TASK and _WANTED.search(request.body) is not None


def refused(request: ClientRequest, error: ApiError) -> bool:
    """Whether the upstream may have refused that."""
    said = error.message + (error.param or "")
    return error.status in (400, 422) and (FIELD in said or "base64" in said) and wanted(request)


def unpacked(body: bytes) -> bytes:
    """The same request, for lists."""
    return top_level.taken(body, (FIELD,))[0]


class Packing(Passthrough):
    """Reads the reply to a request for base64."""

    __slots__ = ()

    def whole(self, raw: bytes, streamed: bool = False) -> bytes:
        return packed(super().whole(raw, streamed))


def packed(raw: bytes) -> bytes:
    """The reply with its lists in base64. One that has none stays as it is."""
    first = _FIRST.search(raw)
    if first is None or first[1] != b"[":
        return raw
    try:
        said = wire.loads(raw)
    except ValueError:
        return raw
    rows = said.get("data") if isinstance(said, dict) else None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("embedding"), list):
            row["embedding"] = _base64(row["embedding"])
    return wire.dumps(said)


def _base64(numbers: list[Any]) -> Any:
    """A list of anything but numbers, as of several vectors for one text, is none that base64 has a form for."""
    try:
        floats = array.array("f", numbers)
    except (TypeError, OverflowError):
        return numbers
    if sys.byteorder == "big":
        floats.byteswap()
    return binascii.b2a_base64(floats, newline=False).decode()
