"""What observers may read of a request: plain data that nobody changes.

`Info` is about a request on its way, `Finished` about one that is over; a record is made from it (observe/record.py).
Observers get nothing else of a request, so that none of them can delay it or keep it alive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from gateway.flow.timing import Clock
from gateway.flow.trace import Trace
from translate.conversation import Usage
from translate.failures.errors import ApiError
from translate.target import Protocol

MAX_USER_AGENT = 200  # characters of it in a record


class Info(Struct, frozen=True):
    """A request when an attempt of it is sent.

    protocol: the client's. task: "count" or "compact" if it does not ask for a model's reply. attempt: its number, from
    1 on; 0 means that the request is refused and nothing is ever sent. session: as its headers name it, "" for none.
    original: the body as the client sent it. data: the same parsed, if something has parsed it already.
    """

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

    key: the number of the upstream's key, from 1 on. status, error: what the client would have got: the HTTP status and
    the kind of the error (translate/failures/errors.py). message: what the upstream said, without the client's own
    words.
    """

    upstream: str
    model: str
    key: int
    status: int
    error: str
    message: str


class Outrun(NamedTuple):
    """An attempt that was cancelled because another one was quicker, or its client left: its upstream was at work, and
    charges what it likes. used: as far as it has told by then, None = it had told nothing."""

    upstream: str
    model: str
    key: int
    used: Usage | None


class Standing(NamedTuple):
    """A request in flight. state: see states.py. upstream, upstream_model: where it is, or waits for a slot; "" before
    that. waits_s: how long it has been asked there without an answer, 0.0 = it does not wait for one. bytes_in: of its
    body. bytes_out: of the reply. model, streams: what it asks for."""

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
    """An operator has cancelled the request. Who it was is only for the log. Clients do not repeat a request after a
    403."""

    def __init__(self) -> None:
        super().__init__("permission", "an operator of the proxy has cancelled this request", code="request_cancelled")


class Finished(Struct, frozen=True):
    """A request is over: the client has its last byte, or has left.

    error: what the client was told, or the upstream said. said: the words of the error, fit for a log. upstream,
    upstream_protocol, upstream_model: "" if none is to be named. clock: its times, which do not change any more.
    session, agent: as the headers name them. address: the client's, also behind a reverse proxy that is trusted.
    user_agent: as the client says it. cache: what the response cache did (cache/question.py), "" = nothing. saved: the
    usage that a cached reply had when it was made. is_reckoned: a part of `used` is estimated, because the upstream has
    not told it. outrun: the other attempts of a hedge, which are in no other field.
    """

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
    outrun: Sequence[Outrun] = ()
