"""Whether a reply is worth keeping: complete, no error, no refusal, and with tool calls only if that is allowed.

It is read once, as a client of its protocol would read it. A reply that stopped at its limit of tokens counts as cut,
too: a client that asks again may hope for more.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Event, Fault, Open, Refusal, Stop, ToolCall, Unknown
from translate.dialect import Dialect
from translate.failures.errors import ApiError
from translate.json import wire
from translate.target import Policy

_WHOLE = ("end", "stop_sequence", "tool_calls", "compaction")
_CALLS = ("tool_use", "_call", "_call_output", "_tool_result", "mcp_list_tools")


def is_worth_keeping(dialect: Dialect, task: str, body: bytes, *, streamed: bool, tool_calls: bool) -> bool:
    try:
        if task:
            return _relayed(body, streamed)
        if streamed:
            decoder = dialect.decoder(Policy())
            events = decoder.feed(body) + decoder.end()
        else:
            events = dialect.explode(wire.loads(body), Policy())
    except (ValueError, TypeError, KeyError, AttributeError, ApiError):
        return False  # it is no reply at all
    return _told(events, tool_calls)


def _told(events: list[Event], tool_calls: bool) -> bool:
    stop = events[-1] if events else None
    if not isinstance(stop, Stop) or stop.reason not in _WHOLE:
        return False
    parts = [event.part for event in events if isinstance(event, Open)]
    if any(isinstance(part, Refusal) for part in parts) or any(isinstance(event, Fault) for event in events):
        return False
    return tool_calls or not any(isinstance(part, ToolCall) or _is_call(part) for part in parts)


def _is_call(part: Any) -> bool:
    """Returns whether it is a call of a tool that the provider runs, whose answer changes from day to day."""
    return isinstance(part, Unknown) and str(part.raw.get("type", "")).endswith(_CALLS)


def _relayed(body: bytes, streamed: bool) -> bool:
    """Judges a reply of an endpoint without a translation."""
    if streamed:
        said = [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]
        if not said or said[-1] != b"[DONE]":
            return False
        return _finished([wire.loads(data) for data in said[:-1]])
    return _finished([wire.loads(body)])


def _finished(said: list[Any]) -> bool:
    if not said or not all(isinstance(each, dict) and not each.get("error") for each in said):
        return False
    choices = [choice for each in said for choice in each.get("choices") or ()]
    return all(choice.get("finish_reason") in (None, "", "stop") for choice in choices)
