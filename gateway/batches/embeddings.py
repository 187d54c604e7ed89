"""Small requests for embeddings that come within a few milliseconds go upstream as one, and the reply is split again.

Only equal requests go together: of one client, for one model, with the same fields and headers, and only inputs of one
kind, texts or tokens. The one request is handled like any other. Its usage is divided among the requests by the size of
their inputs; the sum stays that of the upstream. If the upstream finds a fault in the request, each one goes alone,
since the fault may be in only one of them; any other error goes to all.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any
from typing import Protocol as Interface

from msgspec import Struct, structs
from tornado.httputil import HTTPHeaders

from gateway.batches import own_request
from gateway.batches.gathering import Answered, Gathering, retry_after
from gateway.batches.own_request import Call, Unconnected
from gateway.cache import keys
from gateway.cache.question import Source
from gateway.flow.client_request import ClientRequest
from gateway.flow.flow import Flow
from gateway.flow.info import Finished, Info
from gateway.flow.ports import Ports
from gateway.http.auth import Access
from gateway.http.response_writer import Writer
from gateway.routing.router import Route
from gateway.stored.previous_response import PreviousResponse, owner_of
from translate.conversation import Usage
from translate.failures import errors
from translate.failures.errors import ApiError
from translate.json import wire

log = logging.getLogger("gateway")

MAX_BODY_BYTES = 16 * 1024  # a larger request goes alone
TASK = "embeddings"


class Member(Interface):
    """The Sharing of a Flow (gateway/flow/sharing.py)."""

    @property
    def request(self) -> ClientRequest: ...

    def gathered(self, body: bytes, source: Source, used: Usage | None, attempts: int) -> None:
        """The part of this request in the reply. attempts: how many attempts this part stands for."""

    def gathered_fails(self, error: ApiError) -> None: ...

    def unshared(self, routes: list[Route] | None = None) -> None:
        """This request goes alone."""


class Part(Struct, frozen=True):
    """One member's part. size: bytes of its inputs."""

    member: Member
    routes: list[Route]
    inputs: list[Any]
    size: int


class Group:
    """Requests that go together. fields: what all of them have, except for the input."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields
        self.parts: list[Part] = []
        self.inputs = 0
        self.timer: asyncio.TimerHandle | None = None


class Embeddings:
    """Puts requests together. ports: returns the present Ports for a request of the proxy. told: requests that went
    with others, and the upstream requests that these became."""

    def __init__(self, ports: Callable[[], Ports]) -> None:
        self._ports = ports
        self._groups: dict[bytes, Group] = {}
        self.wait_s = 0.0
        self.most = 0
        self.told = {"gathered": 0, "sent": 0}

    def __repr__(self) -> str:
        return f"<Embeddings {len(self._groups)} groups wait>"

    def takes(self, member: Member, routes: list[Route]) -> bool:
        """Returns whether the request waits for others. If none come, it goes alone. Raises BadRequest."""
        request = member.request
        if request.task != TASK or len(request.body) > MAX_BODY_BYTES or request.streams:
            return False
        data = request.parsed()
        found = _inputs(data.get("input"))
        if found is None or len(found[1]) >= self.most:
            return False
        kind, inputs = found
        fields = {name: value for name, value in data.items() if name != "input"}
        extra = tuple(name for route in routes for name in route.upstream.settings.request_headers)
        told = keys.told(request, keys.as_sent(request, extra), private=True)
        key = told + kind + wire.dumps(sorted(fields.items()))
        group = self._groups.get(key)
        if group is not None and group.inputs + len(inputs) > self.most:
            self._goes(key)
            group = None
        if group is None:
            group = self._groups[key] = Group(fields)
            group.timer = asyncio.get_running_loop().call_later(self.wait_s, self._goes, key)
        group.parts.append(Part(member, routes, inputs, sum(len(wire.dumps(each)) for each in inputs)))
        group.inputs += len(inputs)
        if group.inputs >= self.most:  # in a later turn, when its Flow knows that it waits
            asyncio.get_running_loop().call_soon(self._goes, key)
        return True

    def _goes(self, key: bytes) -> None:
        group = self._groups.pop(key, None)
        if group is None:
            return
        if group.timer is not None:
            group.timer.cancel()
        parts = group.parts = [part for part in group.parts if not part.member.request.is_over]
        if len(parts) == 1:
            parts[0].member.unshared(parts[0].routes)
        elif parts:
            self.told["gathered"] += len(parts)
            self.told["sent"] += 1
            Together(self._ports(), group).run()


class Together(Unconnected):
    """One request for several; it is the Front of its Flow."""

    def __init__(self, ports: Ports, group: Group) -> None:
        # Hooks have seen its members; quotas and budgets were charged for them; and each has a record of its own.
        self._ports = structs.replace(
            ports, observer=Silent(), quota_of=lambda client: None, budgets=None, hooks=None, traces=None, tags=None,
            cache=None, gather=None, joins=None,
        )  # fmt: skip
        self._group = group
        self._first = group.parts[0].member.request
        self._writer = Gathering(self._over)
        self._flow: Flow | None = None

    def __repr__(self) -> str:
        return f"<Together {len(self._group.parts)}>"

    def run(self) -> None:
        inputs = list(itertools.chain.from_iterable(part.inputs for part in self._group.parts))
        body = wire.dumps(self._group.fields | {"input": inputs})
        first = self._first
        headers = HTTPHeaders(first.headers)
        for name in ("Content-Length", "Content-Encoding", "Transfer-Encoding", "Expect"):
            headers.pop(name, None)
        plain = first.dialect.endpoint(TASK)  # of its members' address, their bodies have been read already
        assert plain is not None
        call = Call(first.dialect, plain, first.query, headers, body)
        self._flow = flow = own_request.flow_of(self._ports, call, self)
        own_request.send(flow, call)

    def _over(self) -> None:
        flow, self._flow = self._flow, None
        writer, parts = self._writer, self._group.parts
        said = Answered(writer.status, writer.body, "", retry_after(writer.head))
        source = flow.completion.source(flow.lead) if flow is not None else None
        if said.status == 200 and source is not None and flow is not None:
            shares = split(said.body, [(len(part.inputs), part.size) for part in parts])
            if shares is not None:
                attempts = flow.failover.attempts
                for nth, (part, (body, used)) in enumerate(zip(parts, shares, strict=True)):
                    part.member.gathered(body, source, used, attempts if nth == 0 else 0)
                return
            log.warning("an upstream's reply to %d requests for embeddings cannot be told apart: each goes alone",
                        len(parts))  # fmt: skip
        elif said.status not in (200, 400, 404, 413, 422):
            error = errors.parse(said.status or 502, said.body)
            error.retry_after = said.retry_after_s or None
            for part in parts:
                part.member.gathered_fails(error)
            return
        for part in parts:
            part.member.unshared(part.routes)

    # ------------------------------------------------------------------------------------- asked by its Flow

    def writer(self, key: str) -> Writer:
        return self._writer

    def checked(self, headers: HTTPHeaders, access: Access) -> str:
        return self._first.client

    def previous(self, request: ClientRequest) -> PreviousResponse:
        return PreviousResponse(self._ports.response_store, owner_of(request.client, request.headers))


class Silent:
    """Tells observers nothing: a request that stands for others has no record."""

    def sent(self, info: Info, body: bytes) -> None:
        return None

    def finished(self, info: Finished, writer: Writer) -> None:
        return None


def _inputs(said: Any) -> tuple[bytes, list[Any]] | None:
    """Returns (kind, inputs) of the field: a text, tokens, or a list of one of them. None for anything else."""
    if isinstance(said, str) and said:
        return b"text", [said]
    if not isinstance(said, list) or not said:
        return None
    if all(isinstance(each, str) and each for each in said):
        return b"text", said
    if all(type(each) is int for each in said):
        return b"tokens", [said]
    if all(isinstance(each, list) and each and all(type(token) is int for token in each) for each in said):
        return b"tokens", said
    return None


def split(body: bytes, parts: Sequence[tuple[int, int]]) -> list[tuple[bytes, Usage | None]] | None:
    """Returns the reply of each. parts: (inputs, size) of each. None if the reply does not have exactly one embedding
    for each input."""
    try:
        said = wire.loads(body)
        rows = {row["index"]: row for row in said["data"]}
    except (ValueError, TypeError, KeyError):
        return None
    count = sum(inputs for inputs, _ in parts)
    if len(said["data"]) != count or set(rows) != set(range(count)):
        return None
    told = said.get("usage")
    counters = {name: n for name, n in told.items() if type(n) is int} if isinstance(told, dict) else {}
    shares = {name: shared_out(n, [size for _, size in parts]) for name, n in counters.items()}
    made: list[tuple[bytes, Usage | None]] = []
    at = 0
    for nth, (inputs, _) in enumerate(parts):
        own = {name: share[nth] for name, share in shares.items()}
        data = [rows[at + index] | {"index": index} for index in range(inputs)]
        at += inputs
        part = said | {"data": data} | ({"usage": told | own} if isinstance(told, dict) else {})
        used = Usage(input=own.get("prompt_tokens", 0)) if "prompt_tokens" in own else None
        made.append((wire.dumps(part), used))
    return made


def shared_out(whole: int, sizes: Sequence[int]) -> list[int]:
    """Returns the whole in parts that are as large as the sizes say; their sum is the whole."""
    total = sum(sizes) or 1
    parts = [whole * size // total for size in sizes]
    by_rest = sorted(range(len(sizes)), key=lambda nth: -(whole * sizes[nth] % total))
    for nth in by_rest[: whole - sum(parts)]:
        parts[nth] += 1
    return parts
