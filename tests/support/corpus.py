"""The exchanges of tests/samples and the recorded ones, as tests want them.

One `Exchange` a file; `exchanges(api)` gives them in the order of their files, `params(api)` as pytest
parameters named by id.
`cuts` cuts a stream at random places that depend on nothing but a seed, so that a failure comes again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from tests.conftest import exchange_files, read_exchange

MESSAGES = "anthropic.messages"
CHAT = "openai.chat"
RESPONSES = "openai.responses"


@dataclass(frozen=True)
class Exchange:
    """body: the whole JSON reply (None where it was not JSON), sse: the stream's bytes (b"" if none). headers: the
    reply's, by their names in small letters."""

    id: str
    api: str
    provider: str
    stream: bool
    features: frozenset[str]
    note: str
    path: str
    request: Any
    status: int
    headers: dict[str, str]
    content_type: str
    body: Any
    text: str
    sse: bytes

    @property
    def raw(self) -> bytes:
        """The reply's bytes, as near to the recorded ones as the recording allows."""
        if self.sse:
            return self.sse
        return self.text.encode() if self.body is None else json.dumps(self.body).encode()

    @property
    def failed(self) -> bool:
        return self.status >= 400

    def __repr__(self) -> str:
        return f"<Exchange {self.id} {self.status}>"


@cache
def _load() -> tuple[Exchange, ...]:
    found = []
    for path in exchange_files():
        data = read_exchange(path)
        request, reply = data["request"], data["response"]
        headers = {key.lower(): value for key, value in (reply.get("headers") or {}).items()}
        found.append(
            Exchange(
                id=data["id"],
                api=data["api"],
                provider=data["provider"],
                stream=bool(data["stream"]),
                features=frozenset(data.get("features") or ()),
                note=data.get("note") or "",
                path=request.get("path") or "",
                request=request.get("body"),
                status=reply["status"],
                headers={key: _first(value) for key, value in headers.items()},
                content_type=_first(headers.get("content-type", "")),
                body=reply.get("body"),
                text=reply.get("text") or "",
                sse=(reply.get("sse") or "").encode(),
            )
        )
    return tuple(found)


def _first(value: Any) -> str:
    return str(value[0]) if isinstance(value, list) and value else str(value)


def exchanges(api: str, keep: Callable[[Exchange], bool] = lambda _: True) -> list[Exchange]:
    """All exchanges of `api` that `keep` keeps."""
    return [exchange for exchange in _load() if exchange.api == api and keep(exchange)]


def params(*apis: str, keep: Callable[[Exchange], bool] = lambda _: True) -> list[Any]:
    """The same as pytest parameters."""
    return [pytest.param(e, id=e.id) for api in apis for e in exchanges(api, keep)]


def cuts(data: bytes, seed: object, pieces: int = 12) -> list[bytes]:
    """`data` in at most `pieces` pieces, cut at places that follow from `seed` alone."""
    rng = random.Random(f"{seed}/{len(data)}")
    places = sorted(rng.sample(range(1, len(data)), min(pieces - 1, len(data) - 1))) if len(data) > 1 else []
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def bytewise(data: bytes) -> Iterator[bytes]:
    for i in range(len(data)):
        yield data[i : i + 1]
