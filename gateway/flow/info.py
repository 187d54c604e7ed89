"""What observers may read of a request: plain data that nobody changes.

`Info` tells of a request on its way. `Finished` tells of one that is over; a record is made of it (observe/record.py).
Observers get nothing else of a request, so that none of them can hold it up or hold it back from being freed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.flow.timing import Clock
from gateway.flow.trace import Trace
from translate.conversation import Usage
from translate.errors import ApiError
from translate.target import Protocol


class Info(NamedTuple):
    """A request as an attempt of it is sent.

    protocol: the client's. task: "count" or "compact" where it asks for no reply of a model. attempt: its number, from
    1 on; 0 means that the request is refused and nothing of it is ever sent. session: by its headers, "" for none.
    original: the body as the client sent it. data: the same parsed, where something has parsed it already."""

    key: str
    protocol: Protocol
    task: str
    client: str
    model: str
    attempt: int
    session: str
    original: bytes
    data: Mapping[str, object] | None


class Tried(NamedTuple):
    """An attempt that failed, after which another one was made.

    key: the number of the upstream's key, from 1 on. status, error: what would have been answered: its HTTP status and
    its kind (translate/errors.py). message: what the upstream said, without the client's own words."""

    upstream: str
    model: str
    key: int
    status: int
    error: str
    message: str


class Standing(NamedTuple):
    """A request in flight, as it stands. state: see states.py. upstream, upstream_model: where it is, or waits for a
    slot; "" before. waits_s: how long it has been asked there without an answer, 0.0 where it is not. bytes_in: of its
    body, bytes_out: of the reply. model, streams: what it asks for."""

    key: str
    client: str
    address: str
    protocol: Protocol
    task: str
    model: str
    streams: bool
    state: str
    upstream: str
    upstream_model: str
    age_s: float
    waits_s: float
    attempts: int
    bytes_in: int
    bytes_out: int
    session: str
    agent: str


class Cancelled(ApiError):
    """An operator has cancelled the request; who it was is for the log alone. Clients do not try a 403 again."""

    def __init__(self) -> None:
        super().__init__("permission", "an operator of the proxy has cancelled this request", code="request_cancelled")


class Finished(NamedTuple):
    """A request is over: the client has its last byte, or has left.

    error: what the client was told, or the upstream said; said: its words, fit for a log. upstream, upstream_protocol
    and upstream_model are "" where none is to be named. clock: its spans, which stand still now. session, agent: as the
    headers name them. address: of the client, also behind a reverse proxy that is trusted. user_agent: its own word.
    cache: what the response cache had to do with it (cache/question.py), "" = nothing. saved: what a reply that came
    from there had taken when it was made. is_reckoned: the upstream has not told all of `used`."""

    key: str
    client: str
    protocol: Protocol
    task: str
    asked_model: str
    status: int
    streamed: bool
    left: bool
    aborted: bool
    error: ApiError | None
    said: str
    upstream: str
    upstream_protocol: str
    upstream_model: str
    upstream_headers: Sequence[tuple[str, str]]
    connection: str
    ttfb_ms: float
    attempts: int
    continuations: int
    tried: Sequence[Tried]
    passed_over: Sequence[str]
    dropped: Sequence[str]
    cache_marks: int
    bytes_in: int
    bytes_out: int
    used: Usage | None
    clock: Clock
    session: str
    agent: str
    parent_agent: str
    address: str
    user_agent: str
    cache: str = ""
    saved: Usage | None = None
    saved_usd: float | None = None
    tags: Mapping[str, str] = {}
    trace: Trace | None = None
    is_reckoned: bool = False
