"""Whole Responses replies: takes a response apart into events, and puts one together from events.

`explode` hands the response to the same `Assembly` that reads streams, and `collect` gives the object that the stream's
terminal event carries, so a reply is the same whether it is streamed or not.
"""

from __future__ import annotations

import re
from typing import Any

from translate.conversation import Event, Fault
from translate.failures import errors
from translate.failures.errors import BadReply
from translate.json import wire
from translate.responses.assembly import Assembly, is_unfinished
from translate.responses.encode_stream import Encoder
from translate.responses.stop import failure_of
from translate.target import Asked, Policy

_ERROR = re.compile(rb'"error"\s*:\s*[{"]')


def broken(body: bytes) -> errors.ApiError | None:
    """Returns the error of a whole reply that has failed, or was cancelled. Most replies take three searches."""
    if b'"failed"' not in body and b'"cancelled"' not in body and _ERROR.search(body) is None:
        return None
    try:
        response = wire.loads(body)
    except ValueError:
        return None
    return failure_of(response) if isinstance(response, dict) else None


def explode(body: dict[str, Any], policy: Policy = Policy()) -> list[Event]:
    """Returns a response as events. One that failed is a Fault. Raises BadReply for what is no response, or goes on in
    the background."""
    if not isinstance(body, dict):
        raise BadReply("the upstream's reply is not a JSON object")
    if not isinstance(body.get("output"), list) and body.get("object") != "response":
        if error := errors.remark(body):
            return [Fault(error)]
        known = ", ".join(sorted(body)[:12]) or "none"
        raise BadReply(f"the upstream's reply is not a response: it has no output; its fields are: {known}")
    if is_unfinished(body):
        raise BadReply(f"the upstream's response is not finished, its status is '{body['status']}'")
    parts = Assembly()
    parts.end(body)
    return parts.take()


def collect(events: list[Event], asked: Asked) -> dict[str, Any]:
    """Returns the events as a Response of the OpenAI SDK. Raises the error of a Fault, and BadReply where there is no
    end."""
    for event in events:
        if isinstance(event, Fault):
            raise event.error
    encoder = Encoder(asked)
    encoder.emit(events)
    if not encoder.response:
        raise BadReply("the upstream's reply has no end")
    response: dict[str, Any] = wire.loads(encoder.response)
    return response
