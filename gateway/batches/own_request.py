"""A request that the proxy itself makes: it is handled like every other one, and no connection waits for it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from tornado.httputil import HTTPHeaders, RequestStartLine

from gateway.batches.gathering import Nowhere
from gateway.flow.client_request import ClientRequest, Front
from gateway.flow.flow import Flow
from gateway.flow.ports import Ports
from translate.dialect import Dialect
from translate.endpoint import Endpoint


class Call(Struct, frozen=True):
    """What it asks. query: without its question mark, "" = none."""

    dialect: Dialect
    endpoint: Endpoint
    query: str
    headers: HTTPHeaders
    body: bytes


class Unconnected:
    """The part of the Front that all such requests share: they have nothing special."""

    is_here = True

    def answers(self, request: ClientRequest) -> bytes | None:
        return None

    def passes(self, request: ClientRequest) -> None:
        return None

    def over(self) -> None:
        return None


def flow_of(ports: Ports, call: Call, front: Front) -> Flow:
    """Returns its Flow, which does nothing before `send`."""
    nowhere: Any = Nowhere()
    return Flow(ports, nowhere, call.dialect, call.endpoint, front=front)


def send(flow: Flow, call: Call) -> None:
    """Gives all of the request to its Flow at once. The answer may be there before this returns."""
    target = f"{call.endpoint.path}?{call.query}" if call.query else call.endpoint.path
    flow.headers_received(RequestStartLine("POST", target, "HTTP/1.1"), call.headers)
    flow.data_received(call.body)
    flow.finish()
